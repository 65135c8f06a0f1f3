"""Quickstart: a tiny ELECTRA on six novels.

Command:   make quickstart, or electra_tf quickstart
Data:      docs:novels, 2.9 MB of English (0.8 M tokens), learned vocabulary of 4,000 tokens,
           length 16, 7 % of the text held out, whole chapters.
Hardware:  2 CPU cores.
Duration:  4 min 46 s for all stages, with 4.6 M tokens of pre-training, on two quiet cores of a
           Xeon with AVX-512. Where --minutes leaves no time for that, it trains for fewer steps.
Expected:  held out, two runs of seed 0: masked_lm_accuracy 0.316 and 0.310 (copying what stays
           visible and always guessing the most frequent token: 0.197), masked_lm_loss 4.08 and
           4.09, disc_auc 0.638 and 0.644 (knowing only that [CLS] and [SEP] are never replaced:
           0.573), random corpus tokens 0.606 and 0.624, uniform 0.756 and 0.762.

The paper's objective: weights 1 and 50, 15 % masked, a smaller generator. What was tried:
docs/experiments.md.
"""

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
        model=ModelConfig(
            vocab_size=4000,
            hidden_size=128,
            num_layers=2,
            num_heads=4,
            intermediate_size=512,
            embedding_size=128,
            max_positions=16,
            hidden_dropout=0.0,
            attention_dropout=0.0,
            initializer_range=0.08,
            sharing="none",
        ),
        generator=GeneratorConfig(hidden_fraction=0.5, layer_fraction=1.0, num_heads=4),
        optimizer=OptimizerConfig(learning_rate=1e-3, warmup_steps=200, bias_correction=True),
        train=TrainConfig(
            num_steps=4500,
            batch_size=64,
            checkpoint_steps=500,
            keep_checkpoints=1,
            eval_steps=1000,
            log_steps=100,
        ),
    )
