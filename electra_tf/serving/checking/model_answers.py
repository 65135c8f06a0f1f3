"""A bundle's answers against those of the Keras model it was exported from."""

import json
import os
import tempfile
from collections.abc import Callable

import numpy as np
from absl import logging
from tensorflow.core.framework import types_pb2

from electra_tf.files import write_text
from electra_tf.models.electra import Electra, MaskedLM
from electra_tf.serving.checking.contents import DEFAULT, Bundle
from electra_tf.serving.checking.requests import HARD_TEXTS, Request
from electra_tf.serving.checking.session import ServingSession
from electra_tf.serving.graph.finetuned import is_finetuned, load_network
from electra_tf.tasks.finetuning import FinetuningTask
from electra_tf.tasks.finetuning_loop import predict_outputs
from electra_tf.tasks.question_answering import QuestionAnsweringTask
from electra_tf.tasks.tagging import TaggingTask
from electra_tf.text.vocabulary import MASK
from electra_tf.train import model_directory

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
        """Raises ValueError if numbers differ by more than the tolerance, or others at all."""
        answered, expected = np.asarray(answered), np.asarray(expected)
        if answered.shape != expected.shape:
            raise ValueError(f"{what} must have the model's shape {list(expected.shape)}. "
                             f"Received: {list(answered.shape)}")
        if not np.issubdtype(expected.dtype, np.floating):
            if (answered != expected).any():
                raise ValueError(f"{what} must be the model's {expected.tolist()}. "
                                 f"Received: {answered.tolist()}"[:400])
        elif expected.size:
            difference = np.abs(answered - expected).max() / max(1.0, np.abs(expected).max())
            if not difference <= self.tolerance:
                raise ValueError(f"{what} must be the model's to within {self.tolerance:g}. "
                                 f"Received: a difference of {difference:.2g}")
            self.largest = max(self.largest, float(difference))


def compare(bundle: Bundle, session: ServingSession, workdir: str) -> str:
    """Compares answers to hard texts.

    Args:
        bundle, session: to ask.
        workdir: the run or model directory that it was exported from.

    Returns:
        How far they are apart, in words.

    Raises:
        ValueError: the answers are not the model's, or there is no such model.
    """
    is_bfloat16 = bundle.computes_in(types_pb2.DT_BFLOAT16)
    differences = Differences(BFLOAT16_TOLERANCE if is_bfloat16 else TOLERANCE)
    if is_finetuned(workdir):
        compared = _compare_finetuned(bundle, session, workdir, differences)
    else:
        compared = _compare_pretrained(bundle, session, workdir, differences)
    return (f"{', '.join(compared)} as {workdir} for {len(_TEXTS)} texts, largest difference "
            f"{differences.largest:.1g}")


def _compare_pretrained(bundle, session, workdir, differences) -> list[str]:
    model = model_directory.load(workdir)
    compared = [name for name in _PRETRAINED if name in bundle.signatures]
    if not compared:
        raise ValueError(f"The bundle of a pre-trained model must have one of "
                         f"{', '.join(_PRETRAINED)}. Received: {', '.join(bundle.signatures)}")
    for name in compared:
        _PRETRAINED[name](model, session, name, bundle.max_seq_length, differences)
    return compared


def _ask(session, signature, texts) -> dict[str, np.ndarray]:
    inputs = {name: np.array(values, object) for name, values in texts.items()}
    return session.answer(Request(signature, inputs, "texts"))


def _rows(model: Electra | MaskedLM, longest: int | None, before=()):
    """For each text its number and what a model reads for it alone, int32 [1, L]."""
    vocabulary = model.tokenizer.vocabulary
    room = (longest or model.config.model.max_positions) - 2
    for row, ids in enumerate(model.tokenizer.tokenize(_VALID)):
        ids = [vocabulary.cls_id, *[*before, *ids][:room], vocabulary.sep_id]
        ids = np.array([ids], np.int32)
        yield row, {"input_ids": ids, "input_mask": np.ones_like(ids),
                    "segment_ids": np.zeros_like(ids)}


def _compare_detection(model, session, name, longest, differences) -> None:
    answers = _ask(session, name, {"text": _TEXTS})
    for row, batch in _rows(model, longest):
        length = batch["input_ids"].size
        differences.add(f"{name}, token_ids of {_VALID[row][:40]!r}",
                        answers["token_ids"][row][answers["mask"][row] > 0], batch["input_ids"][0])
        differences.add(f"{name}, replaced_probability of {_VALID[row][:40]!r}",
                        answers["replaced_probability"][row, :length],
                        1 / (1 + np.exp(-np.asarray(model(batch))[0])))


def _compare_logits(model, session, name, longest, differences) -> None:
    for row, batch in _rows(model, longest):
        answers = session.answer(Request(name, batch, "ids"))
        differences.add(f"{name}, logits of {_VALID[row][:40]!r}", answers["logits"],
                        np.asarray(model(batch)))


def _compare_hidden(model, session, name, longest, differences) -> None:
    encoder = model.discriminator if isinstance(model, Electra) else model.encoder
    answers = _ask(session, name, {"text": _TEXTS})
    for row, batch in _rows(model, longest):
        hidden = np.asarray(encoder(batch))[0]
        what = f"of {_VALID[row][:40]!r}"
        differences.add(f"{name}, sequence_output {what}",
                        answers["sequence_output"][row, :len(hidden)], hidden)
        differences.add(f"{name}, pooled_output {what}", answers["pooled_output"][row], hidden[0])


def _compare_filling(model, session, name, longest, differences) -> None:
    """Of [MASK] before each text: the best probabilities, and that they are their tokens'."""
    is_electra = isinstance(model, Electra)
    encoder, head = ((model.generator, model.generator_head) if is_electra
                     else (model.encoder, model.head))
    vocabulary = model.tokenizer.vocabulary
    numbers = {token.encode(): number for number, token in enumerate(vocabulary.tokens)}
    answers = _ask(session, name, {"text": [MASK.encode() + b" " + text for text in _TEXTS]})
    for row, batch in _rows(model, longest, before=[vocabulary.mask_id]):
        logits = np.asarray(head(encoder(batch), np.array([[1]], np.int32)), np.float64)[0]
        expected = np.exp(logits - logits.max())
        expected = (expected / expected.sum())[:len(vocabulary)]
        tokens, probabilities = answers["tokens"][row, 0], answers["probabilities"][row, 0]
        what = f"{name}, probabilities of {_VALID[row][:40]!r}"
        differences.add(what, probabilities, np.sort(expected)[::-1][:len(tokens)])
        differences.add(what, probabilities, expected[[numbers[token] for token in tokens]])


_PRETRAINED: dict[str, Callable] = {
    "detect_replaced": _compare_detection, "detect_replaced_ids": _compare_logits,
    "encode": _compare_hidden, "fill_mask": _compare_filling}


def _compare_finetuned(bundle, session, workdir, differences) -> list[str]:
    task, model, tokenizer, _ = load_network(workdir, bundle.max_seq_length)
    inputs = sorted(bundle.signatures[DEFAULT].inputs)  # a text is before its pair
    places = {name: [*range(shift, len(_TEXTS)), *range(shift)]
              for shift, name in enumerate(inputs)}
    answers = _ask(session, DEFAULT, {name: [_TEXTS[place] for place in of_input]
                                      for name, of_input in places.items()})
    texts = {name: [_VALID[place] for place in of_input] for name, of_input in places.items()}
    with tempfile.TemporaryDirectory() as folder:
        kept = logging.get_verbosity()
        logging.set_verbosity(logging.ERROR)  # that long texts are cut is no news here
        try:
            examples = task.read_file(_write_texts(task, texts, folder))
            encoded = task.encode(examples, tokenizer, training=False)
        finally:
            logging.set_verbosity(kept)
        outputs = predict_outputs(task, model, encoded)
        predictions = task.predict(examples, encoded, outputs)
        if isinstance(task, QuestionAnsweringTask):
            file_name = os.path.join(folder, "answers.json")
            task.write_file(examples, predictions, file_name)
            with open(file_name, encoding="utf-8") as file:
                _compare_spans(answers, json.load(file), predictions, differences)
        elif isinstance(task, TaggingTask):
            there = answers["mask"] > 0
            differences.add("tags", [tag.decode() for tag in answers["tags"][there]],
                            [tag for row in predictions for tag in row])
            differences.add("probability", answers["probability"][there],
                            outputs["probability"][encoded.starts])
        elif task.kind == "regression":
            differences.add("score", answers["score"], outputs["scores"][:, 0])
        else:
            differences.add("probabilities", answers["probabilities"], outputs["probabilities"])
    return [DEFAULT]


def _compare_spans(answers, texts: dict[str, str], predictions, differences) -> None:
    """Of questions, which are called "0", "1", …; a score is that of the likeliest span."""
    names = [str(row) for row in range(len(answers["answer"]))]
    differences.add("answer", [answer.decode() for answer in answers["answer"]],
                    [texts[name] for name in names])
    best = [predictions.nbest[name][:1] for name in names]
    found = np.array([bool(spans) for spans in best])  # the score of none is as good as infinite
    differences.add("score", answers["score"][found],
                    np.array([span["start_log_prob"] + span["end_log_prob"]
                              for spans in best for span in spans]))
    if "null_score" in answers:
        odds = np.array([predictions.null_odds[name] for name in names])
        differences.add("null_score", answers["null_score"][found], odds[found])


def _write_texts(task: FinetuningTask, texts: dict[str, list[str]], folder: str) -> str:
    """Writes texts, by the names of the signature's inputs, as a file that the task reads."""
    if isinstance(task, QuestionAnsweringTask):
        path, content = os.path.join(folder, "texts.json"), json.dumps(_squad(texts))
    else:
        fields = getattr(task, "text_fields", ("text",))
        path = os.path.join(folder, "texts.jsonl")
        content = "".join(json.dumps(dict(zip(fields, row))) + "\n"
                          for row in zip(*texts.values()))
    write_text(path, content)
    return path


def _squad(texts: dict[str, list[str]]) -> dict:
    paragraphs = [{"context": context,
                   "qas": [{"id": str(row), "question": question, "answers": []}]}
                  for row, (context, question) in enumerate(zip(texts["context"],
                                                                texts["question"]))]
    return {"version": "v2.0", "data": [{"title": "", "paragraphs": paragraphs}]}
