"""BERT's tokenization as TensorFlow ops: the same ids in the build, in Python and when serving.

Text is first rewritten into words joined by single spaces (`split_words`), then every word is cut
greedily into the longest pieces of the vocabulary. The rewriting uses only core TensorFlow ops,
because tensorflow-text's own BERT normaliser folds with NFKC and so changes characters (`½`, `…`,
`ﬁ`) that BERT keeps.
"""

import os

import tensorflow as tf
import tensorflow_text as tf_text

from electra_tf.text.framing import frame
from electra_tf.text.vocabulary import UNK, Vocabulary

# BERT's reference gives [UNK] for a longer word.
MAX_CHARACTERS_PER_WORD = 200

# Everything but letters, marks, numbers, punctuation, symbols and separators: controls, formats,
# surrogates, private use and, written as a complement because RE2 has no class for it, unassigned.
_REMOVED = r"[^\p{L}\p{M}\p{N}\p{P}\p{S}\p{Z}\t\n\r]+|\x{FFFD}+"
# White space other than the plain blank, which needs no rewriting.
_OTHER_SPACE = r"[\t\n\r]|[^\P{Z} ]"
# The blocks of Chinese characters; each character is a word.
_CJK = (
    r"[\x{4E00}-\x{9FFF}\x{3400}-\x{4DBF}\x{20000}-\x{2A6DF}\x{2A700}-\x{2B73F}"
    r"\x{2B740}-\x{2B81F}\x{2B820}-\x{2CEAF}\x{F900}-\x{FAFF}\x{2F800}-\x{2FA1F}]"
)
_ACCENT = r"\p{Mn}+"
# ASCII symbols such as $ and ^ count as punctuation too.
_PUNCTUATION = r"[!-/:-@\[-`{-~\p{P}]"
# Cannot come out of `split_words`, so no vocabulary piece fits a word made of it.
_UNKNOWN_WORD = "\x01"


def valid_utf8(text: tf.Tensor) -> tf.Tensor:
    """Drops invalid bytes; what is left is the text that offsets refer to."""
    return tf.strings.unicode_transcode(text, "UTF-8", "UTF-8", errors="ignore")


def _fold(text: tf.Tensor, lower_case: bool, strip_accents: bool) -> tf.Tensor:
    """Lower-cases and removes accents, as asked for."""
    if lower_case:
        text = tf.strings.lower(text, encoding="utf-8")
    if strip_accents:
        text = tf_text.normalize_utf8(text, "NFD")
        text = tf.strings.regex_replace(text, _ACCENT, "")
    return text


def split_words(text: tf.Tensor, lower_case: bool, strip_accents: bool) -> tf.Tensor:
    """Rewrites text into its normalised words, joined by spaces.

    Args:
      text: string [B].
      lower_case: lower-case every letter.
      strip_accents: decompose characters and remove the accents.

    Returns:
      string [B]; words are separated by one or more spaces.
    """
    text = valid_utf8(text)
    text = tf.strings.regex_replace(text, _REMOVED, "")
    text = tf.strings.regex_replace(text, _OTHER_SPACE, " ")
    text = tf.strings.regex_replace(text, _CJK, r" \0 ")
    text = _fold(text, lower_case, strip_accents)
    # After the folding, which turns for example U+037E into a semicolon.
    return tf.strings.regex_replace(text, _PUNCTUATION, r" \0 ")


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
        starts, ends = self._word_offsets(text)
        pieces = ids.values.row_lengths()

        def per_piece(offsets: tf.RaggedTensor) -> tf.RaggedTensor:
            values = tf.RaggedTensor.from_row_splits(
                tf.repeat(offsets.values, pieces), ids.values.row_splits
            )
            return ids.with_values(values).merge_dims(1, 2)

        return ids.merge_dims(1, 2), per_piece(starts), per_piece(ends)

    def _words(self, text: tf.Tensor) -> tf.RaggedTensor:
        return tf.strings.split(split_words(text, self.lower_case, self.strip_accents))

    def _piece_ids(self, words: tf.RaggedTensor) -> tf.RaggedTensor:
        """The ids of each word: string [B, None] to int32 [B, None, None]."""
        too_long = tf.strings.length(words.values, unit="UTF8_CHAR") > MAX_CHARACTERS_PER_WORD
        words = words.with_values(tf.where(too_long, _UNKNOWN_WORD, words.values))
        return self._wordpiece.tokenize(words)

    def _word_offsets(self, text: tf.Tensor) -> tuple[tf.RaggedTensor, tf.RaggedTensor]:
        """Where each word of `_words(text)` lies in `valid_utf8(text)`: int32 [B, None] twice.

        Every character is classified on its own, which finds the same boundaries as rewriting the
        whole text does. It costs several times as much as the ids.
        """
        characters, starts = tf.strings.unicode_split_with_offsets(valid_utf8(text), "UTF-8")
        row = tf.cast(characters.value_rowids(), tf.int32)
        character, start = characters.values, tf.cast(starts.values, tf.int32)
        end = start + tf.strings.length(character)
        # What is removed before words are told apart belongs to no word.
        kept = tf.not_equal(tf.strings.regex_replace(character, _REMOVED, ""), "")
        row, character, start, end = (
            tf.boolean_mask(x, kept) for x in (row, character, start, end)
        )

        is_space = tf.strings.regex_full_match(character, f"{_OTHER_SPACE}| ")
        folded = _fold(character, self.lower_case, self.strip_accents)
        is_alone = tf.strings.regex_full_match(character, _CJK) | tf.strings.regex_full_match(
            folded, _PUNCTUATION
        )
        # A word begins at the first character of a row, at a space, at a punctuation mark, and
        # after any of these two. Spaces then make up words of their own, dropped below with those
        # of which stripping the accents left nothing.
        is_break = is_space | is_alone
        after_break = tf.concat([[True], is_break[:-1] | (row[1:] != row[:-1])], 0)
        after_break = after_break[: tf.size(row)]
        word = tf.cumsum(tf.cast(is_break | after_break, tf.int32)) - 1

        count = tf.reduce_max(tf.concat([word, [-1]], 0)) + 1
        visible = tf.cast(~is_space & tf.not_equal(folded, ""), tf.int32)
        is_word = tf.math.unsorted_segment_max(visible, word, count) > 0
        word_start = tf.math.unsorted_segment_min(start, word, count)
        word_end = tf.math.unsorted_segment_max(end, word, count)
        word_row = tf.math.unsorted_segment_min(row, word, count)

        num_rows = tf.shape(text, out_type=tf.int64)[0]
        return tuple(
            tf.RaggedTensor.from_value_rowids(
                tf.boolean_mask(offsets, is_word),
                tf.cast(tf.boolean_mask(word_row, is_word), tf.int64),
                nrows=num_rows,
            )
            for offsets in (word_start, word_end)
        )
