"""The network of the tiny studies, four layers for 2 CPU cores; configs/studies/ set its steps.

Command:   electra_tf pretrain --config=configs/electra_mini.py \
               --config.data.dir=SHARDS --workdir=RUN
Data:      a vocabulary of at most 8,192 tokens; length 128.
Compute:   7.65 MFLOP per token by objectives/flops.py; 3.0e13 in the 1,915 steps here.

As configs/quickstart.py, where docs/experiments.md says what was tried, but for depth, length and
vocabulary.
"""

import os

from electra_tf.config import Config


def get_config() -> Config:
    config = Config.from_file(os.path.join(os.path.dirname(__file__), "quickstart.py"))
    model, train = config.model, config.train
    model.num_layers, model.vocab_size, model.max_positions = 4, 8_192, 128
    config.optimizer.learning_rate, config.optimizer.warmup_steps = 7e-4, 190
    train.batch_size, train.num_steps = 16, 1_915
    train.checkpoint_steps, train.eval_steps = 500, 0
    return config
