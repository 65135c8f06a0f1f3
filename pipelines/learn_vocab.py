"""Learns a vocabulary from a text corpus: WordPiece, a SentencePiece model, or a byte-level BPE.

    electra_tf learn_vocab --input='corpus/*.txt.xz' --vocab_size=30522 --output=vocab.txt
    electra_tf learn_vocab --kind=sentencepiece --input=japanese.txt --output=spiece.model
    electra_tf learn_vocab --kind=byte_level_bpe --input=python.txt --output=tokenizer.json

The text is normalised exactly as the tokenizer does it. The same input gives the same file.
"""

import time

from absl import flags

from electra_tf import command
from electra_tf.errors import UserError

_INPUT = flags.DEFINE_multi_string(
    "input",
    None,
    "What to read; repeat the flag or separate by commas. Files or globs of .txt and .jsonl, plain "
    "or .gz, .xz, .bz2; tfds:NAME[:SPLIT]; docs:novels, docs:installed. See electra_tf "
    "build_dataset.",
    required=True,
)
_OUTPUT = command.define_path(
    "output",
    None,
    "File to write: vocab.txt, a SentencePiece model, or tokenizer.json.",
    required=True,
)
_KIND = flags.DEFINE_enum(
    "kind",
    "wordpiece",
    ["wordpiece", "sentencepiece", "byte_level_bpe"],
    "wordpiece: for languages with blanks between words. sentencepiece: for all. byte_level_bpe: "
    "for all, with case and accents as they are written.",
)
_MODEL_TYPE = flags.DEFINE_enum(
    "model_type", "unigram", ["unigram", "bpe"], "Of sentencepiece: how text is cut into pieces."
)
_COVERAGE = flags.DEFINE_float(
    "character_coverage",
    0.9995,
    "Of sentencepiece: share of the text's characters that become pieces. 1 for few characters.",
)
_BYTE_FALLBACK = flags.DEFINE_bool(
    "byte_fallback", False, "Of sentencepiece: unknown characters become bytes, not [UNK]."
)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace output if it exists.")
_VOCAB_SIZE = flags.DEFINE_integer(
    "vocab_size", 30522, "Tokens to learn, with [PAD] [UNK] [CLS] [SEP] [MASK]."
)
_LOWER_CASE = flags.DEFINE_bool(
    "lower_case",
    True,
    "Of wordpiece and sentencepiece: lower-case the text, for an uncased vocabulary.",
)
_STRIP_ACCENTS = flags.DEFINE_bool(
    "strip_accents", None, "Of wordpiece: remove accents; default: as lower_case."
)
_CHINESE = flags.DEFINE_bool(
    "tokenize_chinese_chars", True, "Of wordpiece: make each Chinese character a word of its own."
)
_MIN_FREQUENCY = flags.DEFINE_integer(
    "min_frequency",
    2,
    "Of wordpiece and byte_level_bpe: do not make pieces that occur less often than this.",
)
_PREFIX_SPACE = flags.DEFINE_bool(
    "add_prefix_space",
    False,
    "Of byte_level_bpe: put a blank before a text, so that its first word is the same token as "
    "elsewhere.",
)
_LIMIT_ALPHABET = flags.DEFINE_integer(
    "limit_alphabet", 1000, "Of wordpiece: characters to keep; words with rarer ones become [UNK]."
)
_MAX_BYTES = flags.DEFINE_integer(
    "max_bytes",
    None,
    "Learn from about this much text at most; default: 1 GiB, of sentencepiece 128 MiB. From "
    "larger files it takes a share of the documents, always the same one.",
)
_TEXT_FIELD = flags.DEFINE_string("text_field", "text", "Field of .jsonl and tfds inputs to read.")


# Flags that not all kinds have.
_OWN = {
    "wordpiece": (_LOWER_CASE, _STRIP_ACCENTS, _CHINESE, _MIN_FREQUENCY, _LIMIT_ALPHABET),
    "sentencepiece": (_LOWER_CASE, _MODEL_TYPE, _COVERAGE, _BYTE_FALLBACK),
    "byte_level_bpe": (_MIN_FREQUENCY, _PREFIX_SPACE),
}


def main(argv: list[str]) -> None:
    command.no_arguments(argv)
    kind = _KIND.value
    for other, its_flags in _OWN.items():
        for flag in its_flags:
            if flag.present and not any(flag is each for each in _OWN[kind]):
                raise UserError(
                    f"--{flag.name} must be left out with --kind={kind}: it is for --kind={other}. "
                    f"Received: --{flag.name}={flag.value}"
                )
    # Imported here so that --help does not wait for TensorFlow.
    if kind == "wordpiece":
        from electra_tf.text.learn import learn_vocab as learn
    elif kind == "byte_level_bpe":
        from electra_tf.text.learn_byte_pairs import learn_byte_pairs as learn
    else:
        from electra_tf.text.learn_pieces import learn_pieces as learn

    start = time.monotonic()
    common = (_VOCAB_SIZE, _TEXT_FIELD, _OVERWRITE)
    given = {flag.name: flag.value for flag in (*common, *_OWN[kind])}
    if _MAX_BYTES.value is not None:
        given["max_bytes"] = _MAX_BYTES.value
    vocabulary = learn(_INPUT.value, _OUTPUT.value, **given)
    print(f"{_OUTPUT.value}: {len(vocabulary):,} tokens in {time.monotonic() - start:.1f} s")


if __name__ == "__main__":
    command.run(main)
