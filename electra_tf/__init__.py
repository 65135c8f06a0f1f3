"""electra_tf: ELECTRA pre-training on TensorFlow, from raw text to a served model.

Names are loaded on first use, so that `import electra_tf` (which every Beam worker and every
command does) costs nothing and imports neither TensorFlow nor Keras.
"""

import importlib

__version__ = "0.1.0"

_EXPORTS = {
    "Tokenizer": "electra_tf.text.wordpiece",
    "Vocabulary": "electra_tf.text.vocabulary",
    "load": "electra_tf.train.model_directory",
}

__all__ = sorted(_EXPORTS)


def __getattr__(name: str):
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_EXPORTS[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_EXPORTS})
