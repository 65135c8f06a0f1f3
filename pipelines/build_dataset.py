"""Turns a text corpus into shards of pre-training examples.

    electra_tf build_dataset --input='corpus/*.txt.xz' --vocab=vocab.txt --output_dir=data

The output holds train-*.tfrecord, eval-*.tfrecord, dataset.json and the vocabulary.
The same input, seed and settings give the same bytes, whatever the number of workers. Flags that
are not listed here go to Apache Beam, for example --runner.
"""

import logging
import time

from absl import flags

from electra_tf import command
from electra_tf.text import tokenization

_INPUT = flags.DEFINE_multi_string(
    "input",
    None,
    "What to read; repeat the flag or separate by commas. Files or globs of .txt (blank lines "
    "separate documents) and .jsonl (one document per line), plain or .gz, .xz, .bz2; "
    "tfds:NAME[:SPLIT] for a TensorFlow Datasets data set; docs:novels for six novels "
    "that come with electra_tf, 2.9 MB; docs:installed for the prose in the documentation of the "
    "Python packages installed here.",
    required=True,
)
_VOCAB = command.define_path(
    "vocab",
    None,
    "Vocabulary, one token per line, a SentencePiece model, or the tokenizer.json of a byte-level "
    "BPE; electra_tf learn_vocab makes one. For a tokenizer with several files, their directory.",
    required=True,
)
_OUTPUT_DIR = command.define_path(
    "output_dir", None, "Directory to create. It appears when it is complete.", required=True
)
_OVERWRITE = flags.DEFINE_bool(
    "overwrite", False, "Replace output_dir if it is a data set and nothing else."
)
_SEQ_LENGTH = flags.DEFINE_integer("seq_length", 128, "Tokens per example, padding included.")
_MAX_POSITIONS = flags.DEFINE_integer(
    "max_positions",
    512,
    "Largest --seq_length allowed; raise it with config.model.max_positions.",
)
_EVAL_FRACTION = flags.DEFINE_float(
    "eval_fraction",
    0.01,
    "Share of the documents held out for evaluation, chosen by a hash of seed and text. If it is "
    "above 0 there is at least one, unless the input is a single document. If documents are too "
    "long for this share, their ends are held out.",
)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the split and of the examples' random choices.")
_PACKING = flags.DEFINE_enum(
    "packing",
    "none",
    ["none", "documents"],
    "none: one or two segments of one document per example, padded, as in the original. "
    "documents: pieces of several documents fill every example, told apart by document_ids.",
)
_KEEP_LEFTOVERS = flags.DEFINE_bool(
    "keep_leftovers",
    True,
    "Begin the next example with the tokens that did not fit into one; --nokeep_leftovers drops "
    "them, as the original does. With --packing=documents nothing is dropped.",
)
_TOKENIZER = flags.DEFINE_enum("tokenizer", "wordpiece", tokenization.NAMES, "Kind of --vocab.")
_LOWER_CASE = flags.DEFINE_bool(
    "lower_case", True, "Of wordpiece: lower-case the text, for an uncased vocabulary."
)
_STRIP_ACCENTS = flags.DEFINE_bool(
    "strip_accents", None, "Of wordpiece: remove accents; default: as lower_case."
)
_CHINESE = flags.DEFINE_bool(
    "tokenize_chinese_chars", True, "Of wordpiece: make each Chinese character a word of its own."
)
_NEVER_SPLIT = flags.DEFINE_multi_string(
    "never_split",
    [],
    "Of wordpiece: a token of the vocabulary that is never split where a text has it exactly as "
    "written; repeat the flag.",
)
_ADDED_TOKENS = flags.DEFINE_multi_string(
    "added_tokens",
    [],
    "The same, but compared after case and accents are folded; repeat the flag.",
)
_TEXT_FIELD = flags.DEFINE_string("text_field", "text", "Field of .jsonl and tfds inputs to read.")
_NUM_WORKERS = flags.DEFINE_integer("num_workers", None, "Processes; default: one per core.")

# What the shares under "dropped" in dataset.json are of.
_NOT_USED = {
    "tokens": "tokens are in no example",
    "unknown_tokens": "tokens are unknown",
    "long_word_characters": "characters are in words too long to be known",
    "damaged_lines": "lines have NUL bytes, U+FFFD or what is not UTF-8, which is left out",
    "json_lines": "JSON lines are not read",
}


def main(argv: list[str]) -> None:
    # Imported here so that --help does not wait for Beam, which also warns of parts of it that are
    # not installed and not needed.
    logging.disable(logging.WARNING)
    from electra_tf.data.build import build_dataset

    logging.disable(logging.NOTSET)
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)  # errors are raised, too
    start = time.monotonic()
    dataset = build_dataset(
        _INPUT.value,
        _VOCAB.value,
        _OUTPUT_DIR.value,
        seq_length=_SEQ_LENGTH.value,
        eval_fraction=_EVAL_FRACTION.value,
        seed=_SEED.value,
        overwrite=_OVERWRITE.value,
        packing=_PACKING.value,
        keep_leftovers=_KEEP_LEFTOVERS.value,
        tokenizer=_TOKENIZER.value,
        lower_case=_LOWER_CASE.value,
        strip_accents=_STRIP_ACCENTS.value,
        tokenize_chinese_chars=_CHINESE.value,
        never_split=_NEVER_SPLIT.value,
        added_tokens=_ADDED_TOKENS.value,
        text_field=_TEXT_FIELD.value,
        max_positions=_MAX_POSITIONS.value,
        num_workers=_NUM_WORKERS.value,
        beam_args=argv[1:],
    )
    seconds = time.monotonic() - start
    for reason, count in dataset["skipped"].items():
        print(f"note: {reason.replace('_', ' ')}: {count:,}")
    for name, what in _NOT_USED.items():
        part = dataset["dropped"][name]
        if part["count"] or name == "tokens":
            print(f"note: {part['share']:.2%} of the {what} ({part['count']:,} of {part['of']:,})")
    if dataset["dropped"]["tokens"]["count"]:
        print("note: --keep_leftovers leaves no token out")
    wanted, share = dataset["eval_fraction"], dataset["eval_share"]
    if not wanted / 2 <= share <= 2 * wanted:
        print(
            f"note: {share:.2%} of the tokens are held out, not {wanted:.2%}: a document is "
            "the least, and a single one is not divided"
        )
    train, held_out = dataset["splits"]["train"], dataset["splits"]["eval"]
    print(
        f"{_OUTPUT_DIR.value}: {dataset['words']:,} words in {seconds:.1f} s "
        f"({dataset['words'] / seconds:,.0f} words/s); "
        f"train {train['documents']:,} documents, {train['examples']:,} examples, "
        f"{train['tokens']:,} tokens in {len(train['files'])} files; "
        f"eval {held_out['documents']:,} documents, {held_out['examples']:,} examples, "
        f"{dataset['eval_share']:.2%} of the tokens"
    )


if __name__ == "__main__":
    command.run(main, tensorflow=False, known_only=True)
