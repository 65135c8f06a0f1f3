"""A bundle in this process, called by lists: what looks at one without a server.

Like a server it needs TensorFlow and tensorflow_text, and nothing of Keras or of the models.
"""

import contextlib
import logging
import os
from collections.abc import Iterator

from electra_tf.serving.client.answers import plain

DEFAULT_SIGNATURE = "serving_default"


class LocalBundle:
    """The signatures of a bundle.

    Args:
        path: directory of one version, such as SERVING_DIR/1.

    Raises:
        ValueError: the directory holds no SavedModel.
    """

    def __init__(self, path: str):
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        # TensorFlow says on loading that gradients were not saved; nobody wants any here.
        logging.getLogger("absl").setLevel(logging.ERROR)
        with quiet_start():
            import tensorflow as tf
            import tensorflow_text  # noqa: F401 (registers the tokenizer's ops)

            from electra_tf.serving.graph_file import read_graph

            self._graph = read_graph(path)
            self._signatures = tf.saved_model.load(path).signatures
        self.path, self._tensorflow = path, tf

    @property
    def signatures(self) -> list[str]:
        """The names of what can be called, sorted."""
        return sorted(self._signatures)

    def inputs(self, signature: str) -> list[str]:
        """Names of the inputs of a signature, sorted; raises ValueError if there is none such."""
        return sorted(self._specs(signature))

    def signature_definitions(self) -> dict[str, dict]:
        """The bundle's `SignatureDef`s as JSON, as a server's metadata shows them."""
        from google.protobuf import json_format

        return {name: json_format.MessageToDict(
            definition, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
            for name, definition in self._graph.signature_def.items()}

    def predict(self, inputs: dict[str, list], signature: str = DEFAULT_SIGNATURE
                ) -> dict[str, list]:
        """Calls a signature.

        Args:
            inputs: nested lists by the names of the inputs; strings as str or bytes.
            signature: one of `signatures`.

        Returns:
            Nested lists by the names of the outputs, strings as str.

        Raises:
            ValueError: there is no such signature, or it has other inputs.
        """
        specs, tf = self._specs(signature), self._tensorflow
        if inputs.keys() != specs.keys():
            raise ValueError(f"The inputs of {signature} must be {', '.join(sorted(specs))}. "
                             f"Received: {', '.join(sorted(inputs)) or 'none'}")
        tensors = {}
        for name, value in inputs.items():
            try:
                tensors[name] = tf.constant(value, specs[name].dtype)
            except (TypeError, ValueError) as error:
                raise ValueError(f"{name} must be made of {specs[name].dtype.name}s. Received: "
                                 f"{error}") from error
            if not specs[name].shape.is_compatible_with(tensors[name].shape):
                raise ValueError(f"{name} must have the shape {specs[name].shape}. Received: "
                                 f"{tensors[name].shape}")
        try:
            outputs = self._signatures[signature](**tensors)
        except tf.errors.InvalidArgumentError as error:  # such as lists of different lengths
            raise ValueError(f"The inputs must fit each other. Received: {error}") from error
        return {name: plain(value.numpy()) for name, value in outputs.items()}

    def _specs(self, signature: str) -> dict:
        if signature not in self._signatures:
            raise ValueError(f"A signature must be one of {', '.join(self.signatures)}. "
                             f"Received: {signature} for {self.path}")
        return self._signatures[signature].structured_input_signature[1]


@contextlib.contextmanager
def quiet_start() -> Iterator[None]:
    """Hides what TensorFlow's C++ side says on every start, whatever its log level."""
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
