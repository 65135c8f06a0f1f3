"""Experiments as typed dataclasses: what `--config=FILE --config.section.field=value` fills in.

No TensorFlow here: a config can be read, checked and written on any machine.
"""

from electra_tf.config.finetuning import (
    FinetuneConfig,
    FinetuneDataConfig,
    FinetuneTrainConfig,
    TaskConfig,
)
from electra_tf.config.json_config import JsonConfig
from electra_tf.config.pretraining import Config, load
from electra_tf.config.sections import (
    DataConfig,
    GeneratorConfig,
    GeneratorOptimizerConfig,
    ModelConfig,
    ObjectiveConfig,
    OptimizerConfig,
    RuntimeConfig,
    TokenizerConfig,
    TrainConfig,
)

__all__ = [
    "Config",
    "DataConfig",
    "FinetuneConfig",
    "FinetuneDataConfig",
    "FinetuneTrainConfig",
    "GeneratorConfig",
    "GeneratorOptimizerConfig",
    "JsonConfig",
    "ModelConfig",
    "ObjectiveConfig",
    "OptimizerConfig",
    "RuntimeConfig",
    "TaskConfig",
    "TokenizerConfig",
    "TrainConfig",
    "load",
]
