"""Token, position and segment embeddings; also the output projection."""

import keras
from keras import ops

from electra_tf.config import ModelConfig
from electra_tf.models.initialization import TRUNCATED_NORMAL, add_weight
from electra_tf.models.layers import LayerNorm
from electra_tf.models.positions import new_positions


class Embeddings(keras.layers.Layer):
    """Token, position and segment embeddings, as far as there are such, summed and normalised.

    Tables are looked up and summed in float32 whatever the compute dtype is: the gradient of a
    frequent token is a sum of thousands, which 8 bits cannot hold.

    Attributes:
        size: E.
        positions: the scheme of positions, of the attention over these embeddings too.

    Args:
        config: dimensions; `embedding_size` is E.
    """

    def __init__(self, config: ModelConfig, *, name: str = "embeddings", dtype=None):
        super().__init__(name=name, dtype=dtype)
        self._config = config
        self.size = config.embedding_size
        self.positions = new_positions(config)
        elements = config.elements()
        self._has_segments = elements.token_types
        self.layer_norm = LayerNorm(
            self.size,
            config.layer_norm_epsilon,
            name="layer_norm",
            has_bias=elements.biases,
            dtype=dtype,
        )

    def build(self, *_):
        self.build_tokens()
        self.positions.build(self)
        if self._has_segments:
            self.segments = self.add_table("segments", self._config.type_vocab_size)
        self.layer_norm.build()
        self.built = True

    def build_tokens(self) -> None:
        """Makes the weights that `lookup` and `output_weights` use."""
        self.tokens = self.add_table("tokens", self._config.vocab_size)

    def add_table(self, name: str, rows: int, start: str = TRUNCATED_NORMAL) -> keras.Variable:
        """A weight [rows, E] that stays float32."""
        return add_weight(self, name, (rows, self.size), start, autocast=False)

    def lookup(self, ids, layout):
        """Vectors of tokens: float32 [*shape of ids, E]."""
        return layout.take(self.tokens, ids)

    def summed(self, input_ids, segment_ids, layout):
        """Rows of all tables for int32 ids, which are `layout.tokens`: float32 [..., E]."""
        output = self.positions.add_to_embeddings(self.lookup(input_ids, layout), layout)
        if not self._has_segments:
            return output
        return output + layout.take_few(self.segments, segment_ids)

    def output_weights(self, dtype: str):
        """The tokens' vectors as the output layer that predicts tokens: [V, E] in `dtype`."""
        return ops.cast(self.tokens, dtype)

    def call(self, input_ids, segment_ids, layout, dropout=None):
        """Embeds int32 ids, which are `layout.tokens`: [T, E] in the compute dtype."""
        output = self.summed(input_ids, segment_ids, layout)
        output = self.layer_norm(ops.reshape(output, (-1, self.size)))
        return dropout(output, self._config.hidden_dropout) if dropout is not None else output
