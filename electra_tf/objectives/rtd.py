"""Replaced-token detection, the objective of ELECTRA (section 2 of the paper)."""

import functools

from keras import ops

from electra_tf import features
from electra_tf.config.checks import divides
from electra_tf.errors import UserError
from electra_tf.models.electra import OPTIONAL_PARTS, Electra, parts_of
from electra_tf.objectives import counts as counting
from electra_tf.objectives import masking, sampling
from electra_tf.objectives.losses import binary_cross_entropy
from electra_tf.objectives.objective import ACCURACY, AUC, Metric, Objective, Served
from electra_tf.objectives.passes import Pass
from electra_tf.objectives.vocabulary import predict_tokens

_AUC = Metric("disc_auc", "AUC, tokens the generator replaced", AUC)
_DETECTOR = "discriminator", "discriminator_head"


class ReplacedTokenDetection(Objective):
    """The generator fills masked positions, the discriminator finds what it changed.

    Differs from the original: mask positions are drawn without replacement, and losses are
    divided by the weights of the global batch, not averaged over replicas.
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

    def __init__(self, config, special=None):
        super().__init__(config, special)
        objective = config.objective
        self.terms = {
            "masked_lm": objective.generator_weight,
            "disc": objective.discriminator_weight,
        }

    @classmethod
    def check(cls, config):
        model, generator = config.model, config.generator_model()
        divides(
            "config.generator.num_heads",
            generator.num_heads,
            "the generator's hidden size",
            generator.hidden_size,
        )
        if model.sharing == "all" and generator != model:
            raise UserError(
                "config.model.sharing=all makes generator and discriminator one network, so "
                "config.generator.hidden_fraction and .layer_fraction must be 1 and "
                "config.generator.num_heads must be config.model.num_heads. Received: "
                f"{config.generator}"
            )
        if config.generator.embedding_size and model.sharing != "none":
            raise UserError(
                "config.generator.embedding_size must be 0 where the generator has no tables "
                f"of its own (config.model.sharing={model.sharing}). Received: "
                f"{config.generator.embedding_size}"
            )

    def build_model(self, paths=None, dtype="float32"):
        parts = OPTIONAL_PARTS if paths is None else parts_of(paths)
        return Electra(self.config, parts=parts, dtype=dtype)

    def num_layers(self):
        return {
            "discriminator": self.config.model.num_layers,
            "generator": self.config.generator_model().num_layers,
        }

    def parts(self, paths):
        there = parts_of(paths)
        encoder = "discriminator" if "discriminator_head" in there else "encoder without a head"
        return " and ".join([encoder, *["generator"] * ("generator" in there)])

    def prepare(self, batch, draws):
        return masking.mask(batch, self.config.objective, self.special, draws)

    def loss_weights(self, batch):
        return {
            "masked_lm": ops.sum(batch[features.MASKED_WEIGHTS]),
            "disc": ops.sum(ops.cast(batch[features.INPUT_MASK], "float32")),
        }

    def loss_sums(self, model, batch, draws, dropout):
        sampled, masked_sum, counts = self._generate(model, batch, draws, dropout)
        disc_sum, disc_counts = self._detect(model, batch, sampled, dropout, "disc")
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
        ratio = counting.ratio
        metrics = {
            **counting.token_metrics("masked_lm", counts),
            "sampled_masked_lm_accuracy": ratio(counts, "sampled/correct", "masked_lm/total"),
            "disc_loss": ratio(counts, "disc/loss", "disc/total"),
            "disc_accuracy": ratio(counts, "disc/correct", "disc/total"),
            "disc_precision": ratio(counts, "disc/true_positive", "disc/predicted"),
            "disc_recall": ratio(counts, "disc/true_positive", "disc/positive"),
            "disc_auc": counting.area_under_curve(counts["disc/histogram"]),
        }
        metrics["loss"] = (
            self.terms["masked_lm"] * metrics["masked_lm_loss"]
            + self.terms["disc"] * metrics["disc_loss"]
        )
        for source in self.random_replacements:
            if f"{source}/histogram" in counts:
                metrics[f"disc_auc_{source}"] = counting.area_under_curve(
                    counts[f"{source}/histogram"]
                )
        return metrics

    def passes(self):
        config = self.config
        predicted = functools.partial(
            masking.max_masked, mask_fraction=config.objective.mask_fraction
        )
        return (
            Pass("masked_lm", config.generator_model(), predicted),
            Pass("disc", config.model),
        )

    def _generate(self, model, batch, draws, dropout):
        """Returns (sampled ids int32 [B, M], loss sum, counts) of the generator."""
        objective = self.config.objective
        vocab_size = self.config.model.vocab_size
        block = sampling.block_size(vocab_size)
        ids, weights = batch[features.MASKED_IDS], batch[features.MASKED_WEIGHTS]
        shape = ids.shape
        ids, weights = ops.reshape(ids, (-1,)), ops.reshape(weights, (-1,))
        hidden = model.generator(
            {**batch, features.INPUT_IDS: batch[features.MASKED_INPUT_IDS]}, dropout=dropout
        )
        block_noise = draws.gumbel("blocks", shape[0], (shape[1], -(-vocab_size // block)))
        token_noise = draws.gumbel("tokens", shape[0], (shape[1], block))
        sampler = sampling.Sampler(
            ops.reshape(block_noise, (ids.shape[0], -1)),
            ops.reshape(token_noise, (ids.shape[0], block)),
            objective.temperature,
            ids if objective.disallow_correct else None,
        )
        factors = model.generator_head.factors(hidden, batch[features.MASKED_POSITIONS])
        losses, best, sampled = predict_tokens(*factors, ids=ids, sampler=sampler)
        counts = counting.token_counts("masked_lm", losses, best == ids, weights)
        right = ops.cast(sampled == ids, "float32")
        counts["sampled/correct"] = ops.sum(right * weights)
        return ops.reshape(sampled, shape), ops.sum(losses * weights), counts

    def _detect(self, model, batch, sampled, dropout, prefix):
        """Returns (loss sum, counts) of the discriminator on int32 [B, M] replacements."""
        replaced = masking.replace_masked(batch, sampled)
        labels = ops.cast(replaced != batch[features.INPUT_IDS], "float32")
        weights = ops.cast(batch[features.INPUT_MASK], "float32")
        hidden = model.discriminator({**batch, features.INPUT_IDS: replaced}, dropout=dropout)
        logits = model.discriminator_head(hidden)
        losses = binary_cross_entropy(logits, labels)
        counts = counting.detection_counts(prefix, logits, labels, losses, weights)
        return self._detection_loss(batch, losses * weights), counts

    def _detection_loss(self, batch, losses):
        """Sum of what the discriminator is trained on, of its losses [B, L], 0 in padding."""
        return ops.sum(losses)
