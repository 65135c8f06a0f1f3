"""Tokens that come out of a text whole wherever they stand in it, before it is split into words.

As added tokens of Hugging Face's tokenizers do: first those that are found in the text as it is
written, then, in what is left, those that are found however it is folded; of several that begin at
the same place the longest.
"""

from collections.abc import Sequence

import tensorflow as tf

from electra_tf.errors import UserError
from electra_tf.text.vocabulary import Vocabulary
from electra_tf.text.words import REMOVED, hold_removed, normalize, patterns_of

TEXT, AS_WRITTEN, AS_FOLDED = range(3)  # kinds of a part of a text

_MARK = "\U0010fffd"  # stands around a token that was found; texts have REMOVED instead
# What a token is called as a word: neither control character can be in a word of a text.
_WORD = {AS_WRITTEN: "\x02", AS_FOLDED: "\x03"}
_BLANK, _BLANK_IN_WORD = r"[\t\n\v\f\r ]", "\x04"
_LONGEST = 100


class WholeTokens:
    """The tokens of two settings of a tokenizer.

    Args:
        never_split: found in the text as it is written.
        added_tokens: found in the text whatever its case and accents, if these are folded.
        folding: lower_case, strip_accents and split_chinese, as of `words.split_words`.
        vocabulary: holds all of them.

    Raises:
        UserError: the vocabulary lacks a token, or it is none that could be found.
    """

    def __init__(
        self,
        never_split: Sequence[str],
        added_tokens: Sequence[str],
        folding: tuple[bool, bool, bool],
        vocabulary: Vocabulary,
    ):
        self._folding = folding
        for setting, tokens in (("never_split", never_split), ("added_tokens", added_tokens)):
            for token in tokens:
                _check(setting, token, vocabulary)
        # RE2 takes the first alternative that fits: the longest.
        written, folded = (sorted(those, key=len)[::-1] for those in (never_split, added_tokens))
        self._as_written = "|".join(map(_literal, written))
        self._as_folded = "|".join(patterns_of(folded, *folding)) if folded else ""
        for pattern in (self._as_written, self._as_folded):
            _check_size(pattern)
        self._names = self._named(written, AS_WRITTEN) | self._named(folded, AS_FOLDED)
        names = {*self._names.values()} - {*_WORD.values()}
        if len(names) < len(written) + len(folded):
            raise UserError(
                "never_split and added_tokens must hold each token once, also when it is folded, "
                f"which may leave none empty. Received: {', '.join([*never_split, *added_tokens])}"
            )

    def vocabulary_of_words(self, tokens: Sequence[str]) -> list[str]:
        """The tokens with these ones called as `words` calls them, so no other word gives them."""
        return [self._names.get(token, token) for token in tokens]

    def split(self, text: tf.Tensor) -> tuple[tf.RaggedTensor, tf.Tensor]:
        """Cuts texts around the tokens.

        Args:
            text: string [B], of valid UTF-8.

        Returns:
            The parts of each text, string [B, None], and the kind of each part, int32 [parts].
            Together they have the text's characters, with other ones for those that are removed.
        """
        text = tf.strings.regex_replace(text, _MARK, REMOVED)
        parts, is_written = _split(text, self._as_written)
        rest = parts.values
        if self._as_folded:
            _, strip_accents, _ = self._folding
            rest = tf.where(is_written, rest, hold_removed(rest, strip_accents))
        inner, is_folded = _split(rest, self._as_folded, is_written)
        kinds = tf.where(
            tf.repeat(is_written, inner.row_lengths()),
            AS_WRITTEN,
            tf.where(is_folded, AS_FOLDED, TEXT),
        )
        return parts.with_values(inner).merge_dims(1, 2), kinds

    def words(self, parts: tf.Tensor, kinds: tf.Tensor) -> tf.Tensor:
        """What stands for tokens among words: parts string [N], kinds int32 [N] to string [N]."""
        written = _WORD[AS_WRITTEN] + parts
        folded = _WORD[AS_FOLDED] + tf.strings.strip(normalize(parts, *self._folding))
        words = tf.where(kinds == AS_WRITTEN, written, folded)
        return tf.strings.regex_replace(words, _BLANK, _BLANK_IN_WORD)

    def _named(self, tokens: Sequence[str], kind: int) -> dict[str, str]:
        with tf.init_scope():
            words = self.words(tf.constant(tokens, tf.string), tf.fill([len(tokens)], kind)).numpy()
        return {token: word.decode() for token, word in zip(tokens, words)}


def _split(text, pattern, keep=None):
    """Parts of texts [N] as string [N, None], and whether each is a match, bool [parts].

    Texts of which `keep`, bool [N], is true are left as one part.
    """
    if pattern:
        marked = tf.strings.regex_replace(text, pattern, rf"{_MARK}\0{_MARK}")
        text = marked if keep is None else tf.where(keep, text, marked)
    parts = tf.strings.split(text, _MARK)
    place = tf.range(tf.size(parts.values, tf.int64)) - tf.gather(
        parts.row_starts(), parts.value_rowids()
    )
    return parts, place % 2 == 1


def _check(setting: str, token: str, vocabulary: Vocabulary) -> None:
    rule = None
    if token not in vocabulary:
        rule = "tokens of the vocabulary"
    elif token in vocabulary.SPECIAL:
        rule = f"other tokens than {' '.join(vocabulary.SPECIAL)}, which no text gives"
    elif not token.strip() or token != token.strip() or len(token) > _LONGEST:
        rule = f"tokens of at most {_LONGEST} characters, without white space around them"
    if rule:
        raise UserError(f"{setting} must hold {rule}. Received: {token!r:.120}")


def _check_size(pattern: str) -> None:
    try:
        with tf.init_scope():
            tf.strings.regex_full_match("", pattern)
    except tf.errors.InvalidArgumentError:
        raise UserError(
            "never_split and added_tokens must be few enough to be looked for together. "
            f"Received: a pattern of {len(pattern):,} characters"
        ) from None


def _literal(token: str) -> str:
    return "".join(rf"\x{{{ord(character):X}}}" for character in token)
