"""Documents of token ids to pre-training examples of at most `seq_length` tokens.

Two ways: `PairBuilder` makes the original's `[CLS] a [SEP] b [SEP]` examples, and
`DocumentPacker` fills every example with pieces of one or more documents.
"""

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from electra_tf.text.vocabulary import Vocabulary

SINGLE_SEGMENT_PROBABILITY = 0.1
SHORT_TARGET_PROBABILITY = 0.05
SHORTEST_TARGET = 5
# A sentence that would overflow the first segment still goes to it this often.
OVERFLOW_PROBABILITY = 0.5


class Example(NamedTuple):
    """One example without padding: int32 [n] each, n <= seq_length.

    Attributes:
      input_ids: token ids with [CLS] and [SEP].
      segment_ids: 0 for the first segment, 1 for the second.
      document_ids: 1, 2, … for the document of each token; all ones when not packed.
    """

    input_ids: np.ndarray
    segment_ids: np.ndarray
    document_ids: np.ndarray


class ExampleBuilder(Protocol):
    """What turns a stream of documents into examples."""

    def add_document(self, lines: Sequence[np.ndarray]) -> Iterator[Example]:
        """Takes the token ids (int32 [n]) of each line of a document; yields full examples."""
        ...

    def finish(self) -> Iterator[Example]:
        """Yields what is left when there are no more documents."""
        ...


class PairBuilder:
    """Examples of one or two segments from consecutive lines of one document.

    Lines gather until they reach a target length (nearly always `seq_length`) or the document
    ends. They are then dealt to two segments, which are trimmed to `seq_length` together. One
    example in ten has a single segment, as classification tasks have.

    Differs from the original: `keep_leftovers` starts the next example of the document with the
    tokens that the trimming cut off; the original drops them.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        seq_length: int,
        rng: random.Random,
        keep_leftovers: bool = False,
    ):
        self._cls = np.array([vocabulary.cls_id], np.int32)
        self._sep = np.array([vocabulary.sep_id], np.int32)
        self._seq_length = seq_length
        self._rng = rng
        self._keep_leftovers = keep_leftovers
        self._target_length = seq_length
        self._lines: list[np.ndarray] = []
        self._length = 0

    def add_document(self, lines: Sequence[np.ndarray]) -> Iterator[Example]:
        """See `ExampleBuilder`; an example never crosses the end of a document."""
        for line in lines:
            self._lines.append(line)
            self._length += len(line)
            while self._length >= self._target_length:
                yield self._next_example()
        while self._length:
            yield self._next_example()

    def finish(self) -> Iterator[Example]:
        """Nothing is ever left."""
        return iter(())

    def _next_example(self) -> Example:
        """Makes an example from the gathered lines and draws the next target length."""
        first, second = self._deal()
        # Two slots are for [CLS] and [SEP], a third for the second segment's [SEP].
        first_tokens = first[: self._seq_length - 2]
        second_tokens = second[: max(0, self._seq_length - len(first_tokens) - 3)]

        self._lines = []
        if self._keep_leftovers:
            rests = (first[len(first_tokens) :], second[len(second_tokens) :])
            self._lines = [rest for rest in rests if len(rest)]
        self._length = sum(map(len, self._lines))
        self._target_length = self._seq_length
        if self._rng.random() < SHORT_TARGET_PROBABILITY:
            self._target_length = self._rng.randint(SHORTEST_TARGET, self._seq_length)

        parts = [self._cls, first_tokens, self._sep]
        if len(second_tokens):
            parts += [second_tokens, self._sep]
        input_ids = np.concatenate(parts)
        segment_ids = np.zeros_like(input_ids)
        segment_ids[len(first_tokens) + 2 :] = 1
        return Example(input_ids, segment_ids, np.ones_like(input_ids))

    def _deal(self) -> tuple[np.ndarray, np.ndarray]:
        """Deals the gathered lines to the first and the second segment."""
        if self._rng.random() < SINGLE_SEGMENT_PROBABILITY:
            return np.concatenate(self._lines), self._cls[:0]
        first_target = (self._target_length - 3) // 2
        first, second = [], []
        first_length = 0
        for line in self._lines:
            if (
                not first_length
                or first_length + len(line) < first_target
                or (
                    not second
                    and first_length < first_target
                    and self._rng.random() < OVERFLOW_PROBABILITY
                )
            ):
                first.append(line)
                first_length += len(line)
            elif len(line):
                second.append(line)
        return np.concatenate(first), np.concatenate(second) if second else self._cls[:0]


class DocumentPacker:
    """Full examples that hold pieces of several documents, each as `[CLS] … [SEP]`.

    A document that does not fit is continued in the next example. Only the last example of a
    stream is shorter than `seq_length`: one or two slots at the end, too few for another piece,
    repeat the [SEP]. Not in the original, where an example holds one document and is padded.
    """

    def __init__(self, vocabulary: Vocabulary, seq_length: int):
        self._cls = np.array([vocabulary.cls_id], np.int32)
        self._sep = np.array([vocabulary.sep_id], np.int32)
        self._seq_length = seq_length
        self._pieces: list[np.ndarray] = []
        self._used = 0

    def add_document(self, lines: Sequence[np.ndarray]) -> Iterator[Example]:
        """See `ExampleBuilder`."""
        tokens = np.concatenate([*lines, self._cls[:0]])
        while len(tokens):
            room = self._seq_length - self._used - 2
            piece, tokens = tokens[:room], tokens[room:]
            self._pieces.append(np.concatenate([self._cls, piece, self._sep]))
            self._used += len(piece) + 2
            spare = self._seq_length - self._used
            if spare < 3:
                self._pieces[-1] = np.concatenate([self._pieces[-1], self._sep.repeat(spare)])
                yield from self.finish()

    def finish(self) -> Iterator[Example]:
        """Yields the last example, if it has begun."""
        if self._pieces:
            input_ids = np.concatenate(self._pieces)
            numbers = np.arange(1, len(self._pieces) + 1, dtype=np.int32)
            document_ids = numbers.repeat([len(piece) for piece in self._pieces])
            yield Example(input_ids, np.zeros_like(input_ids), document_ids)
        self._pieces = []
        self._used = 0


def pad_examples(
    examples: Sequence[Example], seq_length: int, pad_id: int, with_document_ids: bool
) -> dict[str, np.ndarray]:
    """Stacks examples into padded arrays.

    Args:
      examples: N examples of at most `seq_length` tokens.
      seq_length: length to pad to.
      pad_id: id of [PAD].
      with_document_ids: also return `document_ids` (packed examples).

    Returns:
      `input_ids`, `input_mask`, `segment_ids` and perhaps `document_ids`: int32 [N, seq_length].
      Padding is `pad_id` in `input_ids` and 0 elsewhere.
    """
    shape = (len(examples), seq_length)
    lengths = np.array([len(example.input_ids) for example in examples], np.int32)
    input_mask = (np.arange(seq_length) < lengths[:, None]).astype(np.int32)
    filled = input_mask.astype(bool)

    def padded(name: str, value: int) -> np.ndarray:
        array = np.full(shape, value, np.int32)
        if examples:
            array[filled] = np.concatenate([getattr(example, name) for example in examples])
        return array

    features = {
        "input_ids": padded("input_ids", pad_id),
        "input_mask": input_mask,
        "segment_ids": padded("segment_ids", 0),
    }
    if with_document_ids:
        features["document_ids"] = padded("document_ids", 0)
    return features
