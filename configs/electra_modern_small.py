"""ELECTRA-Small with ModernBERT's block, as large: 14.1 M weights; electra_small has 14.2 M.

Command:   electra_tf pretrain --config=configs/electra_modern_small.py \
               --config.data.dir=SHARDS --workdir=RUN
Data:      as electra_small; or longer: `electra_tf build_dataset --seq_length=1024
           --max_positions=1024`, and --config.model.max_positions=1024 here.
Hardware:  as electra_small.
Expected:  not trained by us.
"""

from electra_tf.config import Config


def get_config() -> Config:
    config = Config()
    config.model.block = "modern"
    config.model.intermediate_size = 680  # with the gate as many weights as 1,020 without one
    config.model.layer_norm_epsilon = 1e-5
    # Of ModernBERT's kind: none of the attention's weights, which would have to be kept.
    config.model.attention_dropout = 0.0
    return config
