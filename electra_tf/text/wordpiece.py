"""BERT's tokenization as TensorFlow ops: the same ids in the build, in Python and when serving.

Text is first rewritten into words joined by single spaces (`words.split_words`), then every word
is cut greedily into the longest pieces of the vocabulary.
"""

import os
from collections.abc import Sequence

import tensorflow as tf
import tensorflow_text as tf_text

from electra_tf.text.tokenizer import Tokenizer
from electra_tf.text.vocabulary import UNK, Vocabulary
from electra_tf.text.whole_tokens import TEXT, WholeTokens
from electra_tf.text.words import split_words, valid_utf8, word_offsets

# BERT's reference gives [UNK] for a longer word.
MAX_CHARACTERS_PER_WORD = 200

# Cannot come out of `split_words`, so no vocabulary piece fits a word made of it.
_UNKNOWN_WORD = "\x01"


class WordPiece(Tokenizer):
    """BERT's tokenizer; "[MASK]" in a text gives the pieces of `[`, `mask`, `]`.

    A word, for offsets, is what lies between white space, with every punctuation mark and Chinese
    character a word of its own.

    Differs from the original: accents can be stripped from cased text too, and case can be folded
    without stripping accents.

    Args:
        vocabulary: a `Vocabulary`, or the file to read it from.
        lower_case: True for uncased vocabularies.
        strip_accents: None does as `lower_case`, as BERT's models were trained.
        tokenize_chinese_chars: make each Chinese character a word.
        never_split: tokens of the vocabulary that come out whole where a text has them as they are
            written, and come out of nothing else.
        added_tokens: the same, where a text has them once its case and accents are folded.

    Example:
        >>> tokenizer = electra_tf.Tokenizer("runs/mine/vocab.txt")
        >>> [ids] = tokenizer.tokenize(["The cat"])
        >>> [tokenizer.vocabulary.tokens[id] for id in ids]
        ['the', 'c', '##a', '##t']
    """

    name = "wordpiece"

    def __init__(
        self,
        vocabulary: Vocabulary | str | os.PathLike,
        lower_case: bool = True,
        strip_accents: bool | None = None,
        tokenize_chinese_chars: bool = True,
        never_split: Sequence[str] = (),
        added_tokens: Sequence[str] = (),
    ):
        if not isinstance(vocabulary, Vocabulary):
            vocabulary = Vocabulary.from_file(vocabulary)
        self.lower_case = lower_case
        self.strip_accents = lower_case if strip_accents is None else strip_accents
        self._folding = lower_case, self.strip_accents, tokenize_chinese_chars
        # Defaults are left out: they have the fingerprints of times that knew no other.
        others = {} if tokenize_chinese_chars else {"tokenize_chinese_chars": False}
        others |= {"never_split": list(never_split)} if never_split else {}
        others |= {"added_tokens": list(added_tokens)} if added_tokens else {}
        super().__init__(
            vocabulary, lower_case=lower_case, strip_accents=self.strip_accents, **others
        )
        self._whole = None
        tokens = list(vocabulary.tokens)
        if never_split or added_tokens:
            self._whole = WholeTokens(never_split, added_tokens, self._folding, vocabulary)
            tokens = self._whole.vocabulary_of_words(tokens)
        self._wordpiece = tf_text.FastWordpieceTokenizer(
            vocab=tokens,
            unknown_token=UNK,
            no_pretokenization=True,
            # In bytes; the limit in characters is kept by `_piece_ids`.
            max_bytes_per_word=4 * MAX_CHARACTERS_PER_WORD,
            token_out_type=tf.int32,
        )

    def ids(self, text: tf.Tensor) -> tf.RaggedTensor:
        return self._piece_ids(self._words(text)).merge_dims(1, 2)

    def ids_and_counts(self, text: tf.Tensor) -> tuple[tf.RaggedTensor, dict[str, tf.Tensor]]:
        words = self._words(text)
        lengths = tf.strings.length(words.values, unit="UTF8_CHAR")
        too_long = tf.boolean_mask(lengths, lengths > MAX_CHARACTERS_PER_WORD)
        counts = {
            "characters": tf.reduce_sum(tf.cast(lengths, tf.int64)),
            "long_words": tf.size(too_long, tf.int64),
            "long_word_characters": tf.reduce_sum(tf.cast(too_long, tf.int64)),
        }
        return self._piece_ids(words).merge_dims(1, 2), counts

    def ids_with_offsets(
        self, text: tf.Tensor
    ) -> tuple[tf.RaggedTensor, tf.RaggedTensor, tf.RaggedTensor]:
        text = valid_utf8(text)
        ids = self._piece_ids(self._words(text))  # [B, words, pieces]
        starts, ends = word_offsets(text, *self._folding, self._whole_characters(text))
        pieces_end = ids.values.row_splits[1:]
        ids = ids.merge_dims(1, 2)
        word = tf.searchsorted(pieces_end, tf.range(tf.size(ids.values, tf.int64)), side="right")
        return ids, *(ids.with_values(tf.gather(offsets, word)) for offsets in (starts, ends))

    def _words(self, text: tf.Tensor) -> tf.RaggedTensor:
        if self._whole is None:
            return tf.strings.split(split_words(text, *self._folding))
        parts, kinds = self._whole.split(valid_utf8(text))
        words = tf.where(
            kinds == TEXT,
            split_words(parts.values, *self._folding),
            self._whole.words(parts.values, kinds),
        )
        return parts.with_values(tf.strings.split(words)).merge_dims(1, 2)

    def _whole_characters(self, text: tf.Tensor) -> tf.Tensor | None:
        """Which characters are those of a whole token, as `word_offsets` takes it."""
        if self._whole is None:
            return None
        parts, kinds = self._whole.split(text)
        number = tf.where(kinds == TEXT, 0, tf.range(1, tf.size(kinds) + 1))
        return tf.repeat(number, tf.strings.length(parts.values, unit="UTF8_CHAR"))

    def _piece_ids(self, words: tf.RaggedTensor) -> tf.RaggedTensor:
        """The ids of each word: string [B, None] to int32 [B, None, None]."""
        too_long = tf.strings.length(words.values, unit="UTF8_CHAR") > MAX_CHARACTERS_PER_WORD
        words = words.with_values(tf.where(too_long, _UNKNOWN_WORD, words.values))
        return self._wordpiece.tokenize(words)
