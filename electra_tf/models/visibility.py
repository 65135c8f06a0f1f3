"""Which tokens of a row see which, as what is added to the scores of their attention."""

from keras import ops

from electra_tf import features
from electra_tf.models import windows

MASKED_SCORE = -10_000.0  # added to attention scores of tokens that must not be seen
# Directions in which a network reads: each token sees itself and what was read before it.
LEFT_TO_RIGHT, RIGHT_TO_LEFT = "left_to_right", "right_to_left"


class Visibility:
    """Padding, documents, direction and windows, for all tokens of rows or for parts of them.

    Args:
        batch: dict with `input_mask` int32 [B, L]; with `document_ids` too, tokens see their own
            document only.
        direction: LEFT_TO_RIGHT or RIGHT_TO_LEFT; None: each token sees both sides.

    Attributes:
        ids: int32 [B, L]: of documents, or 1; 0 in padding, which nobody sees.
    """

    def __init__(self, batch: dict, direction: str | None = None):
        self._by_document = features.DOCUMENT_IDS in batch
        self._direction = direction
        self.ids = batch[features.DOCUMENT_IDS if self._by_document else features.INPUT_MASK]
        self._found = {}  # the same in all layers

    def whole(self, window: int = 0):
        """For every token of the rows: float32 [B, 1, 1 or L, L].

        Args:
            window: tokens that one sees to each side; 0: all.
        """
        return self._once(self._whole, window)

    def in_blocks(self, window: int):
        """For blocks of `windows` as long as the window: float32 [B, 1, K, W, 3*W]."""
        return self._once(self._in_blocks, window)

    def _once(self, make, window):
        if (make.__name__, window) not in self._found:
            self._found[make.__name__, window] = make(window)
        return self._found[make.__name__, window]

    def _in_blocks(self, window):
        ids = windows.blocks(self.ids[:, None, :, None], window)
        keys = ops.squeeze(windows.with_neighbours(ids), -1)
        places = ops.arange(3 * window, dtype="int32") - window
        distance = places[None] - ops.arange(window, dtype="int32")[:, None]
        return self.between(ops.squeeze(ids, -1), keys, distance, window)

    def _whole(self, window):
        if window:
            return ops.minimum(self.whole(), window_bias(ops.shape(self.ids)[1], window))
        if self._by_document:
            bias = (1.0 - self._same_document()[:, None]) * MASKED_SCORE
        else:
            # Not [:, None, None, :], which TFLite's converter has no op for.
            visible = ops.expand_dims(ops.cast(self.ids, "float32"), (1, 2))
            bias = (1.0 - visible) * MASKED_SCORE
        if self._direction is None:
            return bias
        return ops.minimum(bias, _causal(ops.shape(self.ids)[1], self._direction))

    def between(self, of_queries, of_keys, distance, window: int = 0):
        """For some queries and some keys.

        Args:
            of_queries, of_keys: parts of `ids`, int32 [..., Q] and [..., K].
            distance: from query to key, int32 [Q, K].
            window: as of `whole`.

        Returns:
            float32 [..., 1 or Q, K].
        """
        keys = ops.expand_dims(of_keys, -2)
        seen = keys > 0
        if self._by_document:
            seen = ops.logical_and(seen, ops.expand_dims(of_queries, -1) == keys)
        if self._direction is not None:
            is_before = distance <= 0 if self._direction == LEFT_TO_RIGHT else distance >= 0
            seen = ops.logical_and(seen, is_before)
        if window:
            seen = ops.logical_and(seen, ops.abs(distance) <= window)
        return (1.0 - ops.cast(seen, "float32")) * MASKED_SCORE

    def positions(self):
        """Positions that count from each document's first token, int32 [B, L]; None without."""
        if not self._by_document:
            return None
        earlier = ops.tril(self._same_document(), k=-1)  # earlier tokens of the same document
        return ops.cast(ops.sum(earlier, axis=-1), "int32")

    def _same_document(self):
        documents = self.ids
        return ops.cast(
            ops.logical_and(
                documents[:, :, None] == documents[:, None, :], documents[:, None, :] > 0
            ),
            "float32",
        )


def window_bias(length, window: int):
    """Scores' bias of a row of `length` tokens that see `window` to each side: [L, L]."""
    places = ops.arange(length, dtype="int32")
    near = ops.abs(places[:, None] - places[None]) <= window
    return (1.0 - ops.cast(near, "float32")) * MASKED_SCORE


def _causal(length, direction):
    """Score bias float32 [L, L] of a direction."""
    seen = ops.ones((length, length), "float32")
    seen = ops.tril(seen) if direction == LEFT_TO_RIGHT else ops.triu(seen)
    return (1.0 - seen) * MASKED_SCORE
