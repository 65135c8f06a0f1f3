"""A pre-training run from its config: checks, files of the workdir, devices, loop."""

import contextlib
import functools
import os
import sys
import time
from collections.abc import Callable

import numpy as np
from absl import logging

from electra_tf import config as configuration
from electra_tf import file_systems, files, objectives
from electra_tf.config import Config
from electra_tf.errors import UserError
from electra_tf.files import write_text
from electra_tf.models.sharing import (
    EMBEDDINGS,
    MODES,
    NothingShared,
    SharedEmbeddings,
    sharing_of,
)
from electra_tf.objectives import generators
from electra_tf.runs.ready_generator import ReadyGenerator
from electra_tf.runs.time_budget import SHORTENED, shorten
from electra_tf.saved import model_directory
from electra_tf.tasks.pretraining import PretrainingTask
from electra_tf.text import tokenization
from electra_tf.train import strategy
from electra_tf.train.loop import Trainer
from electra_tf.train.optimizers import build_optimizer
from electra_tf.train.state import TrainState

_COMPARED = "config.data.tokenizer_fingerprint"  # by PretrainingTask; older runs lack it
_STARTS = ("config.init_from", "config.objective.generator_from")
_NETWORKS = ("config.model.", "config.generator.", "config.objective.name")
_OWN = ("checkpoints", "metrics.jsonl", "tensorboard")


def pretrain(config: Config, workdir: str, goes_on: Callable[[int], bool] | None = None) -> int:
    """Starts or continues the run in `workdir`; returns the step reached.

    With `config.init_from` a new run starts from that model: it takes over sizes and weights, but
    not the optimizer's state, and evaluates before its first step. `config.init_schedule` says
    whether steps, so learning rate and order of the examples, count from 0 again ("restart") or
    from where the model was ("continue"). A generator that the model lacks starts fresh. What the
    networks share is the model's, too, except from and to `config.model.sharing=gdes`: there the
    run has its own, with the same tables.

    Args:
        config: the experiment.
        workdir: of the run.
        goes_on: asked between steps, with the number of steps done, whether to go on. False ends
            the call with the run saved, and another call continues it. Not for several workers.

    Raises:
        UserError: a config field, the data, or a workdir that holds another model, is not a run's
            or has another process writing to it.

    Example:
        >>> config = electra_tf.Config.from_file("configs/quickstart.py")
        >>> config.data.dir, config.train.num_steps = "shards", 3
        >>> electra_tf.pretrain(config, "runs/new")
        3
    """
    begun = time.monotonic()
    objectives.validate(config)
    for network, optimizer in objectives.build_objective(config).optimizers().items():
        if optimizer.warmup_steps > config.train.num_steps:
            logging.warning(
                "config.%s.warmup_steps, %d, is more than config.train.num_steps, %d: the run "
                "ends before the learning rate has come to its peak",
                "generator_optimizer" if network else "optimizer",
                optimizer.warmup_steps,
                config.train.num_steps,
            )
    workdir, former = open_workdir(config, workdir)
    runtime = strategy.start(
        config.runtime,
        config.train.seed,
        former and former.runtime,
        num_steps=config.train.num_steps,
    )
    # Several workers share the directory; the chief is its writer.
    with files.one_writer(workdir) if runtime.is_chief else contextlib.nullcontext():
        return _pretrain(config, workdir, runtime, begun, goes_on)


def _pretrain(config: Config, workdir: str, runtime: strategy.Runtime, begun, goes_on) -> int:
    former = _former(workdir)
    starts = prepare(config, former)
    if config.train.max_minutes and former is None:
        line = shorten(config, runtime, begun)
        if runtime.is_chief:
            print(line, file=sys.stderr)
    task = open_task(config, workdir, former, starts)

    def initialize(state):
        for each in starts:
            each(state)

    trainer = Trainer(
        task,
        config.train,
        task.objective.optimizers(),
        workdir,
        runtime,
        initialize if starts else None,
        goes_on,
    )
    if runtime.is_chief:  # writes only now that all has been checked
        _write_description(task, config, workdir)
    return trainer.run()


def open_workdir(config: Config, workdir: str) -> tuple[str, Config | None]:
    """Where a run goes, and the config of the run that is continued there; writes nothing.

    Raises:
        UserError: no run may be there.
    """
    workdir = files.workdir(workdir, config.data.sources(), _OWN, url=True)
    return workdir, _former(workdir)


def prepare(config: Config, former: Config | None) -> "list[Start | ReadyGenerator]":
    """Gives a config the networks of what it starts from or continues, and the steps that fitted.

    Returns:
        What fills the weights of a new run, in this order; nothing: they are fresh.

    Raises:
        UserError: it cannot start from that.
    """
    if config.train.max_minutes and former is not None:
        if former.train.max_minutes:  # it keeps what fitted into its time
            for section, name in SHORTENED:
                value = getattr(getattr(former, section), name)
                setattr(getattr(config, section), name, value)
        else:
            logging.warning("config.train.max_minutes is for new runs; this one keeps its steps")
    start, ready = None, config.objective.generator_from
    generator = ReadyGenerator(ready) if ready else None
    if config.init_from:
        start = Start(config, with_generator=not ready)
        if former is None:
            start.prepare()
        else:
            config.take_networks(former)
        objectives.validate(config)
    build_optimizer(config.optimizer, 1, {})  # its names are checked before any work
    return [each for each in (start, generator) if each is not None]


def open_task(
    config: Config,
    workdir: str,
    former: Config | None,
    starts: "list[Start | ReadyGenerator]",
) -> PretrainingTask:
    """The task of a run whose config is prepared.

    Raises:
        UserError: data, vocabulary, the run that is continued and what a new one starts from do
            not fit together.
    """
    model = workdir if former is not None else config.init_from
    task = PretrainingTask(config, model or None)
    if former is not None:
        _compare(former, config, workdir)
    else:
        for each in starts:
            each.check(config)
    return task


def _former(workdir: str) -> Config | None:
    """The config of the run that a workdir holds, if it holds one."""
    if not file_systems.exists(os.path.join(workdir, "config.json")):
        return None
    return objectives.validate(configuration.load(workdir))


class Start:
    """What a run with `config.init_from` begins with; called with its TrainState.

    The directory is read when it is first needed: never, once the run has a checkpoint.

    Args:
        config: of the run.
        with_generator: whether the model's generator is taken, too.
    """

    def __init__(self, config: Config, with_generator: bool = True):
        self._config, self._directory = config, config.init_from
        self._keep_step = config.init_schedule == "continue"
        self._with_generator = with_generator

    @functools.cached_property
    def _source(self):
        return model_directory.open_directory(self._directory)

    def prepare(self) -> None:
        """Gives the config the networks of the model."""
        source, saved = self._source
        config = self._config
        kinds = [objectives.objective_class(each).model_class for each in (source, config)]
        if kinds[0] is not kinds[1]:
            raise UserError(
                f"config.objective.name must be that of config.init_from, "
                f"{source.objective.name}, or another one that trains the same networks. "
                f"Received: {config.objective.name}"
            )
        has_generator = any(path.startswith(generators.WEIGHTS) for path in saved.shapes)
        own = config.model.sharing
        config.take_networks(source, generator=self._with_generator and has_generator)
        if own != config.model.sharing and self._changes_tables(own):
            self._keep_sharing(own)

    def check(self, config: Config) -> None:
        """Raises UserError if no step is left."""
        step, num_steps = self._source[1].step, config.train.num_steps
        if self._keep_step and step >= num_steps:
            raise UserError(
                f"config.train.num_steps must be more than the steps of {self._directory}, {step}, "
                f"with config.init_schedule=continue. Received: {num_steps}"
            )

    def __call__(self, state: TrainState) -> None:
        """Fills weights, and the step if it goes on counting."""
        saved = self._source[1]
        weights = {
            path: weight
            for path, weight in state.weights.items()
            if self._with_generator or not path.startswith(generators.WEIGHTS)
        }
        tables = self._tables()
        there = saved.shapes.keys() | tables.keys()
        saved.assign({path: weights[path] for path in weights if path in there}, tables)
        fresh = {path.split("/")[0] for path in weights if path not in there}
        if fresh:
            logging.warning(
                "%s lacks these networks, which start from fresh weights: %s",
                self._directory,
                ", ".join(sorted(fresh)),
            )
        if self._keep_step:
            state.step.assign(saved.step)

    def _changes_tables(self, own: str) -> bool:
        """Whether the model or a run of another sharing trains something else than tables."""
        modes = MODES[own], type(self._trained_as())
        return modes[0] != modes[1] and not all(mode.trains_tables for mode in modes)

    def _trained_as(self) -> SharedEmbeddings:
        """The model's sharing; where the generator has no tables, all are the discriminator's."""
        source, saved = self._source
        has_own = any(path.startswith("generator_embeddings/") for path in saved.shapes)
        return sharing_of(source.model) if has_own else SharedEmbeddings()

    def _keep_sharing(self, own: str) -> None:
        """Gives the config, which has the model's networks, its own sharing again."""
        config, size = self._config, self._config.generator_model().embedding_size
        if MODES[own].own_tokens and size != config.model.embedding_size:
            raise UserError(
                f"For config.model.sharing={own} config.init_from must have a generator whose "
                f"tables are of the discriminator's size, {config.model.embedding_size}, or none. "
                f"Received: {self._directory} with tables of size {size}"
            )
        config.model.sharing = own
        config.generator.embedding_size = size if own == NothingShared.name else 0

    def _tables(self) -> dict[str, np.ndarray]:
        """Embeddings to start with where the run does not train what the model has trained."""
        source, saved = self._source
        own = sharing_of(self._config.model)
        if not self._changes_tables(own.name):
            return {}
        logging.warning(
            "%s has config.model.sharing=%s, this run %s: %s",
            self._directory,
            source.model.sharing,
            own.name,
            own.beginning,
        )
        found = {path: saved.read(path) for path in saved.shapes if path.startswith(EMBEDDINGS)}
        return own.trained(self._trained_as().tables(found))


def _write_description(task: PretrainingTask, config: Config, workdir: str) -> None:
    """Writes config.json and the tokenizer's files."""
    file_systems.make_dirs(workdir)
    write_text(os.path.join(workdir, "config.json"), config.to_json())
    settings = tokenization.settings_of(config.data)
    if tokenization.find(settings, workdir) is None:
        tokenization.copy(task.vocab_file, workdir, settings)


def _compare(old: Config, new: Config, workdir: str) -> None:
    """Refuses to continue with other networks or phases; says what else has changed."""
    phases = [objectives.build_objective(config).phases() for config in (old, new)]
    if phases[0] != phases[1]:
        raise UserError(
            f"A run must keep its phases, which in {workdir} are {phases[0]}. "
            f"Received: {phases[1]}. Take another --workdir."
        )
    before, after = old.flat(), new.flat()
    for name, value in before.items():
        now = after[name]
        if now == value or name == _COMPARED:
            continue
        if name in _STARTS and _is_same(value, now):
            continue
        if name in (*_STARTS, "config.init_schedule"):
            raise UserError(
                f"A run must keep what it started from: {name} was {value!r} in {workdir}. "
                f"Received: {now!r}. Take another --workdir."
            )
        if name.startswith(_NETWORKS) or name == "config.objective.generator":
            raise UserError(
                f"A run must keep its networks: {name} was {value!r} in "
                f"{workdir}. Received: {now!r}. Take another --workdir."
            )
        if name == "config.train.average_decay" and not value:
            raise UserError(
                f"A run whose checkpoints have no averages must go on without: {name} was 0.0 in "
                f"{workdir}. Received: {now!r}. Take another --workdir, with --config.init_from."
            )
        logging.warning("continuing with another %s: %r, was %r", name, now, value)
    if old.objective == new.objective:
        return  # the networks' names are as they were, and asking for them takes a second
    networks = [
        {path.split("/")[0] for path in objectives.build_objective(config).variable_shapes()}
        for config in (old, new)
    ]
    if networks[0] != networks[1]:
        raise UserError(
            f"A run must keep its networks, which in {workdir} are "
            f"{', '.join(sorted(networks[0]))}. Received: {', '.join(sorted(networks[1]))}. "
            "Take another --workdir."
        )


def _is_same(directory: str, other: str) -> bool:
    return bool(directory and other) and file_systems.real(directory) == file_systems.real(other)
