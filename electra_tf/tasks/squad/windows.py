"""Long contexts as overlapping windows, and where each token lies in its context.

A row is `[CLS] question [SEP] window of the context [SEP]`. Contexts are tokenized once however
many questions they have, and rows are stored in the smallest integers that hold them, so memory
grows with the text and with the rows, about 4 bytes per token of a row.
"""

import dataclasses
import re

import numpy as np
import tensorflow as tf

from electra_tf import features
from electra_tf.tasks.base import Encoded
from electra_tf.tasks.squad.files import Question, Questions
from electra_tf.text.tokenizer import Tokenizer
from electra_tf.text.vocabulary import Vocabulary

START_POSITIONS = "start_positions"  # int32 [N, 1], 0 ([CLS]) where the row lacks the answer
END_POSITIONS = "end_positions"  # int32 [N, 1]
IS_IMPOSSIBLE = "is_impossible"  # int32 [N, 1], of the question, whatever window it is

_WORD_END = re.compile(r"\S*")
_BATCH_BYTES = 1 << 20  # text tokenized in one call, to bound the memory that characters take


@dataclasses.dataclass
class TokenizedContexts:
    """Tokens of all contexts, one after the other.

    Attributes:
        ids: uint16 or int32 [T].
        starts, ends: int32 [T], the characters of the context that the token's word spans; what
            a word is says `Tokenizer.ids_with_offsets`.
        splits: int64 [contexts + 1]; context c has the tokens splits[c] to splits[c + 1].
    """

    ids: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    splits: np.ndarray

    def tokens_of(self, context: int) -> slice:
        return slice(self.splits[context], self.splits[context + 1])


@dataclasses.dataclass
class EncodedWindows(Encoded):
    """Rows, and which part of which context each one shows.

    Attributes:
        contexts: what the rows are windows of.
        first_tokens: int32 [N], the context's token (counted in the context) at `offsets`.
        num_tokens: int32 [N], how many of the context's tokens follow from there.
        offsets: int32 [N], the position in the row of the first of them.
    """

    contexts: TokenizedContexts
    first_tokens: np.ndarray
    num_tokens: np.ndarray
    offsets: np.ndarray


def tokenize_contexts(contexts: list[str], tokenizer: Tokenizer) -> TokenizedContexts:
    """Tokenizes every context once, with offsets in characters of the Python string."""
    id_type = _id_type(tokenizer.vocabulary)
    # The empty parts are for a file without contexts.
    ids, starts, ends = ([np.zeros(0, kind)] for kind in (id_type, np.int32, np.int32))
    lengths = [[0]]
    for batch in _batches([_utf8(context) for context in contexts]):
        batch_ids, *batch_offsets = tokenizer.ids_with_offsets(tf.constant(batch, tf.string))
        ids.append(batch_ids.values.numpy().astype(id_type))
        lengths.append(batch_ids.row_lengths().numpy())
        splits = batch_ids.row_splits.numpy()
        for offsets, parts in zip(batch_offsets, (starts, ends)):
            values = offsets.values.numpy()
            for row, text in enumerate(batch):
                parts.append(_characters_before(text, values[splits[row] : splits[row + 1]]))
    return TokenizedContexts(
        ids=np.concatenate(ids),
        starts=np.concatenate(starts),
        ends=np.concatenate(ends),
        splits=np.cumsum(np.concatenate(lengths), dtype=np.int64),
    )


def window_spans(num_tokens: int, room: int, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """First tokens and lengths of the windows over a context, int32 [windows] each.

    Every window begins `stride` tokens (at most `room`: nothing is left out) after the one before
    it; the last one is the first to reach the end. No tokens give no window.
    """
    stride = min(stride, room)
    number = 0 if not num_tokens else 1 + max(0, -(-(num_tokens - room) // stride))
    first = stride * np.arange(number, dtype=np.int32)
    return first, np.minimum(room, num_tokens - first).astype(np.int32)


def best_windows(first: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """For each token of a context the window in which it has the most context.

    That is min(tokens before it, tokens after it) + window length / 100, and of equal ones the
    first, as in the original.

    Args:
        first, lengths: of `window_spans`.

    Returns:
        int32 [tokens], an index of a window.
    """
    best = np.zeros(first[-1] + lengths[-1], np.int32)
    best_score = np.full(best.shape, -1.0)
    for window, (begin, length) in enumerate(zip(first, lengths)):
        inside = np.arange(length)
        score = np.minimum(inside, length - 1 - inside) + 0.01 * length
        here = slice(begin, begin + length)
        better = score > best_score[here]
        best[here][better] = window
        best_score[here][better] = score[better]
    return best


def answer_tokens(
    context: str, starts: np.ndarray, ends: np.ndarray, answer: tuple[str, int]
) -> tuple[int, int] | None:
    """First and last token of the words that an answer touches.

    Args:
        context: the text.
        starts, ends: characters of the context's tokens.
        answer: (text, first character).

    Returns:
        None where the text is not at its place: neither there, letter case and white space
        aside, nor elsewhere in the words (between white space) that lie there.
    """
    text, begin = answer
    words = text.split()
    if not words or not 0 <= begin < len(context):
        return None
    end = begin + len(text)
    if context[begin:end] != text:
        while begin and not context[begin - 1].isspace():
            begin -= 1
        rest = _WORD_END.match(context, min(end, len(context)))
        assert rest, "it matches nothing, too"
        pattern = re.compile(r"\s+".join(map(re.escape, words)), re.IGNORECASE)
        match = pattern.search(context, begin, rest.end())
        if match is None:
            return None
        begin, end = match.span()
    first = int(np.searchsorted(ends, begin, side="right"))
    last = int(np.searchsorted(starts, end, side="left")) - 1
    return (first, last) if first <= last else None


def encode_windows(
    examples: Questions,
    tokenizer: Tokenizer,
    training: bool,
    *,
    max_seq_length: int,
    max_query_length: int,
    doc_stride: int,
) -> tuple[EncodedWindows, list[str]]:
    """Makes the rows of all questions.

    Their length is that of the longest, rounded up to a multiple of 8, at most `max_seq_length`.

    Args:
        examples: questions with contexts.
        tokenizer: text to ids.
        training: adds the target; leaves out questions whose answer is not in their context.
        max_seq_length: tokens of a row.
        max_query_length: tokens of the question; what is more is cut off.
        doc_stride: tokens from one window to the next.

    Returns:
        (rows, ids of the questions left out).
    """
    contexts = tokenize_contexts(examples.contexts, tokenizer)
    queries = tokenizer.ids_of_lines([_utf8(question.text) for question in examples.questions])
    query_ids, query_splits = queries.values.numpy(), queries.row_splits.numpy()
    query_ends = np.minimum(query_splits[1:], query_splits[:-1] + max_query_length)
    columns, targets, left_out = [], [], []
    for index, question in enumerate(examples.questions):
        tokens = contexts.tokens_of(question.context)
        target = _target(examples, question, contexts) if training else None
        if training and target is None:
            left_out.append(question.id)
            continue
        offset = int(query_ends[index] - query_splits[index]) + 2
        first, lengths = window_spans(
            tokens.stop - tokens.start, max_seq_length - offset - 1, doc_stride
        )
        same = np.ones_like(first)
        columns.append(np.stack([first, lengths, offset * same, index * same]))
        if training:
            targets.append(_window_targets(first, lengths, offset, target))
    table = np.concatenate([np.zeros((4, 0), np.int32), *columns], axis=1)
    first, lengths, offsets, rows = (np.ascontiguousarray(column) for column in table)
    longest = int(np.max(offsets + lengths + 1, initial=8))
    batch = _rows(min(max_seq_length, -(-longest // 8) * 8), len(rows), tokenizer.vocabulary)
    ids, mask, segments = (
        batch[name] for name in (features.INPUT_IDS, features.INPUT_MASK, features.SEGMENT_IDS)
    )
    sep = tokenizer.vocabulary.sep_id
    for row, (index, offset, begin, length) in enumerate(zip(rows, offsets, first, lengths)):
        end = offset + length
        begin += contexts.splits[examples.questions[index].context]
        ids[row, 1 : offset - 1] = query_ids[query_splits[index] : query_ends[index]]
        ids[row, offset - 1], ids[row, end] = sep, sep
        ids[row, offset:end] = contexts.ids[begin : begin + length]
        mask[row, : end + 1] = 1
        segments[row, offset : end + 1] = 1
    if training:
        joined = np.concatenate([np.zeros((0, 2), np.int32), *targets])
        batch[START_POSITIONS], batch[END_POSITIONS] = joined[:, :1], joined[:, 1:]
        impossible = np.array(
            [question.target is None for question in examples.questions], np.int32
        )
        batch[IS_IMPOSSIBLE] = impossible[rows][:, None]
    return EncodedWindows(batch, rows, contexts, first, lengths, offsets), left_out


def _target(
    examples: Questions, question: Question, contexts: TokenizedContexts
) -> tuple[int, int] | None:
    """First and last token of the answer, (-1, -1) for none, None if it cannot be found."""
    if question.target is None:
        return (-1, -1) if question.is_impossible or not question.answers else None
    tokens = contexts.tokens_of(question.context)
    return answer_tokens(
        examples.contexts[question.context],
        contexts.starts[tokens],
        contexts.ends[tokens],
        question.target,
    )


def _window_targets(first, lengths, offset, target):
    """int32 [windows, 2]: positions in the row, 0 where the window lacks a part of the answer."""
    whole = (target[0] >= first) & (target[1] < first + lengths)
    positions = np.asarray(target, np.int32) - first[:, None] + offset
    return np.where(whole[:, None], positions, 0).astype(np.int32)


def _rows(length: int, number: int, vocabulary: Vocabulary) -> dict[str, np.ndarray]:
    """Rows of nothing but [CLS]."""
    ids = np.full((number, length), vocabulary.pad_id, _id_type(vocabulary))
    ids[:, 0] = vocabulary.cls_id
    return {
        features.INPUT_IDS: ids,
        features.INPUT_MASK: np.zeros((number, length), np.int8),
        features.SEGMENT_IDS: np.zeros((number, length), np.int8),
    }


def _id_type(vocabulary: Vocabulary) -> type:
    return np.uint16 if len(vocabulary) <= 1 << 16 else np.int32


def _utf8(text: str) -> bytes:
    # JSON can hold half a surrogate pair, which is no character; "?" keeps its place.
    return text.encode("utf-8", errors="replace")


def _characters_before(text: bytes, offsets: np.ndarray) -> np.ndarray:
    """Offsets in bytes to offsets in characters: how many characters begin before each."""
    if text.isascii():
        return offsets
    begins = (np.frombuffer(text, np.uint8) & 0xC0) != 0x80
    return np.concatenate([[0], np.cumsum(begins)]).astype(np.int32)[offsets]


def _batches(texts: list[bytes]):
    """Runs of texts of about `_BATCH_BYTES` together."""
    batch, size = [], 0
    for text in texts:
        batch.append(text)
        size += len(text)
        if size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
