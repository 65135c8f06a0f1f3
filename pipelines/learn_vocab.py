"""Learns a BERT WordPiece vocabulary from a text corpus.

    electra_tf learn_vocab --input='corpus/*.txt.xz' --vocab_size=30522 --output=vocab.txt

The text is normalised exactly as the tokenizer does it. The same input gives the same file.
"""

import time

from absl import flags

from electra_tf import command

_INPUT = flags.DEFINE_multi_string(
    "input",
    None,
    "What to read; repeat the flag or separate by commas. Files or globs of .txt and .jsonl, plain "
    "or .gz, .xz, .bz2; tfds:NAME[:SPLIT]; docs:novels, docs:installed. See electra_tf "
    "build_dataset.",
    required=True,
)
_OUTPUT = command.define_path("output", None, "File to write, one token per line.", required=True)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace output if it exists.")
_VOCAB_SIZE = flags.DEFINE_integer(
    "vocab_size", 30522, "Tokens to learn, with [PAD] [UNK] [CLS] [SEP] [MASK]."
)
_LOWER_CASE = flags.DEFINE_bool("lower_case", True, "Lower-case the text: an uncased vocabulary.")
_STRIP_ACCENTS = flags.DEFINE_bool("strip_accents", None, "Remove accents; default: as lower_case.")
_CHINESE = flags.DEFINE_bool(
    "tokenize_chinese_chars", True, "Make each Chinese character a word of its own."
)
_MIN_FREQUENCY = flags.DEFINE_integer(
    "min_frequency", 2, "Do not make pieces that occur less often than this."
)
_LIMIT_ALPHABET = flags.DEFINE_integer(
    "limit_alphabet", 1000, "Characters to keep; words with rarer ones become [UNK]."
)
_MAX_BYTES = flags.DEFINE_integer(
    "max_bytes",
    1 << 30,
    "Learn from about this much text at most. From larger files it takes a share of the documents, "
    "always the same one.",
)
_TEXT_FIELD = flags.DEFINE_string("text_field", "text", "Field of .jsonl and tfds inputs to read.")


def main(argv: list[str]) -> None:
    command.no_arguments(argv)
    # Imported here so that --help does not wait for TensorFlow.
    from electra_tf.text.learn import learn_vocab

    start = time.monotonic()
    vocabulary = learn_vocab(
        _INPUT.value,
        _OUTPUT.value,
        vocab_size=_VOCAB_SIZE.value,
        lower_case=_LOWER_CASE.value,
        strip_accents=_STRIP_ACCENTS.value,
        tokenize_chinese_chars=_CHINESE.value,
        min_frequency=_MIN_FREQUENCY.value,
        limit_alphabet=_LIMIT_ALPHABET.value,
        max_bytes=_MAX_BYTES.value,
        text_field=_TEXT_FIELD.value,
        overwrite=_OVERWRITE.value,
    )
    print(f"{_OUTPUT.value}: {len(vocabulary):,} tokens in {time.monotonic() - start:.1f} s")


if __name__ == "__main__":
    command.run(main)
