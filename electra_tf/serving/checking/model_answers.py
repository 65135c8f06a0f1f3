"""A bundle's answers against those of the Keras model it was exported from."""

from collections.abc import Callable

import keras
import numpy as np
from absl import logging
from tensorflow.core.framework import types_pb2

from electra_tf import objectives
from electra_tf.errors import UserError
from electra_tf.saved import model_directory
from electra_tf.saved.finetuned import config_of, is_finetuned, load_network
from electra_tf.serving.checking.contents import DEFAULT, Bundle
from electra_tf.serving.checking.requests import HARD_TEXTS, Request
from electra_tf.serving.checking.session import ServingSession
from electra_tf.serving.graph.finetuned import servable_of
from electra_tf.serving.graph.servable import Expected
from electra_tf.tasks.finetuning import predict_outputs
from electra_tf.text import tokenization
from electra_tf.text.vocabulary import MASK

TOLERANCE, BFLOAT16_TOLERANCE = 1e-5, 5e-2  # of the largest number, or of 1
_TEXTS = [text for text in HARD_TEXTS if MASK.encode() not in text]
_VALID = [text.decode(errors="ignore") for text in _TEXTS]


class Differences:
    """How far a bundle is from its model, by signature and output.

    Args:
        tolerance: of the largest number expected, at least of 1.
    """

    def __init__(self, tolerance: float):
        self.tolerance, self.largest = tolerance, 0.0

    def add(self, what: str, answered, expected) -> None:
        """Raises UserError if numbers differ by more than the tolerance, or others at all."""
        answered, expected = np.asarray(answered), np.asarray(expected)
        if answered.shape != expected.shape:
            raise UserError(
                f"{what} must have the model's shape {list(expected.shape)}. "
                f"Received: {list(answered.shape)}"
            )
        if not np.issubdtype(expected.dtype, np.floating):
            if (answered != expected).any():
                raise UserError(
                    f"{what} must be the model's {expected.tolist()}. "
                    f"Received: {answered.tolist()}"[:400]
                )
        elif expected.size:
            difference = np.abs(answered - expected).max() / max(1.0, np.abs(expected).max())
            if not difference <= self.tolerance:
                raise UserError(
                    f"{what} must be the model's to within {self.tolerance:g}. "
                    f"Received: a difference of {difference:.2g}"
                )
            self.largest = max(self.largest, float(difference))


def compare(bundle: Bundle, session: ServingSession, workdir: str) -> str:
    """Compares answers to hard texts.

    Args:
        bundle, session: to ask.
        workdir: the run or model directory that it was exported from.

    Returns:
        How far they are apart, in words.

    Raises:
        UserError: the answers are not the model's, or there is no such model.
    """
    tokenization.require_same(
        bundle.fingerprint,
        tokenization.fingerprint_of(workdir, config_of(workdir).data),
        f"A bundle must have the vocabulary and the tokenizer settings of its model. Received: "
        f"{bundle.path} with {workdir}",
    )
    is_bfloat16 = bundle.computes_in(types_pb2.DT_BFLOAT16)
    differences = Differences(BFLOAT16_TOLERANCE if is_bfloat16 else TOLERANCE)
    if is_finetuned(workdir):
        compared = _compare_finetuned(bundle, session, workdir, differences)
    else:
        compared = _compare_pretrained(bundle, session, workdir, differences)
    return (
        f"{', '.join(compared)} as {workdir} for {len(_TEXTS)} texts, largest difference "
        f"{differences.largest:.1g}"
    )


def _compare_pretrained(bundle, session, workdir, differences) -> list[str]:
    model = model_directory.load_network(workdir)
    able = objectives.objective_class(model.config).answerable(model)
    compared = [served for served in able if served.signature in bundle.signatures]
    left_out = bundle.signatures.keys() - {served.signature for served in compared} - {DEFAULT}
    if not compared or left_out:
        raise UserError(
            f"The bundle of a pre-trained model must have signatures out of "
            f"{', '.join(served.signature for served in able)}. "
            f"Received: {', '.join(bundle.signatures)}"
        )
    for served in compared:
        _PRETRAINED[served.signature](
            model, served, session, served.signature, bundle.max_seq_length, differences
        )
    return [served.signature for served in compared]


def _ask(session, signature, texts) -> dict[str, np.ndarray]:
    inputs = {name: np.array(values, object) for name, values in texts.items()}
    return session.answer(Request(signature, inputs, "texts"))


def _rows(model: keras.Model, longest: int | None, before=()):
    """For each text its number and what a model reads for it alone, int32 [1, L]."""
    vocabulary = model.tokenizer.vocabulary
    room = (longest or model.config.model.max_positions) - 2
    for row, ids in enumerate(model.tokenizer.tokenize(_VALID)):
        ids = [vocabulary.cls_id, *[*before, *ids][:room], vocabulary.sep_id]
        ids = np.array([ids], np.int32)
        yield (
            row,
            {"input_ids": ids, "input_mask": np.ones_like(ids), "segment_ids": np.zeros_like(ids)},
        )


def _compare_detection(model, served, session, name, longest, differences) -> None:
    encoder, head = served.layers(model)
    answers = _ask(session, name, {"text": _TEXTS})
    for row, batch in _rows(model, longest):
        length = batch["input_ids"].size
        differences.add(
            f"{name}, token_ids of {_VALID[row][:40]!r}",
            answers["token_ids"][row][answers["mask"][row] > 0],
            batch["input_ids"][0],
        )
        differences.add(
            f"{name}, replaced_probability of {_VALID[row][:40]!r}",
            answers["replaced_probability"][row, :length],
            1 / (1 + np.exp(-np.asarray(head(encoder(batch)))[0])),
        )


def _compare_scores(model, served, session, name, longest, differences) -> None:
    encoder, head = served.layers(model)
    answers = _ask(session, name, {"text": _TEXTS})
    for row, batch in _rows(model, longest):
        scores = np.array(served.token_score(head(encoder(batch))))[0]
        scores[[0, -1]] = 0.0  # [CLS] and [SEP]
        what = f"of {_VALID[row][:40]!r}"
        differences.add(
            f"{name}, token_scores {what}", answers["token_scores"][row, : scores.size], scores
        )
        differences.add(f"{name}, score {what}", answers["score"][row], scores.sum())


def _compare_logits(model, served, session, name, longest, differences) -> None:
    encoder, head = served.layers(model)
    for row, batch in _rows(model, longest):
        answers = session.answer(Request(name, batch, "ids"))
        differences.add(
            f"{name}, logits of {_VALID[row][:40]!r}",
            answers["logits"],
            np.asarray(head(encoder(batch))),
        )


def _compare_hidden(model, served, session, name, longest, differences) -> None:
    encoder, _ = served.layers(model)
    answers = _ask(session, name, {"text": _TEXTS})
    for row, batch in _rows(model, longest):
        hidden = np.asarray(encoder(batch))[0]
        what = f"of {_VALID[row][:40]!r}"
        differences.add(
            f"{name}, sequence_output {what}",
            answers["sequence_output"][row, : len(hidden)],
            hidden,
        )
        differences.add(f"{name}, pooled_output {what}", answers["pooled_output"][row], hidden[0])


def _compare_filling(model, served, session, name, longest, differences) -> None:
    """Of [MASK] before each text: the best probabilities, and that they are their tokens'."""
    encoder, head = served.layers(model)
    assert encoder is not None and head is not None, "the signature needs them"
    vocabulary = model.tokenizer.vocabulary
    numbers = {token.encode(): number for number, token in enumerate(vocabulary.tokens)}
    answers = _ask(session, name, {"text": [MASK.encode() + b" " + text for text in _TEXTS]})
    for row, batch in _rows(model, longest, before=[vocabulary.mask_id]):
        logits = np.asarray(head(encoder(batch), np.array([[1]], np.int32)), np.float64)[0]
        expected = np.exp(logits - logits.max())
        expected = (expected / expected.sum())[: len(vocabulary)]
        tokens, probabilities = answers["tokens"][row, 0], answers["probabilities"][row, 0]
        what = f"{name}, probabilities of {_VALID[row][:40]!r}"
        differences.add(what, probabilities, np.sort(expected)[::-1][: len(tokens)])
        differences.add(what, probabilities, expected[[numbers[token] for token in tokens]])


_PRETRAINED: dict[str, Callable] = {
    "detect_replaced": _compare_detection,
    "detect_replaced_ids": _compare_logits,
    "encode": _compare_hidden,
    "fill_mask": _compare_filling,
    "score": _compare_scores,
}


def _compare_finetuned(bundle, session, workdir, differences) -> list[str]:
    task, model, tokenizer, _ = load_network(workdir, bundle.max_seq_length)
    servable = servable_of(task)
    # Each input has the texts in an order of its own.
    orders = {
        name: [*range(shift, len(_TEXTS)), *range(shift)]
        for shift, name in enumerate(sorted(bundle.signatures[DEFAULT].inputs))
    }
    asked = {name: [_TEXTS[place] for place in order] for name, order in orders.items()}
    rows = [
        servable.row({name: _VALID[place] for name, place in zip(orders, places)})
        for places in zip(*orders.values())
    ]
    kept = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)  # that long texts are cut is no news here
    try:
        examples = _examples(task, rows, workdir)
        encoded = task.encode(examples, tokenizer, training=False)
    finally:
        logging.set_verbosity(kept)
    outputs = predict_outputs(task, model, encoded)
    predictions = task.predict(examples, encoded, outputs)
    expected = Expected(task, examples, encoded, outputs, predictions)
    answers = _ask(session, DEFAULT, asked)
    try:
        for comparison in servable.comparisons(answers, expected):
            differences.add(*comparison)
    except KeyError as missing:
        raise UserError(
            f"The bundle must be that of {workdir}, which answers with {missing}. Received: "
            f"{bundle.path} with {', '.join(answers)}"
        ) from missing
    return [DEFAULT]


def _examples(task, rows, workdir):
    try:
        return task.examples_from_rows(rows)
    except UserError as error:
        raise UserError(f"The bundle must be that of {workdir}, by its inputs: {error}") from error
