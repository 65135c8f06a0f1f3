"""A fine-tuned model of questions as a serving graph: question and context in, answer out."""

import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from electra_tf.errors import UserError
from electra_tf.models.finetuned import Finetuned
from electra_tf.serving.graph.input_checks import fitting
from electra_tf.serving.graph.network import graph_outputs
from electra_tf.serving.graph.servable import Servable
from electra_tf.tasks.squad.answers import NO_WINDOW_ODDS
from electra_tf.tasks.squad.task import BEAM_SIZE, MAX_ANSWER_LENGTH, QuestionAnsweringTask
from electra_tf.text.framing import frame
from electra_tf.text.tokenizer import Tokenizer
from electra_tf.text.words import valid_utf8

QUESTION_WORDS = 10  # of a warm-up


class Windows(NamedTuple):
    """Windows of all contexts of a batch, R of them, in order.

    Attributes:
        question: int64 [R], ascending.
        begin: int64 [R], the first token, counted over all contexts of the batch.
        length: int64 [R], tokens.
    """

    question: tf.Tensor
    begin: tf.Tensor
    length: tf.Tensor


class Answerer(Servable):
    """Answers questions.

    As in training a long context is looked at in overlapping windows, however many it needs; the
    memory of a call grows with them. A longer question is cut.
    """

    def __init__(self, task: QuestionAnsweringTask, model: Finetuned, tokenizer: Tokenizer):
        super().__init__(task, model, tokenizer)
        # Keras layers and the tokenizer stay in closures, see `PretrainedNetwork`.
        outputs_of = graph_outputs(task, model, least_tokens=BEAM_SIZE)

        def answer(question, context):
            question, context = fitting(rank=1, question=question, context=context)
            context = valid_utf8(context)
            queries = tokenizer.ids(question)[:, : task.max_query_length]
            ids, starts, ends = tokenizer.ids_with_offsets(context)
            windows = _windows(
                ids, task.max_seq_length - 3 - queries.row_lengths(), task.doc_stride
            )
            queries = tf.gather(queries, windows.question)
            tokens = tf.ragged.range(windows.begin, windows.begin + windows.length)
            outputs = outputs_of(
                frame(
                    queries,
                    tf.gather(ids.values, tokens),
                    tokenizer.vocabulary,
                    task.max_seq_length,
                )
            )
            first, last, log_prob = _best_spans(
                windows, _owners(tokens, tf.size(ids.values)), outputs, queries.row_lengths() + 2
            )
            number = tf.size(context)
            chosen, score = _best_windows(log_prob, windows.question, number)
            start, end = (
                tf.maximum(
                    tf.math.unsorted_segment_max(
                        tf.where(chosen, tf.gather(offsets.values, token), 0),
                        windows.question,
                        number,
                    ),
                    0,
                )
                for offsets, token in ((starts, first), (ends, last))
            )
            text = tf.strings.substr(context, start, end - start)
            result = {"score": score, "start_offset": start, "end_offset": end}
            if task.version == 1:
                return result | {"answer": text}
            odds = tf.math.unsorted_segment_min(
                outputs["answerable_logit"], windows.question, number
            )
            odds = tf.minimum(odds, NO_WINDOW_ODDS)
            return result | {
                "null_score": odds,
                "answer": tf.where(odds > task.null_threshold, "", text),
            }

        self.answer = tf.function(
            answer,
            autograph=False,
            input_signature=[
                tf.TensorSpec([None], tf.string, name) for name in ("question", "context")
            ],
        )

    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """Signatures of the SavedModel by name.

        `serving_default`: `question` and `context` string [B] to `answer` string [B], `score`
        float32 [B], `start_offset` and `end_offset` int32 [B]; of version 2 also `null_score`
        float32 [B].

        The answer is cut from the context, where it lies at these bytes of the context without its
        invalid UTF-8; the score is the sum of both positions' log-probabilities. A context
        without a possible answer gives "", 0, 0 and a score of -1e6. The null score is larger the
        less there seems to be an answer, 1e6 for an empty context. Above the model's threshold the
        answer is "", and the offsets and the score are still those of the likeliest span.
        """
        return {"serving_default": self.answer.get_concrete_function()}

    def warmup_inputs(self, texts):
        """The texts are contexts."""
        questions = [" ".join(text.split()[:QUESTION_WORDS]) for text in texts]
        return {"serving_default": {"question": questions, "context": texts}}

    @staticmethod
    def row(texts):
        return texts

    @staticmethod
    def comparisons(answers, expected):
        """A score is that of the likeliest span, whether or not it is the answer."""
        predictions, task = expected.predictions, expected.task
        texts = [answer["answer"] for answer in task.answers(expected.examples, predictions)]
        yield "answer", [answer.decode() for answer in answers["answer"]], texts
        names = [question.id for question in expected.examples.questions]
        best = [predictions.nbest[name][:1] for name in names]
        found = np.array(
            [bool(spans) for spans in best]
        )  # the score of none is as good as infinite
        scores = [span["start_log_prob"] + span["end_log_prob"] for spans in best for span in spans]
        yield "score", answers["score"][found], np.array(scores)
        if "null_score" in answers:
            odds = np.array([predictions.null_odds[name] for name in names])
            yield "null_score", answers["null_score"][found], odds[found]

    @staticmethod
    def ids_network(task, model):
        raise UserError(
            "A model whose network is exported must be pre-trained, or fine-tuned for sentences or "
            "tags: answers are put together from overlapping windows of text, which only the "
            "SavedModel does. "
            f"Received: {task.name}, a task of questions"
        )


def _windows(ids: tf.RaggedTensor, room: tf.Tensor, stride: int) -> Windows:
    """Cuts contexts as `squad.windows.window_spans` does.

    Args:
        ids: int32 [B, None] tokens of the contexts.
        room: int64 [B], tokens that a window of each has.
        stride: from one window to the next.
    """
    num_tokens, step = ids.row_lengths(), tf.minimum(tf.cast(stride, tf.int64), room)
    number = tf.where(num_tokens > 0, 1 + tf.maximum(-((room - num_tokens) // step), 0), 0)
    windows = tf.ragged.range(number)
    question = windows.value_rowids()
    skipped = windows.values * tf.gather(step, question)
    return Windows(
        question,
        tf.gather(ids.row_starts(), question) + skipped,
        tf.minimum(tf.gather(room, question), tf.gather(num_tokens, question) - skipped),
    )


def _owners(tokens: tf.RaggedTensor, number: tf.Tensor) -> tf.Tensor:
    """For each token the window that shows most around it; see `squad.windows.best_windows`.

    Args:
        tokens: int64 [R, None], the tokens of each window, numbers below `number`.
        number: of tokens.

    Returns:
        int64 [number].
    """
    length = tf.repeat(tokens.row_lengths(), tokens.row_lengths())
    before = tf.ragged.range(tokens.row_lengths()).values
    shown = tf.cast(tf.minimum(before, length - 1 - before), tf.float64) + 0.01 * tf.cast(
        length, tf.float64
    )
    most = tf.math.unsorted_segment_max(shown, tokens.values, number)
    window = tf.where(shown == tf.gather(most, tokens.values), tokens.value_rowids(), tf.int64.max)
    return tf.math.unsorted_segment_min(window, tokens.values, number)


def _best_spans(
    windows: Windows, owners: tf.Tensor, outputs: dict[str, tf.Tensor], offset: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The likeliest possible answer of each window; see `squad.answers.decode`.

    Args:
        windows: R of them.
        owners: of `_owners`.
        outputs: of `SpanHead.best_spans`.
        offset: int64 [R], where the context begins in a row.

    Returns:
        First and last token, int64 [R], counted over all contexts; their log-probability float32
        [R]. -inf and any token where there is none.
    """
    length, begin = windows.length[:, None], windows.begin[:, None]
    start = tf.cast(outputs["start_top_index"], tf.int64) - offset[:, None]  # [R, k]
    end = tf.cast(outputs["end_top_index"], tf.int64) - offset[:, None, None]  # [R, k, k]
    inside = (start >= 0) & (start < length)
    owner = tf.gather(owners, tf.where(inside, begin + start, begin))
    inside &= owner == tf.range(tf.size(begin, tf.int64))[:, None]
    num_tokens = end - start[:, :, None] + 1
    valid = (
        inside[:, :, None]
        & (end < length[:, :, None])
        & (num_tokens >= 1)
        & (num_tokens <= MAX_ANSWER_LENGTH)
    )
    log_probs = tf.where(
        valid, outputs["start_top_log_probs"][:, :, None] + outputs["end_top_log_probs"], -math.inf
    )
    k = start.shape[1] or 0
    log_probs, ends = (tf.reshape(part, [-1, k * k]) for part in (log_probs, end))
    best = tf.argmax(log_probs, axis=1)  # the first of equal ones
    log_prob = tf.reduce_max(log_probs, axis=1)
    found = log_prob > -math.inf
    first = windows.begin + tf.where(found, tf.gather(start, best // k, batch_dims=1), 0)
    last = windows.begin + tf.where(found, tf.gather(ends, best, batch_dims=1), 0)
    return first, last, log_prob


def _best_windows(
    log_prob: tf.Tensor, question: tf.Tensor, number: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Which windows hold the answers, bool [R], and the answers' scores, float32 [number]."""
    best = tf.math.unsorted_segment_max(log_prob, question, number)
    window = tf.range(tf.size(question))
    is_best = (log_prob == tf.gather(best, question)) & (log_prob > -math.inf)
    first = tf.math.unsorted_segment_min(tf.where(is_best, window, tf.int32.max), question, number)
    return is_best & (window == tf.gather(first, question)), tf.maximum(best, -NO_WINDOW_ODDS)
