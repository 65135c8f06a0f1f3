"""A pre-training run from its config: checks, files of the workdir, devices, loop."""

import dataclasses
import os
import shutil

from absl import logging

from electra_tf import config as configuration
from electra_tf.config import Config
from electra_tf.tasks.pretraining import PretrainingTask
from electra_tf.train import strategy
from electra_tf.train.loop import Trainer


def pretrain(config: Config, workdir: str) -> int:
    """Starts or continues the run in `workdir`; returns the step reached.

    Raises:
        ValueError: a config field, the data, or a workdir that holds another model.
    """
    config.validate()
    runtime = strategy.start(config.runtime, config.train.seed)
    task = PretrainingTask(config)
    if os.path.exists(os.path.join(workdir, "config.json")):
        _compare(configuration.load(workdir), config, workdir)
    trainer = Trainer(task, config, workdir, runtime)
    if runtime.is_chief:  # writes only now that all has been checked
        _write_description(task, config, workdir)
    return trainer.run()


def _write_description(task: PretrainingTask, config: Config, workdir: str) -> None:
    """Writes config.json and vocab.txt."""
    os.makedirs(workdir, exist_ok=True)
    _write(os.path.join(workdir, "config.json"), config.to_json())
    vocab_file = os.path.join(workdir, "vocab.txt")
    if not os.path.exists(vocab_file):
        shutil.copyfile(task.vocab_file, vocab_file + ".tmp")
        os.replace(vocab_file + ".tmp", vocab_file)


def _compare(old: Config, new: Config, workdir: str) -> None:
    """Refuses to continue with other networks; says what else has changed."""
    for section, former in dataclasses.asdict(old).items():
        for field, value in former.items():
            now = getattr(getattr(new, section), field)
            if now == value:
                continue
            name = f"config.{section}.{field}"
            if section in ("model", "generator") or name == "config.objective.name":
                raise ValueError(f"A run must keep its networks: {name} was {value!r} in "
                                 f"{workdir}. Received: {now!r}. Take another --workdir.")
            logging.warning("continuing with another %s: %r, was %r", name, now, value)


def _write(path: str, text: str) -> None:
    with open(path + ".tmp", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(path + ".tmp", path)
