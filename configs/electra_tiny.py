"""A tiny ELECTRA for a CPU, in two phases: configs/electra_tiny.py:16, then :128.

Command:   python -m electra_tf.pretrain --config=configs/electra_tiny.py:16 \
               --config.data.dir=SHARDS_16 --workdir=RUN_16
           python -m electra_tf.pretrain --config=configs/electra_tiny.py:128 \
               --config.data.dir=SHARDS_128 --config.init_from=RUN_16 --workdir=RUN_128
Data:      a vocabulary of 8,192 tokens; shards of length 16 and 128, --packing=documents.
Hardware:  2 CPU cores.
Why two:   at length 64 from the start, both networks stayed at token frequencies for the 5 M
           tokens watched (masked_lm_loss 6.0); at length 16 they leave them within 3 M, and length
           128 from there took 5 M tokens to 5.2.
"""

from electra_tf.config import (
    Config,
    DataConfig,
    GeneratorConfig,
    ModelConfig,
    OptimizerConfig,
    TrainConfig,
)

STEPS = {16: 6_400, 128: 6_400}  # of 2,048 tokens: 1.8e14 FLOPs in both phases together


def get_config(seq_length: str = "16") -> Config:
    length = int(seq_length)
    return Config(
        data=DataConfig(shuffle_examples=65_536),
        model=ModelConfig(vocab_size=0, hidden_size=128, num_layers=4, num_heads=4,
                          intermediate_size=512, embedding_size=128, max_positions=128,
                          hidden_dropout=0.0, attention_dropout=0.0, initializer_range=0.08,
                          sharing="none"),
        generator=GeneratorConfig(hidden_fraction=0.5, layer_fraction=1.0, num_heads=4),
        optimizer=OptimizerConfig(learning_rate=1e-3 if length == 16 else 7e-4, warmup_steps=200,
                                  bias_correction=True),
        train=TrainConfig(num_steps=STEPS[length], batch_size=2_048 // length,
                          checkpoint_steps=1_000, keep_checkpoints=1, eval_steps=1_000,
                          eval_batches=100, log_steps=100))
