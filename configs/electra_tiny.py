"""A tiny ELECTRA for 2 CPU cores, in three phases: configs/electra_tiny.py:16, :128, :pairs.

Command:   electra_tf pretrain --config=configs/electra_tiny.py:16 \
               --config.data.dir=SHARDS_16 --workdir=RUN_16
           and so on with :128, SHARDS_128, --config.init_from=RUN_16, and with :pairs,
           SHARDS_PAIRS, --config.init_from=RUN_128.
Data:      a vocabulary of 8,192 tokens; shards of --seq_length=16 and 128 with
           --packing=documents, then of 128 as the original makes them, two segments in each.
Hardware:  2 CPU cores, one for this and one for bert_tiny.py.
Duration:  9, 36 and 8 minutes on cores that others used as well; 12,000 to 17,000 tokens/s alone.
Expected:  held out, on 23.7 M words of Wikipedia: masked_lm_loss 5.60, 4.62, 4.50 and disc_auc
           0.818, 0.762, 0.763 after the phases, which differ in their data. One run.
Compute:   1.40e14 FLOPs by objectives/flops.py, 3.5 M per token at length 16 and 4.1 M at 128.
What was tried on the way: docs/experiments.md.
"""

import os

from electra_tf.config import Config
from electra_tf.errors import UserError

STEPS = {"16": 4_000, "128": 10_800, "pairs": 2_400}  # of 2,048 tokens, padding included
LEARNING_RATES = {"16": 1e-3, "128": 7e-4, "pairs": 7e-4}


def get_config(phase: str = "16") -> Config:
    if phase not in STEPS:
        raise UserError(
            "configs/electra_tiny.py and bert_tiny.py must be followed by :16, :128 "
            f"or :pairs. Received: {phase}"
        )
    config = Config.from_file(os.path.join(os.path.dirname(__file__), "quickstart.py"))
    model, train = config.model, config.train
    model.vocab_size, model.max_positions = 0, 128
    config.optimizer.learning_rate = LEARNING_RATES[phase]
    train.num_steps, train.batch_size = STEPS[phase], 2_048 // (16 if phase == "16" else 128)
    train.checkpoint_steps, train.eval_batches = 1_000, 100
    return config
