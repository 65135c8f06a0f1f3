"""Three small models to rank sentences with: ranking_models.py:electra, :electric, :mlm.

Command:   electra_tf pretrain --config=docs/examples/ranking_models.py:electra \
               --config.data.dir=shards --workdir=runs/ranking/electra
Data:      a vocabulary of 8,192 tokens; shards of --seq_length=64 with --packing=documents.
docs/ranking.md has all commands.
"""

from electra_tf.config import Config


def get_config(objective: str = "electra") -> Config:
    config = Config.from_file("configs/quickstart.py")
    config.objective.name = objective
    model, train = config.model, config.train
    model.vocab_size, model.max_positions, model.num_layers = 0, 64, 3
    train.num_steps, train.batch_size = 8_000, 32  # 2,048 tokens each
    train.checkpoint_steps, train.eval_batches = 1_000, 100
    return config
