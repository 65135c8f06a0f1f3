"""Masked language modelling with the compute of electra_tiny: configs/bert_tiny.py:16, then :128.

Command:   as there, with this config.
Compute:   as many floating-point operations in each phase, by objectives/flops.py: a step costs
           5.62 M per token at length 16 (ELECTRA's 6.54 M) and 6.45 M at 128 (7.65 M), so there
           are more steps.
Expected:  not run yet.
"""

from configs import electra_tiny
from electra_tf.config import Config

STEPS = {16: 4_976, 128: 5_062}


def get_config(seq_length: str = "16") -> Config:
    config = electra_tiny.get_config(seq_length)
    config.objective.name = "mlm"
    config.train.num_steps = STEPS[int(seq_length)]
    return config
