"""An encoder with the head of one task."""

import keras

from electra_tf.config import ModelConfig
from electra_tf.models.encoder import Encoder
from electra_tf.models.sharing import sharing_of

HEAD = "task"  # first part of the paths of a task head's weights


class Finetuned(keras.Model):
    """A discriminator's encoder with a task's head on it (section 3.3 of the paper).

    Variables are called as in an `Electra`: embeddings/…, discriminator/…; the head's task/….

    Args:
        config: sizes of the encoder.
        new_head: makes the head, from (config, dtype).
        dtype: Keras's dtype policy; not by default the one that a process has set for its own.
    """

    def __init__(self, config: ModelConfig, new_head, *, dtype="float32"):
        super().__init__(name="finetuned", dtype=dtype)
        self.embeddings = sharing_of(config).embeddings(config, dtype)
        self.encoder = Encoder(config, self.embeddings, name="discriminator", dtype=dtype)
        self.head = new_head(config, dtype)
        for layer in (self.embeddings, self.encoder, self.head):
            if not layer.built:
                layer.build()
        self.built = True

    def call(self, batch, dropout=None):
        """Args: batch with `input_ids`, … int32 [B, L]. Returns hidden states [B, L, H]."""
        return self.encoder(batch, dropout=dropout)
