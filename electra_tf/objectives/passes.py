"""What one training step runs: each network once over all tokens, with its head."""

import dataclasses
from collections.abc import Callable

from electra_tf.config import ModelConfig


@dataclasses.dataclass(frozen=True)
class Pass:
    """One network on the tokens of a batch, from its embeddings to a loss.

    Attributes:
        term: the loss term that it ends in.
        model: sizes of the network.
        predicted: number of positions of a row whose token is predicted, from the row's length;
            None where every token is judged instead, by one logit.
        towers: encoders of these sizes side by side, whose states the head reads together; 0: the
            head reads those of the pass before.
        sampled: number of positions of a row at which a token is drawn from logits that are
            computed once more, without a gradient. None: it is drawn from the predicted ones.
        continues: whether its loss needs states of the pass before, whose backward pass then waits.
        candidates: number of tokens from which one is predicted; None: the whole vocabulary.
    """

    term: str
    model: ModelConfig
    predicted: Callable[[int], int] | None = None
    towers: int = 1
    sampled: Callable[[int], int] | None = None
    continues: bool = False
    candidates: int | None = None


def every_position(length: int) -> int:
    """For a `Pass`: all positions of a row."""
    return length


def nowhere(length: int) -> int:
    """For a `Pass`: no position."""
    del length
    return 0
