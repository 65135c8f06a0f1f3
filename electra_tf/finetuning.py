"""Fine-tuning from its config: trials of one task, their results, the best one's model.

    RUN/config.json, vocab.txt, checkpoints/   the model of the best trial (a model directory)
    RUN/results.json                           all metrics, also the medians over trials
    RUN/predictions/                           of the best trial
    RUN/trial_N/                               metrics.jsonl, tensorboard/, result.json
"""

import glob
import json
import os
import shutil
import sys

import numpy as np
from tqdm import tqdm

from electra_tf import results
from electra_tf.files import write_text
from electra_tf.finetune_config import RANDOM, FinetuneConfig
from electra_tf.models.finetuned import Finetuned
from electra_tf.tasks import registry
from electra_tf.tasks.finetuning import Encoded, FinetuningTask
from electra_tf.tasks.finetuning_loop import LoopTask, predict_outputs
from electra_tf.text.wordpiece import Tokenizer
from electra_tf.train import log, model_directory, strategy
from electra_tf.train.checkpoint import SavedWeights
from electra_tf.train.loop import Trainer
from electra_tf.train.state import TrainState

_RESULT, _RESULTS = "result.json", "results.json"
_CALIBRATED = ("config.task.null_threshold",)  # fields that `FinetuningTask.calibrate` may set
_STUCK = 0.97  # of the loss of the best constant guess: a trial that ends above has learnt nothing


def finetune(config: FinetuneConfig, workdir: str) -> dict:
    """Runs or continues all trials; returns what results.json holds.

    Raises:
        ValueError: a config field, the data, the model to start from, or a workdir of another
            fine-tuning.
    """
    config.validate()
    source = _Source(config)
    config.take_model(source.pretrained.config)
    runtime = strategy.start(config.runtime, config.train.seed)
    task = registry.build_task(config)
    tokenizer = Tokenizer(source.vocab_file, config.data.lower_case, config.data.strip_accents)
    examples = task.read("train")
    encoded = _choose(task.encode(examples, tokenizer, training=True),
                      config.data.max_train_examples, config.train.seed)
    registry.remember(task, config)
    _compare(config, workdir)
    if runtime.is_chief:
        os.makedirs(workdir, exist_ok=True)
        write_text(os.path.join(workdir, "config.json"), config.to_json())
        model_directory.write_vocabulary(source.pretrained.tokens, workdir)
    trials = []
    for trial in range(config.num_trials):
        directory = os.path.join(workdir, f"trial_{trial}")
        path = os.path.join(directory, _RESULT)
        if not os.path.exists(path):
            _Trial(task, config, runtime, tokenizer, directory, trial, source).run(encoded)
            runtime.least(0)  # all workers wait for the chief's files
        with open(path, encoding="utf-8") as file:
            trials.append(json.load(file))
    summary = results.summarize(task.name, task.main_metric, trials)
    if runtime.is_chief:
        best = summary["best"]
        _keep_best(best, workdir)
        for field, value in trials[best]["calibration"].items():
            setattr(config.task, field, value)
        write_text(os.path.join(workdir, "config.json"), config.to_json())
        write_text(os.path.join(workdir, _RESULTS),
                                   json.dumps(summary, indent=2) + "\n")
    return summary


class _Source:
    """The model that `config.init_from` names."""

    def __init__(self, config: FinetuneConfig):
        if not config.init_from:
            raise ValueError(
                "config.init_from must be a model directory or a pre-training run; random:DIR "
                "takes only its sizes and vocabulary. Received: nothing")
        self.is_random = config.init_from.startswith(RANDOM)
        directory = config.init_from.removeprefix(RANDOM)
        self.pretrained = model_directory.read(directory).encoder_only()
        if self.pretrained.tokens is None:
            raise ValueError("A model to fine-tune must have a vocabulary. Received: "
                             f"{directory} without vocab.txt")
        longest = self.pretrained.config.model.max_positions
        if config.task.max_seq_length > longest:
            raise ValueError(f"config.task.max_seq_length must be at most the model's positions, "
                             f"{longest}. Received: {config.task.max_seq_length}")
        self.vocab_file = os.path.join(directory, model_directory.VOCABULARY)

    def __call__(self, state: TrainState) -> None:
        """Fills the encoder of a fresh state."""
        if not self.is_random:
            for path, value in self.pretrained.weights.items():
                state.weights[path].assign(value)


class _Trial:
    """One training with one seed, its evaluation and its predictions."""

    def __init__(self, task: FinetuningTask, config: FinetuneConfig, runtime, tokenizer,
                 directory: str, number: int, source: _Source):
        self._task, self._config, self._runtime = task, config, runtime
        self._tokenizer, self._directory, self._number = tokenizer, directory, number
        self._source = source

    def run(self, encoded: Encoded) -> None:
        settings, optimizer = self._config.loop_settings(len(encoded.rows), self._number)
        loop_task = LoopTask(self._task, self._config.model, encoded, settings.seed,
                             settings.batch_size, one_width=self._runtime.xla)
        os.makedirs(self._directory, exist_ok=True)
        trainer = Trainer(loop_task, settings, optimizer, self._directory, self._runtime,
                          self._source)
        trainer.run()
        if self._runtime.is_chief:
            self._evaluate(trainer.model, settings.seed, self._task.chance_loss(encoded))

    def _evaluate(self, model: Finetuned, seed: int, chance_loss: float) -> None:
        metrics, calibration = {}, {}
        for split in self._task.splits[1:]:
            examples = self._task.read(split)
            encoded = self._task.encode(examples, self._tokenizer, training=False)
            with tqdm(total=100, unit="%", desc=f"predicting {split}", leave=False,
                      disable=not sys.stderr.isatty()) as bar:
                outputs = predict_outputs(
                    self._task, model, encoded,
                    on_progress=lambda share, bar=bar: bar.update(round(100 * share) - bar.n))
            predictions = self._task.predict(examples, encoded, outputs)
            self._task.write(split, examples, predictions,
                             os.path.join(self._directory, "predictions"))
            if not split.startswith("test"):
                metrics[split] = self._task.score(examples, predictions)
                calibration |= self._task.calibrate(examples, predictions)
        stuck = self._last_loss() > _STUCK * chance_loss
        result = {"seed": seed, "stuck": stuck, "metrics": metrics, "calibration": calibration}
        write_text(os.path.join(self._directory, _RESULT),
                                   json.dumps(result, indent=2) + "\n")


    def _last_loss(self):
        """Training loss of the last lines of metrics.jsonl, a tenth of them."""
        losses = [line["loss"] for line in log.read(os.path.join(self._directory, "metrics.jsonl"))
                  if line["split"] == "train"]
        return float(np.mean(losses[-max(1, len(losses) // 10):]))


def _keep_best(best: int, workdir: str) -> None:
    """Makes the workdir the best trial's model directory, and drops the trials' checkpoints."""
    trial = os.path.join(workdir, f"trial_{best}")
    if os.path.exists(os.path.join(trial, "checkpoints")):  # else an earlier call has done it
        for name, copy in (("predictions", shutil.copytree), ("checkpoints", _copy_weights)):
            target = os.path.join(workdir, name)
            shutil.rmtree(f"{target}.tmp", ignore_errors=True)
            copy(os.path.join(trial, name), f"{target}.tmp")
            shutil.rmtree(target, ignore_errors=True)
            os.rename(f"{target}.tmp", target)
    for folder in glob.glob(os.path.join(glob.escape(workdir), "trial_*", "checkpoints")):
        shutil.rmtree(folder)


def _copy_weights(source: str, target: str) -> None:
    saved = SavedWeights(source)
    model_directory.write_weights({path: saved.read(path) for path in saved.shapes}, saved.step,
                                  target)


def _compare(config: FinetuneConfig, workdir: str) -> None:
    """Refuses to mix trials of different settings."""
    if not os.path.exists(os.path.join(workdir, "config.json")):
        return
    former, now = FinetuneConfig.load(workdir).flat(), config.flat()
    changed = {name: (value, now[name]) for name, value in former.items()
               if value != now[name]
               and not name.startswith(("config.runtime.", "config.num_trials", *_CALIBRATED))}
    if changed:
        name, (before, after) = next(iter(changed.items()))
        raise ValueError(f"All trials of a workdir must have the same settings: {name} was "
                         f"{before!r} in {workdir}. Received: {after!r}. Take another --workdir.")


def _choose(encoded: Encoded, number: int, seed: int) -> Encoded:
    """A seeded choice of so many examples, with all their rows; 0 takes all."""
    examples = np.unique(encoded.rows)
    if not number or number >= len(examples):
        return encoded
    chosen = np.random.default_rng([seed, number]).choice(examples, number, replace=False)
    kept = np.isin(encoded.rows, chosen)
    return Encoded({name: value[kept] for name, value in encoded.features.items()},
                   encoded.rows[kept])
