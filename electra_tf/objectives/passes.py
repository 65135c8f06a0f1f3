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
    """

    term: str
    model: ModelConfig
    predicted: Callable[[int], int] | None = None
