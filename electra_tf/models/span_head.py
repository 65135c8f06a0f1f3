"""What answers questions: the first and last token of the answer, and whether there is one.

Section 3.1 of the paper calls this XLNet's question answering module: the end is predicted for a
given start.
"""

import keras
from keras import ops

from electra_tf import features
from electra_tf.config import ModelConfig
from electra_tf.models.initialization import GLOROT_UNIFORM
from electra_tf.models.layers import Dense, at_positions, gelu

HIDDEN_SIZE = 512  # of the end's and the classifier's hidden layers, whatever the encoder's size
MASKED_LOGIT = -1000.0  # added where no answer can be


class SpanHead(keras.layers.Layer):
    """Logits of starts, of ends given a start, and of having no answer.

    Answers lie in the second segment; [CLS] stands for none. As in the original there is no
    dropout, and the last [SEP] is not masked.

    Differs from the original: the hidden layer over [start, end] is computed as the sum of a
    product for each, and beam entries one after the other, so a prediction takes k times less
    memory; logits are float32 in mixed precision.

    Args:
        config: of the encoder.
        has_classifier: whether there is a classifier of unanswerable questions.
    """

    def __init__(self, config: ModelConfig, has_classifier: bool, *, name: str, dtype=None):
        super().__init__(name=name, dtype=dtype)
        size = self._size = config.hidden_size
        self.start_logit = Dense(size, 1, name="start_logit", start=GLOROT_UNIFORM, dtype="float32")
        self.end_hidden = Dense(
            2 * size, HIDDEN_SIZE, name="end_hidden", start=GLOROT_UNIFORM, dtype=dtype
        )
        self.end_logit = Dense(
            HIDDEN_SIZE, 1, name="end_logit", start=GLOROT_UNIFORM, dtype="float32"
        )
        self.impossible_hidden = self.impossible_logit = None
        if has_classifier:
            self.impossible_hidden = Dense(
                2 * size, HIDDEN_SIZE, name="impossible_hidden", start=GLOROT_UNIFORM, dtype=dtype
            )
            self.impossible_logit = Dense(
                HIDDEN_SIZE, 1, name="impossible_logit", start=GLOROT_UNIFORM, dtype="float32"
            )

    def build(self, *_):
        for layer in (
            self.start_logit,
            self.end_hidden,
            self.end_logit,
            self.impossible_hidden,
            self.impossible_logit,
        ):
            if layer is not None:
                layer.build()
        self.built = True

    def start_logits(self, hidden, batch):
        """Args: hidden [B, L, H]; batch of rows. Returns float32 [B, L]."""
        return _per_token(self.start_logit, hidden) + _mask(batch)

    def end_logits(self, hidden, batch, starts):
        """Logits of the end for each of S starts.

        Args:
            hidden: [B, L, H].
            batch: rows.
            starts: int32 [B, S] positions.

        Returns:
            float32 [B, S, L].
        """
        kernel = ops.cast(self.end_hidden.kernel, hidden.dtype)
        bias = ops.cast(self.end_hidden.bias, hidden.dtype)
        of_start = ops.matmul(_picked(hidden, starts), kernel[: self._size]) + bias  # [B, S, 512]
        of_end = ops.matmul(hidden, kernel[self._size :])  # [B, L, 512]
        mask = _mask(batch)
        logits = [
            _per_token(self.end_logit, gelu(of_start[:, index, None] + of_end)) + mask
            for index in range(starts.shape[1])
        ]
        return ops.stack(logits, axis=1)

    def impossible_logits(self, hidden, start_logits):
        """Logits of having no answer, from [CLS] and the mean over the likely starts.

        Args:
            hidden: [B, L, H].
            start_logits: float32 [B, L].

        Returns:
            float32 [B].
        """
        assert self.impossible_hidden is not None and self.impossible_logit is not None
        weights = ops.cast(ops.softmax(start_logits), hidden.dtype)
        likely_start = ops.matmul(weights[:, None], hidden)[:, 0]
        both = ops.concatenate([hidden[:, 0], likely_start], axis=-1)
        return self.impossible_logit(gelu(self.impossible_hidden(both)))[:, 0]

    def best_spans(self, hidden, batch, beam_size: int) -> dict:
        """The likeliest starts, and for each of them the likeliest ends.

        Args:
            hidden: [B, L, H].
            batch: rows.
            beam_size: how many, k; at most L, which must be as large where it is not known yet.

        Returns:
            `start_top_log_probs` float32 and `start_top_index` int32 [B, k];
            `end_top_log_probs` float32 and `end_top_index` int32 [B, k, k]; with a classifier
            `answerable_logit` float32 [B], which is larger the less there seems to be an answer.
        """
        k = min(beam_size, hidden.shape[1] or beam_size)
        start_logits = self.start_logits(hidden, batch)
        start_values, starts = ops.top_k(ops.log_softmax(start_logits), k)
        starts = ops.cast(starts, "int32")
        end_values, ends = ops.top_k(ops.log_softmax(self.end_logits(hidden, batch, starts)), k)
        outputs = {
            "start_top_log_probs": start_values,
            "start_top_index": starts,
            "end_top_log_probs": end_values,
            "end_top_index": ops.cast(ends, "int32"),
        }
        if self.impossible_logit is not None:
            outputs["answerable_logit"] = self.impossible_logits(hidden, start_logits)
        return outputs


def _mask(batch):
    """float32 [B, L]: 0 where an answer can be and at [CLS], MASKED_LOGIT elsewhere."""
    allowed = batch[features.INPUT_MASK] * batch[features.SEGMENT_IDS]
    is_first = ops.arange(ops.shape(allowed)[1]) == 0
    return ops.where(ops.logical_or(allowed > 0, is_first), 0.0, MASKED_LOGIT)


def _per_token(logit, hidden):
    """One number for each token: [B, L, width] to float32 [B, L]."""
    batch, length, width = ops.shape(hidden)
    return ops.reshape(logit(ops.reshape(hidden, (-1, width))), (batch, length))


def _picked(hidden, positions):
    """Hidden states at int32 [B, S] positions: [B, S, H]."""
    batch, _, width = ops.shape(hidden)
    return ops.reshape(at_positions(hidden, positions), (batch, -1, width))
