"""Replaced-token detection, the objective of ELECTRA (section 2 of the paper)."""

from keras import ops

from electra_tf import features
from electra_tf.models import electra
from electra_tf.objectives import counts as counting
from electra_tf.objectives import masking, sampling
from electra_tf.objectives.losses import binary_cross_entropy, token_cross_entropy
from electra_tf.objectives.objective import Objective


class ReplacedTokenDetection(Objective):
    """The generator fills masked positions, the discriminator finds what it changed.

    Differs from the original: mask positions are drawn without replacement, and losses are
    divided by the weights of the global batch, not averaged over replicas.
    """

    random_replacements = ("corpus", "uniform")

    def __init__(self, config, special):
        super().__init__(config, special)
        objective = config.objective
        self.terms = {"masked_lm": objective.generator_weight,
                      "disc": objective.discriminator_weight}
        self._block = sampling.block_size(config.model.vocab_size)

    def new_model(self, seed, dtype=None):
        return electra.new_electra(self.config, seed, dtype)

    def prepare(self, batch, random):
        return masking.mask(batch, self.config.objective, self.special, random)

    def weights(self, batch):
        return {"masked_lm": ops.sum(batch[features.MASKED_WEIGHTS]),
                "disc": ops.sum(ops.cast(batch[features.INPUT_MASK], "float32"))}

    def loss_sums(self, model, batch, random, rng):
        sampled, masked_sum, counts = self._generate(model, batch, random, rng)
        disc_sum, disc_counts = self._detect(model, batch, sampled, rng, "disc")
        return {"masked_lm": masked_sum, "disc": disc_sum}, {**counts, **disc_counts}

    def detection_counts(self, model, batch, random, replacements: str) -> dict:
        """Counts of the discriminator against replacements that no generator chose.

        Args:
            model: an `Electra`.
            batch: prepared rows.
            random: noise for these rows.
            replacements: "corpus" (tokens of other places of the batch, so with the corpus's
                frequencies) or "uniform" (any token of the vocabulary).

        Returns:
            Counts under the prefix `replacements`.
        """
        rows, slots = batch[features.MASKED_IDS].shape
        noise = random.uniform("replacements", rows, (slots,))
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
            "masked_lm_loss": ratio(counts, "masked_lm/loss", "masked_lm/total"),
            "masked_lm_accuracy": ratio(counts, "masked_lm/correct", "masked_lm/total"),
            "sampled_masked_lm_accuracy": ratio(counts, "sampled/correct", "masked_lm/total"),
            "disc_loss": ratio(counts, "disc/loss", "disc/total"),
            "disc_accuracy": ratio(counts, "disc/correct", "disc/total"),
            "disc_precision": ratio(counts, "disc/true_positive", "disc/predicted"),
            "disc_recall": ratio(counts, "disc/true_positive", "disc/positive"),
            "disc_auc": counting.area_under_curve(counts["disc/histogram"]),
        }
        metrics["loss"] = (self.terms["masked_lm"] * metrics["masked_lm_loss"]
                           + self.terms["disc"] * metrics["disc_loss"])
        for source in self.random_replacements:
            if f"{source}/histogram" in counts:
                metrics[f"disc_auc_{source}"] = counting.area_under_curve(
                    counts[f"{source}/histogram"])
        return metrics

    def _generate(self, model, batch, random, rng):
        """Returns (sampled ids int32 [B, M], loss sum, counts) of the generator."""
        objective = self.config.objective
        ids, weights = batch[features.MASKED_IDS], batch[features.MASKED_WEIGHTS]
        shape = ids.shape
        ids, weights = ops.reshape(ids, (-1,)), ops.reshape(weights, (-1,))
        hidden = model.generator({**batch, features.INPUT_IDS: batch[features.HIDDEN_IDS]}, rng=rng)
        logits = model.generator_head(hidden, batch[features.MASKED_POSITIONS],
                                      pad_to=self._block)
        losses, log_sums = token_cross_entropy(logits, ids, self._block)
        loss = ops.sum(losses * weights)

        logits = ops.stop_gradient(logits)
        best = sampling.most_probable(logits, self._block)
        if objective.temperature != 1.0 or objective.disallow_correct:
            logits = logits / objective.temperature
            if objective.disallow_correct:
                rows = ops.arange(logits.shape[0], dtype="int32")
                logits = ops.scatter_update(logits, ops.stack([rows, ids], axis=-1),
                                            ops.full(ids.shape, -1e9))
            log_sums = sampling.block_log_sums(logits, self._block)
        block_noise = random.gumbel("blocks", shape[0], (shape[1], log_sums.shape[-1]))
        token_noise = random.gumbel("tokens", shape[0], (shape[1], self._block))
        sampled = sampling.sample(
            logits, ops.stop_gradient(log_sums),
            ops.reshape(block_noise, (-1, log_sums.shape[-1])),
            ops.reshape(token_noise, (-1, self._block)))

        counts = counting.token_counts("masked_lm", losses, best == ids, weights)
        right = ops.cast(sampled == ids, "float32")
        counts["sampled/correct"] = ops.sum(right * weights)
        return ops.reshape(sampled, shape), loss, counts

    def _detect(self, model, batch, sampled, rng, prefix):
        """Returns (loss sum, counts) of the discriminator on int32 [B, M] replacements."""
        replaced = masking.put(batch, sampled)
        labels = ops.cast(replaced != batch[features.INPUT_IDS], "float32")
        weights = ops.cast(batch[features.INPUT_MASK], "float32")
        hidden = model.discriminator({**batch, features.INPUT_IDS: replaced}, rng=rng)
        logits = model.discriminator_head(hidden)
        losses = binary_cross_entropy(logits, labels)
        counts = counting.detection_counts(prefix, logits, labels, losses, weights)
        return ops.sum(losses * weights), counts
