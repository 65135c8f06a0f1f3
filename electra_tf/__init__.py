"""electra_tf: ELECTRA pre-training on TensorFlow, from raw text to a served model.

    model = electra_tf.load("runs/mine")     a model directory of any kind
    model.predict(["The cat sat."])
    electra_tf.pretrain(config, workdir)     what the commands of the same names do
    electra_tf.finetune(config, workdir)
    electra_tf.export(model, output)

Names are loaded on first use, so that `import electra_tf` (which every Beam worker and every
command does) costs nothing and imports neither TensorFlow nor Keras.
"""

import importlib
import os
import platform
from typing import TYPE_CHECKING

# On CPUs, TensorFlow's usual allocator gives every large block back to the system and asks for it
# again; training without that is up to twice as quick. TensorFlow reads this where it allocates
# first, so it must stand here. The limit is 64 GiB otherwise; this is none.
os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "true")
os.environ.setdefault("TF_CPU_BFC_MEM_LIMIT_IN_MB", str(1 << 30))
# oneDNN's matrix products, which TensorFlow takes by itself only on newer x86 processors, are
# quicker on those with AVX2, too, most of all small ones.
if platform.machine() in ("x86_64", "AMD64"):
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

if TYPE_CHECKING:  # for editors and type checkers; `__getattr__` loads them
    from electra_tf.config import Config, FinetuneConfig
    from electra_tf.errors import UserError
    from electra_tf.runs.finetuning import finetune
    from electra_tf.runs.loaded import load
    from electra_tf.runs.pretraining import pretrain
    from electra_tf.serving.bundle import export_run as export
    from electra_tf.text.vocabulary import Vocabulary
    from electra_tf.text.wordpiece import WordPiece as Tokenizer

__version__ = "0.1.0"

_EXPORTS = {
    "Config": "electra_tf.config",
    "FinetuneConfig": "electra_tf.config",
    "Tokenizer": "electra_tf.text.wordpiece:WordPiece",
    "UserError": "electra_tf.errors",
    "Vocabulary": "electra_tf.text.vocabulary",
    "export": "electra_tf.serving.bundle:export_run",
    "finetune": "electra_tf.runs.finetuning",
    "load": "electra_tf.runs.loaded",
    "pretrain": "electra_tf.runs.pretraining",
}

__all__ = [
    "Config",
    "FinetuneConfig",
    "Tokenizer",
    "UserError",
    "Vocabulary",
    "export",
    "finetune",
    "load",
    "pretrain",
]


_WITHOUT_TENSORFLOW = ("Config", "FinetuneConfig", "UserError", "Vocabulary")


def __getattr__(name: str):
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _EXPORTS[name].partition(":")
    if name not in _WITHOUT_TENSORFLOW:
        importlib.import_module("electra_tf.keras_backend").require()
        importlib.import_module("electra_tf.stderr").import_tensorflow()
    return getattr(importlib.import_module(module), attribute or name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_EXPORTS})
