"""ELECTRA-Large (the 400k-step model), Table 6 of the paper.

Command:   electra_tf pretrain --config=configs/electra_large.py \
               --config.data.dir=SHARDS --workdir=RUN
Data:      length 512 (electra_tf build_dataset --seq_length=512), 30522 tokens; the paper: the
           33 billion tokens of XLNet's corpus.
Hardware:  many GPUs or a TPU pod: 7.1e20 FLOPs in all; train.accumulation_steps saves memory.
Expected:  the paper: GLUE dev 89.0, SQuAD 2.0 dev EM/F1 86.9/89.6. Not trained by us.
"""

from electra_tf.config import Config


def get_config() -> Config:
    config = Config()
    config.model.num_layers = 24
    config.model.hidden_size = config.model.embedding_size = 1024
    config.model.num_heads = 16
    config.model.intermediate_size = 4096
    config.generator.hidden_fraction = 0.25
    config.objective.mask_fraction = 0.25
    config.optimizer.learning_rate = 2e-4
    config.train.batch_size = 2048
    config.train.num_steps = 400_000
    config.runtime.precision = "mixed_bfloat16"
    return config
