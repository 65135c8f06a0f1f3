"""How a network knows where its tokens stand."""

import keras
from keras import ops

from electra_tf.config import ModelConfig
from electra_tf.errors import UserError
from electra_tf.models.initialization import TRUNCATED_NORMAL, add_weight


class AbsolutePositions:
    """A learnt vector for each position, added to the token's embedding, as in BERT.

    Another scheme has the same three methods; one without weights leaves `build` empty, one that
    turns queries and keys leaves the embeddings as they are.
    """

    def __init__(self, config: ModelConfig):
        self._shape = config.max_positions, config.embedding_size

    def build(self, embeddings: keras.layers.Layer) -> None:
        """Adds the scheme's weights to the embeddings, in their `build`."""
        self._table = add_weight(
            embeddings, "positions", self._shape, TRUNCATED_NORMAL, autocast=False
        )

    def add_to_embeddings(self, embedded, layout):
        """Float32 embeddings of `layout.tokens`, [..., E], and what the positions add to them."""
        if layout.positions is not None:
            return embedded + layout.take(self._table, layout.positions)
        length = embedded.shape[1]
        if length is not None and length > self._shape[0]:
            raise UserError(
                "A row must have at most as many tokens as the model has positions, "
                f"{self._shape[0]}. Received: {length}"
            )
        length = ops.shape(embedded)[1] if length is None else length
        return embedded + ops.expand_dims(self._table[:length], 0)

    def apply_to_attention(self, queries, keys, layout):
        """Queries and keys [B, N, L, D], changed by their positions: here they are not."""
        return queries, keys


def new_positions(config: ModelConfig) -> AbsolutePositions:
    """The scheme of a config."""
    return AbsolutePositions(config)
