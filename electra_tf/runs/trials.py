"""The trials of a fine-tuning: one network, trained anew from each seed.

The training step and the prediction are traced for the first trial; the others use the same graphs.
"""

import json
import os
import sys
from typing import Any

import numpy as np
from tqdm import tqdm

from electra_tf import file_systems
from electra_tf.config import TrainConfig
from electra_tf.config.finetuning import FinetuneConfig
from electra_tf.files import write_text
from electra_tf.json_files import read_json
from electra_tf.tasks import registry
from electra_tf.tasks.base import Encoded, FinetuningTask
from electra_tf.tasks.finetuning import LoopTask, outputs_function, predict_outputs
from electra_tf.text import tokenization
from electra_tf.text.tokenizer import Tokenizer
from electra_tf.text.vocabulary import Vocabulary
from electra_tf.train import log, strategy
from electra_tf.train.loop import Trainer

_RESULT = "result.json"
_STUCK = 0.97  # of the loss of the best constant guess: a trial that ends above has learnt nothing


class Trials:
    """Trains, evaluates and predicts, once for each trial that has no result yet.

    Args:
        config: of the fine-tuning.
        runtime: devices.
        initialize: fills the encoder of a fresh TrainState.
        tokenizer: of the model.
        workdir: of all trials; trial N's files are in trial_N/.
        encoded: training rows.
        examples: of all other splits, by name.
    """

    def __init__(
        self,
        config: FinetuneConfig,
        runtime: strategy.Runtime,
        initialize,
        tokenizer: Tokenizer,
        workdir: str,
        encoded: Encoded,
        examples: dict[str, Any],
    ):
        self._config, self._runtime, self._initialize = config, runtime, initialize
        self._tokenizer, self._workdir = tokenizer, workdir
        self._encoded, self._examples = encoded, examples
        self._trainer: Trainer | None = None
        self._outputs_of = None
        self._encoded_splits: dict[str, Encoded] = {}

    def result(self, number: int) -> dict:
        """What result.json of trial `number` holds; trains or continues it if there is none."""
        path = os.path.join(self._directory(number), _RESULT)
        if not file_systems.exists(path):
            self.run(number)
            self._runtime.least(0)  # all workers wait for the chief's files
        return read_json(path)

    def run(self, number: int) -> None:
        """Trains or continues trial `number`, then evaluates it."""
        directory = self._directory(number)
        task = registry.build_task(self._config)  # its own: `calibrate` changes it
        settings, optimizer = self._config.loop_settings(len(self._encoded.rows), number)
        loop_task = LoopTask(
            task,
            self._config.model,
            self._encoded,
            settings.seed,
            settings.batch_size,
            one_width=self._runtime.xla or self._runtime.compiles_blocks,
        )
        trainer = self._ready(task, loop_task, settings, optimizer, directory)
        file_systems.make_dirs(directory)
        if self._runtime.is_chief:
            self._begin(self._tokenizer.vocabulary)
        trainer.run()
        if self._runtime.is_chief:
            self._evaluate(task, settings, directory)

    def _directory(self, number):
        return os.path.join(self._workdir, f"trial_{number}")

    def _ready(self, task, loop_task, settings, optimizer, directory) -> Trainer:
        """The trainer, before the first step of a run."""
        if self._trainer is None:
            self._trainer = Trainer(
                loop_task,
                settings,
                {"": optimizer},
                directory,
                self._runtime,
                self._initialize,
                several_runs=True,
            )
            self._outputs_of = outputs_function(task, self._trainer.model)
        else:
            self._trainer.next_run(loop_task, settings, directory)
        return self._trainer

    def _begin(self, vocabulary: Vocabulary):
        """Writes what makes the workdir a model directory; later trials leave it as it is."""
        path = os.path.join(self._workdir, "config.json")
        if not file_systems.exists(path):
            write_text(path, self._config.to_json())
        if tokenization.find(tokenization.settings_of(self._config.data), self._workdir) is None:
            vocabulary.save(self._workdir)

    def _evaluate(self, task: FinetuningTask, settings: TrainConfig, directory: str):
        metrics, calibration = {}, {}
        for split, examples in self._examples.items():
            if split not in self._encoded_splits:
                self._encoded_splits[split] = task.encode(examples, self._tokenizer, training=False)
            encoded = self._encoded_splits[split]
            outputs = self._predict(task, split, encoded)
            predictions = task.predict(examples, encoded, outputs)
            task.write(split, examples, predictions, os.path.join(directory, "predictions"))
            if not split.startswith("test"):
                metrics[split] = task.score(examples, predictions)
                calibration |= task.calibrate(examples, predictions)
        _log(directory, metrics, settings.num_steps)
        result = {
            "seed": settings.seed,
            "stuck": _last_loss(directory) > _STUCK * task.chance_loss(self._encoded),
            "metrics": metrics,
            "calibration": calibration,
        }
        write_text(os.path.join(directory, _RESULT), json.dumps(result, indent=2) + "\n")

    def _predict(self, task, split, encoded):
        with tqdm(
            total=100,
            unit="%",
            desc=f"predicting {split}",
            leave=False,
            disable=not sys.stderr.isatty(),
        ) as bar:
            assert self._trainer
            return predict_outputs(
                task,
                self._trainer.model,
                encoded,
                on_progress=lambda share: bar.update(round(100 * share) - bar.n),
                outputs_of=self._outputs_of,
            )


def _log(directory: str, metrics: dict[str, dict[str, float]], step: int) -> None:
    """Adds the evaluations to metrics.jsonl and TensorBoard, beside the training losses."""
    written = log.MetricsLog(directory, step)
    for split, values in metrics.items():
        if not written.had(step, split):
            written.write(step, split, values)
    written.close()


def _last_loss(directory: str) -> float:
    """Training loss of the last lines of metrics.jsonl, a tenth of them."""
    losses = [
        line["loss"]
        for line in log.read(os.path.join(directory, "metrics.jsonl"))
        if line["split"] == "train"
    ]
    return float(np.mean(losses[-max(1, len(losses) // 10) :]))
