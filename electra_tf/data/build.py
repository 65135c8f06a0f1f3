"""Corpus to shards: `build_dataset`, which makes a data set directory, whole or not at all.

The work is done in a temporary directory beside the output (see job.py). At the end the shards get
their final names and the directory is renamed to the output.
"""

import dataclasses
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from typing import Any

from electra_tf.data.job import Job
from electra_tf.data.manifest import HASH_RANGE, MIN_SEQ_LENGTH, PACKINGS, Settings, assemble
from electra_tf.data.progress import read_results
from electra_tf.data.runner import pipeline_options
from electra_tf.text.chunks import chunk_bytes, estimated_bytes
from electra_tf.text.corpus import Source, find_sources
from electra_tf.text.vocabulary import Vocabulary


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
    keep_leftovers: bool = False,
    lower_case: bool = True,
    strip_accents: bool | None = None,
    text_field: str = "text",
    max_positions: int = 512,
    num_workers: int | None = None,
    beam_args: Sequence[str] = (),
) -> dict[str, Any]:
    """Builds a pre-training data set.

    The same inputs and settings give the same bytes, whatever the number of workers.

    Args:
      inputs: see `electra_tf.text.corpus.find_sources`.
      vocab_file: one token per line.
      output_dir: must not exist, or be empty, unless `overwrite`.
      seq_length: tokens per example.
      eval_fraction: share of the documents that goes to evaluation, by a hash of their text. If
        it is above 0 and there are two different documents, each side gets at least one.
      seed: of the hash and of the drawing of examples.
      overwrite: replace the output, once the new one is complete.
      packing: "none" for the original's examples, "documents" to fill every example.
      keep_leftovers: see `electra_tf.text.examples.PairBuilder`.
      lower_case, strip_accents: see `electra_tf.text.wordpiece.Tokenizer`.
      text_field: the field with the text in .jsonl and TFDS inputs.
      max_positions: the longest `seq_length` that the model can take.
      num_workers: processes; None means one per core. 1 works in this process.
      beam_args: further Apache Beam options, such as `--runner=…`.

    Returns:
      The content of `dataset.json`.

    Raises:
      ValueError: an argument or an input is not usable.
    """
    output_dir = os.path.abspath(output_dir)
    if not MIN_SEQ_LENGTH <= seq_length <= max_positions:
        raise ValueError(
            f"seq_length must be from {MIN_SEQ_LENGTH} to max_positions ({max_positions}). "
            f"Received: {seq_length}"
        )
    if not 0 <= eval_fraction < 1:
        raise ValueError(f"eval_fraction must be at least 0 and below 1. Received: {eval_fraction}")
    if packing not in PACKINGS:
        raise ValueError(f"packing must be one of {', '.join(PACKINGS)}. Received: {packing}")
    if keep_leftovers and packing != "none":
        raise ValueError(
            "keep_leftovers must be off with packing=documents, which drops nothing. Received: on"
        )
    if num_workers is not None and num_workers < 1:
        raise ValueError(f"num_workers must be at least 1. Received: {num_workers}")
    is_empty_dir = os.path.isdir(output_dir) and not os.listdir(output_dir)
    if os.path.exists(output_dir) and not is_empty_dir and not overwrite:
        raise ValueError(
            f"output_dir must not exist yet. Received: {output_dir}; "
            "choose another or pass --overwrite"
        )
    vocabulary = Vocabulary.from_file(vocab_file)
    sources = find_sources(inputs, text_field)
    settings = Settings(
        vocab_file=os.path.abspath(vocab_file),
        seq_length=seq_length,
        lower_case=lower_case,
        strip_accents=lower_case if strip_accents is None else strip_accents,
        packing=packing,
        keep_leftovers=keep_leftovers,
        seed=seed,
        eval_threshold=int(eval_fraction * HASH_RANGE),
    )
    options = pipeline_options(beam_args, num_workers or _default_workers(sources))

    parent, name = os.path.split(output_dir)
    os.makedirs(parent, exist_ok=True)
    work_dir = tempfile.mkdtemp(prefix=f".{name}.", suffix=".tmp", dir=parent)
    try:
        job = Job(work_dir, settings, options)
        parts = job.run(sources)
        new_settings = settings.with_both_splits(parts)
        job = dataclasses.replace(job, settings=new_settings)
        parts = job.run_again([part for part in parts if settings.changes(part, new_settings)])
        if not any(part["splits"]["train"]["examples"] for part in parts):
            raise ValueError(
                f"The input must hold a document with text. Received: {', '.join(inputs)}"
            )
        cut = read_results(job.sources_dir).values()
        dataset_dir = os.path.join(work_dir, "dataset")
        os.mkdir(dataset_dir)
        manifest = assemble(
            parts,
            job.parts_dir,
            dataset_dir,
            new_settings,
            eval_fraction,
            len(vocabulary),
            inputs=[result["input"] for result in cut],
            skipped=sum((Counter(result["skipped"]) for result in cut), Counter()),
        )
        if os.path.exists(output_dir):
            os.rename(output_dir, os.path.join(work_dir, "old"))
        os.rename(dataset_dir, output_dir)
    finally:
        shutil.rmtree(work_dir, ignore_errors=True)
    return manifest


def _default_workers(sources: Sequence[Source]) -> int:
    """One per core, unless the input is so small that starting workers takes longer than it."""
    is_small = all(s.is_file for s in sources) and estimated_bytes(sources) <= chunk_bytes(sources)
    return 1 if is_small else len(os.sched_getaffinity(0))
