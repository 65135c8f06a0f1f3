"""How a network knows where its tokens stand."""

from keras import ops

from electra_tf.config import ModelConfig
from electra_tf.errors import UserError


class AbsolutePositions:
    """A learnt vector for each position, added to the token's embedding, as in BERT.

    Another scheme has the same three methods; one without weights leaves `build` empty, one that
    turns queries and keys leaves the embeddings as they are.
    """

    def __init__(self, config: ModelConfig):
        self._length = config.max_positions

    def build(self, embeddings) -> None:
        """Adds the scheme's weights to the `Embeddings`, in their `build`."""
        self._table = embeddings.add_table("positions", self._length)

    def add_to_embeddings(self, embedded, layout):
        """Float32 embeddings of `layout.tokens`, [..., E], and what the positions add to them."""
        if layout.positions is not None:
            return embedded + layout.take(self._table, layout.positions)
        length = embedded.shape[1]
        if length is not None and length > self._length:
            raise UserError(
                "A row must have at most as many tokens as the model has positions, "
                f"{self._length}. Received: {length}"
            )
        length = ops.shape(embedded)[1] if length is None else length
        return embedded + ops.expand_dims(self._table[:length], 0)

    def apply_to_attention(self, queries, keys, layout):
        """Queries and keys [B, N, L, D], changed by their positions: here they are not."""
        return queries, keys


def new_positions(config: ModelConfig) -> AbsolutePositions:
    """The scheme of a config."""
    return AbsolutePositions(config)
