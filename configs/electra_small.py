"""ELECTRA-Small, Table 6 of the paper.

Command:   electra_tf pretrain --config=configs/electra_small.py \
               --config.data.dir=SHARDS --workdir=RUN
Data:      length 128, 30522 tokens; the paper: English Wikipedia and BookCorpus.
Hardware:  the paper: 4 days on one V100 (about 370 examples/s).
Expected:  the paper: GLUE dev 79.9; 1.4e18 FLOPs. Not trained in full by us.
"""

from electra_tf.config import Config


def get_config() -> Config:
    return Config()  # the defaults are Small
