"""Quickstart (in work)."""

from electra_tf.config import (
    Config,
    DataConfig,
    GeneratorConfig,
    ModelConfig,
    OptimizerConfig,
    TrainConfig,
)


def get_config() -> Config:
    return Config(
        data=DataConfig(shuffle_examples=65_536),
        model=ModelConfig(vocab_size=4000, hidden_size=128, num_layers=2, num_heads=4,
                          intermediate_size=512, embedding_size=128, max_positions=16,
                          hidden_dropout=0.0, attention_dropout=0.0, initializer_range=0.08,
                          sharing="none"),
        generator=GeneratorConfig(hidden_fraction=0.5, layer_fraction=1.0, num_heads=4),
        optimizer=OptimizerConfig(learning_rate=1e-3, warmup_steps=200, bias_correction=True),
        train=TrainConfig(num_steps=4500, batch_size=64, checkpoint_steps=500, keep_checkpoints=1,
                          eval_steps=1000, log_steps=100))
