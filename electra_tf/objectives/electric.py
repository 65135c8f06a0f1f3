"""Electric: an energy for every token, trained by noise-contrastive estimation.

Clark et al., "Pre-Training Transformers as Energy-Based Cloze Models", arXiv 2012.08561.
"""

import math

from keras import ops

from electra_tf import features
from electra_tf.errors import UserError
from electra_tf.models.electric import Electric
from electra_tf.models.layers import at_positions
from electra_tf.models.sharing import sharing_of
from electra_tf.objectives import counts as counting
from electra_tf.objectives import generators, masking, sampling
from electra_tf.objectives.losses import binary_cross_entropy
from electra_tf.objectives.objective import ACCURACY, AUC, LIKELIHOOD, Metric, Objective, Served
from electra_tf.objectives.passes import Pass, every_position
from electra_tf.objectives.samples import Samples
from electra_tf.objectives.vocabulary import predict_tokens

_AUC = Metric("disc_auc", "AUC, tokens that are noise", AUC)
_LIKELIHOOD = "clean/log_likelihood"  # a count


class NoiseContrastive(Objective):
    """The generator, a cloze model of two towers, is noise; the discriminator tells it from data.

    The generator q learns every token of the text that may be masked, from the tokens around it.
    Noise stands at the masked positions, which are labelled 1 whatever was drawn. With the energy
    E of a token and the share p of tokens that are masked

        logit(noise) = E + log q(token | text around it) + log(p / (1 - p))

    where no gradient goes into q (section 2.2 of the paper). As in the original, p is
    `mask_fraction`, q of a changed text is that of the unchanged one, and the loss is the mean over
    all tokens, [CLS] and [SEP] too. No network sees [MASK], so `mask_token_fraction` means nothing.

    Differs from the original: mask positions are drawn without replacement, and losses are
    divided by the weights of the global batch, not averaged over replicas.
    """

    description = "Electric: energies by noise-contrastive estimation"
    model_class = Electric
    encoder = "discriminator"
    served = (
        Served("score", "discriminator", "discriminator_head", token_score=ops.negative),
        Served("encode", "discriminator"),
    )
    headline = (
        Metric("cloze_loss", "generator loss, all tokens"),
        Metric("masked_lm_accuracy", "masked tokens guessed right", ACCURACY),
        Metric("disc_loss", "discriminator loss"),
        _AUC,
        Metric("pseudo_log_likelihood", "pseudo-log-likelihood per token", LIKELIHOOD),
    )
    main_metric = _AUC
    trains_generator = True

    def __init__(self, config, special=None):
        super().__init__(config, special)
        self.terms = {
            "cloze": config.objective.generator_weight,
            "disc": self.discriminator_weight,
        }

    @classmethod
    def check(cls, config):
        generators.of(config).check()
        objective = config.objective
        if config.model.sharing == "all":
            raise UserError(
                "config.model.sharing must not be all for config.objective.name=electric, whose "
                "generator reads in one direction at a time. Received: all"
            )
        if objective.temperature != 1.0 or objective.disallow_correct:
            raise UserError(
                "config.objective.name=electric draws noise from the generator's own "
                "distribution: config.objective.temperature must be 1 and disallow_correct false. "
                f"Received: {objective.temperature} and {objective.disallow_correct}"
            )
        if objective.mask_fraction_by_step or objective.discriminator_weight_by_step:
            raise UserError(
                "config.objective.name=electric has one share of noise and one weight of its loss: "
                "config.objective.mask_fraction_by_step and .discriminator_weight_by_step must be "
                f"empty. Received: {objective.mask_fraction_by_step!r} and "
                f"{objective.discriminator_weight_by_step!r}"
            )
        if objective.span != "token" or objective.random_token_fraction:
            raise UserError(
                "config.objective.name=electric takes each place for noise or not whatever stands "
                "beside it, and shows no [MASK]: config.objective.span must be token and "
                "random_token_fraction 0. "
                f"Received: {objective.span} and {objective.random_token_fraction}"
            )
        if objective.mask_fraction == 1.0:
            raise UserError(
                "config.objective.mask_fraction must be less than 1 for "
                "config.objective.name=electric. Received: 1.0"
            )

    def num_layers(self):
        towers = self.config.generator_model().num_layers
        return {
            "discriminator": self.config.model.num_layers,
            "generator": towers,  # its embeddings
            "generator_ltr": towers,
            "generator_rtl": towers,
        }

    def prepare(self, batch, draws):
        fraction = self.config.objective.mask_fraction
        return masking.choose_positions(batch, self.special.never_masked, fraction, draws)

    def loss_weights(self, batch):
        return {
            "cloze": ops.sum(self._candidates(batch)),
            "disc": ops.sum(ops.cast(batch[features.INPUT_MASK], "float32")),
        }

    def loss_sums(self, model, batch, draws, dropout):
        noisy, log_q, cloze_sum, counts = self._generate(model, batch, draws, dropout)
        disc_sum, disc_counts = self._tell(model, batch, noisy, log_q, dropout)
        return {"cloze": cloze_sum, "disc": disc_sum}, {**counts, **disc_counts}

    def eval_counts(self, model, batch, draws, replacements=()):
        counts = super().eval_counts(model, batch, draws, replacements)
        counts[_LIKELIHOOD] = -ops.sum(model(batch) * self._candidates(batch))
        return counts

    def samples(self, model, batch, draws):
        batch = self.prepare(batch, draws)
        noisy, log_q, *_ = self._generate(model, batch, draws, None)
        logits = self._logits(model, batch, noisy, log_q, None)
        return Samples(batch[features.INPUT_IDS], noisy, masking.masked_places(batch), logits)

    def token_tables(self, model):
        tables = super().token_tables(model)
        if sharing_of(self.config.model).own_tokens:
            tables["generator"] = model.generator_ltr.embeddings
        return tables

    def metrics(self, counts):
        ratio = counting.ratio
        metrics = {
            "cloze_loss": ratio(counts, "cloze/loss", "cloze/total"),
            **counting.generator_metrics(counts),
            **counting.detection_metrics(counts),
        }
        metrics["loss"] = sum(self.terms[term] * metrics[f"{term}_loss"] for term in self.terms)
        if _LIKELIHOOD in counts:
            metrics["pseudo_log_likelihood"] = ratio(counts, _LIKELIHOOD, "cloze/total")
        return metrics

    def passes(self):
        config = self.config
        masked = masking.slots_of(config.objective)
        return (
            Pass("cloze", config.generator_model(), every_position, 2, masked),
            Pass("disc", config.model),
        )

    def _candidates(self, batch):
        """1 for the tokens that may be masked, float32 [B, L]."""
        return ops.cast(masking.candidates(batch, self.special.never_masked), "float32")

    def _generate(self, model, batch, draws, dropout):
        """The towers, on the text as it is.

        Returns:
            (text with noise int32 [B, L], log q of its tokens float32 [B, L], loss sum, counts).
        """
        ids, weights = batch[features.INPUT_IDS], self._candidates(batch)
        factors = model.generator_head.factors(model.cloze(batch, dropout=dropout))
        losses, best, _ = predict_tokens(*factors, ids=ops.reshape(ids, (-1,)))
        losses, best = ops.reshape(losses, ids.shape), ops.reshape(best, ids.shape)
        factors = [ops.stop_gradient(factor) for factor in factors]
        sampled, counts = self._sample(batch, draws, *factors)
        noisy = masking.replace_masked(batch, sampled)
        counts |= counting.token_counts("cloze", losses, best == ids, weights)
        log_q = _logits_of(noisy, *factors) - _logits_of(ids, *factors)
        log_q = log_q - ops.stop_gradient(losses)
        return noisy, log_q, ops.sum(losses * weights), counts

    def _sample(self, batch, draws, vectors, table, bias):
        """Draws a token for each masked position: (int32 [B, M], counts)."""
        ids, weights = batch[features.MASKED_IDS], batch[features.MASKED_WEIGHTS]
        vectors = ops.reshape(vectors, (*batch[features.INPUT_IDS].shape, -1))
        vectors = at_positions(vectors, batch[features.MASKED_POSITIONS])
        sampler = sampling.Sampler(*sampling.noise(draws, ids.shape, table.shape[0]))
        losses, best, sampled = (
            ops.reshape(part, ids.shape)
            for part in predict_tokens(vectors, table, bias, ops.reshape(ids, (-1,)), sampler)
        )
        return sampled, counting.generator_counts(losses, best, sampled, ids, weights)

    def _tell(self, model, batch, noisy, log_q, dropout):
        """Returns (loss sum, counts) of the discriminator on int32 [B, L] ids with noise."""
        logits = self._logits(model, batch, noisy, log_q, dropout)
        labels = masking.masked_places(batch)
        weights = ops.cast(batch[features.INPUT_MASK], "float32")
        losses = binary_cross_entropy(logits, labels)
        counts = counting.detection_counts("disc", logits, labels, losses, weights)
        return ops.sum(losses * weights), counts

    def _logits(self, model, batch, noisy, log_q, dropout):
        """The logits float32 [B, L] that a token is noise."""
        fraction = self.config.objective.mask_fraction
        energies = model({**batch, features.INPUT_IDS: noisy}, dropout=dropout)
        return energies + log_q + math.log(fraction / (1.0 - fraction))


def _logits_of(ids, vectors, table, bias):
    """Logits float32 [B, L] of one token each, int32 [B, L], from what the logits are made of."""
    flat = ops.reshape(ids, (-1,))
    rows = ops.cast(ops.take(table, flat, axis=0), "float32")
    logits = ops.sum(ops.cast(vectors, "float32") * rows, axis=-1) + ops.take(bias, flat)
    return ops.reshape(logits, ids.shape)
