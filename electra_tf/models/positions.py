"""How a network knows where its tokens stand."""

import numpy as np
from keras import ops

from electra_tf.config import ModelConfig
from electra_tf.errors import UserError
from electra_tf.models.blocks import block
from electra_tf.models.layers import is_for_inference


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

    def apply_to_attention(self, queries, keys, layout, window: int = 0):
        """Queries and keys [B, N, L, D], changed by their positions: here they are not.

        Args:
            queries, keys: of a layer.
            layout: of the tokens.
            window: of the layer; 0: it is global.
        """
        return queries, keys


class RotaryPositions(AbsolutePositions):
    """Queries and keys are turned by angles that grow with the place in the row (RoFormer).

    Their products depend on distances alone (section 3.2.2 of arXiv 2104.09864), so a document that
    is packed into a row behind others is computed as it is alone, and there is no table that rows
    could be too long for. Number i of a head's first half is turned with number i of its second, by
    place * theta^(-2i / D); local layers have a theta of their own, as in ModernBERT.
    """

    def __init__(self, config: ModelConfig):
        self._theta, self._local_theta = config.rope_theta, config.local_rope_theta

    def build(self, embeddings):
        pass

    def add_to_embeddings(self, embedded, layout):
        return embedded

    def apply_to_attention(self, queries, keys, layout, window=0):
        theta = np.float32(self._local_theta if window else self._theta)
        width = queries.shape[-1]
        speeds = np.float32(1) / theta ** (np.arange(0, width, 2, dtype=np.float32) / width)
        places = ops.cast(ops.arange(ops.shape(queries)[2], dtype="int32"), "float32")
        angles = places[:, None] * speeds
        cosines, sines = ops.cos(angles), ops.sin(angles)
        return _rotated(queries, cosines, sines), _rotated(keys, cosines, sines)


def _rotated(vectors, cosines, sines):
    """Vectors [B, N, L, D] turned by angles whose cosines and sines are float32 [L, D / 2]."""
    if is_for_inference():
        return _rotate(vectors, cosines, sines)

    @ops.custom_gradient
    def turned(vectors):
        def gradient(*args, upstream=None):
            return _rotate(args[0] if upstream is None else upstream, cosines, -sines)

        return _rotate(vectors, cosines, sines), gradient

    return turned(vectors)


@block
def _rotate(vectors, cosines, sines):
    first, second = ops.split(ops.cast(vectors, "float32"), 2, axis=-1)
    turned = first * cosines - second * sines, second * cosines + first * sines
    return ops.cast(ops.concatenate(turned, axis=-1), vectors.dtype)


_SCHEMES = {"absolute": AbsolutePositions, "rotary": RotaryPositions}


def new_positions(config: ModelConfig) -> AbsolutePositions:
    """The scheme of a config."""
    return _SCHEMES[config.elements().positions](config)
