"""A pre-training run from its config: checks, files of the workdir, devices, loop."""

import functools
import os
import shutil

from absl import logging

from electra_tf import config as configuration
from electra_tf.config import Config
from electra_tf.files import write_text
from electra_tf.tasks.pretraining import PretrainingTask
from electra_tf.text.vocabulary import Vocabulary
from electra_tf.train import model_directory, strategy
from electra_tf.train.loop import Trainer
from electra_tf.train.state import TrainState


def pretrain(config: Config, workdir: str) -> int:
    """Starts or continues the run in `workdir`; returns the step reached.

    With `config.init_from` a new run starts from that model: it takes over sizes and weights, but
    not the optimizer's state, and evaluates before its first step. `config.init_schedule` says
    whether steps, so learning rate and order of the examples, count from 0 again ("restart") or
    from where the model was ("continue"). A generator that the model lacks starts fresh.

    Raises:
        ValueError: a config field, the data, or a workdir that holds another model.
    """
    config.validate()
    former = (configuration.load(workdir)
              if os.path.exists(os.path.join(workdir, "config.json")) else None)
    start = None
    if config.init_from:
        start = Start(config.init_from, config.init_schedule == "continue")
        if former is None:
            start.prepare(config)
        else:
            config.take_networks(former)
        config.validate()
    runtime = strategy.start(config.runtime, config.train.seed)
    task = PretrainingTask(config)
    if former is not None:
        _compare(former, config, workdir)
    elif start is not None:
        start.check(task.vocab_file, config.train.num_steps)
    trainer = Trainer(task, config.train, config.optimizer, workdir, runtime, start)
    if runtime.is_chief:  # writes only now that all has been checked
        _write_description(task, config, workdir)
    return trainer.run()


class Start:
    """What a run with `config.init_from` begins with; called with its TrainState.

    The directory is read when it is first needed: never, once the run has a checkpoint.

    Args:
        directory: a model directory, or the workdir of a run.
        keep_step: whether steps go on counting from the model's.
    """

    def __init__(self, directory: str, keep_step: bool):
        self._directory, self._keep_step = directory, keep_step

    @functools.cached_property
    def _source(self):
        return model_directory.open_directory(self._directory)

    def prepare(self, config: Config) -> None:
        """Gives a config the networks of the model."""
        source, saved = self._source
        if source.objective.name != config.objective.name:
            raise ValueError(f"config.objective.name must be that of config.init_from, "
                             f"{source.objective.name}. Received: {config.objective.name}")
        has_generator = any(path.startswith("generator_head/") for path in saved.shapes)
        config.take_networks(source, generator=has_generator or source.objective.name == "mlm")

    def check(self, vocab_file: str, num_steps: int) -> None:
        """Raises ValueError if the data has another vocabulary or no step is left."""
        own = os.path.join(self._directory, model_directory.VOCABULARY)
        if os.path.exists(own) and not _same_tokens(own, vocab_file):
            raise ValueError(
                f"The data must have the vocabulary of config.init_from, {own}. Received: "
                f"{vocab_file}; build it again with --vocab={own}")
        step = self._source[1].step
        if self._keep_step and step >= num_steps:
            raise ValueError(
                f"config.train.num_steps must be more than the steps of {self._directory}, {step}, "
                f"with config.init_schedule=continue. Received: {num_steps}")

    def __call__(self, state: TrainState) -> None:
        """Fills weights, and the step if it goes on counting."""
        saved = self._source[1]
        saved.assign({path: weight for path, weight in state.weights.items()
                      if path in saved.shapes})
        fresh = {path.split("/")[0] for path in state.weights if path not in saved.shapes}
        if fresh:
            logging.warning("%s lacks these networks, which start from fresh weights: %s",
                            self._directory, ", ".join(sorted(fresh)))
        if self._keep_step:
            state.step.assign(saved.step)


def _same_tokens(one: str, other: str) -> bool:
    return Vocabulary.from_file(one).tokens == Vocabulary.from_file(other).tokens


def _write_description(task: PretrainingTask, config: Config, workdir: str) -> None:
    """Writes config.json and vocab.txt."""
    os.makedirs(workdir, exist_ok=True)
    write_text(os.path.join(workdir, "config.json"), config.to_json())
    vocab_file = os.path.join(workdir, "vocab.txt")
    if not os.path.exists(vocab_file):
        shutil.copyfile(task.vocab_file, vocab_file + ".tmp")
        os.replace(vocab_file + ".tmp", vocab_file)


def _compare(old: Config, new: Config, workdir: str) -> None:
    """Refuses to continue with other networks; says what else has changed."""
    before, after = old.flat(), new.flat()
    for name, value in before.items():
        now = after[name]
        if now == value:
            continue
        if name.startswith(("config.model.", "config.generator.", "config.objective.name")):
            raise ValueError(f"A run must keep its networks: {name} was {value!r} in "
                             f"{workdir}. Received: {now!r}. Take another --workdir.")
        logging.warning("continuing with another %s: %r, was %r", name, now, value)
