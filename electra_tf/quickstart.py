"""From nothing to a served ELECTRA in eight stages, each of which another command does alone.

A stage whose result is there already is not done again, and an unfinished pre-training goes on,
so a second call continues the first.
"""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable

import numpy as np
from tqdm import tqdm

from electra_tf import curves, evaluation, features, pretraining
from electra_tf.config import Config
from electra_tf.data import dataset
from electra_tf.data.build import build_dataset
from electra_tf.serving.bundle import export_run
from electra_tf.text.corpus import find_sources, read_source
from electra_tf.text.learn import learn_vocab
from electra_tf.text.vocabulary import Vocabulary

EVAL_FRACTION = 0.02
VERSION = 1
THRESHOLD = 0.3  # from which a word is marked: about one token in eight was replaced in training
NUM_STAGES = 8
# Sentences like those of the corpus, written before any model was trained, with words swapped.
SWAPS = (
    "Returns the number of elements in the list. => Returns the number of banana in the list.",
    "If the file does not exist, an error is raised. => If the file does not exist, of error is "
    "raised.",
    "The shape of the output is the same. => The shape yellow the output is the same.",
    "This method should be called before training begins. => This method should be Tuesday before "
    "training begins.",
    "You can use this class to read the data. => You can use this never to read the data.",
    "The default value is used when it is not given. => The default value is used function it is "
    "not given.",
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
    print(summary(metrics, baselines(metrics, config)))
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


def baselines(metrics: dict[str, float], config: Config) -> dict[str, float]:
    """What a model reaches that knows nothing of how words follow each other.

    Args:
        metrics: content of eval.json.
        config: the run's, with the vocabulary's special tokens in its data directory.

    Returns:
        `accuracy`: of copying the masked tokens that are shown and guessing the most frequent one
        elsewhere; `auc`: of knowing that [CLS] and [SEP] are never replaced, chance elsewhere.
    """
    split = dataset.open_split(config.data.dir, "eval")
    vocabulary = Vocabulary.from_file(os.path.join(config.data.dir, "vocab.txt"))
    special = num_tokens = num_masked = 0
    for batch in dataset.eval_batches(split, batch_size=256).as_numpy_iterator():
        ids, mask = batch[features.INPUT_IDS], batch[features.INPUT_MASK]
        special += np.isin(ids, [vocabulary.cls_id, vocabulary.sep_id]).sum()
        num_tokens += mask.sum()
        num_masked += np.round(mask.sum(axis=1) * config.objective.mask_fraction).sum()
    num_original = num_tokens - num_masked * (1 - metrics["sampled_masked_lm_accuracy"])
    hidden = config.objective.mask_token_fraction
    return {"accuracy": 1 - hidden + hidden * metrics["most_frequent_token_share"],
            "auc": 0.5 + 0.5 * float(special / num_original)}


def summary(metrics: dict[str, float], known: dict[str, float]) -> str:
    """What the run has learned, every number beside what less knowledge would reach."""
    auc = f"0.500   {known['auc']:.3f}"
    rows = (("masked tokens guessed right", "masked_lm_accuracy",
             f"{metrics['most_frequent_token_share']:.3f}   {known['accuracy']:.3f}"),
            ("AUC, tokens the generator replaced", "disc_auc", auc),
            ("AUC, random tokens of the corpus", "disc_auc_corpus", auc),
            ("AUC, random tokens of the vocabulary", "disc_auc_uniform", auc))
    lines = [f"\nHeld-out documents ({metrics['examples']:,} examples), after {metrics['step']:,} "
             f"steps:\n  {'':38}reached  chance  simple"]
    lines += [f"  {label:38}{metrics[name]:.3f}    {beside}" for label, name, beside in rows]
    lines.append(
        "  chance: always the most frequent token; for the AUC 0.5.\n"
        "  simple: copies the masked tokens that stay visible, else the most frequent one; "
        "for the\n  AUC, knows that [CLS] and [SEP] are never replaced and guesses at the rest.")
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
    manifest = build_dataset([corpus], vocab, shards, seq_length=seq_length,
                             eval_fraction=EVAL_FRACTION, keep_leftovers=True, num_workers=1)
    for split, counts in manifest["splits"].items():
        print(f"{split}: {counts['documents']:,} documents, {counts['examples']:,} examples, "
              f"{counts['tokens']:,} tokens")


def _show(bundle: str, data: str) -> None:
    path = os.path.join(data, "swaps.txt")
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(line + "\n" for line in SWAPS)
    subprocess.run([sys.executable, "-m", "export.show_replaced", bundle, "--file", path,
                    "--threshold", str(THRESHOLD)], check=True)


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds, 1), 60)
    return f"{minutes:.0f} min {seconds:.0f} s" if minutes else f"{seconds:.1f} s"
