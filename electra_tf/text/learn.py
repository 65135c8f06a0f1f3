"""Learning of a WordPiece vocabulary, with the normalisation that `WordPiece` applies.

The text is rewritten into words by the tokenizer's own graph (`split_words`) and spooled to disk;
Hugging Face `tokenizers` then counts the words and merges pieces. Memory grows with the number of
different words, not with the text. Words that are too long for the tokenizer, which gives [UNK] for
them, are left out.
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence

import tensorflow as tf
from absl import logging

from electra_tf import extras, files
from electra_tf.errors import UserError
from electra_tf.text.corpus import Document, find_sources
from electra_tf.text.dropped import Reading
from electra_tf.text.sample import sample
from electra_tf.text.vocabulary import SPECIAL_TOKENS, UNK, Vocabulary
from electra_tf.text.wordpiece import MAX_CHARACTERS_PER_WORD
from electra_tf.text.words import split_words

with extras.needed("data"):
    import tokenizers
    from tokenizers import models, pre_tokenizers, trainers

_BATCH_BYTES = 1 << 20
_PREFIX = "##"
# At most Vocabulary.MAX_TOKEN_BYTES in any script. So long a piece is no part of a language.
_MAX_CHARACTERS_PER_PIECE = 64


def learn_vocab(
    inputs: Sequence[str],
    output: str | os.PathLike,
    *,
    vocab_size: int = 30522,
    lower_case: bool = True,
    strip_accents: bool | None = None,
    tokenize_chinese_chars: bool = True,
    min_frequency: int = 2,
    limit_alphabet: int = 1000,
    max_bytes: int = 1 << 30,
    text_field: str = "text",
    overwrite: bool = False,
) -> Vocabulary:
    """Learns a vocabulary and writes it, one token per line, the special tokens first.

    The same input gives the same file. It has fewer than `vocab_size` tokens if the text is too
    small to give more.

    Args:
      inputs: see `electra_tf.text.corpus.find_sources`.
      output: file to write; it appears when it is complete.
      vocab_size: tokens wanted, special tokens included.
      lower_case, strip_accents, tokenize_chinese_chars: as the tokenizer will be used.
      min_frequency: pieces that occur less often are not made.
      limit_alphabet: most characters to keep; the rarest become [UNK].
      max_bytes: most text to learn from. Of larger files a share of the documents, chosen by a
        hash of their text, is taken.
      text_field: the field with the text in .jsonl and TFDS inputs.
      overwrite: replace an existing file.

    Returns:
      The vocabulary.

    Raises:
      UserError: an argument or an input is not usable.
    """
    for name, value in (
        ("vocab_size", vocab_size - len(SPECIAL_TOKENS)),
        ("min_frequency", min_frequency),
        ("limit_alphabet", limit_alphabet),
        ("max_bytes", max_bytes),
    ):
        if value < 1:
            least = 1 + len(SPECIAL_TOKENS) if name == "vocab_size" else 1
            raise UserError(f"{name} must be at least {least}. Received: {value + least - 1}")
    sources = find_sources(inputs, text_field)
    output = files.output(
        output, inputs=[each.name for each in sources if each.is_file], overwrite=overwrite
    )
    strip_accents = lower_case if strip_accents is None else strip_accents
    with files.work_folder(output) as work_dir:
        words_file = os.path.join(work_dir, "words.txt")
        reading = Reading()
        documents = sample(sources, max_bytes, reading)
        characters, first_characters, num_long = _write_words(
            documents, words_file, (lower_case, strip_accents, tokenize_chinese_chars)
        )
        reading.require_healthy(sources)
        too_long = f"{num_long:,} words of more than {MAX_CHARACTERS_PER_WORD} characters"
        if not characters:
            advice = "put blanks between words, or take --kind=sentencepiece"
            found = f" ({too_long}; {advice})" if num_long else ""
            raise UserError(
                f"The input must hold at least one word. Received: {', '.join(inputs)}{found}"
            )
        if num_long:
            logging.warning("%s are left out: the tokenizer gives [UNK] for them", too_long)
        kept = sorted(characters, key=lambda c: (-characters[c], c))[:limit_alphabet]
        # The library numbers these in the random order of a hash table, and then breaks ties
        # between merges by number. Naming them here makes the result repeatable.
        continuations = sorted(
            _PREFIX + c for c in kept if characters[c] > first_characters.get(c, 0)
        )
        tokens = _train(words_file, vocab_size, min_frequency, sorted(kept), continuations)
        if len(tokens) > vocab_size:
            raise UserError(
                f"vocab_size must be at least {len(tokens)} for the {len(kept)} characters of this "
                f"text. Received: {vocab_size}; raise it or lower limit_alphabet"
            )
        vocabulary = Vocabulary(tokens, source=output)
        finished = os.path.join(work_dir, *Vocabulary.FILES)
        vocabulary.save(work_dir)
        os.replace(finished, os.path.realpath(output))
    return vocabulary


def _write_words(
    documents: Iterator[Document], path: str, folding: tuple[bool, bool, bool]
) -> tuple[Counter, Counter, int]:
    """Writes the words of the text, separated by blanks.

    Returns:
      How often each character occurs, how often as the first of a word, and how many words were
      too long.
    """
    split = tf.function(
        lambda text: split_words(text, *folding),
        input_signature=[tf.TensorSpec([None], tf.string)],
        autograph=False,
    )
    characters: Counter = Counter()
    first_characters: Counter = Counter()
    lines: list[bytes] = []
    size = num_long = 0

    def flush() -> int:
        found = b"\n".join(split(tf.constant(lines, tf.string)).numpy()).decode().split()
        words = [word for word in found if len(word) <= MAX_CHARACTERS_PER_WORD]
        characters.update("".join(words))
        first_characters.update(word[0] for word in words)
        file.write(" ".join(words) + "\n")
        return len(found) - len(words)

    with open(path, "w", encoding="utf-8") as file:
        for document in documents:
            lines += document
            size += sum(map(len, document))
            if size >= _BATCH_BYTES:
                num_long += flush()
                lines, size = [], 0
        if lines:
            num_long += flush()
    return characters, first_characters, num_long


def _train(
    words_file: str,
    vocab_size: int,
    min_frequency: int,
    alphabet: Sequence[str],
    continuations: Sequence[str],
) -> list[str]:
    """Tokens in the order of their ids: special tokens, single characters, merged pieces."""
    # The trainer for WordPiece makes the same pieces but does not limit their length.
    tokenizer = tokenizers.Tokenizer(models.BPE(unk_token=UNK))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        special_tokens=[*SPECIAL_TOKENS, *continuations],
        initial_alphabet=list(alphabet),
        limit_alphabet=len(alphabet),
        continuing_subword_prefix=_PREFIX,
        max_token_length=_MAX_CHARACTERS_PER_PIECE,
        show_progress=False,
    )
    with open(words_file, encoding="utf-8") as file:
        tokenizer.train_from_iterator(file, trainer)
    ids = tokenizer.get_vocab()
    return sorted(ids, key=ids.__getitem__)
