"""The encoder: embeddings and a stack of transformer layers, BERT's architecture."""

import keras
from keras import ops

from electra_tf import features
from electra_tf.config import ModelConfig
from electra_tf.models.layers import MASKED_SCORE, Attention, Dense, FeedForward, LayerNorm


class Embeddings(keras.layers.Layer):
    """Token, position and segment embeddings, summed and normalised.

    Args:
        config: dimensions; `embedding_size` is E.
        tokens: another Embeddings whose token table this one uses (sharing=token_embeddings).
    """

    def __init__(self, config: ModelConfig, *, tokens: "Embeddings | None" = None,
                 name: str = "embeddings", dtype=None):
        super().__init__(name=name, dtype=dtype)
        self._config, self._token_source = config, tokens
        self.size = config.embedding_size
        self.layer_norm = LayerNorm(config.embedding_size, config.layer_norm_epsilon,
                                    name="layer_norm", dtype=dtype)

    def build(self, *_):
        config, size = self._config, self.size
        if self._token_source is None:
            self.tokens = self.add_weight(name="tokens", shape=(config.vocab_size, size),
                                          initializer="zeros")
        else:
            self.tokens = self._token_source.tokens
        self.positions = self.add_weight(name="positions", shape=(config.max_positions, size),
                                         initializer="zeros")
        self.segments = self.add_weight(name="segments", shape=(config.type_vocab_size, size),
                                        initializer="zeros")
        self.layer_norm.build()
        self.built = True

    def call(self, input_ids, segment_ids, position_ids=None, rng=None):
        """Embeds int32 [B, L] ids; position_ids None counts from 0 in every example.

        Returns:
            Tensor [B*L, E] in the compute dtype.
        """
        length = input_ids.shape[1]
        output = ops.take(self.tokens, input_ids, axis=0)
        if position_ids is None:
            length = ops.shape(input_ids)[1] if length is None else length
            output = output + ops.expand_dims(self.positions[:length], 0)
        else:
            output = output + ops.take(self.positions, position_ids, axis=0)
        one_hot = ops.one_hot(segment_ids, self._config.type_vocab_size, dtype=output.dtype)
        output = output + ops.matmul(one_hot, ops.cast(self.segments, output.dtype))
        output = self.layer_norm(ops.reshape(output, (-1, self.size)))
        return rng.dropout(output, self._config.hidden_dropout) if rng is not None else output


class Encoder(keras.layers.Layer):
    """Transformer over (possibly shared) embeddings.

    Args:
        config: dimensions of this network.
        embeddings: the embedding block; projected to `hidden_size` when its size differs.
    """

    def __init__(self, config: ModelConfig, embeddings: Embeddings, *, name: str, dtype=None):
        super().__init__(name=name, dtype=dtype)
        self.config, self.embeddings = config, embeddings
        size, hidden = embeddings.size, config.hidden_size
        self.embeddings_project = (Dense(size, hidden, name="embeddings_project", dtype=dtype)
                                   if size != hidden else None)
        self.layers = []
        for index in range(config.num_layers):
            self.layers.append(TransformerLayer(config, name=f"layer_{index}", dtype=dtype))

    def build(self, *_):
        if self.embeddings_project is not None:
            self.embeddings_project.build()
        for layer in self.layers:
            layer.build()
        self.built = True

    def call(self, batch, rng=None):
        """Encodes a batch.

        Args:
            batch: dict with `input_ids`, `input_mask`, `segment_ids` int32 [B, L]; with
                `document_ids` too, tokens see their own document only and positions count from
                its first token.
            rng: DropoutRandom, or None for no dropout.

        Returns:
            Tensor [B, L, H] in the compute dtype.
        """
        input_ids = batch[features.INPUT_IDS]
        score_bias, position_ids = _visibility(batch)
        hidden = self.embeddings(input_ids, batch[features.SEGMENT_IDS], position_ids, rng=rng)
        if self.embeddings_project is not None:
            hidden = self.embeddings_project(hidden)
        for layer in self.layers:
            hidden = layer(hidden, score_bias, rng=rng)
        shape = ops.shape(input_ids)
        return ops.reshape(hidden, (shape[0], shape[1], self.config.hidden_size))


class TransformerLayer(keras.layers.Layer):
    """One layer: attention, then feed-forward, each with residual and LayerNorm after it."""

    def __init__(self, config: ModelConfig, *, name: str, dtype=None):
        super().__init__(name=name, dtype=dtype)
        self.attention = Attention(config, name="attention", dtype=dtype)
        self.feed_forward = FeedForward(config, name="feed_forward", dtype=dtype)

    def build(self, *_):
        self.attention.build()
        self.feed_forward.build()
        self.built = True

    def call(self, hidden, score_bias, rng=None):
        """Args: hidden [B*L, H]; score_bias [B, 1, 1 or L, L] float32."""
        return self.feed_forward(self.attention(hidden, score_bias, rng=rng), rng=rng)


def _visibility(batch):
    """Returns (score bias float32 [B, 1, 1 or L, L], position ids [B, L] or None)."""
    if features.DOCUMENT_IDS not in batch:
        # Not [:, None, None, :], which TFLite's converter has no op for.
        visible = ops.expand_dims(ops.cast(batch[features.INPUT_MASK], "float32"), (1, 2))
        return (1.0 - visible) * MASKED_SCORE, None
    documents = batch[features.DOCUMENT_IDS]
    same = ops.cast(ops.logical_and(documents[:, :, None] == documents[:, None, :],
                                    documents[:, None, :] > 0), "float32")
    earlier = ops.tril(same, k=-1)  # earlier tokens of the same document
    position_ids = ops.cast(ops.sum(earlier, axis=-1), "int32")
    return (1.0 - same[:, None]) * MASKED_SCORE, position_ids
