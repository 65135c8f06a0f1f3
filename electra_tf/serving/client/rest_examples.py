"""The REST API's verbs :classify and :regress: tf.Examples in, labels or numbers out."""

import numpy as np

from electra_tf.errors import UserError
from electra_tf.serving.client.answers import plain
from electra_tf.serving.client.arrays import bytes_of

METHODS = {verb: f"tensorflow/serving/{verb}" for verb in ("classify", "regress")}
_LARGEST = 2**63


def inputs_of(document: dict) -> dict[str, list[bytes]]:
    """The input of such a signature: serialized tf.Examples.

    Args:
        document: with "examples", objects of features; what they share may stand in "context".

    Raises:
        UserError: there are none, or a feature is no value or list of values of one type.
    """
    examples, context = document.get("examples"), document.get("context", {})
    if not isinstance(examples, list) or not examples:
        raise UserError("A request must have examples, a list of one or more. Received: no such")
    for example in [context, *examples]:
        if not isinstance(example, dict):
            raise UserError("An example must be an object of features. Received: another value")
    return {"inputs": [_serialized(context | example) for example in examples]}


def answer_of(outputs: dict[str, np.ndarray], verb: str) -> dict:
    """The answer to a request to classify or regress; UserError if the outputs are for neither."""
    names = ("classes", "scores") if verb == "classify" else ("outputs",)
    if any(name not in outputs for name in names):
        raise UserError(
            f"A signature to {verb} must answer with {' and '.join(names)}. "
            f"Received: {', '.join(sorted(outputs))}"
        )
    if verb == "regress":
        return {"results": plain(outputs["outputs"].reshape(-1))}
    pairs = zip(plain(outputs["classes"]), plain(outputs["scores"]))
    return {"results": [[list(pair) for pair in zip(*row)] for row in pairs]}


def _serialized(features: dict) -> bytes:
    from tensorflow.core.example import example_pb2, feature_pb2  # with TensorFlow

    made = {name: _feature(name, value, feature_pb2) for name, value in features.items()}
    return example_pb2.Example(features=feature_pb2.Features(feature=made)).SerializeToString()


def _feature(name: str, value, feature_pb2):
    values = value if isinstance(value, list) else [value]
    if all(isinstance(one, (str, dict)) for one in values):
        texts = [bytes_of(name, one) for one in values]
        return feature_pb2.Feature(bytes_list=feature_pb2.BytesList(value=texts))
    if all(isinstance(one, int) and -_LARGEST <= one < _LARGEST for one in values):
        return feature_pb2.Feature(int64_list=feature_pb2.Int64List(value=values))
    if all(isinstance(one, float) for one in values):
        return feature_pb2.Feature(float_list=feature_pb2.FloatList(value=values))
    raise UserError(f"The feature {name} must be strings, integers or fractions. Received: others")
