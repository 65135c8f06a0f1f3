"""From nothing to a served ELECTRA in eight stages, each of which another command does alone.

A stage whose result is there already is not done again, and an unfinished pre-training goes on,
so a second call continues the first.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable

import tensorflow as tf
from tqdm import tqdm

from electra_tf import curves, evaluation, pretraining
from electra_tf.config import Config
from electra_tf.data.build import build_dataset
from electra_tf.serving.bundle import export_run
from electra_tf.text.corpus import find_sources, read_source
from electra_tf.text.learn import learn_vocab

EVAL_FRACTION = 0.02
VERSION = 1
NUM_STAGES = 8
# Sentences like those of the corpus, written before any model was trained, with words swapped.
SWAPS = (
    "Returns the number of elements in the list. => Returns the number of elements in the banana.",
    "If the file does not exist, an error is raised. => If the file does not exist, an of is "
    "raised.",
    "The shape of the output is the same as the shape of the input. => The shape of the output is "
    "the same as the shape yellow the input.",
    "This method should be called once before training begins. => This method should be called "
    "once before training Tuesday.",
    "You can use this class to read data from a remote server. => You can use this class to "
    "never data from a remote server.",
    "The default value is used when the argument is not given. => The default value is used when "
    "function argument is not given.",
)


def run(config: Config, workdir: str, inputs: str = "docs:installed") -> dict[str, float]:
    """Runs all stages that are still to be done.

    Args:
        config: the experiment; its vocabulary size and positions shape the data, too.
        workdir: receives the run, `data/`, `serving/`, `curves.png`.
        inputs: the corpus, as `pipelines.build_dataset --input` takes it.

    Returns:
        The content of eval.json.
    """
    start = time.monotonic()
    data = os.path.join(workdir, "data")
    corpus, vocab = os.path.join(data, "corpus.txt"), os.path.join(data, "vocab.txt")
    shards, serving = os.path.join(data, "shards"), os.path.join(workdir, "serving")
    bundle, picture = os.path.join(serving, str(VERSION)), os.path.join(workdir, "curves.png")
    config.data.dir = shards
    os.makedirs(data, exist_ok=True)

    stage = _Stages()
    stage.do(f"gather English text from {inputs}", corpus, lambda: gather(inputs, corpus))
    stage.do("learn a WordPiece vocabulary", vocab, lambda: learn_vocab(
        [corpus], vocab, vocab_size=config.model.vocab_size))
    stage.do("build shards", os.path.join(shards, "dataset.json"), lambda: _build(
        corpus, vocab, shards, config.model.max_positions))
    # This one knows itself how far it is.
    stage.do("pre-train", None, lambda: pretraining.pretrain(config, workdir))
    trained = os.path.join(workdir, "checkpoints", "checkpoint")
    results = os.path.join(workdir, "eval.json")
    stage.do("evaluate on held-out documents", results, lambda: evaluation.evaluate(
        workdir, random_words=True), newer_than=trained)
    stage.do("export for serving", bundle, lambda: export_run(workdir, serving, VERSION))
    stage.do("load it in a fresh process, swap words", None, lambda: _show(bundle, data))
    stage.do("draw loss curves", picture, lambda: curves.draw(
        os.path.join(workdir, "metrics.jsonl"), picture), newer_than=trained)

    with open(results, encoding="utf-8") as file:
        metrics = json.load(file)
    print(summary(metrics))
    print(f"\nCurves: {picture}\nBundle: {bundle}\n"
          f"Total: {_duration(time.monotonic() - start)}", flush=True)
    return metrics


def gather(inputs: str, corpus: str) -> None:
    """Writes the documents of a corpus to one file, with blank lines between them."""
    problems = Counter()
    with open(corpus + ".tmp", "wb") as file, tqdm(
            unit=" documents", leave=False, disable=not sys.stderr.isatty()) as bar:
        for source in find_sources([inputs]):
            for document in read_source(source, problems):
                file.write(b"\n".join(document) + b"\n\n")
                bar.update()
    os.replace(corpus + ".tmp", corpus)
    print(f"{os.path.getsize(corpus) / 1e6:.1f} MB of text")


def summary(metrics: dict[str, float]) -> str:
    """What the run has learned, every number beside what ignorance would reach."""
    rows = (
        ("masked words guessed right (generator)", "masked_lm_accuracy",
         f"{metrics['most_frequent_token_share']:.3f}  always the most frequent token"),
        ("AUC, words the generator replaced", "disc_auc", "0.5    chance"),
        ("AUC, random words of the corpus", "disc_auc_corpus", "0.5    chance"),
        ("AUC, random words of the vocabulary", "disc_auc_uniform", "0.5    chance"))
    lines = [f"\nHeld-out documents ({metrics['examples']} examples), after {metrics['step']} "
             "steps:"]
    lines += [f"  {label:40}{metrics[name]:.3f}   beside {beside}" for label, name, beside in rows]
    return "\n".join(lines)


class _Stages:
    """Numbers stages, times them, and leaves out what is there."""

    def __init__(self):
        self._number = 0

    def do(self, title: str, result: str | None, work: Callable[[], object],
           newer_than: str | None = None) -> None:
        """Does the work unless its result exists (and is newer than another file)."""
        self._number += 1
        print(f"\n[{self._number}/{NUM_STAGES}] {title}", flush=True)
        if result and os.path.exists(result) and (
                newer_than is None or os.path.getmtime(result) >= os.path.getmtime(newer_than)):
            print(f"      already there: {result}", flush=True)
            return
        start = time.monotonic()
        work()
        print(f"      {_duration(time.monotonic() - start)}", flush=True)


def _build(corpus: str, vocab: str, shards: str, seq_length: int) -> None:
    with contextlib.redirect_stderr(sys.stderr):
        manifest = build_dataset([corpus], vocab, shards, seq_length=seq_length,
                                 eval_fraction=EVAL_FRACTION, keep_leftovers=True, num_workers=1)
    for split, counts in manifest["splits"].items():
        print(f"{split}: {counts['documents']:,} documents, {counts['examples']:,} examples, "
              f"{counts['tokens']:,} tokens")


def _show(bundle: str, data: str) -> None:
    path = os.path.join(data, "swaps.txt")
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(line + "\n" for line in SWAPS)
    subprocess.run([sys.executable, "-m", "export.show_replaced", bundle, "--file", path],
                   check=True)


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds, 1), 60)
    return f"{minutes:.0f} min {seconds:.0f} s" if minutes else f"{seconds:.1f} s"
