"""ELECTRA-Base, Table 6 of the paper.

Command:   electra_tf pretrain --config=configs/electra_base.py \
               --config.data.dir=SHARDS --workdir=RUN
Data:      length 512 (electra_tf build_dataset --seq_length=512), 30522 tokens; the paper:
           English Wikipedia and BookCorpus.
Hardware:  several GPUs or a TPU: 6.4e19 FLOPs in all.
Expected:  the paper: GLUE dev 85.1, SQuAD 2.0 dev EM/F1 80.5/83.3. Not trained by us.
"""

from electra_tf.config import Config


def get_config() -> Config:
    config = Config()
    config.model.hidden_size = config.model.embedding_size = 768
    config.model.num_heads = 12
    config.model.intermediate_size = 3072
    config.generator.hidden_fraction = 1 / 3
    config.optimizer.learning_rate = 2e-4
    config.train.batch_size = 256
    config.train.num_steps = 766_000
    config.runtime.precision = "mixed_bfloat16"
    return config
