"""What every tokenizer offers to the build, to the tasks and to the serving graph.

A tokenizer is a `Vocabulary`, which is what lies in files, and a few settings. Another one is a
subclass in a file of its own and an entry in `tokenization.py`.
"""

import abc
import functools
import numbers
import os
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import tensorflow as tf

from electra_tf.errors import UserError
from electra_tf.text.framing import frame
from electra_tf.text.vocabulary import Vocabulary


class Tokenizer(abc.ABC):
    """Text to token ids, inside the graph and from Python: the same ids in both.

    What the graph needs lives in its constants, so a SavedModel needs no files. Special tokens
    never come out of text.

    Attributes:
        name: in config.json and dataset.json.
        vocabulary: the tokens, their ids, and which are special or begin a word.
        max_seq_length: tokens of the longest row of `batch`; of a loaded model, the model's.
        unfinished: regular expression of RE2 of the end of a text whose tokens may change with
            what follows; those of all before it stay. None: any may change.

    Args:
        vocabulary: the attribute.
        settings: what else decides the ids; subclasses take each as an argument of its own.
    """

    name: ClassVar[str]
    max_seq_length: int = 512
    # White space of ASCII; neither folding nor accents cross it.
    unfinished: str | None = r"[^ \t\n\r]*\z"

    def __init__(self, vocabulary: Vocabulary, **settings: Any):
        self.vocabulary, self._settings = vocabulary, settings

    @property
    def settings(self) -> dict[str, Any]:
        """Its name and the settings it was made with, as `tokenization.build` takes them."""
        return {"name": self.name, **self._settings}

    def fingerprint(self) -> str:
        """Equal for two tokenizers with the same settings and files, so for equal ids."""
        return self.vocabulary.fingerprint(self.settings)

    def save(self, directory: str | os.PathLike) -> None:
        """Writes its files; the settings stand in the config.json beside them."""
        self.vocabulary.save(directory)

    @abc.abstractmethod
    def ids(self, text: tf.Tensor) -> tf.RaggedTensor:
        """Token ids of each text, in graph.

        Args:
            text: string [B], any bytes.

        Returns:
            int32 [B, None], without special tokens around them.
        """

    @abc.abstractmethod
    def ids_with_offsets(
        self, text: tf.Tensor
    ) -> tuple[tf.RaggedTensor, tf.RaggedTensor, tf.RaggedTensor]:
        """Token ids, with the place in the text of the word or token that each came from, in graph.

        The tokenizer decides what is found; many tokens may share a word. Places are in rising
        order, and one that nothing of the text stands for is empty.

        Args:
            text: string [B], any bytes.

        Returns:
            ids as of `ids`, starts, ends: int32 [B, None] each. Offsets count bytes in
            `words.valid_utf8(text)`.
        """

    def ids_of_parts(self, parts: tf.RaggedTensor) -> tf.RaggedTensor:
        """As `ids`, of texts that are cut where something else, such as [MASK], stands in them.

        Args:
            parts: string [B, None].

        Returns:
            int32 [B, None, None].
        """
        return parts.with_values(self.ids(parts.values))

    def ids_and_counts(self, text: tf.Tensor) -> tuple[tf.RaggedTensor, dict[str, tf.Tensor]]:
        """As `ids`, with what `data/shards.py` counts of words, in graph.

        Returns:
            ids, and int64 [] each: `characters` in words of all texts, `long_words` that are
            unknown for their length alone, `long_word_characters` in these. Nothing, if the
            tokenizer takes words of any length.
        """
        return self.ids(text), {}

    def ids_of_lines(self, texts: Sequence[str | bytes]) -> tf.RaggedTensor:
        """As `ids`, from Python strings through one traced function: int32 [B, None]."""
        return self._traced_ids(tf.constant(texts, tf.string))

    def ids_and_counts_of_lines(
        self, texts: Sequence[str | bytes]
    ) -> tuple[tf.RaggedTensor, dict[str, tf.Tensor]]:
        """As `ids_and_counts`, from Python strings through one traced function."""
        return self._traced_ids_and_counts(tf.constant(texts, tf.string))

    def tokenize(self, texts: list[str]) -> list[list[int]]:
        """Ids of each text, without [CLS] and [SEP]; one call for many texts is fastest."""
        strings = _strings("texts", texts)
        return self._traced_ids(strings).to_list() if strings.shape[0] else []

    def batch(self, texts, pairs=None, max_seq_length: int | None = None) -> dict[str, tf.Tensor]:
        """What a model reads: `[CLS] text [SEP]`, or with pairs `[CLS] text [SEP] pair [SEP]`.

        Args:
            texts, pairs: lists of strings or string tensors, [B]; in graph, too.
            max_seq_length: longer rows are cut to so many tokens, see `framing.frame`; None: the
                attribute, which for a loaded model is as many as it has positions.

        Returns:
            `input_ids`, `input_mask`, `segment_ids`, int32 [B, L] with L of the longest row.

        Raises:
            UserError: no lists of strings, or of different lengths.
        """
        longest = self.max_seq_length if max_seq_length is None else max_seq_length
        if isinstance(longest, bool) or not isinstance(longest, numbers.Integral):
            raise UserError(f"max_seq_length must be an integer. Received: {longest!r:.60}")
        texts = _strings("texts", texts)
        if pairs is None:
            return frame(self.ids(texts), None, self.vocabulary, longest)
        pairs = _strings("pairs", pairs)
        lengths = texts.shape[0], pairs.shape[0]
        if None not in lengths and lengths[0] != lengths[1]:
            raise UserError(f"pairs must be as many as texts, {lengths[0]}. Received: {lengths[1]}")
        return frame(self.ids(texts), self.ids(pairs), self.vocabulary, longest)

    @functools.cached_property
    def _traced_ids(self) -> tf.types.experimental.PolymorphicFunction:
        return _traced(self.ids)

    @functools.cached_property
    def _traced_ids_and_counts(self) -> tf.types.experimental.PolymorphicFunction:
        return _traced(self.ids_and_counts)


def _traced(function: Callable) -> tf.types.experimental.PolymorphicFunction:
    texts = tf.TensorSpec([None], tf.string)
    return tf.function(function, input_signature=[texts], autograph=False)


def _strings(name: str, values) -> tf.Tensor:
    """A list of strings as string [B]; halves of surrogate pairs, which are no text, are dropped.

    Raises:
        UserError: it is something else.
    """
    rule = f"{name} must be a list of strings, or a string tensor of one dimension"
    if not tf.is_tensor(values):
        if isinstance(values, str | bytes | dict) or not hasattr(values, "__len__"):
            raise UserError(f"{rule}. Received: {values!r:.60}")
        for value in values:
            if not isinstance(value, str | bytes):
                raise UserError(f"{rule}. Received: one with {value!r:.60}")
        values = tf.constant(
            [it.encode(errors="ignore") if isinstance(it, str) else it for it in values],
            tf.string,
            [len(values)],
        )
    if values.dtype != tf.string or values.shape.rank not in (1, None):
        raise UserError(f"{rule}. Received: {values.dtype.name} of shape {values.shape}")
    return values
