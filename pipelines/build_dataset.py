"""Turns a text corpus into shards of pre-training examples.

    python -m pipelines.build_dataset --input='corpus/*.txt.xz' --vocab=vocab.txt --output_dir=data

The output holds train-*.tfrecord, eval-*.tfrecord, vocab.txt and dataset.json. The same input,
seed and settings give the same bytes, whatever the number of workers. Flags that are not listed
here go to Apache Beam, for example --runner.
"""

import logging
import signal
import sys
import time

from absl import app, flags

_INPUT = flags.DEFINE_multi_string(
    "input",
    None,
    "What to read; repeat the flag or separate by commas. Files or globs of .txt (blank lines "
    "separate documents) and .jsonl (one document per line), plain or .gz, .xz, .bz2; "
    "tfds:NAME[:SPLIT] for a TensorFlow Datasets data set; docs:installed for the prose in the "
    "documentation of the Python packages installed here.",
    required=True,
)
_VOCAB = flags.DEFINE_string(
    "vocab", None, "Vocabulary, one token per line; pipelines.learn_vocab makes one.", required=True
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", None, "Directory to create. It appears when it is complete.", required=True
)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace output_dir if it exists.")
_SEQ_LENGTH = flags.DEFINE_integer("seq_length", 128, "Tokens per example, padding included.")
_MAX_POSITIONS = flags.DEFINE_integer(
    "max_positions", 512, "Longest seq_length that the model will take."
)
_EVAL_FRACTION = flags.DEFINE_float(
    "eval_fraction",
    0.01,
    "Share of the documents held out for evaluation, chosen by a hash of seed and text. If it is "
    "above 0 there is at least one, unless the input is a single document.",
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
    False,
    "Begin the next example with the tokens that did not fit into one, instead of dropping them as "
    "the original does.",
)
_LOWER_CASE = flags.DEFINE_bool("lower_case", True, "Lower-case the text: an uncased vocabulary.")
_STRIP_ACCENTS = flags.DEFINE_bool("strip_accents", None, "Remove accents; default: as lower_case.")
_TEXT_FIELD = flags.DEFINE_string("text_field", "text", "Field of .jsonl and tfds inputs to read.")
_NUM_WORKERS = flags.DEFINE_integer("num_workers", None, "Processes; default: one per core.")


def main(argv: list[str]) -> None:
    # A polite kill should remove the temporary directory as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # Imported here so that --help does not wait for Beam, which also warns of parts of it that are
    # not installed and not needed.
    logging.disable(logging.WARNING)
    from electra_tf.data.build import build_dataset

    logging.disable(logging.NOTSET)
    logging.getLogger("apache_beam").setLevel(logging.ERROR)
    start = time.monotonic()
    try:
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
            lower_case=_LOWER_CASE.value,
            strip_accents=_STRIP_ACCENTS.value,
            text_field=_TEXT_FIELD.value,
            max_positions=_MAX_POSITIONS.value,
            num_workers=_NUM_WORKERS.value,
            beam_args=argv[1:],
        )
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    seconds = time.monotonic() - start
    for reason, count in dataset["skipped"].items():
        print(f"note: {reason.replace('_', ' ')}: {count:,}")
    train, held_out = dataset["splits"]["train"], dataset["splits"]["eval"]
    print(
        f"{_OUTPUT_DIR.value}: {dataset['words']:,} words in {seconds:.1f} s "
        f"({dataset['words'] / seconds:,.0f} words/s); "
        f"train {train['documents']:,} documents, {train['examples']:,} examples, "
        f"{train['tokens']:,} tokens in {len(train['files'])} files; "
        f"eval {held_out['documents']:,} documents, {held_out['examples']:,} examples"
    )


if __name__ == "__main__":
    app.run(main, flags_parser=lambda argv: flags.FLAGS(argv, known_only=True))
