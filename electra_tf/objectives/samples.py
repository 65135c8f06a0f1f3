"""What networks make of a few rows, to be looked at."""

from typing import Any, NamedTuple

from electra_tf import features
from electra_tf.objectives import masking


class Samples(NamedTuple):
    """Rows before and after the masked tokens are predicted.

    Attributes:
        shown: what the network reads that predicts, int32 [B, L].
        text: the rows with what it puts at the masked positions, int32 [B, L].
        places: 1 at the masked positions, else 0, float32 [B, L].
        logits: the discriminator's that a token is replaced, float32 [B, L]; None without one.
    """

    shown: Any
    text: Any
    places: Any
    logits: Any = None


def of_predictions(batch: dict, predicted) -> Samples:
    """The samples of a network that reads [MASK].

    Args:
        batch: prepared rows.
        predicted: tokens for the masked positions, int32 [B, M].
    """
    text = masking.replace_masked(batch, predicted)
    return Samples(batch[features.MASKED_INPUT_IDS], text, masking.masked_places(batch))
