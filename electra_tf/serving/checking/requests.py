"""What a bundle is asked while it is checked."""

import os
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import types_pb2

from electra_tf import extras
from electra_tf.errors import UserError
from electra_tf.serving import warmup
from electra_tf.serving.checking.contents import Bundle

with extras.needed("serving"):
    from tensorflow_serving.apis import prediction_log_pb2

# Any bytes must have an answer: of each kind one, in one batch of mixed lengths.
HARD_TEXTS = (
    b"",
    b" \t\n",
    b"a",
    b"x" * 1000,
    b"word after word " * 600,
    b"[MASK] [SEP] [CLS]",
    b"The quick brown fox, they say, jumps over 13 lazy dogs.",
    "na\u00efve \u00dcber-stra\u00dfe, \u65e5\u672c!".encode(),  # accents, Japanese
    "\U0001f600\U0001f469\u200d\U0001f469 ok".encode(),  # emoji, two of them joined
    "\u202e\u0645\u0631\u062d\u0628\u0627 ok".encode(),  # Arabic, from right to left
    b"the\xff mo\xc3del \xe4\xb8 \x00\x07of",
)


class Request(NamedTuple):
    """One call.

    Attributes:
        signature: its name.
        inputs: arrays by the signature's names, [B, …]; strings as object arrays of bytes.
        source: where it comes from, in words.
    """

    signature: str
    inputs: dict[str, np.ndarray]
    source: str

    def __str__(self) -> str:
        return f"{self.source} to {self.signature}"


def warmup_requests(bundle: Bundle) -> list[Request]:
    """The requests in assets.extra; [] where there is no file.

    Raises:
        UserError: the file cannot be read, or asks for a signature that is not there.
    """
    if not os.path.exists(os.path.join(bundle.path, warmup.FILE)):
        return []
    requests = [
        _of_log(log, f"warm-up request {number}")
        for number, log in enumerate(warmup.read(bundle.path), start=1)
    ]
    for request in requests:
        if request.signature not in bundle.signatures:
            raise UserError(
                f"A warm-up request must be for one of "
                f"{', '.join(bundle.signatures)}. Received: {request.signature}"
            )
    return requests


def hard_requests(bundle: Bundle, known: list[Request]) -> list[Request]:
    """Hard texts, token ids of two lengths, and no rows at all for every signature.

    Args:
        bundle: what to ask.
        known: warm-up requests; they show which fields a signature's examples have. Without
            them there are no requests for such a signature.
    """
    requests = []
    for name, signature in bundle.signatures.items():
        of_texts = {info.dtype for info in signature.inputs.values()} == {types_pb2.DT_STRING}
        if bundle.takes_examples(name):
            fields = _example_fields(name, known)
            if fields:
                texts = text_inputs(fields)
                rows = [_example(dict(zip(texts, row))) for row in zip(*texts.values())]
                requests.append(Request(name, {"inputs": np.array(rows, object)}, "hard texts"))
        elif of_texts:
            inputs = text_inputs(sorted(signature.inputs))
            nothing = {field: np.array([], object) for field in inputs}
            requests += [Request(name, inputs, "hard texts"), Request(name, nothing, "no rows")]
        else:
            requests += [
                Request(name, token_inputs(signature.inputs, rows, length), source)
                for rows, length, source in (
                    (3, 9, "token ids"),
                    (1, 4, "token ids"),
                    (0, 4, "no rows"),
                )
            ]
    return requests


def text_inputs(names: list[str]) -> dict[str, np.ndarray]:
    """The hard texts for every input, in different orders."""
    return {
        name: np.array(HARD_TEXTS[shift:] + HARD_TEXTS[:shift], object)
        for shift, name in enumerate(names)
    }


def token_inputs(names, rows: int, length: int) -> dict[str, np.ndarray]:
    """Token ids that every vocabulary has, int32 [B, L]; of several rows the last has padding."""
    mask = np.ones([rows, length], np.int32)
    if rows > 1:
        mask[-1, -2:] = 0
    ids = (np.arange(rows * length, dtype=np.int32).reshape(rows, length) % 7) * mask
    values = {"input_mask": mask, "input_ids": ids}
    return {name: values.get(name, np.zeros_like(ids)) for name in names}


def timing_request(
    bundle: Bundle, signature: str, rows: int, length: int, random: np.random.Generator
) -> Request:
    """Random words of the vocabulary: so many rows of so many tokens, special ones included.

    Raises:
        UserError: there are no such requests for this signature.
    """
    inputs = bundle.signatures[signature].inputs
    if {info.dtype for info in inputs.values()} != {types_pb2.DT_STRING}:
        return Request(signature, token_inputs(inputs, rows, length), "timing")
    words, room = bundle.words(), length - 1 - len(inputs)
    if bundle.takes_examples(signature) or not words or room < len(inputs):
        raise UserError(
            "A signature to measure must take texts or token ids, its bundle have a "
            f"vocabulary, and each text a token. Received: {signature}, {len(words)} "
            f"words, length {length}"
        )
    arrays = {}
    for place, name in enumerate(inputs):
        number = room // len(inputs) + (place < room % len(inputs))
        texts = [" ".join(random.choice(words, number)).encode() for _ in range(rows)]
        arrays[name] = np.array(texts, object)
    return Request(signature, arrays, "timing")


def _of_log(log: prediction_log_pb2.PredictionLog, source: str) -> Request:
    kind = log.WhichOneof("log_type")
    if kind not in ("predict_log", "classify_log", "regress_log"):
        raise UserError(
            "A warm-up request must be a predict, classify or regress log. "
            f"Received: {kind} as {source}"
        )
    request = getattr(log, kind).request
    signature = request.model_spec.signature_name
    if kind == "predict_log":
        return Request(
            signature,
            {name: tf.make_ndarray(value) for name, value in request.inputs.items()},
            source,
        )
    rows = [example.SerializeToString() for example in request.input.example_list.examples]
    return Request(signature, {"inputs": np.array(rows, object)}, source)


def _example_fields(signature: str, known: list[Request]) -> list[str]:
    """Fields of the first example that is known for a signature."""
    for request in known:
        if request.signature == signature and len(request.inputs["inputs"]):
            example = tf.train.Example.FromString(request.inputs["inputs"][0])
            return sorted(example.features.feature)
    return []


def _example(texts: dict[str, bytes]) -> bytes:
    features = {
        name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[text]))
        for name, text in texts.items()
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
