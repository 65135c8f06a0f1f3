"""Held-out evaluation of a run from its workdir."""

import functools
import json
import os
import sys
from collections.abc import Collection
from typing import NamedTuple

import keras
import numpy as np
from absl import logging
from tqdm import tqdm

from electra_tf import config as configuration
from electra_tf import features, files, objectives
from electra_tf.data import dataset
from electra_tf.data.split import Mixture
from electra_tf.saved.weights import SavedWeights
from electra_tf.tasks.pretraining import PretrainingTask
from electra_tf.train import strategy
from electra_tf.train.evaluation import Evaluator
from electra_tf.train.log import json_safe


def evaluate(
    workdir: str,
    *,
    data_dir: str | None = None,
    split: str = "eval",
    random_words: bool = False,
    output: str | None = None,
) -> dict[str, float]:
    """Evaluates the newest checkpoint and writes its metrics as JSON.

    Args:
        workdir: a run of `electra_tf pretrain`, or a converted model (with `data_dir`).
        data_dir: another data set than the run's, or one of its mixture, with the same vocabulary.
        split: which part of it.
        random_words: also report what puts the metrics in perspective: `disc_auc_corpus` and
            `disc_auc_uniform`, the AUC when masked words are replaced by random words of the
            corpus and of the vocabulary, and `most_frequent_token_share`, the masked accuracy
            of always guessing the most frequent token.
        output: the file to write, a new one; None: `workdir`/eval.json, which it replaces.

    Returns:
        `step`, the number of `examples`, and the metrics by the original's names.

    Raises:
        UserError: no run, no checkpoint or no such data.
    """
    workdir = files.expand(workdir)
    # A run's own file is written anew with every evaluation.
    path = os.path.join(workdir, "eval.json") if output is None else output
    own, inputs = output is None, [] if output is None else [workdir]
    path = files.output(path, inputs=inputs, overwrite=own, url=True)
    task, model, runtime, step = restore(workdir, data_dir)
    if runtime.is_chief:
        print(f"Evaluating step {step}: {runtime}.", file=sys.stderr)

    counts_of = functools.partial(
        task.objective.eval_counts,
        replacements=task.objective.random_replacements if random_words else (),
    )
    evaluator = Evaluator(task, counts_of, model, runtime, task.config.train.seed)
    with tqdm(
        total=100,
        unit="%",
        desc=f"evaluating step {step}",
        leave=False,
        disable=not sys.stderr.isatty(),
    ) as bar:
        metrics = evaluator(
            on_progress=lambda share: bar.update(round(100 * share) - bar.n), split=split
        )
    opened = task.open_split(split)
    metrics = {"step": step, "examples": opened.num_examples, **metrics}
    metrics |= task.objective.weight_metrics(model)
    if random_words:
        metrics["most_frequent_token_share"] = _most_frequent_token_share(opened, task)
    if runtime.is_chief:
        files.write_text(path, json.dumps(json_safe(metrics), indent=2) + "\n")
    return metrics


class Restored(NamedTuple):
    """A run as it is evaluated, with the weights of its newest checkpoint."""

    task: PretrainingTask
    model: keras.Model
    runtime: strategy.Runtime
    step: int


def restore(workdir: str, data_dir: str | None = None, devices: str = "auto") -> Restored:
    """Restores a run for evaluation, on all held-out examples.

    Args:
        workdir, data_dir: as of `evaluate`.
        devices: `config.runtime.strategy` of this machine, which may not be the one that trained.

    Raises:
        UserError: no run, no checkpoint or no such data.
    """
    config = objectives.validate(configuration.load(workdir))
    if data_dir:
        config.data.dir, config.data.mixture = files.expand(data_dir), ""
    config.data.vocab_file = workdir  # whose tokenizer it is
    config.train.eval_batches = 0
    config.runtime.strategy = devices
    runtime = strategy.start(config.runtime, config.train.seed, num_steps=0)
    task = PretrainingTask(config, model=workdir)
    with runtime.strategy.scope():
        model = task.objective.new_model(config.train.seed, runtime.precision)
    weights = {variable.path: variable.value for variable in model.trainable_variables}
    saved = SavedWeights(os.path.join(workdir, "checkpoints"))
    step = saved.assign(_without_fresh(weights, saved, task.objective.training_only, workdir))
    return Restored(task, model, runtime, step)


def _without_fresh(weights: dict, saved: SavedWeights, parts: Collection[str], workdir: str):
    """The weights but for those of parts, out of some, that a model lacks, which it tells."""
    fresh = {
        part for part in parts if not any(path.startswith(f"{part}/") for path in saved.shapes)
    } & {path.split("/")[0] for path in weights}
    if fresh:
        logging.warning(
            "%s lacks these networks, which are evaluated with fresh weights: %s",
            workdir,
            ", ".join(sorted(fresh)),
        )
    return {path: weight for path, weight in weights.items() if path.split("/")[0] not in fresh}


def _most_frequent_token_share(split: Mixture, task: PretrainingTask) -> float:
    """Share of the most frequent token among all tokens that may be masked."""
    counts = np.zeros(task.config.model.vocab_size, np.int64)
    for batch in dataset.eval_batches(split, batch_size=256).as_numpy_iterator():
        ids = batch[features.INPUT_IDS][batch[features.INPUT_MASK] > 0]
        counts += np.bincount(ids, minlength=len(counts))
    counts[list(task.objective.special.never_masked)] = 0
    return float(counts.max() / counts.sum())
