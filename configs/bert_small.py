"""BERT-Small: masked language modelling at ELECTRA-Small's size, the paper's baseline.

Command:   electra_tf pretrain --config=configs/bert_small.py \
               --config.data.dir=SHARDS --workdir=RUN
Data:      as electra_small.
Hardware:  the paper trains it longer than ELECTRA-Small, 1.45M steps, for the same compute.
Expected:  the paper: GLUE dev 75.1. Not trained in full by us.
"""

from electra_tf.config import Config


def get_config() -> Config:
    config = Config()
    config.objective.name = "mlm"
    config.train.num_steps = 1_450_000
    return config
