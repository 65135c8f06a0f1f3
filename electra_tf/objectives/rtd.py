"""Replaced-token detection, the objective of ELECTRA (section 2 of the paper)."""

from keras import ops

from electra_tf import features
from electra_tf.models.electra import ADDED_HEADS, OPTIONAL_PARTS, Electra, parts_of
from electra_tf.objectives import additions, generators, masking
from electra_tf.objectives import counts as counting
from electra_tf.objectives.losses import binary_cross_entropy, log_original
from electra_tf.objectives.objective import ACCURACY, AUC, Metric, Served
from electra_tf.objectives.passes import Pass
from electra_tf.objectives.phases import Phase
from electra_tf.objectives.samples import of_predictions
from electra_tf.objectives.with_generator import WithGenerator

_AUC = Metric("disc_auc", "AUC, tokens the generator replaced", AUC)
_DETECTOR = "discriminator", "discriminator_head"


class ReplacedTokenDetection(WithGenerator):
    """The generator fills masked positions, the discriminator finds what it changed.

    The terms of `additions` are added to its loss, where their weights are not 0.

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
        Served(
            "score",
            *_DETECTOR,
            needs="a discriminator with its head",
            token_score=log_original,
        ),
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
    may_add = tuple(additions.ADDITIONS)
    training_only = tuple(ADDED_HEADS)

    def __init__(self, config, special=None):
        super().__init__(config, special)
        self._additions = additions.of(config)
        heads = [each.head for each in self._additions if each.head is not None]
        without = () if self._generator.has_network else ("generator",)
        self._parts = [part for part in (*OPTIONAL_PARTS, *heads) if part not in without]
        self.terms |= {each.name: additions.weight(config, each.name) for each in self._additions}
        self.headline = sum((each.headline for each in self._additions), self.headline)
        scopes = "embeddings", *_DETECTOR, *heads
        self.detector_weights = tuple(f"{scope}/" for scope in scopes)

    @classmethod
    def check(cls, config):
        super().check(config)
        for each in additions.of(config):
            each.check()

    def check_rows(self, rows):
        for each in self._additions:
            each.check_rows(rows)

    def build_model(self, paths=None, dtype="float32"):
        parts = parts_of(paths) if paths is not None else self._parts
        return Electra(self.config, parts=parts, dtype=dtype)

    def parts(self, paths):
        there = parts_of(paths)
        encoder = "discriminator" if "discriminator_head" in there else "encoder without a head"
        return " and ".join([encoder, *["generator"] * ("generator" in there)])

    def prepare(self, batch, draws):
        batch = super().prepare(batch, draws)
        for each in self._additions:
            batch = each.prepare(batch, draws)
        return batch

    def loss_weights(self, batch):
        return {
            "masked_lm": ops.sum(batch[features.MASKED_WEIGHTS]),
            "disc": ops.sum(ops.cast(batch[features.INPUT_MASK], "float32")),
            **{each.name: each.loss_weight(batch) for each in self._additions},
        }

    def loss_sums(self, model, batch, draws, dropout):
        generated = self._generator.replacements(model, batch, self.special, draws, dropout)
        detected = detect(model, batch, generated, dropout)
        disc_sum, disc_counts = self._judge(batch, detected, "disc")
        sums = {"masked_lm": generated.loss_sum, "disc": disc_sum}
        counts = {**generated.counts, **disc_counts}
        for each in self._additions:
            sums[each.name], own = each.loss_sum(model, batch, detected, draws, dropout)
            counts |= own
        return sums, counts

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
        generated = generators.Replacements(sampled, 0.0, {})
        return self._judge(batch, detect(model, batch, generated, None), replacements)[1]

    def samples(self, model, batch, draws):
        batch = self.prepare(batch, draws)
        generated = self._generator.replacements(model, batch, self.special, draws, None)
        detected = detect(model, batch, generated, None)
        return of_predictions(batch, generated.sampled)._replace(logits=detected.logits)

    def metrics(self, counts):
        metrics = counting.generator_metrics(counts) | counting.detection_metrics(counts)
        for each in self._additions:
            metrics |= each.metrics(counts)
        metrics["loss"] = self._loss(metrics, metrics["disc_loss"])
        for source in self.random_replacements:
            if f"{source}/histogram" in counts:
                metrics[f"disc_auc_{source}"] = counting.area_under_curve(
                    counts[f"{source}/histogram"]
                )
        return metrics

    def passes(self):
        added = [made for each in self._additions for made in each.passes()]
        return (*self._generator.passes(), Pass("disc", self.config.model), *added)

    def phases(self):
        if self._generator.is_trained:
            return super().phases()
        terms = tuple(term for term in self.terms if term != "masked_lm")
        return (Phase(terms=terms, trains=self.detector_weights),)

    def _judge(self, batch, detected, prefix):
        """Returns (loss sum, counts) of what the discriminator has told."""
        losses, labels = token_losses(batch, detected)
        weights = ops.cast(batch[features.INPUT_MASK], "float32")
        counts = counting.detection_counts(prefix, detected.logits, labels, losses, weights)
        return self._detection_loss(batch, losses * weights), counts

    def _loss(self, metrics, main_loss):
        added = [self.terms[each.name] * metrics[f"{each.name}_loss"] for each in self._additions]
        return super()._loss(metrics, main_loss) + sum(added)

    def _detection_loss(self, batch, losses):
        """Sum of what the discriminator is trained on, of its losses [B, L], 0 in padding."""
        return ops.sum(losses)


def detect(model, batch, generated, dropout) -> additions.Detected:
    """The discriminator reads the text with a generator's `Replacements` in it."""
    replaced = masking.replace_masked(batch, generated.sampled)
    hidden = model.discriminator({**batch, features.INPUT_IDS: replaced}, dropout=dropout)
    return additions.Detected(generated, replaced, hidden, model.discriminator_head(hidden))


def token_losses(batch, detected):
    """Cross-entropy of the discriminator at every position, and 1 where a token is replaced.

    Returns:
        (losses, labels), float32 [B, L].
    """
    labels = ops.cast(detected.replaced != batch[features.INPUT_IDS], "float32")
    return binary_cross_entropy(detected.logits, labels), labels
