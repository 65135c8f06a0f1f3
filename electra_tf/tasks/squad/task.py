"""Extractive question answering: SQuAD 1.1, SQuAD 2.0 and the data sets of MRQA 2019."""

import json
import os
import re
from collections.abc import Iterable
from typing import Any

import numpy as np
from absl import logging
from keras import ops
from scipy import stats

from electra_tf.config import ModelConfig
from electra_tf.errors import UserError
from electra_tf.features import SEGMENT_IDS
from electra_tf.files import write_text
from electra_tf.models.span_head import SpanHead
from electra_tf.objectives.losses import binary_cross_entropy
from electra_tf.tasks.base import Encoded, FinetuningTask
from electra_tf.tasks.squad import metrics as squad_metrics
from electra_tf.tasks.squad.answers import Answers, decode
from electra_tf.tasks.squad.data_sets import SquadFiles
from electra_tf.tasks.squad.files import (
    RELEASES,
    Questions,
    find_question_file,
    questions_of_rows,
    read_questions,
)
from electra_tf.tasks.squad.windows import (
    END_POSITIONS,
    IS_IMPOSSIBLE,
    START_POSITIONS,
    EncodedWindows,
    encode_windows,
)
from electra_tf.text.tokenizer import Tokenizer

# The original's, chosen on the dev set of SQuAD 2.0: not to be trusted with other models or data.
NULL_THRESHOLD = -2.75
MAX_ANSWER_LENGTH = 30  # in tokens
BEAM_SIZE = 20


class QuestionAnsweringTask(FinetuningTask):
    """Answers are spans of a context; with version 2 there can be none.

    Version 2 adds a classifier. A question's null odds are its logit, the lowest over the
    question's windows; the answer is "" where they are above a threshold. `score` reports

    | metric                                         | version | at which threshold              |
    | ---------------------------------------------- | ------- | ------------------------------- |
    | f1 (main), exact_match                         | 1       | no classifier                   |
    | best_f1 (main), best_exact_match               | 2       | the best one on the same data   |
    | f1, exact_match, and for has_answer, no_answer | 2       | `null_threshold`                |

    The best thresholds are written beside the predictions; `null_threshold` can then be set to
    one of them for data without answers.

    Differs from the original: version 1 has no classifier (there it learns that all questions
    have answers); the target is whole words, for "Japan" in "Japanese" as for any answer.

    Args:
        name: of the data set.
        data_dir: where the files are.
        train_file, eval_file, test_file: names in `data_dir`; empty: see
            `files.find_question_file` for "train", "dev" and "test". Without a train file there is
            no training split.
        version: 1: every question has an answer (SQuAD 1.1, MRQA), 2: or none (SQuAD 2.0).
        max_seq_length: tokens of a row; contexts that are longer become several rows.
        doc_stride: tokens from one window of a context to the next.
        max_query_length: tokens of a question, which is cut.
        max_answer_length: tokens of an answer.
        n_best_size: answers kept for each question.
        beam_size: starts, and ends of each, that are looked at.
        answerable_weight: of the classifier's loss.
        null_threshold: None stands for the original's, NULL_THRESHOLD, until `calibrate`.

    Raises:
        UserError: a setting out of its range, or files that are not there.
    """

    servable = "answer"

    def __init__(
        self,
        name: str,
        data_dir: str,
        *,
        train_file: str = "",
        eval_file: str = "",
        test_file: str = "",
        version: int = 1,
        max_seq_length: int = 512,
        doc_stride: int = 128,
        max_query_length: int = 64,
        max_answer_length: int = MAX_ANSWER_LENGTH,
        n_best_size: int = 20,
        beam_size: int = BEAM_SIZE,
        answerable_weight: float = 0.5,
        null_threshold: float | None = None,
    ):
        if version not in RELEASES:
            raise UserError(
                f"version must be 1 (every question has an answer) or 2 (or none). "
                f"Received: {version}"
            )
        for field, value in (
            ("doc_stride", doc_stride),
            ("max_query_length", max_query_length),
            ("max_answer_length", max_answer_length),
            ("n_best_size", n_best_size),
            ("beam_size", beam_size),
        ):
            if value < 1:
                raise UserError(f"{field} must be at least 1. Received: {value}")
        if max_seq_length < max_query_length + 4:
            raise UserError(
                f"max_seq_length must leave room for the context: at least max_query_length + 4 = "
                f"{max_query_length + 4}. Received: {max_seq_length}"
            )
        self.name, self.version, self.max_seq_length = name, version, max_seq_length
        self.doc_stride, self.max_query_length = doc_stride, max_query_length
        self._decoding = {"max_answer_length": max_answer_length, "n_best_size": n_best_size}
        self._beam_size, self._answerable_weight = beam_size, answerable_weight
        self.null_threshold = NULL_THRESHOLD if null_threshold is None else null_threshold
        self._threshold_is_given = null_threshold is not None
        files = {
            "train": find_question_file(data_dir, train_file, "train", version),
            "dev": find_question_file(data_dir, eval_file, "dev", version),
            "test": find_question_file(data_dir, test_file, "test", version),
        }
        self._files = {split: path for split, path in files.items() if path}
        if data_dir and not self._files:
            raise UserError(
                f"config.data.dir must hold train*.json, dev*.json or test*.json "
                f"(or .jsonl, .gz). Received: {data_dir}"
            )
        self.splits = tuple(self._files)
        self.main_metric = "f1" if version == 1 else "best_f1"

    @classmethod
    def from_config(cls, task, data):
        return cls(
            task.name,
            data.dir,
            train_file=data.train_file,
            eval_file=data.eval_file,
            test_file=data.test_file,
            version=task.version,
            max_seq_length=task.max_seq_length,
            doc_stride=task.doc_stride,
            max_query_length=task.max_query_length,
            null_threshold=task.null_threshold or None,
        )

    @classmethod
    def files_of_data_set(cls, data, task):
        return SquadFiles(data)

    def read(self, split: str) -> Questions:
        if split not in self._files:
            raise UserError(
                f"{self.name}: the split must be one of {', '.join(self.splits)}. Received: {split}"
            )
        examples = read_questions(self._files[split], self.version)
        if not examples.questions:
            raise UserError(f"{examples.path} must hold at least one question. Received: none")
        if not (examples.is_labelled or split.startswith("test")):
            raise UserError(f"{examples.path} must hold answers. Received: none")
        return examples

    def facts(self, examples: Questions) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "file": os.path.basename(examples.path),
            "contexts": len(examples.contexts),
            "questions": len(examples),
        }
        if examples.is_labelled:
            answered = sum(bool(question.answers) for question in examples.questions)
            facts |= {"with answer": answered, "without answer": len(examples) - answered}
        return facts

    def encode(self, examples: Questions, tokenizer: Tokenizer, training: bool) -> EncodedWindows:
        """Rows of windows, in small integer types; see `windows`.

        In training, a window that lacks a part of the answer has [CLS] as its target, and
        questions whose answer is not in the context are left out with a warning.
        """
        if training and not examples.is_labelled:
            raise UserError(f"{examples.path} must hold answers to train on. Received: none")
        encoded, left_out = encode_windows(
            examples,
            tokenizer,
            training,
            max_seq_length=self.max_seq_length,
            max_query_length=self.max_query_length,
            doc_stride=self.doc_stride,
        )
        if left_out:
            logging.warning(
                "%s: %d of %d questions are left out of training, as their answers "
                "are not where the file says, the first is %r",
                examples.path,
                len(left_out),
                len(examples),
                left_out[0],
            )
        if not len(encoded.rows):
            raise UserError(
                f"{examples.path} must hold a question whose context has words, in "
                f"training also its answer. Received: {len(examples)} without"
            )
        return encoded

    def new_head(self, config: ModelConfig, dtype: str | None) -> SpanHead:
        head = SpanHead(config, self.version == 2, name="task", dtype=dtype)
        head.build()
        return head

    def losses(self, head: SpanHead, hidden, batch, dropout):
        """Mean of the start's and the end's loss, plus the classifier's times its weight."""
        del dropout  # no dropout in this head, as in the original
        starts, ends = batch[START_POSITIONS], batch[END_POSITIONS]
        start_logits = head.start_logits(hidden, batch)
        end_logits = head.end_logits(hidden, batch, starts)[:, 0]
        loss = 0.5 * (_cross_entropy(start_logits, starts) + _cross_entropy(end_logits, ends))
        if self.version == 2:
            impossible = ops.cast(batch[IS_IMPOSSIBLE][:, 0], "float32")
            logits = head.impossible_logits(hidden, start_logits)
            loss = loss + self._answerable_weight * binary_cross_entropy(logits, impossible)
        return loss

    def chance_loss(self, encoded: Encoded) -> float:
        """Of a guess that knows how often there is an answer, and how long answers are.

        The start is then uniform over the window's tokens.
        """
        starts, ends = (encoded.features[name][:, 0] for name in (START_POSITIONS, END_POSITIONS))
        num_tokens = encoded.features[SEGMENT_IDS].sum(axis=1) - 1  # less [SEP]
        has_answer = starts > 0
        share = has_answer.mean()
        loss = 0.5 * stats.entropy([share, 1.0 - share])
        if share:
            loss += (
                0.5
                * share
                * (
                    np.log(num_tokens[has_answer]).mean()
                    + stats.entropy(np.bincount((ends - starts)[has_answer]))
                )
            )
        if self.version == 2:
            impossible = encoded.features[IS_IMPOSSIBLE].mean()
            loss += self._answerable_weight * stats.entropy([impossible, 1.0 - impossible])
        return float(loss)

    def outputs(self, head: SpanHead, hidden, batch):
        return head.best_spans(hidden, batch, self._beam_size)

    def predict(
        self, examples: Questions, encoded: EncodedWindows, outputs: dict[str, np.ndarray]
    ) -> Answers:
        return decode(examples, encoded, outputs, **self._decoding)

    def score(self, examples: Questions, predictions: Answers) -> dict[str, float]:
        return self._evaluate(examples, predictions)[0]

    def write(self, split: str, examples: Questions, predictions: Answers, directory: str) -> None:
        """Writes predictions as SQuAD's own programs read them.

        The files are for the split "dev" (or "test" where there is no other):

        - predictions.json, {id: text}. Of version 2 "" stands for no answer, but only in data
          without gold answers: with them the official evaluation applies thresholds itself, to
          the odds in the second file, as in the original.
        - null_odds.json, {id: number}, version 2 only.
        - nbest_predictions.json, {id: [{text, probability, …}, …]}.
        - best_thresholds.json, version 2 with gold answers only: the null odds above which "" is
          best, by F1 and by exact match.

        For other splits the names end in -SPLIT.json.
        """
        main = [name for name in self.splits if name != "train"][:1]
        suffix = "" if split in main else f"-{split}"
        texts = predictions.texts if examples.is_labelled else self._texts(predictions)
        contents = {"predictions": texts, "nbest_predictions": predictions.nbest}
        if self.version == 2:
            contents["null_odds"] = predictions.null_odds
            if examples.is_labelled:
                contents["best_thresholds"] = self._evaluate(examples, predictions)[1]
        for name, content in contents.items():
            # Escaped as ASCII: contexts can hold halves of surrogate pairs.
            write_text(
                os.path.join(directory, f"{name}{suffix}.json"),
                json.dumps(content, indent=1) + "\n",
            )

    def calibrate(self, examples: Questions, predictions: Answers) -> dict[str, float]:
        """The threshold of the best F1, unless one was given; version 2 only."""
        if self.version == 1 or self._threshold_is_given:
            return {}
        self.null_threshold = self._evaluate(examples, predictions)[1]["best_f1"]
        return {"null_threshold": self.null_threshold}

    def read_file(self, path: str) -> Questions:
        """Questions of SQuAD JSON, or MRQA's JSON lines, with or without answers."""
        return read_questions(path, 2)

    def examples_from_rows(self, rows: Iterable[Any]) -> Questions:
        """Of dicts with `question`, `context` and, if wanted, `id`."""
        return questions_of_rows(rows)

    def answers(self, examples: Questions, predictions: Answers) -> list[dict[str, Any]]:
        """`id` and `answer`; of version 2 "" is no answer, by the threshold."""
        texts = self._texts(predictions)
        return [
            {"id": question.id, "answer": texts[question.id]} for question in examples.questions
        ]

    def write_file(self, examples: Questions, predictions: Answers, path: str) -> None:
        """Writes {id: text}, see `answers`; halves of surrogate pairs are escaped."""
        written = json.dumps(self._texts(predictions), ensure_ascii=False, indent=1)
        escaped = re.sub("[\ud800-\udfff]", lambda half: f"\\u{ord(half[0]):04x}", written)
        write_text(path, escaped + "\n")

    def _texts(self, predictions: Answers) -> dict[str, str]:
        if self.version == 1:
            return predictions.texts
        return predictions.texts_with_threshold(self.null_threshold)

    def _evaluate(self, examples, predictions):
        """(metrics, best thresholds)."""
        if not examples.is_labelled:
            raise UserError(f"{examples.path} must hold answers to be scored. Received: none")
        golds = [question.answers for question in examples.questions]
        texts = [predictions.texts[question.id] for question in examples.questions]
        if self.version == 1:
            return squad_metrics.evaluate(golds, texts), {}
        odds = [predictions.null_odds[question.id] for question in examples.questions]
        return squad_metrics.evaluate_with_unanswerable(golds, texts, odds, self.null_threshold)


def _cross_entropy(logits, positions):
    """Of float32 [B, L] logits against int32 [B, 1] positions: float32 [B]."""
    return -ops.take_along_axis(ops.log_softmax(logits), positions, axis=-1)[:, 0]
