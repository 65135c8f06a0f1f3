"""What a pre-training objective declares: its networks, losses, metrics, phases and uses.

One step runs `prepare` on all rows of a replica, sums `loss_weights` over the replicas, and then
takes gradients of `loss_sums`, micro-batch by micro-batch: the loss is

    sum over terms t of  terms[t] * (sum of t over the global batch) / (weight of t over it)

so that neither replicas nor micro-batches change it.

Everything else that the library must know about an objective stands in its class, too: nothing
outside of `objectives/` asks for an objective's name. A new one is a subclass in a file of its own
and a line in `objectives/__init__.py`.
"""

import abc
import dataclasses
from collections.abc import Callable, Collection, Mapping
from typing import Any

import keras
from keras import ops

from electra_tf.config import Config, OptimizerConfig
from electra_tf.models.embeddings import Embeddings
from electra_tf.models.initialization import initialize, shapes_of
from electra_tf.models.randomness import Draws, Dropout
from electra_tf.objectives import flops
from electra_tf.objectives.passes import Pass
from electra_tf.objectives.phases import Phase, Timeline
from electra_tf.objectives.samples import Samples
from electra_tf.objectives.similarity import average_cosine
from electra_tf.objectives.special_tokens import SpecialTokens

LOSS, ACCURACY, AUC = "loss", "accuracy of masked tokens", "AUC of replaced tokens"
LIKELIHOOD, REWARD = "log-likelihood", "reward"


@dataclasses.dataclass(frozen=True)
class Metric:
    """A metric that people are shown first.

    Attributes:
        name: a key of `Objective.metrics`.
        title: what tables and pictures call it.
        kind: LOSS, where less is better; ACCURACY, AUC, LIKELIHOOD or REWARD, where more is.
    """

    name: str
    title: str
    kind: str = LOSS

    @property
    def is_loss(self) -> bool:
        """Whether less is better."""
        return self.kind == LOSS


@dataclasses.dataclass(frozen=True)
class Served:
    """A signature that a model can answer in a serving graph.

    Attributes:
        signature: a name of `serving.graph.signatures`.
        encoder: attribute of the model: the `Encoder` that it runs.
        head: attribute of the model: what turns hidden states into the answer; None for none.
        needs: what the two are, in words, for a model that lacks one.
        optional: only served where it is asked for: its networks have no other use.
        token_score: of the signature `score`, for a head that gives each token one logit: the
            token's score by it, keras.ops only. None: the head predicts tokens, so each token is
            masked in turn, a pass for each, and its score is its log-probability.
        bundled: whether bundles have it; else it is for Python and commands alone.
    """

    signature: str
    encoder: str
    head: str | None = None
    needs: str = "its encoder"
    optional: bool = False
    token_score: Callable[[Any], Any] | None = None
    bundled: bool = True

    def layers(self, model: keras.Model) -> tuple:
        """Encoder and head of a model, None where it has none or needs none."""
        return getattr(model, self.encoder), getattr(model, self.head) if self.head else None


class Objective(abc.ABC):
    """A pre-training objective.

    Attributes:
        description: what its models are, in words.
        model_class: of its networks. Converters know a layout of weights by it, and refuse one
            that they do not know.
        training_only: first parts of the paths of weights that nothing but training needs: no other
            format of files has them, and an evaluation of a model that lacks them takes fresh ones.
        encoder: attribute of the model, and first part of its weights' paths: the `Encoder` that
            fine-tuning starts from.
        served: signatures by importance; the first is the default one.
        headline: metrics that people are shown, in this order.
        main_metric: the one of them that compares models.
        terms: factor of every loss term, by name; of one that changes, its last.
        random_replacements: names that `detection_counts` takes; none without a discriminator.
        generators: what `config.objective.generator` may be.
        may_add: the terms of `additions` that it takes.
        default_weight: `discriminator_weight` of a config that leaves it to the objective.
        needs_counts: whether it needs `SpecialTokens.counts`.
        trains_generator: whether `config.generator_optimizer` has weights to train, whose paths
            begin with "generator".

    Args:
        config: the experiment; `model.vocab_size` is set where a model is made.
        special: of the vocabulary; None where nothing is trained or evaluated.
    """

    description: str
    model_class: type[keras.Model]
    training_only: tuple[str, ...] = ()
    encoder: str
    served: tuple[Served, ...]
    headline: tuple[Metric, ...]
    main_metric: Metric
    terms: dict[str, float]
    random_replacements: tuple[str, ...] = ()
    generators: tuple[str, ...] = ("trained",)
    may_add: tuple[str, ...] = ()
    default_weight: float = 50.0  # the paper's, of detection
    needs_counts: bool = False
    trains_generator: bool = False

    def __init__(self, config: Config, special: SpecialTokens | None = None):
        self.config, self._special = config, special

    @property
    def special(self) -> SpecialTokens:
        """Of the vocabulary; only where there is one."""
        assert self._special is not None, "the objective was built without a vocabulary"
        return self._special

    @property
    def discriminator_weight(self) -> float:
        """`config.objective.discriminator_weight`, or the objective's own."""
        weight = self.config.objective.discriminator_weight
        return self.default_weight if weight == -1 else weight

    @classmethod  # noqa: B027 (most objectives demand nothing)
    def check(cls, config: Config) -> None:
        """Raises UserError if the objective cannot be that of a config, valid in its sections."""

    def check_rows(self, rows: int) -> None:  # noqa: B027 (most have losses row by row)
        """Raises UserError if a micro-batch of a device cannot have so many rows."""

    # Networks

    def build_model(
        self, paths: Collection[str] | None = None, dtype: str = "float32"
    ) -> keras.Model:
        """The networks, to be filled.

        Args:
            paths: weights that there are: an optional part of which there is none is left out;
                None for all parts.
            dtype: Keras's dtype policy.
        """
        return self.model_class(self.config, dtype=dtype)

    def new_model(self, seed: int, dtype: str = "float32") -> keras.Model:
        """The freshly initialised networks, a function of the seed."""
        return initialize(self.build_model(None, dtype), self.config.model.initializer_range, seed)

    def variable_shapes(self, paths: Collection[str] | None = None) -> dict[str, tuple[int, ...]]:
        """Shapes of all weights by path, without making one; `paths` as of `build_model`."""
        return shapes_of(lambda: self.build_model(paths))

    def num_layers(self) -> dict[str, int]:
        """Depth of each network by its name in variable paths, for layer-wise decay."""
        return {self.encoder: self.config.model.num_layers}

    @classmethod
    def answerable(cls, model: keras.Model) -> list[Served]:
        """The signatures for which a model has the networks."""
        return [
            served
            for served in cls.served
            if None not in (served.layers(model) if served.head else served.layers(model)[:1])
        ]

    def parts(self, paths: Collection[str]) -> str:
        """Which networks there are, in words, by the paths of their weights."""
        return self.description

    # Training

    @abc.abstractmethod
    def prepare(self, batch: dict, draws: Draws) -> dict:
        """Draws what does not need the model (masks): batch int32 [B, L] in, more features out."""

    @abc.abstractmethod
    def loss_weights(self, batch: dict) -> dict:
        """Weight of every loss term over these rows, float32 scalars, from a prepared batch."""

    @abc.abstractmethod
    def loss_sums(
        self, model: keras.Model, batch: dict, draws: Draws, dropout: Dropout | None
    ) -> tuple[dict, dict]:
        """Losses of some rows.

        Args:
            model: of `new_model`.
            batch: prepared rows.
            draws: draws of these rows.
            dropout: None switches dropout off.

        Returns:
            (loss sums by term, counts by name), float32.
        """

    def has_loss(self, terms: Collection[str]) -> bool:
        """Whether any of these terms counts at some step."""
        return any(self.terms[term] for term in terms)

    def factors(self, step) -> Mapping[str, Any]:
        """Factor of every loss term at a step, an int32 scalar: numbers or float32 scalars."""
        del step
        return self.terms

    @abc.abstractmethod
    def metrics(self, counts: dict) -> dict[str, float]:
        """Summed counts as metrics, by the names of the original's evaluation."""

    @abc.abstractmethod
    def passes(self) -> tuple[Pass, ...]:
        """The networks that `loss_sums` runs, in this order."""

    def training_flops_per_token(
        self, seq_length: int, count: Callable[..., float] = flops.training
    ) -> float:
        """Operations per token of a step, mean over the run.

        Args:
            seq_length: tokens of an example.
            count: of `flops`, matrix products; or of `paper_flops`.
        """
        phases = Timeline(self.phases()).lengths(self.config.train.num_steps)
        return sum(
            steps * count(self.passes(), phase, seq_length) for phase, steps in phases
        ) / sum(steps for _, steps in phases)

    def optimizers(self) -> dict[str, OptimizerConfig]:
        """Optimizers by the beginning of the paths of their weights; the longest one decides.

        Those with equal settings are one, which clips by the norm of all that it updates.
        """
        common = self.config.optimizer
        own = self.config.generator_optimizer.over(common)
        if own == common or not self.trains_generator:
            return {"": common}
        return {"": common, "generator": own}

    def phases(self) -> tuple[Phase, ...]:
        """Phases of the run, one after the other; the last one lasts to its end."""
        return (Phase(),)

    # Evaluation

    def eval_counts(
        self, model: keras.Model, batch: dict, draws: Draws, replacements: Collection[str] = ()
    ) -> dict:
        """Counts of held-out rows: fresh masks and samples, no dropout.

        Args:
            model: of `new_model`.
            batch: rows that are not prepared.
            draws: of these rows.
            replacements: names out of `random_replacements`, detected besides the generator's.
        """
        batch = self.prepare(batch, draws)
        counts = self.loss_sums(model, batch, draws, None)[1]
        for name in replacements:
            counts |= self.detection_counts(model, batch, draws, name)
        return counts

    def detection_counts(
        self, model: keras.Model, batch: dict, draws: Draws, replacements: str
    ) -> dict:
        """Counts of a discriminator against replacements that no generator chose."""
        raise NotImplementedError

    @abc.abstractmethod
    def samples(self, model: keras.Model, batch: dict, draws: Draws) -> Samples:
        """What the networks make of held-out rows, which are masked as `eval_counts` does it.

        Args:
            model: of `new_model`.
            batch: rows that are not prepared.
            draws: of these rows.
        """

    def token_tables(self, model: keras.Model) -> dict[str, Embeddings]:
        """Embeddings that look tokens up in tables of their own, by what reads with them."""
        return {self.encoder: model.embeddings}

    def weight_metrics(self, model: keras.Model) -> dict[str, float]:
        """Metrics of the weights alone, for which no batch is needed."""
        return {
            f"embedding_cosine_{name}": average_cosine(
                ops.convert_to_numpy(table.output_weights("float32"))[: self.special.vocab_size]
            )
            for name, table in self.token_tables(model).items()
        }
