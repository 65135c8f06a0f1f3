"""The generator of a new run from `config.objective.generator_from`, which stands still there."""

import dataclasses
import functools

from electra_tf import objectives
from electra_tf.config import Config, ModelConfig
from electra_tf.errors import UserError
from electra_tf.objectives import generators
from electra_tf.objectives.objective import Objective, Served
from electra_tf.saved import model_directory
from electra_tf.saved.weights import compare_shapes
from electra_tf.text import tokenization
from electra_tf.train.state import TrainState

_OF_TRAINING = ("hidden_dropout", "attention_dropout", "initializer_range", "sharing")


class ReadyGenerator:
    """A masked LM, or the generator of a model; called with the TrainState that it fills.

    The directory is read when it is first needed: never, once the run has a checkpoint.

    Args:
        directory: of a model or run.
    """

    def __init__(self, directory: str):
        self._directory = directory

    @functools.cached_property
    def _source(self):
        """(objective, what predicts its masked tokens, weights) of the directory."""
        config, saved = model_directory.open_directory(self._directory)
        objective = objectives.build_objective(config)
        return objective, _predictor(objective, saved.shapes, self._directory), saved

    def check(self, config: Config) -> None:
        """Raises UserError if it cannot be the generator of a run.

        Args:
            config: of the run, whose sizes and tokenizer are known.
        """
        objective, directory = self._source[0], self._directory
        _require_sizes(_sizes(objective), config.generator_model(), directory)
        tokenization.require_same(
            tokenization.fingerprint_of(directory, objective.config.data),
            config.data.tokenizer_fingerprint,
            "config.objective.generator_from must have the vocabulary and the tokenizer settings "
            f"of the data. Received: {directory} for {', '.join(config.data.sources())}",
        )

    def __call__(self, state: TrainState) -> None:
        """Fills the generator's weights."""
        saved = self._source[2]
        weights = {
            path: weight
            for path, weight in state.weights.items()
            if path.startswith(generators.WEIGHTS)
        }
        sources = {path: self._behind(path) for path in weights}
        compare_shapes(
            {path: tuple(weight.shape) for path, weight in weights.items()},
            {path: saved.shapes[name] for path, name in sources.items() if name in saved.shapes},
            self._directory,
        )
        for path, weight in weights.items():
            weight.assign(saved.read(sources[path]))

    def _behind(self, path: str) -> str:
        """The directory's weight for one of the generator; there it may be a shared one."""
        objective, served, saved = self._source
        scope, _, rest = path.partition("/")
        scopes = {
            "generator": (served.encoder, objective.encoder),
            "generator_head": (served.head,),
            "generator_embeddings": (f"{served.encoder}_embeddings", "embeddings"),
        }[scope]
        names = [f"{scope}/{rest}" for scope in scopes]
        return next((name for name in names if name in saved.shapes), names[-1])


def _predictor(objective: Objective, shapes, directory) -> Served:
    """What predicts masked tokens in a model of an objective."""
    for served in objective.served:
        if served.signature == "fill_mask" and any(
            path.startswith(f"{served.head}/") for path in shapes
        ):
            return served
    raise UserError(
        "config.objective.generator_from must be a masked LM or have a generator. "
        f"Received: {directory}, {objective.parts(shapes)}"
    )


def _sizes(objective: Objective) -> ModelConfig:
    """Of what predicts masked tokens."""
    return next(each.model for each in objective.passes() if each.predicted is not None)


def _require_sizes(found: ModelConfig, wanted: ModelConfig, directory: str) -> None:
    different = [
        f"{field.name} {getattr(found, field.name)} instead of {getattr(wanted, field.name)}"
        for field in dataclasses.fields(ModelConfig)
        if field.name not in _OF_TRAINING
        and getattr(found, field.name) != getattr(wanted, field.name)
    ]
    if different:
        raise UserError(
            "config.objective.generator_from must have the sizes that config.model and "
            f"config.generator give the generator. Received: {directory} with "
            f"{', '.join(different)}"
        )
