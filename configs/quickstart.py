"""Quickstart (in work)."""

from electra_tf.config import Config, DataConfig, GeneratorConfig, ModelConfig
from electra_tf.config import OptimizerConfig, TrainConfig


def get_config() -> Config:
    return Config(
        data=DataConfig(shuffle_examples=65_536),
        model=ModelConfig(hidden_size=128, num_layers=3, num_heads=2, intermediate_size=512,
                          embedding_size=128, max_positions=128, hidden_dropout=0.0,
                          attention_dropout=0.0),
        generator=GeneratorConfig(hidden_fraction=0.5, layer_fraction=1.0),
        optimizer=OptimizerConfig(learning_rate=2e-3, warmup_steps=200),
        train=TrainConfig(num_steps=1500, batch_size=64, checkpoint_steps=500, keep_checkpoints=1,
                          eval_steps=500, log_steps=50))
