"""Terms that are added to a detector's loss, by the names of their weights in `config.objective`.

`contrastive_weight`, and so on: 0, the default, leaves a term out with all that belongs to it. A
new one is a subclass of `Addition` in a file of its own, a line here and its weight in the config.
"""

from electra_tf.config import Config
from electra_tf.objectives.additions.addition import Addition, Detected
from electra_tf.objectives.additions.contrastive import Contrastive
from electra_tf.objectives.additions.corrective import Corrective
from electra_tf.objectives.additions.selection import Selection

__all__ = ["ADDITIONS", "Addition", "Detected", "of"]

ADDITIONS: dict[str, type[Addition]] = {
    "contrastive": Contrastive,
    "corrective": Corrective,
    "selection": Selection,
}


def of(config: Config) -> tuple[Addition, ...]:
    """The terms that a config switches on."""
    return tuple(
        addition(config, name) for name, addition in ADDITIONS.items() if weight(config, name)
    )


def weight(config: Config, name: str) -> float:
    """Factor of a term, `config.objective.NAME_weight`."""
    return getattr(config.objective, f"{name}_weight")
