"""What objectives share in which one network reads what a generator has put into the text."""

from electra_tf.config import breakpoints
from electra_tf.models.sharing import sharing_of
from electra_tf.objectives import generators, masking, over_steps
from electra_tf.objectives.objective import Objective


class WithGenerator(Objective):
    """A generator fills masked positions; the loss of another network, the main one, is the second.

    Attributes:
        main_term: name of the main network's loss term.
    """

    generators = tuple(generators.GENERATORS)
    main_term: str

    def __init__(self, config, special=None):
        super().__init__(config, special)
        objective = config.objective
        self._generator = generators.of(config)
        self.needs_counts = self._generator.needs_counts
        self.trains_generator = self._generator.is_trained
        self._weights = breakpoints.read(objective.discriminator_weight_by_step)
        last = self._weights[-1][1] if self._weights else self.discriminator_weight
        self.terms = {"masked_lm": objective.generator_weight, self.main_term: last}

    @classmethod
    def check(cls, config):
        generators.of(config).check()

    def num_layers(self):
        return super().num_layers() | {"generator": self.config.generator_model().num_layers}

    def prepare(self, batch, draws):
        return masking.mask(batch, self.config.objective, self.special, draws)

    def has_loss(self, terms):
        changes = self.main_term in terms and any(weight for _, weight in self._weights)
        return changes or super().has_loss(terms)

    def factors(self, step):
        if not self._weights:
            return self.terms
        return {**self.terms, self.main_term: over_steps.value_at(self._weights, step)}

    def token_tables(self, model):
        tables = super().token_tables(model)
        if model.generator is not None and sharing_of(self.config.model).own_tokens:
            tables["generator"] = model.generator.embeddings
        return tables

    def _generate(self, model, batch, draws, dropout):
        """Returns (sampled ids int32 [B, M], loss sum, counts) of the generator."""
        return self._generator.replacements(model, batch, self.special, draws, dropout)[:3]

    def _loss(self, metrics, main_loss):
        """The trained loss: of the generator, as `metrics` has it, and of the main network."""
        loss = self.terms[self.main_term] * main_loss
        if self.trains_generator:
            loss += self.terms["masked_lm"] * metrics["masked_lm_loss"]
        return loss
