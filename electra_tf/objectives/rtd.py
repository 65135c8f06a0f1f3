"""Replaced-token detection, the objective of ELECTRA (section 2 of the paper)."""

from keras import ops

from electra_tf import features
from electra_tf.models.electra import OPTIONAL_PARTS, Electra, parts_of
from electra_tf.objectives import counts as counting
from electra_tf.objectives import masking
from electra_tf.objectives.losses import binary_cross_entropy
from electra_tf.objectives.objective import ACCURACY, AUC, Metric, Served
from electra_tf.objectives.passes import Pass
from electra_tf.objectives.phases import Phase
from electra_tf.objectives.with_generator import WithGenerator

_AUC = Metric("disc_auc", "AUC, tokens the generator replaced", AUC)
_DETECTOR = "discriminator", "discriminator_head"


class ReplacedTokenDetection(WithGenerator):
    """The generator fills masked positions, the discriminator finds what it changed.

    Differs from the original: mask positions are drawn without replacement, and losses are
    divided by the weights of the global batch, not averaged over replicas.

    Attributes:
        detector_weights: beginnings of the paths of what is trained without the generator.
    """

    description = "replaced token detection"
    model_class = Electra
    encoder = "discriminator"
    served = (
        Served("detect_replaced", *_DETECTOR, needs="a discriminator with its head"),
        Served("detect_replaced_ids", *_DETECTOR, needs="a discriminator with its head"),
        Served("fill_mask", "generator", "generator_head", needs="its generator", optional=True),
        Served("encode", "discriminator"),
    )
    headline = (
        Metric("masked_lm_loss", "generator loss"),
        Metric("masked_lm_accuracy", "masked tokens guessed right", ACCURACY),
        Metric("disc_loss", "discriminator loss"),
        _AUC,
        Metric("disc_auc_corpus", "AUC, random tokens of the corpus", AUC),
        Metric("disc_auc_uniform", "AUC, random tokens of the vocabulary", AUC),
    )
    main_metric = _AUC
    random_replacements = ("corpus", "uniform")
    main_term = "disc"
    detector_weights = ("embeddings/", "discriminator/", "discriminator_head/")

    def build_model(self, paths=None, dtype="float32"):
        parts = parts_of(paths) if paths is not None else OPTIONAL_PARTS
        if paths is None and not self._generator.has_network:
            parts = [part for part in OPTIONAL_PARTS if part != "generator"]
        return Electra(self.config, parts=parts, dtype=dtype)

    def parts(self, paths):
        there = parts_of(paths)
        encoder = "discriminator" if "discriminator_head" in there else "encoder without a head"
        return " and ".join([encoder, *["generator"] * ("generator" in there)])

    def loss_weights(self, batch):
        return {
            "masked_lm": ops.sum(batch[features.MASKED_WEIGHTS]),
            "disc": ops.sum(ops.cast(batch[features.INPUT_MASK], "float32")),
        }

    def loss_sums(self, model, batch, draws, dropout):
        sampled, masked_sum, counts = self._generate(model, batch, draws, dropout)
        disc_sum, disc_counts, _ = self._detect(model, batch, sampled, dropout, "disc")
        return {"masked_lm": masked_sum, "disc": disc_sum}, {**counts, **disc_counts}

    def detection_counts(self, model, batch, draws, replacements: str) -> dict:
        """Counts of the discriminator against replacements that no generator chose.

        Args:
            model: an `Electra`.
            batch: prepared rows.
            draws: of these rows.
            replacements: "corpus" (tokens of other places of the batch, so with the corpus's
                frequencies) or "uniform" (any token of the vocabulary).

        Returns:
            Counts under the prefix `replacements`.
        """
        rows, slots = batch[features.MASKED_IDS].shape
        noise = draws.uniform("replacements", rows, (slots,))
        if replacements == "uniform":
            sampled = ops.cast(noise * self.special.vocab_size, "int32")
        else:
            # A token from one of the other rows: real ids stand before the padding.
            other = ops.roll(batch[features.INPUT_IDS], 1, axis=0)
            length = ops.roll(ops.sum(batch[features.INPUT_MASK], axis=-1, keepdims=True), 1, 0)
            place = ops.cast(noise * ops.cast(length, "float32"), "int32")
            sampled = ops.take_along_axis(other, place, axis=1)
        return self._detect(model, batch, sampled, None, replacements)[1]

    def metrics(self, counts):
        metrics = counting.generator_metrics(counts) | counting.detection_metrics(counts)
        metrics["loss"] = self._loss(metrics, metrics["disc_loss"])
        for source in self.random_replacements:
            if f"{source}/histogram" in counts:
                metrics[f"disc_auc_{source}"] = counting.area_under_curve(
                    counts[f"{source}/histogram"]
                )
        return metrics

    def passes(self):
        return (*self._generator.passes(), Pass("disc", self.config.model))

    def phases(self):
        if self._generator.is_trained:
            return super().phases()
        terms = tuple(term for term in self.terms if term != "masked_lm")
        return (Phase(terms=terms, trains=self.detector_weights),)

    def _detect(self, model, batch, sampled, dropout, prefix):
        """The discriminator on int32 [B, M] replacements: (loss sum, counts, losses [B, L])."""
        replaced = masking.replace_masked(batch, sampled)
        labels = ops.cast(replaced != batch[features.INPUT_IDS], "float32")
        weights = ops.cast(batch[features.INPUT_MASK], "float32")
        hidden = model.discriminator({**batch, features.INPUT_IDS: replaced}, dropout=dropout)
        logits = model.discriminator_head(hidden)
        losses = binary_cross_entropy(logits, labels)
        counts = counting.detection_counts(prefix, logits, labels, losses, weights)
        return self._detection_loss(batch, losses * weights), counts, losses

    def _detection_loss(self, batch, losses):
        """Sum of what the discriminator is trained on, of its losses [B, L], 0 in padding."""
        return ops.sum(losses)
