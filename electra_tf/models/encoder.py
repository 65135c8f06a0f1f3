"""The encoder: embeddings and a stack of transformer layers, of BERT's or another block."""

import keras

from electra_tf import features
from electra_tf.config import ModelConfig
from electra_tf.models.embeddings import Embeddings
from electra_tf.models.initialization import GLOROT_UNIFORM
from electra_tf.models.layers import Dense
from electra_tf.models.layout import PaddedRows
from electra_tf.models.transformer import PreNormLayer, TransformerLayer, new_norm


class Encoder(keras.layers.Layer):
    """Transformer over (possibly shared) embeddings.

    Args:
        config: dimensions of this network.
        embeddings: the embedding block; projected to `hidden_size` when its size differs.
        direction: of `layout`, for a network that reads in one; None: it sees both sides.
    """

    def __init__(
        self,
        config: ModelConfig,
        embeddings: Embeddings,
        *,
        name: str,
        direction: str | None = None,
        dtype=None,
    ):
        super().__init__(name=name, dtype=dtype)
        self.config, self.embeddings, self._direction = config, embeddings, direction
        size, hidden = embeddings.size, config.hidden_size
        elements = config.elements()
        self.embeddings_project = None
        if size != hidden:
            self.embeddings_project = Dense(
                size,
                hidden,
                name="embeddings_project",
                start=GLOROT_UNIFORM,
                has_bias=elements.biases,
                dtype=dtype,
            )
        layer_class, self.final_norm = TransformerLayer, None
        if elements.norm == "before":
            layer_class = PreNormLayer
            self.final_norm = new_norm(config, "final_norm", dtype)
        self.layers = [
            layer_class(
                config,
                embeddings.positions,
                window=config.window(index),
                reads_norm=index == 0 and size == hidden,
                name=f"layer_{index}",
                dtype=dtype,
            )
            for index in range(config.num_layers)
        ]

    def build(self, *_):
        if self.embeddings_project is not None:
            self.embeddings_project.build()
        for layer in self.layers:
            layer.build()
        if self.final_norm is not None:
            self.final_norm.build()
        self.built = True

    def call(self, batch, dropout=None, layout=None):
        """Encodes a batch.

        Args:
            batch: dict with `input_ids`, `input_mask`, `segment_ids` int32 [B, L]; with
                `document_ids` too, tokens see their own document only and positions count from
                its first token.
            dropout: Dropout, or None for no dropout.
            layout: of the batch's tokens, of a network that sees both sides; None: `PaddedRows`.

        Returns:
            Tensor [B, L, H] in the compute dtype.
        """
        assert layout is None or self._direction is None, "a layout of its own has no direction"
        layout = PaddedRows(batch, self._direction) if layout is None else layout
        ids = [layout.tokens(batch[name]) for name in (features.INPUT_IDS, features.SEGMENT_IDS)]
        hidden = self.embeddings(*ids, layout=layout, dropout=dropout)
        if self.embeddings_project is not None:
            hidden = self.embeddings_project(hidden)
        for layer in self.layers:
            hidden = layer(hidden, layout=layout, dropout=dropout)
        if self.final_norm is not None:
            hidden = self.final_norm(hidden)
        return layout.rows(hidden)
