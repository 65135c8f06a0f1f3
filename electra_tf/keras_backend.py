"""Which backend Keras runs on: TensorFlow, whatever a user's other work has set."""

import importlib.util
import os
import sys
from collections.abc import Collection

from electra_tf.errors import UserError

_VARIABLE = "KERAS_BACKEND"


def require(backends: Collection[str] = ("tensorflow",)) -> None:
    """Has Keras run on TensorFlow, before or after its import; imports nothing.

    keras.json, which is for all that a user does, gives way. The environment variable
    KERAS_BACKEND, which is for what is started now, must not ask for something else.

    Args:
        backends: what the variable may ask for.

    Raises:
        UserError: the variable names another backend, or this process has imported Keras on one.
    """
    rule = (
        "electra_tf runs on Keras's TensorFlow backend (electra_tf benchmark also on jax): set the "
        f"environment variable {_VARIABLE} to tensorflow, or unset it"
    )
    keras = sys.modules.get("keras")
    if keras is not None and hasattr(keras, "config"):
        if keras.config.backend() not in backends:
            raise UserError(f"{rule}. Received: Keras imported on {keras.config.backend()}")
    elif os.environ.get(_VARIABLE):
        if os.environ[_VARIABLE] not in backends:
            raise UserError(f"{rule}. Received: {_VARIABLE}={os.environ[_VARIABLE]}")
    else:
        os.environ[_VARIABLE] = "tensorflow"
    if importlib.util.find_spec("tf_keras") is None:
        # It asks for Keras 2 as tf.keras, which then only fails, when tensorflow_text is imported.
        os.environ.pop("TF_USE_LEGACY_KERAS", None)


def ignore_settings() -> None:
    """Has a process of ours ignore keras.json, so that it changes no result; before Keras's import.

    It may say which precision floatx is, for example.
    """
    os.environ["KERAS_HOME"] = os.devnull  # a folder that has no files and takes none
