"""Whether a pre-training run can start here, and what it will take: before anything is spent.

The rules are those that the run itself keeps, asked one after the other, so that all that is wrong
is told at once. Nothing is trained or written, and TensorFlow's cluster does not start.
"""

import contextlib
import copy
import dataclasses
import math
import os
import shutil
from collections.abc import Iterator

import tensorflow as tf

from electra_tf import file_systems, files, locks, objectives
from electra_tf.config import Config
from electra_tf.data import dataset
from electra_tf.data.description import read_description
from electra_tf.durations import estimate
from electra_tf.errors import UserError, is_for_user, one_line
from electra_tf.runs import pretraining, worker_probe
from electra_tf.saved.weights import SavedWeights
from electra_tf.speed import PEAK_SHARE, devices
from electra_tf.speed.plan import plan
from electra_tf.train import cluster, strategy
from electra_tf.train.loop import require_even_batches

GIB = 2**30


@dataclasses.dataclass
class Findings:
    """What has been found.

    Attributes:
        facts: (subject, text) in the order in which they are printed.
        problems: messages, each with rule, value and fix.
    """

    facts: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    problems: list[str] = dataclasses.field(default_factory=list)

    def tell(self, subject: str, text: str) -> None:
        """Adds a fact."""
        self.facts.append((subject, text))

    @contextlib.contextmanager
    def noting(self) -> Iterator[None]:
        """Makes a problem of an error that a user can mend; the rest of the block is left out."""
        try:
            yield
        except Exception as error:
            if not is_for_user(error):
                raise
            if one_line(error) not in self.problems:
                self.problems.append(one_line(error))

    def lines(self) -> list[str]:
        """All of it as text to print."""
        return [
            *(f"{subject:8} {text}" for subject, text in self.facts),
            *(f"problem  {problem}" for problem in self.problems),
        ]


@dataclasses.dataclass
class _Devices:
    """Those of all workers, as far as this one can tell: all machines are taken to be alike."""

    runtime: strategy.Runtime
    num_workers: int

    @property
    def num_replicas(self) -> int:
        return self.num_workers * self.runtime.num_replicas


def check(config: Config, workdir: str) -> Findings:
    """Finds out what stands in the way of `pretrain(config, workdir)`.

    With several workers each one can be asked, best at the same time: then each also sees whether
    the others' addresses accept connections. Measures this machine's CPU for a few seconds where
    that is what trains.

    Args:
        config: left as it is.
        workdir: of the run, which may have begun.
    """
    found, config = Findings(), copy.deepcopy(config)
    with found.noting():
        objectives.validate(config)
    is_valid = not found.problems
    place = former = on = task = checkpoint = None
    with found.noting():
        place, former = pretraining.open_workdir(config, workdir)
    with contextlib.ExitStack() as stack:
        with found.noting():
            config.runtime.check_fields("config.runtime")
            on = _devices(found, config, former, stack)
        has_data = _data(found, config)
        if is_valid:
            with found.noting():
                starts = pretraining.prepare(config, former)
                if has_data:
                    task = pretraining.open_task(config, place or workdir, former, starts)
                    size = f"{len(task.vocabulary):,} tokens"
                    found.tell("", f"vocabulary of {size} in {task.vocab_file}")
        if is_valid and on is not None:
            with found.noting():
                objective = task.objective if task else objectives.build_objective(config)
                require_even_batches(config.train, objective, on.num_replicas)
        if task is not None and on is not None:
            checkpoint = _cost(found, config, task, on)
        else:
            found.tell("skipped", "memory and cost: they need a valid config, data and devices")
        if place is not None:
            _workdir(found, config, place, former, checkpoint)
    return found


def _devices(found, config, former, stack) -> _Devices:
    """Tells the devices and the workers; `stack` keeps this task's port."""
    runtime, num_workers = config.runtime, 1
    if strategy.name_of(runtime) == "multi_worker":
        members = cluster.find()
        num_workers = members.num_workers
        with found.noting():
            stack.enter_context(worker_probe.listening(members))
        job, index = members.own
        address = members.tasks.get(members.own, "no address")
        found.tell("workers", f"{num_workers}, this one is {job} {index} at {address}")
        for name, answer in worker_probe.probe(members).items():
            with found.noting():
                if isinstance(answer, UserError):
                    raise answer
                found.tell("", f"{name} at {members.others()[name]}: {answer}")
        runtime.num_virtual_devices = 0  # MultiWorkerMirroredStrategy has one CPU
        runtime.strategy = strategy.local_name(runtime)
    local = strategy.start(
        runtime,
        config.train.seed,
        former and former.runtime,
        num_steps=config.train.num_steps,
    )
    result = _Devices(local, num_workers)
    kind = type(local.strategy).__name__ if num_workers == 1 else "MultiWorkerMirroredStrategy"
    each = f" on each of {num_workers} workers" if num_workers > 1 else ""
    found.tell("devices", f"{local}{each} ({kind})")
    return result


def _data(found, config) -> bool:
    """Tells the examples of the parts that the run reads; returns whether all have a train part."""
    train, sources, opened = config.train, {}, set()
    with found.noting():
        sources = config.data.sources()
    for directory, weight in sources.items():
        for name in ("train", "eval") if train.eval_steps else ("train",):
            with found.noting():
                split = dataset.open_split(directory, name)
                tokens = _tokens(directory, name)
                size = f"{split.num_examples:,} examples of {split.seq_length} tokens"
                size += f", {tokens:,} without padding" if tokens else ""
                if name == "eval":
                    found.tell("", f"held out: {size}")
                    continue
                opened.add(directory)
                share = weight / sum(sources.values())
                rows = train.batch_sizes().examples(train.num_steps)
                epochs = share * rows / split.num_examples
                at_most = "at most " if train.max_minutes else ""
                what = f"{share:.3g} of all from {directory}" if len(sources) > 1 else directory
                found.tell("data", f"{what}: {size}; {at_most}{epochs:,.3g} epochs")
    return bool(sources) and opened == sources.keys()


def _tokens(directory, split) -> int | None:
    """Tokens of a part, padding aside, where dataset.json has them."""
    description = read_description(directory) or {"splits": {}}
    tokens = description["splits"].get(split, {}).get("tokens")
    return tokens if type(tokens) is int else None


def _cost(found, config, task, on: _Devices) -> float | None:
    """Tells memory and operations; returns the bytes of a checkpoint."""
    part = copy.deepcopy(config)  # of one device, with the batches that come last
    part.train.batch_size = max(1, config.train.batch_size // on.num_replicas)
    part.train.batch_warmup = ""
    share_of_rows = config.train.batch_sizes().examples(config.train.num_steps) / (
        config.train.num_steps * config.train.batch_size
    )
    sheet = _data_sheet(on.runtime)
    with found.noting():
        figures = plan(part, task.seq_length, PEAK_SHARE, [sheet] if sheet else [])
        mixed = on.runtime.precision != "float32"
        memory = next(
            row
            for row in figures["memory"]
            if row["batch_size"] == part.train.batch_size
            and (row["precision"] != "float32") == mixed
        )
        on_device = next((row for row in figures["devices"][mixed:]), None)
        needed = memory["total"]
        text = f"{needed / GIB:,.2f} GiB planned per device for {part.train.batch_size:,} rows"
        if sheet is None:
            found.tell("memory", f"{text}; how much it has is not known here")
        else:
            found.tell("memory", f"{text}; a step can have {sheet.usable_bytes / GIB:,.2f} GiB")
            with found.noting():
                _require_memory(needed, sheet, config, on_device)
        share = f"{PEAK_SHARE:.0%} of the peak"
        operations = f"{figures['flops'] * on.num_replicas * share_of_rows:.3g} FLOP"
        if config.train.max_minutes:
            operations = f"at most {operations}"
        if sheet is None or on_device is None or not math.isfinite(sheet.mixed):
            found.tell("cost", f"{operations}; the peak of the devices is not known here")
        else:
            took = estimate(3600 * on_device["hours"] * share_of_rows)
            found.tell(
                "cost",
                f"{operations}, {took} at {share} of {on.num_replicas} x {sheet.name}",
            )
        return memory["weights"] + memory["optimizer"]
    return None


def _require_memory(needed, sheet, config, on_device):
    if needed <= sheet.usable_bytes:
        return
    steps = on_device["accumulation_steps"]
    fix = (
        f"take config.train.accumulation_steps={steps}"
        if steps is not None
        else "take a smaller config.train.batch_size, or more devices"
    )
    raise UserError(
        f"A step must fit into the memory of a device, {sheet.usable_bytes / GIB:,.2f} GiB. "
        f"Received: {needed / GIB:,.2f} GiB planned for config.train.batch_size="
        f"{config.train.batch_size} with config.train.accumulation_steps="
        f"{config.train.accumulation_steps}; {fix}"
    )


def _data_sheet(runtime: strategy.Runtime) -> devices.DataSheet | None:
    """What one of the devices here can do, as far as it is known."""
    if runtime.device == "CPU":
        machine, number = devices.this_machine(tf.function), runtime.num_replicas
        return dataclasses.replace(
            machine,
            gib=machine.gib / number,
            float32=machine.float32 / number,
            mixed=machine.mixed / number,
        )
    if runtime.device == "GPU":
        gpu = tf.config.list_physical_devices("GPU")[0]
        name = tf.config.experimental.get_device_details(gpu).get("device_name", "GPU")
        return devices.of_gpu(name)
    return None


def _workdir(found, config, workdir, former, size):
    """Tells where the run goes, and whether its checkpoints have room there.

    Args:
        size: bytes of a checkpoint; None: not known.
    """
    directory, train = os.path.join(workdir, "checkpoints"), config.train
    state = "new"
    if former is not None:
        with found.noting():
            step = SavedWeights(directory).step if file_systems.is_dir(directory) else 0
            state = f"continues at step {step:,} of {train.num_steps:,}"
            state += "; nothing is left to train" if step >= train.num_steps else ""
    found.tell("workdir", f"{workdir}: {state}")
    if file_systems.is_url(workdir):
        found.tell("", "whether another run writes there, and how much room there is, is not known")
        return
    with found.noting():
        try:
            locks.require_unused(workdir)
        except locks.InUse as other:
            raise UserError(other.describe(workdir)) from None
    if size is None:
        return
    free = shutil.disk_usage(_existing(workdir)).free
    number = train.keep_checkpoints + 1  # the oldest goes when the newest is there
    missing = number * size - _bytes_of(directory)
    found.tell(
        "",
        f"{number} x {size / GIB:,.2f} GiB of checkpoints at most; {free / GIB:,.2f} GiB are free",
    )
    with found.noting():
        if missing > free:
            raise UserError(
                "The workdir must have room for config.train.keep_checkpoints and the one that is "
                f"being written. Received: {free / GIB:,.2f} GiB free for {missing / GIB:,.2f} GiB "
                f"in {workdir}; free some, or keep fewer than {train.keep_checkpoints}"
            )


def _existing(path: str) -> str:
    """The closest directory that there is."""
    path = os.path.realpath(files.expand(path))
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path


def _bytes_of(directory: str) -> int:
    """Of the files in a directory, if there is one."""
    with contextlib.suppress(OSError), os.scandir(directory) as entries:
        return sum(entry.stat().st_size for entry in entries if entry.is_file())
    return 0
