"""Quickstart: a tiny ELECTRA on the documentation of the installed Python packages.

Command:   make quickstart, or electra_tf quickstart
Data:      docs:installed, 11.7 MB of English (3.1 M tokens), learned vocabulary of 4,000 tokens,
           length 16, 2 % of the documents held out.
Hardware:  2 CPU cores.
Duration:  4.6 M tokens of pre-training: 7 minutes (all stages 9.5) on a machine that others used
           as well; 3 (4.5) at the 26,500 tokens/s of the machine alone.
Expected:  held out: masked_lm_accuracy 0.278 (copying what stays visible and always guessing the
           most frequent token: 0.195), masked_lm_loss 4.81, disc_auc 0.748 (knowing only that
           [CLS] and [SEP] are never replaced: 0.577), random corpus tokens 0.800, uniform 0.850.
           They vary with the corpus, the installed packages: docs/pretraining.md.

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
