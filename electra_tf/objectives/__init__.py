"""Pre-training objectives, by the names of `config.objective.name`."""

from electra_tf.config import Config
from electra_tf.objectives.mlm import MaskedLanguageModel
from electra_tf.objectives.objective import Objective, SpecialTokens
from electra_tf.objectives.rtd import ReplacedTokenDetection

_OBJECTIVES = {"electra": ReplacedTokenDetection, "mlm": MaskedLanguageModel}


def build_objective(config: Config, vocabulary) -> Objective:
    """The objective of `config.objective.name` for a `Vocabulary`."""
    return _OBJECTIVES[config.objective.name](config, SpecialTokens(vocabulary))
