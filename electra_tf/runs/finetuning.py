"""Fine-tuning from its config: trials of one task, their results, the best one's model.

RUN/config.json, vocab.txt, checkpoints/   the model of the best trial (a model directory)
RUN/results.json                           all metrics, also the medians over trials; what was
                                           understood of the files
RUN/predictions/                           of the best trial
RUN/trial_N/                               metrics.jsonl, tensorboard/, result.json
"""

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Iterator
from typing import Any

from electra_tf import file_systems, files
from electra_tf.config.finetuning import FinetuneConfig
from electra_tf.config.json_config import RANDOM
from electra_tf.errors import UserError
from electra_tf.files import write_text
from electra_tf.json_files import read_json
from electra_tf.runs import results
from electra_tf.runs.trials import Trials
from electra_tf.saved import model_directory
from electra_tf.saved.weights import SavedWeights
from electra_tf.tasks import registry
from electra_tf.tasks.base import FinetuningTask
from electra_tf.text import tokenization
from electra_tf.train import strategy
from electra_tf.train.optimizers import build_optimizer
from electra_tf.train.state import TrainState

_OWN = ("checkpoints", "predictions", "results.json", *tokenization.ALL_FILES)
_RESULTS = "results.json"
# What may differ between the calls for one workdir: places, rhythm, and what `calibrate` sets.
_MAY_CHANGE = (
    "config.runtime.",
    "config.num_trials",
    "config.init_from",
    "config.data.dir",
    "config.train.log_steps",
    "config.train.checkpoint_steps",
    "config.task.null_threshold",
)
_UNKNOWN = ("config.data.tokenizer_fingerprint", "")  # of older workdirs
_NO_LOSS = 1e-12  # of the best constant guess: all examples are alike


def finetune(config: FinetuneConfig, workdir: str) -> dict:
    """Runs or continues all trials; returns what results.json holds.

    Raises:
        UserError: a config field, the data, the model to start from, or a workdir of another
            fine-tuning, that is not a run's or has another process writing to it.

    Example:
        >>> config = electra_tf.FinetuneConfig.from_file("configs/custom.py:classification")
        >>> config.data.dir, config.init_from = "reviews", "runs/mine"
        >>> config.task.text_field, config.task.label_field = "review", "stars"
        >>> config.task.max_seq_length = 32
        >>> electra_tf.finetune(config, "runs/reviews")["median"]["dev"]
        {'accuracy': ..., 'macro_f1': ...}
    """
    if not isinstance(config, FinetuneConfig):
        raise UserError(
            "The config must be that of a fine-tuning, such as configs/glue.py:rte. "
            f"Received: a {type(config).__name__}"
        )
    config.validate()
    inputs = (config.data.dir, config.init_from.removeprefix(RANDOM))
    workdir = files.workdir(workdir, inputs, _OWN, url=True)
    former = _former(workdir)
    runtime = strategy.start(
        config.runtime, config.train.seed, former and former.runtime, num_steps=0
    )
    # Several workers share the directory; the chief is its writer.
    with files.one_writer(workdir) if runtime.is_chief else contextlib.nullcontext():
        return _finetune(config, workdir, runtime)


def _finetune(config: FinetuneConfig, workdir: str, runtime: strategy.Runtime) -> dict:
    source = _Source(config)
    config.take_model(source.pretrained.config)
    build_optimizer(config.optimizer, 1, {})  # its names are checked before any work
    task, examples = _read(config)
    facts = {split: task.facts(its_examples) for split, its_examples in examples.items()}
    tokenizer = tokenization.build(source.vocabulary, tokenization.settings_of(config.data))
    encoded = task.encode(examples.pop("train"), tokenizer, training=True).choose(
        config.data.max_train_examples, config.train.seed
    )
    if not task.chance_loss(encoded) > _NO_LOSS:
        chosen = config.data.max_train_examples
        raise UserError(
            "Training examples must differ in what is to be learnt of them, such as the label. "
            f"Received: {results.facts_line('train', facts['train'])}"
            + (f"; config.data.max_train_examples={chosen} of them" if chosen else "")
        )
    task.remember(config.task)
    _compare(config, workdir)
    if runtime.is_chief:
        for split, its_facts in facts.items():
            print(results.facts_line(split, its_facts), file=sys.stderr)
    all_trials = Trials(config, runtime, source, tokenizer, workdir, encoded, examples)
    trials = [all_trials.result(number) for number in range(config.num_trials)]
    summary = results.summarize(task.name, task.main_metric, trials)
    summary["data"] = facts
    if runtime.is_chief:
        best = summary["best"]
        _keep_best(best, len(trials), workdir)
        for field, value in trials[best]["calibration"].items():
            setattr(config.task, field, value)
        write_text(os.path.join(workdir, "config.json"), config.to_json())
        write_text(os.path.join(workdir, _RESULTS), json.dumps(summary, indent=2) + "\n")
    return summary


def _read(config: FinetuneConfig) -> tuple[FinetuningTask, dict[str, Any]]:
    """The task, and the examples of all its splits: what is wrong with a file shows at once."""
    if not (config.data.dir or config.data.train_file):
        raise UserError(
            "config.data.dir must be the directory of the task's files. Received: nothing"
        )
    task = registry.build_task(config)
    if "train" not in task.splits:
        raise UserError(
            f"There must be a training file; config.data.train_file names it. "
            f"Received: {config.data.dir} with {', '.join(task.splits) or 'nothing'}"
        )
    return task, {split: task.read(split) for split in task.splits}


class _Source:
    """The model that `config.init_from` names."""

    def __init__(self, config: FinetuneConfig):
        if not config.init_from:
            raise UserError(
                "config.init_from must be a model directory or a pre-training run; random:DIR "
                "takes only its sizes and vocabulary. Received: nothing"
            )
        self.is_random = config.init_from.startswith(RANDOM)
        directory = config.init_from.removeprefix(RANDOM)
        self.pretrained = model_directory.read(directory).encoder_only()
        if self.pretrained.vocabulary is None:
            names = tokenization.file_names(tokenization.settings_of(self.pretrained.config.data))
            raise UserError(
                "A model to fine-tune must have a vocabulary. Received: "
                f"{directory} without {', '.join(names)}"
            )
        self.vocabulary = self.pretrained.vocabulary
        longest = self.pretrained.config.model.max_positions
        if config.task.max_seq_length > longest:
            raise UserError(
                f"config.task.max_seq_length must be at most the model's positions, "
                f"{longest}. Received: {config.task.max_seq_length}"
            )

    def __call__(self, state: TrainState) -> None:
        """Fills the encoder of a fresh state."""
        if not self.is_random:
            for path, value in self.pretrained.weights.items():
                state.weights[path].assign(value)


def _former(workdir: str) -> FinetuneConfig | None:
    """The config of the fine-tuning that a workdir holds, if it holds one."""
    if not file_systems.exists(os.path.join(workdir, "config.json")):
        return None
    return FinetuneConfig.load(workdir)


def _keep_best(best: int, num_trials: int, workdir: str) -> None:
    """Makes the workdir the best trial's model directory, and drops the trials' checkpoints."""
    trials = [os.path.join(workdir, f"trial_{number}") for number in range(num_trials)]
    if file_systems.exists(_mark(trials[best])):  # else a former call has done it
        for name, copy in (("predictions", file_systems.copy_tree), ("checkpoints", _copy_weights)):
            source, target = os.path.join(trials[best], name), os.path.join(workdir, name)
            if not file_systems.exists(source):
                continue  # no predictions: there is only a training file
            with _replacing(target) as folder:
                copy(source, folder)
    for trial in trials:
        mark, folder = _mark(trial), os.path.join(trial, "checkpoints")
        if file_systems.is_url(trial):
            if file_systems.exists(mark):
                file_systems.remove(mark)  # first, so that a part is not taken for all
            file_systems.remove_tree(folder)
            continue
        if os.path.exists(folder):
            os.rename(folder, f"{folder}.tmp")  # never there in part
        shutil.rmtree(f"{folder}.tmp", ignore_errors=True)


def _mark(trial: str) -> str:
    """What is there as long as a trial's checkpoints are complete: of a URL a file."""
    folder = os.path.join(trial, "checkpoints")
    return os.path.join(folder, "checkpoint") if file_systems.is_url(trial) else folder


@contextlib.contextmanager
def _replacing(target: str) -> Iterator[str]:
    """A name to write a directory to, which becomes `target` at the end of the block.

    Of a URL it is that itself: a model that has predictions alone, or weights without the index
    that TensorFlow writes after them, is refused.
    """
    if file_systems.is_url(target):
        file_systems.remove_tree(target)
        yield target
        return
    shutil.rmtree(f"{target}.tmp", ignore_errors=True)
    yield f"{target}.tmp"
    shutil.rmtree(target, ignore_errors=True)
    os.rename(f"{target}.tmp", target)


def _copy_weights(source: str, target: str) -> None:
    saved = SavedWeights(source)
    model_directory.write_weights(
        {path: saved.read(path) for path in saved.shapes}, saved.step, target
    )


def _compare(config: FinetuneConfig, workdir: str) -> None:
    """Refuses to mix trials of different settings, and to forget some of them."""
    path = os.path.join(workdir, _RESULTS)
    if file_systems.exists(path):
        number = len(read_json(path)["trials"])
        if number > config.num_trials:
            raise UserError(
                f"config.num_trials must be at least {number}, of which {workdir} has "
                f"the best one. Received: {config.num_trials}"
            )
    former, now = _former(workdir), config.flat()
    if former is None:
        return
    changed = {
        name: (value, now[name])
        for name, value in former.flat().items()
        if value != now[name] and not name.startswith(_MAY_CHANGE) and (name, value) != _UNKNOWN
    }
    if changed:
        name, (before, after) = next(iter(changed.items()))
        raise UserError(
            f"All trials of a workdir must have the same settings: {name} was "
            f"{before!r} in {workdir}. Received: {after!r}. Take another --workdir."
        )
