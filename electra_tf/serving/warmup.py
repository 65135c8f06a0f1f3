"""Requests that a server answers before it takes a model into use.

A first call of each kind costs many times a later one: memory is laid out and, on a GPU, kernels
are chosen. TensorFlow Serving replays the file that this writes while the model is still loading.
"""

import os
from typing import Protocol

import tensorflow as tf
from google.protobuf.message import DecodeError

from electra_tf import extras, file_systems
from electra_tf.errors import UserError

with extras.needed("serving"):
    from tensorflow_serving.apis import (
        classification_pb2,
        input_pb2,
        model_pb2,
        predict_pb2,
        prediction_log_pb2,
        regression_pb2,
    )

FILE = os.path.join("assets.extra", "tf_serving_warmup_requests")
BATCH_SIZES = (1, 8)
WORDS = (8, 64)  # of a text; and as many as the model has tokens
_MODEL = "model"  # a server looks at the signature's name alone
_TEXT = """
The first request after a model has been loaded takes longer than all those that follow, because
memory is laid out and the quickest way to compute is looked for while it waits; so a server asks
itself some questions of different lengths first, and only then answers the questions of others.
""".split()


class Warmable(Protocol):
    """What can be warmed up."""

    max_seq_length: int

    def warmup_inputs(self, texts: list[str]) -> dict[str, dict | list[tf.train.Example]]:
        """By signature what an RPC takes: named tensors, or examples to classify or regress."""
        ...


def write(servable: Warmable, bundle: str) -> int:
    """Writes the warm-up file of a bundle; returns the number of its requests.

    Every signature is asked with short and long texts, one at a time and in a batch.
    """
    lengths = sorted(
        {min(words, servable.max_seq_length) for words in WORDS} | {servable.max_seq_length}
    )
    logs = [
        log_of(signature, inputs)
        for words in lengths
        for batch_size in BATCH_SIZES
        for signature, inputs in servable.warmup_inputs(texts(batch_size, words)).items()
    ]
    path = os.path.join(bundle, FILE)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with tf.io.TFRecordWriter(path) as writer:
        for log in logs:
            # In one order of maps: two exports of a model are the same bytes.
            writer.write(log.SerializeToString(deterministic=True))
    return len(logs)


def read(bundle: str) -> list[prediction_log_pb2.PredictionLog]:
    """The warm-up requests of a bundle.

    Raises:
        UserError: it has none, or a file that cannot be read.
    """
    path = os.path.join(bundle, FILE)
    if not file_systems.exists(path):
        raise UserError(f"A bundle must have {FILE}. Received: {bundle} without it")
    try:
        return [
            prediction_log_pb2.PredictionLog.FromString(record.numpy())
            for record in tf.data.TFRecordDataset(path)
        ]
    except (tf.errors.DataLossError, DecodeError) as error:
        raise UserError(
            f"A warm-up file must hold whole PredictionLogs. Received: {path} "
            f"({str(error).splitlines()[0]})"
        ) from None


def texts(number: int, num_words: int) -> list[str]:
    """Different texts of so many English words each."""
    return [
        " ".join(_TEXT[(first + word) % len(_TEXT)] for word in range(num_words))
        for first in range(number)
    ]


def log_of(
    signature: str, inputs: dict | list[tf.train.Example]
) -> prediction_log_pb2.PredictionLog:
    """One request as TensorFlow Serving logs it.

    Args:
        signature: its name; `classify` and `regress` take examples.
        inputs: named tensors, or what they are made of; or examples.
    """
    model = model_pb2.ModelSpec(name=_MODEL, signature_name=signature)
    if isinstance(inputs, dict):
        tensors = {name: tf.make_tensor_proto(value) for name, value in inputs.items()}
        return prediction_log_pb2.PredictionLog(
            predict_log=prediction_log_pb2.PredictLog(
                request=predict_pb2.PredictRequest(model_spec=model, inputs=tensors)
            )
        )
    given = input_pb2.Input(example_list=input_pb2.ExampleList(examples=inputs))
    if signature == "regress":
        return prediction_log_pb2.PredictionLog(
            regress_log=prediction_log_pb2.RegressLog(
                request=regression_pb2.RegressionRequest(model_spec=model, input=given)
            )
        )
    return prediction_log_pb2.PredictionLog(
        classify_log=prediction_log_pb2.ClassifyLog(
            request=classification_pb2.ClassificationRequest(model_spec=model, input=given)
        )
    )
