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
from typing import Any

import numpy as np
from tqdm import tqdm

from electra_tf import files
from electra_tf.config import TrainConfig
from electra_tf.config.finetuning import FinetuneConfig
from electra_tf.config.json_config import RANDOM
from electra_tf.errors import UserError
from electra_tf.files import write_text
from electra_tf.json_files import read_json
from electra_tf.models.finetuned import Finetuned
from electra_tf.runs import results
from electra_tf.saved import model_directory
from electra_tf.saved.weights import SavedWeights
from electra_tf.tasks import registry
from electra_tf.tasks.base import Encoded, FinetuningTask
from electra_tf.tasks.finetuning import LoopTask, outputs_function, predict_outputs
from electra_tf.text import tokenization
from electra_tf.text.tokenizer import Tokenizer
from electra_tf.text.vocabulary import Vocabulary
from electra_tf.train import log, strategy
from electra_tf.train.loop import Trainer
from electra_tf.train.optimizers import build_optimizer
from electra_tf.train.state import TrainState

_OWN = ("checkpoints", "predictions", "results.json", *tokenization.ALL_FILES)
_RESULT, _RESULTS = "result.json", "results.json"
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
_STUCK = 0.97  # of the loss of the best constant guess: a trial that ends above has learnt nothing


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
    workdir = files.workdir(workdir, inputs, _OWN)
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
    trials = []
    for number in range(config.num_trials):
        trial = _Trial(config, runtime, tokenizer, workdir, number, source)
        path = os.path.join(trial.directory, _RESULT)
        if not os.path.exists(path):
            trial.run(encoded, examples)
            runtime.least(0)  # all workers wait for the chief's files
        trials.append(read_json(path))
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


class _Trial:
    """One training with one seed, its evaluation and its predictions.

    Attributes:
        directory: of its files.
    """

    def __init__(
        self,
        config: FinetuneConfig,
        runtime: strategy.Runtime,
        tokenizer: Tokenizer,
        workdir: str,
        number: int,
        source: _Source,
    ):
        self._config, self._runtime, self._tokenizer = config, runtime, tokenizer
        self._workdir, self._number, self._source = workdir, number, source
        self.directory = os.path.join(workdir, f"trial_{number}")
        # Its own: `calibrate` changes a task, and trials do not depend on each other.
        self._task = registry.build_task(config)

    def run(self, encoded: Encoded, examples: dict[str, Any]) -> None:
        """Trains or continues, then evaluates.

        Args:
            encoded: training rows.
            examples: of all other splits.
        """
        settings, optimizer = self._config.loop_settings(len(encoded.rows), self._number)
        loop_task = LoopTask(
            self._task,
            self._config.model,
            encoded,
            settings.seed,
            settings.batch_size,
            one_width=self._runtime.xla or self._runtime.compiles_blocks,
        )
        trainer = Trainer(
            loop_task, settings, {"": optimizer}, self.directory, self._runtime, self._source
        )
        os.makedirs(self.directory, exist_ok=True)
        if self._runtime.is_chief:
            _begin(self._config, self._source.vocabulary, self._workdir)
        trainer.run()
        if self._runtime.is_chief:
            self._evaluate(trainer.model, settings, self._task.chance_loss(encoded), examples)

    def _evaluate(
        self, model: Finetuned, settings: TrainConfig, chance_loss: float, examples: dict[str, Any]
    ) -> None:
        task, metrics, calibration = self._task, {}, {}
        outputs_of = outputs_function(task, model)  # one for all splits: it is traced by width
        for split, its_examples in examples.items():
            encoded = task.encode(its_examples, self._tokenizer, training=False)
            with tqdm(
                total=100,
                unit="%",
                desc=f"predicting {split}",
                leave=False,
                disable=not sys.stderr.isatty(),
            ) as bar:
                outputs = predict_outputs(
                    task,
                    model,
                    encoded,
                    on_progress=lambda share, bar=bar: bar.update(round(100 * share) - bar.n),
                    outputs_of=outputs_of,
                )
            predictions = task.predict(its_examples, encoded, outputs)
            task.write(
                split, its_examples, predictions, os.path.join(self.directory, "predictions")
            )
            if not split.startswith("test"):
                metrics[split] = task.score(its_examples, predictions)
                calibration |= task.calibrate(its_examples, predictions)
        self._log(metrics, settings.num_steps)
        stuck = self._last_loss() > _STUCK * chance_loss
        result = {
            "seed": settings.seed,
            "stuck": stuck,
            "metrics": metrics,
            "calibration": calibration,
        }
        write_text(os.path.join(self.directory, _RESULT), json.dumps(result, indent=2) + "\n")

    def _log(self, metrics: dict[str, dict[str, float]], step: int) -> None:
        """Adds the evaluations to metrics.jsonl and TensorBoard, beside the training losses."""
        written = log.MetricsLog(self.directory, step)
        for split, values in metrics.items():
            if not written.had(step, split):
                written.write(step, split, values)
        written.close()

    def _last_loss(self):
        """Training loss of the last lines of metrics.jsonl, a tenth of them."""
        losses = [
            line["loss"]
            for line in log.read(os.path.join(self.directory, "metrics.jsonl"))
            if line["split"] == "train"
        ]
        return float(np.mean(losses[-max(1, len(losses) // 10) :]))


def _former(workdir: str) -> FinetuneConfig | None:
    """The config of the fine-tuning that a workdir holds, if it holds one."""
    if not os.path.exists(os.path.join(workdir, "config.json")):
        return None
    return FinetuneConfig.load(workdir)


def _begin(config: FinetuneConfig, vocabulary: Vocabulary, workdir: str) -> None:
    """Writes what makes the workdir a model directory; later trials leave it as it is."""
    path = os.path.join(workdir, "config.json")
    if not os.path.exists(path):
        write_text(path, config.to_json())
    if tokenization.find(tokenization.settings_of(config.data), workdir) is None:
        vocabulary.save(workdir)


def _keep_best(best: int, num_trials: int, workdir: str) -> None:
    """Makes the workdir the best trial's model directory, and drops the trials' checkpoints."""
    trials = [os.path.join(workdir, f"trial_{number}") for number in range(num_trials)]
    if os.path.exists(os.path.join(trials[best], "checkpoints")):  # else a former call has done it
        for name, copy in (("predictions", shutil.copytree), ("checkpoints", _copy_weights)):
            source, target = os.path.join(trials[best], name), os.path.join(workdir, name)
            if not os.path.exists(source):
                continue  # no predictions: there is only a training file
            shutil.rmtree(f"{target}.tmp", ignore_errors=True)
            copy(source, f"{target}.tmp")
            shutil.rmtree(target, ignore_errors=True)
            os.rename(f"{target}.tmp", target)
    for folder in (os.path.join(trial, "checkpoints") for trial in trials):
        if os.path.exists(folder):
            os.rename(folder, f"{folder}.tmp")  # never there in part
        shutil.rmtree(f"{folder}.tmp", ignore_errors=True)


def _copy_weights(source: str, target: str) -> None:
    saved = SavedWeights(source)
    model_directory.write_weights(
        {path: saved.read(path) for path in saved.shapes}, saved.step, target
    )


def _compare(config: FinetuneConfig, workdir: str) -> None:
    """Refuses to mix trials of different settings, and to forget some of them."""
    path = os.path.join(workdir, _RESULTS)
    if os.path.exists(path):
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
