"""Pre-training objectives, by the names of `config.objective.name`."""

from collections.abc import Collection

import keras

from electra_tf.config import Config
from electra_tf.config.checks import one_of
from electra_tf.config.sections import GeneratorOptimizerConfig
from electra_tf.errors import UserError
from electra_tf.objectives import additions, spans
from electra_tf.objectives.adversarial import Adversarial
from electra_tf.objectives.all_tokens_mlm import AllTokensMLM
from electra_tf.objectives.electra_15 import MaskedOutDetection
from electra_tf.objectives.electric import NoiseContrastive
from electra_tf.objectives.mlm import MaskedLanguageModel
from electra_tf.objectives.objective import Objective
from electra_tf.objectives.replace_mlm import ReplaceMLM
from electra_tf.objectives.rtd import ReplacedTokenDetection
from electra_tf.objectives.special_tokens import SpecialTokens
from electra_tf.objectives.two_stage import TwoStage

# Classes by the names of `config.objective.name`.
OBJECTIVES: dict[str, type[Objective]] = {
    "electra": ReplacedTokenDetection,
    "mlm": MaskedLanguageModel,
    "two_stage": TwoStage,
    "electra_15": MaskedOutDetection,
    "replace_mlm": ReplaceMLM,
    "all_tokens_mlm": AllTokensMLM,
    "electric": NoiseContrastive,
    "adversarial": Adversarial,
}


def objective_class(config: Config) -> type[Objective]:
    """The class of `config.objective.name`; raises UserError if there is none."""
    one_of("config.objective.name", config.objective.name, OBJECTIVES)
    return OBJECTIVES[config.objective.name]


def validate(config: Config) -> Config:
    """Returns the config; raises UserError for an impossible section, or one for its objective."""
    if not isinstance(config, Config):
        raise UserError(
            "The config must be that of a pre-training, such as configs/electra_small.py. "
            f"Received: a {type(config).__name__}"
        )
    config.validate()
    kind = objective_class(config)
    one_of(
        f"With config.objective.name={config.objective.name} config.objective.generator",
        config.objective.generator,
        kind.generators,
    )
    if config.objective.generator_from and config.objective.generator != "frozen":
        raise UserError(
            "config.objective.generator_from is for config.objective.generator=frozen and must "
            f"else be empty. Received: {config.objective.generator_from} for "
            f"{config.objective.generator}"
        )
    for name in additions.ADDITIONS:
        weight = additions.weight(config, name)
        if weight and name not in kind.may_add:
            able = [other for other, found in OBJECTIVES.items() if name in found.may_add]
            raise UserError(
                f"config.objective.{name}_weight must be 0, or config.objective.name one of "
                f"{', '.join(able)}. Received: {weight} for {config.objective.name}"
            )
    kind.check(config)
    objective = build_objective(config)
    for stretch in config.train.batch_sizes().stretches:
        objective.check_rows(stretch.size // config.train.accumulation_steps)
    if not objective.trains_generator and config.generator_optimizer != GeneratorOptimizerConfig():
        raise UserError(
            "config.generator_optimizer must be left as it is where no generator is trained. "
            f"Received: {config.generator_optimizer} for config.objective.name="
            f"{config.objective.name} with config.objective.generator={config.objective.generator}"
        )
    for phase in objective.phases():
        terms = phase.terms or objective.terms
        if not objective.has_loss(terms):
            raise UserError(
                "What is trained must have a loss: config.objective.generator_weight is the factor "
                "of the generator's, discriminator_weight that of the other network's. "
                "Received: 0 for "
                f"{', '.join(terms)}"
            )
    return config


def build_objective(config: Config, vocabulary=None, counts=None) -> Objective:
    """The objective of `config.objective.name`.

    Args:
        config: the experiment.
        vocabulary: what `SpecialTokens.of` takes; None where nothing is trained or evaluated.
        counts: function that counts the tokens of the data, for an objective that needs it.
    """
    objective = objective_class(config)(config)
    if vocabulary is None:
        return objective
    known = counts() if counts is not None and objective.needs_counts else 0
    special = SpecialTokens.of(vocabulary, known)
    spans.check(config.objective, special)
    return objective_class(config)(config, special)


def require_networks(config: Config, known: Collection[type[keras.Model]], file_format: str):
    """Raises UserError if a format of files knows no networks like those of a config's objective.

    Args:
        config: of a model.
        known: classes of networks that can be written.
        file_format: its name.
    """
    if objective_class(config).model_class not in known:
        able = [name for name, found in OBJECTIVES.items() if found.model_class in known]
        raise UserError(
            f"For --output_format={file_format} config.objective.name must be one of "
            f"{', '.join(able)}, whose networks that format knows; --encoder_only writes the "
            f"encoder alone. Received: {config.objective.name}"
        )


def require_signature(config: Config, model: keras.Model, signature: str, directory: str) -> None:
    """Raises UserError if a model cannot answer a signature.

    Args:
        config, model: the model's.
        signature: a name of `Served`.
        directory: where it was loaded from.
    """
    kind = objective_class(config)
    if any(served.signature == signature for served in kind.answerable(model)):
        return
    for served in kind.served:
        if served.signature == signature:
            raise UserError(
                f"A model must have {served.needs} for {signature}. Received: {directory} without"
            )
    able = [
        name
        for name, found in OBJECTIVES.items()
        if any(served.signature == signature for served in found.served)
    ]
    raise UserError(
        f"For {signature} a model's config.objective.name must be one of {', '.join(able)}. "
        f"Received: {directory}, {config.objective.name}"
    )


def name_of(model_class: type[keras.Model]) -> str:
    """The first objective that trains networks of this class."""
    return next(name for name, found in OBJECTIVES.items() if found.model_class is model_class)
