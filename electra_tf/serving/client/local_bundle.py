"""A bundle in this process, called by lists: what looks at one without a server.

Like a server it needs TensorFlow and tensorflow_text, and nothing of Keras or of the models.
"""

import logging
import os

import numpy as np

from electra_tf import stderr
from electra_tf.errors import UserError
from electra_tf.serving.client.answers import plain
from electra_tf.serving.client.arrays import array_of
from electra_tf.serving.error_lines import reason

DEFAULT_SIGNATURE = "serving_default"


class LocalBundle:
    """The signatures of a bundle.

    Args:
        path: directory of one version, such as SERVING_DIR/1.

    Raises:
        UserError: the directory holds no SavedModel, or one that is not whole.
    """

    def __init__(self, path: str):
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        # TensorFlow says on loading that gradients were not saved; nobody wants any here.
        logging.getLogger("absl").setLevel(logging.ERROR)
        with stderr.muted():
            import tensorflow as tf
            import tensorflow_text  # noqa: F401 (registers the tokenizer's ops)

            from electra_tf.serving.graph_file import read_graph

            self._graph = read_graph(path)
            try:
                self._signatures = tf.saved_model.load(path).signatures
            except (tf.errors.OpError, IndexError, OSError, RuntimeError, ValueError) as error:
                raise UserError(
                    f"A bundle must be whole, as electra_tf export writes it. Received: {path}, "
                    f"which cannot be loaded ({reason(error)})"
                ) from error
        self.path, self._tensorflow = path, tf

    @property
    def signatures(self) -> list[str]:
        """The names of what can be called, sorted."""
        return sorted(self._signatures)

    def method(self, signature: str) -> str:
        """What a signature is made for, such as tensorflow/serving/predict."""
        self._specs(signature)
        return self._graph.signature_def[signature].method_name

    def inputs(self, signature: str) -> list[str]:
        """Names of the inputs of a signature, sorted; raises UserError if there is none such."""
        return sorted(self._specs(signature))

    def signature_definitions(self) -> dict[str, dict]:
        """The bundle's `SignatureDef`s as JSON, as a server's metadata shows them."""
        from google.protobuf import json_format

        return {
            name: json_format.MessageToDict(
                definition,
                preserving_proto_field_name=True,
                always_print_fields_with_no_presence=True,
            )
            for name, definition in self._graph.signature_def.items()
        }

    def predict(
        self, inputs: dict[str, list], signature: str = DEFAULT_SIGNATURE
    ) -> dict[str, list]:
        """Calls a signature.

        Args:
            inputs: nested lists by the names of the inputs, see `arrays.array_of`.
            signature: one of `signatures`.

        Returns:
            Nested lists by the names of the outputs, strings as str.

        Raises:
            UserError: there is no such signature, or its inputs are others.
        """
        outputs = self.run(self.arrays(inputs, signature), signature)
        return {name: plain(values) for name, values in outputs.items()}

    def arrays(self, inputs: dict[str, list], signature: str) -> dict[str, np.ndarray]:
        """The inputs of a signature as arrays; arguments and errors as of `predict`."""
        specs = self._specs(signature)
        if inputs.keys() != specs.keys():
            raise UserError(
                f"The inputs of {signature} must be {', '.join(sorted(specs))}. "
                f"Received: {', '.join(sorted(inputs)) or 'none'}"
            )
        return {
            name: array_of(
                name,
                inputs[name],
                spec.dtype.name,
                None if spec.shape.rank is None else tuple(spec.shape),
            )
            for name, spec in specs.items()
        }

    def run(self, arrays: dict[str, np.ndarray], signature: str) -> dict[str, np.ndarray]:
        """The outputs of a signature for inputs of `arrays`.

        Raises:
            UserError: the graph refuses them, for example as they do not fit each other, or there
                is not enough memory.
        """
        specs, errors = self._specs(signature), self._tensorflow.errors
        tensors = {
            name: self._tensorflow.constant(values, specs[name].dtype)
            for name, values in arrays.items()
        }
        try:
            outputs = self._signatures[signature](**tensors)
        except (errors.InvalidArgumentError, errors.ResourceExhaustedError) as error:
            raise UserError(f"{signature} refuses its inputs: {reason(error)}") from error
        return {name: value.numpy() for name, value in outputs.items()}

    def _specs(self, signature: str) -> dict:
        if not isinstance(signature, str) or signature not in self._signatures:
            raise UserError(
                f"A signature must be one of {', '.join(self.signatures)}. "
                f"Received: {signature} for {self.path}"
            )
        return self._signatures[signature].structured_input_signature[1]
