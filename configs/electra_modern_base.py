"""ELECTRA-Base with ModernBERT's block, as large: 109.0 M weights; electra_base has 109.5 M.

Command:   electra_tf pretrain --config=configs/electra_modern_base.py \
               --config.data.dir=SHARDS --workdir=RUN
Data:      as electra_base; or longer: `electra_tf build_dataset --seq_length=1024
           --max_positions=1024`, and --config.model.max_positions=1024 here.
Hardware:  as electra_base.
Schedule:  as ModernBERT's: warm-up, a constant rate, one minus a square root at the end; its
           optimizer, which needs no clipping.
Expected:  not trained by us.
"""

import os

from electra_tf.config import Config


def get_config() -> Config:
    config = Config.from_file(os.path.join(os.path.dirname(__file__), "electra_base.py"))
    config.model.block = "modern"
    config.model.intermediate_size = 2048  # with the gate as many weights as 3,072 without one
    config.model.layer_norm_epsilon = 1e-5
    config.model.attention_dropout = 0.0  # as in electra_modern_small
    config.optimizer.name, config.optimizer.clip_norm = "stable_adamw", 0.0
    config.optimizer.schedule = "warmup_stable_decay"
    return config
