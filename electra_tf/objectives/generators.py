"""What fills the masked positions, by the names of `config.objective.generator`.

| name    | a replacement is                                                       |
| ------- | ---------------------------------------------------------------------- |
| trained | a sample of a network that learns with the discriminator               |
| uniform | any token of the vocabulary                                            |
| unigram | a token by its frequency in the training data                          |
| frozen  | a sample of a ready masked LM, `config.objective.generator_from`, that |
|         | stands still; its temperature falls (Fast-ELECTRA, arXiv 2310.07347)   |

The loss of each in predicting the masked tokens is measured; only the first one's is trained, with
`generator_weight`. Those without a network see no [MASK], so `mask_token_fraction` means nothing
to them.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from keras import ops

from electra_tf import features
from electra_tf.config import Config
from electra_tf.config.checks import divides
from electra_tf.errors import UserError
from electra_tf.models.randomness import Draws, Dropout
from electra_tf.objectives import counts as counting
from electra_tf.objectives import masking, sampling
from electra_tf.objectives.passes import Pass
from electra_tf.objectives.special_tokens import SpecialTokens
from electra_tf.objectives.vocabulary import predict_tokens

WEIGHTS = ("generator/", "generator_head/", "generator_embeddings/")  # beginnings of its paths
COOLING = 0.1  # share of a run in which a frozen generator's temperature falls to 1/e of its excess


class Replacements(NamedTuple):
    """What a generator makes of a batch.

    Attributes:
        sampled: tokens for the masked positions, int32 [B, M]; those of unused slots mean nothing.
        loss_sum: summed cross-entropy of the masked tokens, float32 scalar.
        counts: of these predictions.
        factors: what the logits of all slots are made of, see `MaskedLMHead.factors`; None of one
            without.
    """

    sampled: Any
    loss_sum: Any
    counts: dict
    factors: Any = None


class TrainedGenerator:
    """A network that learns with the discriminator (section 2 of the paper).

    Attributes:
        has_network: whether the model has a generator for it.
        is_trained: whether its loss counts.
        needs_counts: whether it needs `SpecialTokens.counts`.

    Args:
        config: the experiment.
    """

    has_network = True
    is_trained = True
    needs_counts = False

    def __init__(self, config: Config):
        self._config = config

    def check(self) -> None:
        """Raises UserError if the config's model can have no such generator."""
        _check_network(self._config)

    def passes(self) -> tuple[Pass, ...]:
        """What it runs."""
        predicted = masking.slots_of(self._config.objective)
        return (Pass("masked_lm", self._config.generator_model(), predicted),)

    def replacements(
        self, model, batch: dict, special: SpecialTokens, draws: Draws, dropout: Dropout | None
    ) -> Replacements:
        """Fills the masked positions of prepared rows.

        Args:
            model: with `generator` and `generator_head`, where there is a network.
            batch: prepared rows.
            special: of the vocabulary.
            draws: of these rows.
            dropout: None for none.
        """
        return self.draw(batch, self._factors(model, batch, special, dropout), draws)

    def draw(self, batch: dict, factors, draws: Draws) -> Replacements:
        """Fills the masked positions of prepared rows by given logits.

        Args:
            batch: prepared rows.
            factors: what the logits at the masked positions are made of, see
                `MaskedLMHead.factors`.
            draws: of these rows.
        """
        ids = batch[features.MASKED_IDS]
        shape = ids.shape
        ids = ops.reshape(ids, (-1,))
        sampler = sampling.Sampler(
            *sampling.noise(draws, shape, self._config.model.vocab_size),
            self.temperature(draws),
            ids if self._config.objective.disallow_correct else None,
        )
        losses, best, sampled = predict_tokens(*factors, ids=ids, sampler=sampler)
        found = _counted(batch, losses, best, ops.reshape(sampled, shape))
        return found._replace(factors=factors)

    def _factors(self, model, batch, special, dropout):
        """What its logits are made of, see `MaskedLMHead.factors`."""
        del special
        hidden = self.hidden(model, batch, dropout)
        return model.generator_head.factors(hidden, batch[features.MASKED_POSITIONS])

    def hidden(self, model, batch: dict, dropout: Dropout | None):
        """Hidden states [B, L, H] of the network, on the text with its [MASK]s."""
        return model.generator(
            {**batch, features.INPUT_IDS: batch[features.MASKED_INPUT_IDS]}, dropout=dropout
        )

    def temperature(self, draws: Draws):
        """Of the samples of a step: a number or a float32 scalar."""
        del draws
        return self._config.objective.temperature


class FrozenGenerator(TrainedGenerator):
    """A ready masked LM that stands still, without dropout.

    With u the share of the run that is over, its temperature is 1 + (T - 1) exp(-u / COOLING), T
    being `config.objective.temperature`: easy samples first. An evaluation takes that of the end.
    """

    is_trained = False

    def check(self):
        config = self._config
        if not config.objective.generator_from:
            raise UserError(
                "With config.objective.generator=frozen config.objective.generator_from must be "
                "the directory of a masked LM or of a model with a generator. Received: nothing"
            )
        if config.model.sharing != "none":
            raise UserError(
                "With config.objective.generator=frozen config.model.sharing must be none: a "
                "generator that stands still can share nothing with what learns. "
                f"Received: {config.model.sharing}"
            )
        _check_network(config)

    def replacements(self, model, batch, special, draws, dropout):
        found = super().replacements(model, batch, special, draws, None)
        return found._replace(loss_sum=ops.stop_gradient(found.loss_sum))

    def temperature(self, draws):
        excess = self._config.objective.temperature - 1.0
        if not excess:
            return 1.0
        share = ops.cast(draws.step, "float32") / self._config.train.num_steps
        share = ops.where(share < 0.0, 1.0, share)  # the draws of an evaluation
        return 1.0 + excess * ops.exp(-share / COOLING)


class UniformGenerator(TrainedGenerator):
    """Any token of the vocabulary, special ones too, with equal probability.

    As the original's `uniform_generator`: logits 0, whatever the temperature.
    """

    has_network = False
    is_trained = False

    def check(self):
        """There is no network, so nothing of `config.generator` counts."""
        config, objective = self._config, self._config.objective
        if config.model.sharing == "gdes":
            raise UserError(
                "With config.model.sharing=gdes the discriminator adds to what a generator has "
                "learnt of the tokens, so config.objective.generator must be trained. "
                f"Received: {objective.generator}"
            )
        if objective.random_token_fraction:
            raise UserError(
                "config.objective.random_token_fraction must be 0 for "
                f"config.objective.generator={objective.generator}, which reads no text. "
                f"Received: {objective.random_token_fraction}"
            )

    def passes(self):
        return ()

    def replacements(self, model, batch, special, draws, dropout):
        del model, dropout
        ids, disallow = batch[features.MASKED_IDS], self._config.objective.disallow_correct
        rows, slots = ids.shape
        noise = draws.uniform("replacements", rows, (slots,))
        sampled = ops.cast(noise * (special.vocab_size - disallow), "int32")
        if disallow:  # the tokens from the right one on move up by one
            sampled += ops.cast(sampled >= ids, "int32")
        losses = ops.full((rows * slots,), math.log(special.vocab_size), "float32")
        return _counted(batch, losses, ops.full((rows * slots,), -1, "int32"), sampled)


class UnigramGenerator(UniformGenerator):
    """A token by its frequency in the training data, among those that are ever masked.

    Frequencies are those of `SpecialTokens.counts`, each count plus one.
    """

    needs_counts = True
    replacements = TrainedGenerator.replacements

    def _factors(self, model, batch, special, dropout):
        del model, dropout
        rows, slots = batch[features.MASKED_IDS].shape
        bias = np.full(self._config.model.vocab_size, sampling.IMPOSSIBLE, np.float32)
        bias[: special.vocab_size] = np.log(1.0 + special.counts)
        bias[list(special.never_masked)] = sampling.IMPOSSIBLE
        return ops.zeros((rows * slots, 1)), ops.zeros((len(bias), 1)), ops.convert_to_tensor(bias)


GENERATORS = {
    "trained": TrainedGenerator,
    "uniform": UniformGenerator,
    "unigram": UnigramGenerator,
    "frozen": FrozenGenerator,
}


def of(config: Config) -> TrainedGenerator:
    """The generator of `config.objective.generator`."""
    return GENERATORS[config.objective.generator](config)


def _counted(batch, losses, best, sampled) -> Replacements:
    """Replacements with their counts; losses and best guesses (-1 for none) of all slots, [B*M]."""
    ids, weights, drawn = (
        ops.reshape(part, (-1,))
        for part in (batch[features.MASKED_IDS], batch[features.MASKED_WEIGHTS], sampled)
    )
    counts = counting.generator_counts(losses, best, drawn, ids, weights)
    return Replacements(sampled, counts["masked_lm/loss"], counts)


def _check_network(config):
    """Raises UserError if a generator of these sizes cannot be."""
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
            "config.generator.embedding_size must be 0 unless config.model.sharing is none: else "
            f"the generator's tables are of the discriminator's size, {model.embedding_size}. "
            f"Received: {config.generator.embedding_size} with {model.sharing}"
        )
