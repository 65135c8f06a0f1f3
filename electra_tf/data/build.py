"""Corpus to shards: `build_dataset`, which makes a data set directory, whole or not at all.

The work is done in a temporary directory beside the output (see job.py). At the end the shards get
their final names and the directory is renamed to the output.
"""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

from electra_tf import files
from electra_tf.config.sections import TokenizerConfig
from electra_tf.data.job import Job
from electra_tf.data.manifest import (
    DATA_SET,
    HASH_RANGE,
    MIN_SEQ_LENGTH,
    PACKINGS,
    Settings,
    assemble,
)
from electra_tf.data.progress import read_results
from electra_tf.data.runner import pipeline_options
from electra_tf.errors import UserError
from electra_tf.text import tokenization
from electra_tf.text.chunks import chunk_bytes, estimated_bytes
from electra_tf.text.corpus import Source, find_sources
from electra_tf.text.dropped import Reading


def build_dataset(
    inputs: Sequence[str],
    vocab_file: str | os.PathLike,
    output_dir: str | os.PathLike,
    *,
    seq_length: int = 128,
    eval_fraction: float = 0.01,
    seed: int = 0,
    overwrite: bool = False,
    packing: str = "none",
    keep_leftovers: bool = True,
    tokenizer: str = "wordpiece",
    lower_case: bool = True,
    strip_accents: bool | None = None,
    tokenize_chinese_chars: bool = True,
    never_split: Sequence[str] = (),
    added_tokens: Sequence[str] = (),
    text_field: str = "text",
    max_positions: int = 512,
    num_workers: int | None = None,
    beam_args: Sequence[str] = (),
) -> dict[str, Any]:
    """Builds a pre-training data set.

    The same inputs and settings give the same bytes, whatever the number of workers.

    Args:
      inputs: see `electra_tf.text.corpus.find_sources`.
      vocab_file: one token per line; of a tokenizer of several files their directory.
      output_dir: must not exist, or be empty, unless `overwrite`; see `files.output`.
      seq_length: tokens per example.
      eval_fraction: share of the documents that goes to evaluation, by a hash of their text. If
        it is above 0 and there are two different documents, each side gets at least one. If these
        are more than twice this share of the text, the long ones of them are cut: their ends are
        held out, the rest is for training.
      seed: of the hash and of the drawing of examples.
      overwrite: replace the output, a data set, once the new one is complete.
      packing: "none" for the original's examples, "documents" to fill every example.
      keep_leftovers: see `electra_tf.text.examples.PairBuilder`; False for the original's examples
        to the last, which may drop most of the text. With packing="documents" nothing is dropped.
      tokenizer: its name, see `electra_tf.text.tokenization`.
      lower_case, strip_accents, tokenize_chinese_chars, never_split, added_tokens: see
        `electra_tf.text.wordpiece.WordPiece`, which alone has them.
      text_field: the field with the text in .jsonl and TFDS inputs.
      max_positions: the longest `seq_length` that the model can take.
      num_workers: processes; None means one per core. 1 works in this process.
      beam_args: further Apache Beam options, such as `--runner=…`.

    Returns:
      The content of `dataset.json`.

    Raises:
      UserError: an argument or an input is not usable.
    """
    if not MIN_SEQ_LENGTH <= seq_length <= max_positions:
        raise UserError(
            f"seq_length must be from {MIN_SEQ_LENGTH} to max_positions ({max_positions}). "
            f"Received: {seq_length}"
        )
    if not 0 <= eval_fraction < 1:
        raise UserError(f"eval_fraction must be at least 0 and below 1. Received: {eval_fraction}")
    if packing not in PACKINGS:
        raise UserError(f"packing must be one of {', '.join(PACKINGS)}. Received: {packing}")
    if num_workers is not None and num_workers < 1:
        raise UserError(f"num_workers must be at least 1. Received: {num_workers}")
    tokenizer_config = TokenizerConfig(tokenizer)
    asked = {
        "lower_case": lower_case,
        "strip_accents": lower_case if strip_accents is None else strip_accents,
        "tokenize_chinese_chars": tokenize_chinese_chars,
        "never_split": list(never_split),
        "added_tokens": list(added_tokens),
    }
    tokenization.put(tokenization.taken(tokenizer, asked), tokenizer_config)
    tokenizer_settings = tokenization.settings_of(tokenizer_config)
    vocab_file = files.expand(vocab_file)
    vocabulary = tokenization.read_vocabulary(vocab_file, tokenizer_settings)
    sources = find_sources(inputs, text_field)
    output_dir = files.output(
        output_dir,
        DATA_SET,
        inputs=[vocab_file, *(each.name for each in sources if each.is_file)],
        overwrite=overwrite,
    )
    settings = Settings(
        vocab_file=os.path.abspath(vocab_file),
        seq_length=seq_length,
        tokenizer=tokenizer_settings,
        packing=packing,
        keep_leftovers=keep_leftovers,
        seed=seed,
        eval_threshold=int(eval_fraction * HASH_RANGE),
    )
    options = pipeline_options(beam_args, num_workers or _default_workers(sources))

    with files.work_folder(output_dir) as work_dir:
        job = Job(work_dir, settings, options)
        parts = job.run(sources)
        new_settings = settings.with_both_splits(parts).with_share(parts, eval_fraction)
        job = dataclasses.replace(job, settings=new_settings)
        parts = job.run_again([part for part in parts if settings.changes(part, new_settings)])
        cut = list(read_results(job.sources_dir).values())
        reading = Reading.sum(result["reading"] for result in [*parts, *cut])
        reading.require_healthy(sources)
        if not any(part["splits"]["train"]["examples"] for part in parts):
            raise UserError(
                f"The input must hold a document with text. Received: {', '.join(inputs)}"
            )
        inputs_found = {
            int(index): entry for result in cut for index, entry in result["inputs"].items()
        }
        dataset_dir = os.path.join(work_dir, "dataset")
        os.mkdir(dataset_dir)
        manifest = assemble(
            parts,
            job.parts_dir,
            dataset_dir,
            new_settings,
            eval_fraction,
            vocabulary,
            inputs=[inputs_found[source.index] for source in sources],
            reading=reading,
        )
        files.publish(dataset_dir, output_dir, DATA_SET if overwrite else None)
    return manifest


def _default_workers(sources: Sequence[Source]) -> int:
    """One per core, unless the input is so small that starting workers takes longer than it."""
    is_small = all(s.is_file for s in sources) and estimated_bytes(sources) <= chunk_bytes(sources)
    return 1 if is_small else len(os.sched_getaffinity(0))
