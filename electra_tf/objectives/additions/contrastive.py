"""Sequence contrastive learning: a text and a part of it are alike, other texts are not.

Meng et al., "COCO-LM: Correcting and Contrasting Text Sequences for Language Model Pretraining",
arXiv 2102.08473, section 3.2.
"""

from keras import ops

from electra_tf import features
from electra_tf.errors import UserError
from electra_tf.objectives import counts as counting
from electra_tf.objectives.additions.addition import Addition
from electra_tf.objectives.objective import Metric
from electra_tf.objectives.passes import Pass, nowhere
from electra_tf.objectives.sampling import IMPOSSIBLE


class Contrastive(Addition):
    """The discriminator's [CLS] vectors of the text with replacements and of a crop are a pair.

    Both are views of one row. Each view finds its partner among all other views of R rows, by a
    softmax of cosines over the temperature; the loss of a row is the mean of its two views'. R is
    `config.objective.contrastive_rows`: rows are compared within fixed groups of R consecutive ones
    of the global batch, so that neither replicas nor micro-batches change anything.

    `contrastive_accuracy` is how often the text is closest to its own crop, among the crops;
    `cls_cosine` the mean cosine of different rows' texts. A group that padding rows leave fewer
    rows, or an evaluation's batch, has an easier choice.

    Differs from the authors' code, which puts a dense layer, GELU and a layer normalisation on
    [CLS].
    """

    headline = (
        Metric("contrastive_loss", "contrastive loss"),
        Metric("cls_cosine", "cosine of other texts' [CLS]"),
    )

    def check_rows(self, rows):
        size = self.config.objective.contrastive_rows
        if rows % size:
            able = [str(each) for each in range(2, min(rows, 512) + 1) if rows % each == 0]
            raise UserError(
                "config.objective.contrastive_rows must divide the rows of a micro-batch of a "
                "device, config.train.batch_size / (devices x accumulation_steps). "
                f"Received: {size}, which does not divide {rows}; "
                + (f"{', '.join(able[-3:])} would" if able else "take larger micro-batches")
            )

    def prepare(self, batch, draws):
        length = _body_length(batch)
        spare = length - _kept(length)
        noise = draws.uniform("crop", length.shape[0], (1,))
        starts = ops.cast(noise * ops.cast(spare + 1, "float32"), "int32")
        return {**batch, features.CROP_STARTS: ops.minimum(starts, spare)}

    def loss_weight(self, batch):
        return ops.sum(_present(batch))

    def loss_sum(self, model, batch, detected, draws, dropout):
        cropped = model.discriminator(crop(batch), dropout=dropout)
        losses, counts = self._compare(
            _directions(detected.hidden), _directions(cropped), _present(batch)
        )
        return losses, counts

    def metrics(self, counts):
        cosine = counting.ratio(counts, "contrastive/cosine", "contrastive/pairs")
        return super().metrics(counts) | {"cls_cosine": cosine}

    def passes(self):
        return (Pass(self.name, self.config.model, nowhere, continues=True),)

    def _compare(self, texts, crops, present):
        """Compares rows group by group.

        Args:
            texts, crops: float32 [B, H] of length 1.
            present: float32 [B], 0 for a row of padding.

        Returns:
            (loss sum, counts).
        """
        size = self.config.objective.contrastive_rows
        texts, crops, present = (_groups(each, size) for each in (texts, crops, present))
        views = ops.concatenate([texts, crops], axis=1)
        cosines = ops.matmul(views, ops.transpose(views, (0, 2, 1)))
        there = ops.concatenate([present, present], axis=1)
        # A view is neither compared with itself nor with those that are not there.
        others = there[:, None] * (1.0 - ops.eye(2 * size))
        logits = cosines / self.config.objective.contrastive_temperature
        logits = ops.where(others > 0.0, logits, IMPOSSIBLE)
        partners = ops.roll(ops.eye(2 * size), size, axis=1)
        losses = ops.logsumexp(logits, axis=-1) - ops.sum(logits * partners, axis=-1)
        between = logits[:, :size, size:]
        closest = ops.cast(ops.argmax(between, axis=-1), "int32")
        counts = counting.token_counts(
            self.name,
            (losses[:, :size] + losses[:, size:]) / 2.0,
            closest == ops.arange(size, dtype="int32"),
            present,
        )
        pairs = others[:, :size, :size] * present[:, :, None]
        counts[f"{self.name}/cosine"] = ops.sum(cosines[:, :size, :size] * pairs)
        counts[f"{self.name}/pairs"] = ops.sum(pairs)
        return counts[f"{self.name}/loss"], counts


def crop(batch) -> dict:
    """[CLS] and nine tenths, rounded down, of the tokens behind it, which follow one another.

    Where a row holds several documents, of the first one, which is all that its [CLS] sees.

    Args:
        batch: `input_ids`, `input_mask`, `segment_ids` int32 [B, L], perhaps `document_ids`, and
            `crop_starts` int32 [B, 1].

    Returns:
        `input_ids`, `input_mask`, `segment_ids` int32 [B, L], padded; the first segment is 0.
    """
    ids, segments = batch[features.INPUT_IDS], batch[features.SEGMENT_IDS]
    length = ids.shape[1]
    places = ops.arange(length, dtype="int32")[None]
    mask = ops.cast(places <= _kept(_body_length(batch)), "int32")
    mask = mask * batch[features.INPUT_MASK][:, :1]
    sources = ops.where(places > 0, places + batch[features.CROP_STARTS], 0)
    sources = ops.minimum(sources, length - 1)
    segments = ops.take_along_axis(segments, sources, axis=1)
    # [CLS] takes the segment of what follows it, which counts from 0.
    segments = ops.maximum(segments - segments[:, 1:2], 0)
    return {
        features.INPUT_IDS: ops.take_along_axis(ids, sources, axis=1) * mask,
        features.INPUT_MASK: mask,
        features.SEGMENT_IDS: segments * mask,
    }


def _body_length(batch):
    """Number of tokens behind the first [CLS], of its document; int32 [B, 1]."""
    tokens = batch[features.INPUT_MASK]
    if features.DOCUMENT_IDS in batch:
        tokens = ops.cast(batch[features.DOCUMENT_IDS] == 1, "int32")
    return ops.maximum(ops.sum(tokens, axis=-1, keepdims=True) - 1, 0)


def _kept(length):
    """How many of them a crop has: never all."""
    return 9 * length // 10


def _present(batch):
    """1 for a row with tokens, float32 [B]."""
    return ops.cast(batch[features.INPUT_MASK][:, 0] > 0, "float32")


def _directions(hidden):
    """[CLS] of states [B, L, H], of length 1: float32 [B, H]."""
    vectors = ops.cast(hidden[:, 0], "float32")
    return vectors * ops.rsqrt(ops.maximum(ops.sum(vectors * vectors, -1, keepdims=True), 1e-12))


def _groups(rows, size):
    """[B, …] as [B / size, size, …]; the last group is filled up with zeros."""
    missing = -rows.shape[0] % size
    if missing:
        rows = ops.pad(rows, ((0, missing), *((0, 0) for _ in rows.shape[1:])))
    return ops.reshape(rows, (-1, size, *rows.shape[1:]))
