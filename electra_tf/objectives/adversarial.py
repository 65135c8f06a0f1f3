"""Adversarial ELECTRA: the generator learns to fool the discriminator (appendix F of the paper)."""

import dataclasses

from keras import ops

from electra_tf import features
from electra_tf.errors import UserError
from electra_tf.models.electra import AdversarialElectra
from electra_tf.objectives import counts as counting
from electra_tf.objectives.losses import binary_cross_entropy
from electra_tf.objectives.objective import REWARD, Metric
from electra_tf.objectives.rtd import ReplacedTokenDetection, detect, token_losses
from electra_tf.objectives.vocabulary import predict_tokens

_GENERATORS = ("policy", "baseline")  # loss terms beside the discriminator's


class Adversarial(ReplacedTokenDetection):
    """Replaced-token detection whose generator maximises the discriminator's loss, by REINFORCE.

    The reward of the token x^ that is sampled at a masked position t is the discriminator's loss
    there. With D the probability of "original", whereas the discriminator's logit is of "replaced",

        R_t = -log D(x^, t) if x^_t = x_t, else -log(1 - D(x^, t))

    Three loss terms, in which R and b are constants unless they are what is trained:

    | term     | sum over                                            | trains                    |
    | -------- | --------------------------------------------------- | ------------------------- |
    | policy   | masked positions: -log p(x^_t) (R_t - b_t)          | generator, embeddings     |
    | baseline | the same: cross-entropy of exp(-b_t) and exp(-R_t)  | `generator_baseline`      |
    | disc     | all tokens, as ELECTRA's                            | discriminator, embeddings |

    b_t = -log sigmoid(w · h_t + c), from the generator's hidden states. exp(-R_t) is the chance
    that the discriminator gives the right answer, so that is what the sigmoid comes to expect. No
    gradient of the baseline goes into h: it is there to lower the policy gradient's variance, not
    to teach the generator. The paper leaves that open, and has no c.

    p is the distribution that the token was drawn from, with `config.objective.temperature`. The
    generator's masked LM loss is not trained; it and the accuracies are measured as ELECTRA's.
    `config.objective.generator_weight` is the factor of policy and baseline, for which the paper
    names none. The metric `loss` is the sum that is differentiated; of it `policy_loss` tells
    nothing about how well the generator does, `reward` does.
    """

    description = "adversarial replaced token detection"
    training_only = ("generator_baseline",)
    may_add = ()
    headline = (
        *ReplacedTokenDetection.headline[:2],
        Metric("reward", "reward of the generator's samples", REWARD),
        Metric("baseline_loss", "loss of the reward's baseline"),
        *ReplacedTokenDetection.headline[2:],
    )
    generators = ("trained",)

    def __init__(self, config, special=None):
        super().__init__(config, special)
        weight = self.terms.pop("masked_lm")
        self.terms = dict.fromkeys(_GENERATORS, weight) | self.terms

    @classmethod
    def check(cls, config):
        super().check(config)
        if config.objective.disallow_correct:
            raise UserError(
                "config.objective.disallow_correct must be false for config.objective.name="
                "adversarial, whose generator is rewarded for right tokens, too. Received: True"
            )

    def build_model(self, paths=None, dtype="float32"):
        del paths  # all parts
        return AdversarialElectra(self.config, dtype=dtype)

    def loss_weights(self, batch):
        weights = super().loss_weights(batch)
        masked = weights.pop("masked_lm")
        return dict.fromkeys(_GENERATORS, masked) | weights

    def loss_sums(self, model, batch, draws, dropout):
        positions, weights = batch[features.MASKED_POSITIONS], batch[features.MASKED_WEIGHTS]
        hidden = self._generator.hidden(model, batch, dropout)
        factors = model.generator_head.factors(hidden, positions)
        constant = [ops.stop_gradient(factor) for factor in factors]
        generated = self._generator.draw(batch, constant, draws)
        detected = detect(model, batch, generated, dropout)
        disc_sum, disc_counts = self._judge(batch, detected, "disc")

        losses, _ = token_losses(batch, detected)
        reward = ops.take_along_axis(ops.stop_gradient(losses), positions, axis=1)
        logits = model.generator_baseline(ops.stop_gradient(hidden))
        logits = ops.take_along_axis(logits, positions, axis=1)
        baseline_losses = binary_cross_entropy(logits, ops.exp(-reward))
        advantage = reward - ops.stop_gradient(ops.softplus(-logits))
        policy_losses = advantage * self._surprise(factors, generated.sampled, draws)
        counts = generated.counts | {
            "policy/loss": ops.sum(policy_losses * weights),
            "policy/reward": ops.sum(reward * weights),
            "baseline/loss": ops.sum(baseline_losses * weights),
        }
        sums = {term: counts[f"{term}/loss"] for term in _GENERATORS} | {"disc": disc_sum}
        return sums, {**counts, **disc_counts}

    def metrics(self, counts):
        own = {
            name: counting.ratio(counts, count, "masked_lm/total")
            for name, count in (
                ("reward", "policy/reward"),
                ("policy_loss", "policy/loss"),
                ("baseline_loss", "baseline/loss"),
            )
        }
        metrics = super().metrics(counts) | own
        metrics["loss"] += sum(self.terms[term] * own[f"{term}_loss"] for term in _GENERATORS)
        return metrics

    def passes(self):
        generator, detector = super().passes()
        # Samples come from the logits first, -log p and its gradient from the same ones again.
        generator = dataclasses.replace(generator, term="policy", sampled=generator.predicted)
        return generator, detector

    def _loss(self, metrics, main_loss):
        del metrics
        return self.terms["disc"] * main_loss

    def _surprise(self, factors, sampled, draws):
        """-log p of int32 [B, M] tokens under the distribution of the samples, float32 [B, M]."""
        vectors, table, bias = factors
        temperature = self._generator.temperature(draws)
        ids = ops.reshape(sampled, (-1,))
        losses = predict_tokens(vectors / temperature, table, bias / temperature, ids).losses
        return ops.reshape(losses, sampled.shape)
