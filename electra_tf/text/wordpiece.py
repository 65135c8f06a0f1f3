"""BERT's tokenization as TensorFlow ops: the same ids in the build, in Python and when serving.

Text is first rewritten into words joined by single spaces (`words.split_words`), then every word
is cut greedily into the longest pieces of the vocabulary.
"""

import os

import tensorflow as tf
import tensorflow_text as tf_text

from electra_tf.text.framing import frame
from electra_tf.text.vocabulary import UNK, Vocabulary
from electra_tf.text.words import split_words, valid_utf8, word_offsets

# BERT's reference gives [UNK] for a longer word.
MAX_CHARACTERS_PER_WORD = 200

# Cannot come out of `split_words`, so no vocabulary piece fits a word made of it.
_UNKNOWN_WORD = "\x01"


class Tokenizer(tf.Module):
    """Text to WordPiece ids inside the graph.

    Everything it needs lives in graph constants, so a SavedModel that contains it has no asset
    files. Special tokens never come out of text: "[MASK]" gives the pieces of `[`, `mask`, `]`.

    Differs from the original: accents can be stripped from cased text too, and case can be folded
    without stripping accents.
    """

    def __init__(
        self,
        vocab_file: str | os.PathLike,
        lower_case: bool = True,
        strip_accents: bool | None = None,
    ):
        """Builds the tokenizer.

        Args:
          vocab_file: one token per line, see `Vocabulary.from_file`.
          lower_case: True for uncased vocabularies.
          strip_accents: None does as `lower_case`, as BERT's models were trained.
        """
        super().__init__(name="tokenizer")
        self.vocabulary = Vocabulary.from_file(vocab_file)
        self.lower_case = lower_case
        self.strip_accents = lower_case if strip_accents is None else strip_accents
        self._wordpiece = tf_text.FastWordpieceTokenizer(
            vocab=list(self.vocabulary.tokens),
            unknown_token=UNK,
            no_pretokenization=True,
            # In bytes; the limit in characters is kept by `_piece_ids`.
            max_bytes_per_word=4 * MAX_CHARACTERS_PER_WORD,
            token_out_type=tf.int32,
        )
        self._ids_of_lines = tf.function(
            self.ids, input_signature=[tf.TensorSpec([None], tf.string)], autograph=False
        )

    def tokenize(self, texts: list[str]) -> list[list[int]]:
        """Ids of each text, without [CLS] and [SEP]; one call for many texts is fastest."""
        return self.ids_of_lines(texts).to_list() if texts else []

    def batch(self, texts, pairs=None, max_seq_length: int = 512) -> dict[str, tf.Tensor]:
        """What a model reads: `[CLS] text [SEP]`, or with pairs `[CLS] text [SEP] pair [SEP]`.

        Args:
          texts, pairs: lists of strings or string tensors, [B]; in graph, too.
          max_seq_length: longer rows are cut to so many tokens, see `framing.frame`.

        Returns:
          `input_ids`, `input_mask`, `segment_ids`, int32 [B, L] with L of the longest row.
        """
        first, second = (
            None if part is None else self.ids(tf.convert_to_tensor(part, tf.string))
            for part in (texts, pairs)
        )
        return frame(first, second, self.vocabulary, max_seq_length)

    def ids_of_lines(self, texts: list[str | bytes]) -> tf.RaggedTensor:
        """As `ids`, from Python strings through one traced function: int32 [B, None]."""
        return self._ids_of_lines(tf.constant(texts, tf.string))

    def ids(self, text: tf.Tensor) -> tf.RaggedTensor:
        """Token ids of each text, in graph.

        Args:
          text: string [B].

        Returns:
          int32 [B, None], without [CLS] and [SEP].
        """
        return self._piece_ids(self._words(text)).merge_dims(1, 2)

    def ids_with_offsets(
        self, text: tf.Tensor
    ) -> tuple[tf.RaggedTensor, tf.RaggedTensor, tf.RaggedTensor]:
        """Token ids, with the place in the text of the word that each came from.

        A word here is what lies between white space, with every punctuation mark and Chinese
        character a word of its own. Many tokens may share one word.

        Args:
          text: string [B].

        Returns:
          ids, starts, ends: int32 [B, None] each. Offsets count bytes in `valid_utf8(text)`.
        """
        ids = self._piece_ids(self._words(text))  # [B, words, pieces]
        starts, ends = word_offsets(valid_utf8(text), self.lower_case, self.strip_accents)
        pieces_end = ids.values.row_splits[1:]
        ids = ids.merge_dims(1, 2)
        word = tf.searchsorted(pieces_end, tf.range(tf.size(ids.values, tf.int64)), side="right")
        return ids, *(ids.with_values(tf.gather(offsets, word)) for offsets in (starts, ends))

    def _words(self, text: tf.Tensor) -> tf.RaggedTensor:
        return tf.strings.split(split_words(text, self.lower_case, self.strip_accents))

    def _piece_ids(self, words: tf.RaggedTensor) -> tf.RaggedTensor:
        """The ids of each word: string [B, None] to int32 [B, None, None]."""
        too_long = tf.strings.length(words.values, unit="UTF8_CHAR") > MAX_CHARACTERS_PER_WORD
        words = words.with_values(tf.where(too_long, _UNKNOWN_WORD, words.values))
        return self._wordpiece.tokenize(words)
