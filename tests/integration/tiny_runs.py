"""Tiny data sets, and runs as child processes: the real command, or several in one process.

As a program it reads JSON lists of runs, `[[workdir, {field: value}], ...]`, a line each, does them
and prints what became of each: starting TensorFlow takes longer than training these models.
"""

import contextlib
import dataclasses
import itertools
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import zlib

import numpy as np
import tensorflow as tf
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

from electra_tf.data.records import ShardWriter

ROOT = pathlib.Path(__file__).resolve().parents[2]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
VOCAB_SIZE = 61
LENGTH = 16
TIME_LIMIT = 1800  # seconds, against a hang; a command takes about 8, on a busy machine 60
TINY = {
    "model.hidden_size": 32,
    "model.num_layers": 1,
    "model.num_heads": 2,
    "model.intermediate_size": 64,
    "model.embedding_size": 16,
    "model.max_positions": LENGTH,
    "generator.hidden_fraction": 0.5,
    "optimizer.learning_rate": 3e-3,
    "optimizer.warmup_steps": 5,
    "train.batch_size": 12,
    "train.num_steps": 20,
    "train.log_steps": 5,
    "train.checkpoint_steps": 5,
    "train.eval_steps": 0,
}
NO_DROPOUT = {"model.hidden_dropout": 0.0, "model.attention_dropout": 0.0}


def write_data(directory: pathlib.Path, num_train: int = 240, num_eval: int = 37) -> str:
    """Writes a data set of sentences that follow a rule, of 4 to LENGTH tokens each."""
    directory.mkdir()
    words = [f"word{number}" for number in range(VOCAB_SIZE - len(SPECIAL))]
    (directory / "vocab.txt").write_text("".join(f"{token}\n" for token in SPECIAL + words))
    random, splits = np.random.default_rng(0), {}
    for split, number in (("train", num_train), ("eval", num_eval)):
        name = f"{split}-00000-of-00001.tfrecord"
        writer = ShardWriter(directory / name)
        writer.write(_examples(random, number))
        writer.close()
        splits[split] = {
            "documents": number,
            "examples": number,
            "tokens": writer.num_tokens,
            "files": [{"name": name, "examples": number}],
        }
    (directory / "dataset.json").write_text(
        json.dumps(
            {
                "format_version": 1,
                "seq_length": LENGTH,
                "packing": "none",
                "splits": splits,
                "vocab_size": VOCAB_SIZE,
                "tokenizer": {"lower_case": True, "strip_accents": True},
            }
        )
    )
    return str(directory)


def _examples(random, number):
    """Each word follows from the former by one of two increments, so there is what to learn."""
    ids, mask, segments = (np.zeros((number, LENGTH), np.int64) for _ in range(3))
    first_word, num_words = len(SPECIAL), VOCAB_SIZE - len(SPECIAL)
    for row in range(number):
        length = int(random.integers(4, LENGTH + 1))
        steps = random.choice([1, 7], size=length - 2)
        words = first_word + (random.integers(num_words) + np.cumsum(steps)) % num_words
        ids[row, :length] = [2, *words, 3]
        mask[row, :length] = 1
        segments[row, length // 2 : length] = 1
    return {"input_ids": ids, "input_mask": mask, "segment_ids": segments}


def command(data: str, workdir, *changes: dict) -> list[str]:
    """The pretrain command with TINY settings and other config fields."""
    fields = {"data.dir": data, **TINY}
    for change in changes:
        fields |= change
    return [
        sys.executable,
        "-m",
        "electra_tf",
        "pretrain",
        "--config=configs/electra_small.py",
        f"--workdir={workdir}",
        *(f"--config.{name}={value}" for name, value in fields.items()),
    ]


@dataclasses.dataclass
class Result:
    """What a command has printed."""

    stdout: str
    stderr: str


def run(arguments: list[str], code: int = 0, **environment) -> Result:
    """Runs a command to its end and checks the exit code."""
    with start(arguments, **environment) as process:
        return finish(process, code)


def finish(process: subprocess.Popen, code: int = 0) -> Result:
    """Waits for a command's end and checks the exit code."""
    result = Result(*process.communicate(timeout=TIME_LIMIT))
    assert process.returncode == code, f"exit code {process.returncode}:\n{result.stderr}"
    assert "AutoGraph could not transform" not in result.stderr
    return result


@contextlib.contextmanager
def start(arguments: list[str], stdin=None, stderr=subprocess.PIPE, **environment):
    """A running command, killed at the end of the block if it still lives."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in ("TF_CPP_MIN_LOG_LEVEL", "TF_CONFIG")
    }
    process = subprocess.Popen(
        arguments,
        cwd=ROOT,
        text=True,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=stderr,
        env={**inherited, "PYTHONPATH": path, **environment},
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def wait_for(condition, process: subprocess.Popen) -> None:
    """Returns when `condition()` is true; fails when the process ends or time is up."""
    end = time.monotonic() + TIME_LIMIT
    while not condition():
        assert process.poll() is None, f"ended too early:\n{process.communicate()[1]}"
        assert time.monotonic() < end, "nothing happened within the time limit"
        time.sleep(0.02)


class Worker:
    """A child process that does runs, one after the other, started where there is none.

    All runs have two virtual devices; those that ask for no strategy use the first. To be closed,
    as by `with`.

    Args:
        data: of all of them.
        exact_noise: draws from a generator of integers, the same compiled or not; TensorFlow's
            makes other numbers of the same random bits when it is compiled.
    """

    def __init__(self, data: str, exact_noise: bool = False):
        self._fields = {
            "data.dir": data,
            **TINY,
            "runtime.strategy": "one_device",
            "runtime.num_virtual_devices": 2,
        }
        self._command = [sys.executable, __file__, *["exact"] * exact_noise]
        self._stack, self._process = contextlib.ExitStack(), None

    def __enter__(self):
        return self

    def __exit__(self, *error):
        with self._stack:
            if self._process and not any(error):
                self._process.communicate(timeout=TIME_LIMIT)
                assert self._process.returncode == 0, self._stderr()
                assert "AutoGraph could not transform" not in self._stderr()

    def __call__(self, *runs: tuple) -> list[dict]:
        """Does runs, (workdir, {field: value}, ...).

        Returns:
            For each: `error`, `traces` of the step, and the `tokens` that each evaluation and each
            line of training metrics has counted, without a discriminator the masked ones.
        """
        process = self._begin(runs)
        end = threading.Timer(TIME_LIMIT, process.kill)
        end.start()
        lines = [process.stdout.readline() for _ in runs]
        end.cancel()
        if not all(lines):
            self._process = None  # it has ended
            raise AssertionError(self._stderr())
        return [json.loads(line) for line in lines]

    def kill_in(self, run: tuple, condition) -> None:
        """Begins a run and kills the process as soon as `condition()` is true."""
        process = self._begin([run])
        wait_for(condition, process)
        process.kill()
        process.communicate()
        self._process = None

    def _begin(self, runs):
        if self._process is None:
            self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115 (the stack closes it)
            self._stack.enter_context(self._said)
            started = start(self._command, stdin=subprocess.PIPE, stderr=self._said)
            self._process = self._stack.enter_context(started)
        merged = []
        for workdir, *changes in runs:
            own = dict(self._fields)
            for change in changes:
                own |= change
            merged.append([str(workdir), own])
        print(json.dumps(merged), file=self._process.stdin, flush=True)
        return self._process

    def _stderr(self):
        self._said.seek(0)
        return self._said.read()


def together(data: str, *runs: tuple, exact_noise: bool = False) -> list[dict]:
    """Does runs in a `Worker` of their own; see there."""
    with Worker(data, exact_noise) as worker:
        return worker(*runs)


def metrics(workdir, split: str | None = None) -> list[dict]:
    """Complete lines of metrics.jsonl."""
    path = pathlib.Path(workdir) / "metrics.jsonl"
    if not path.exists():
        return []
    lines = path.read_text().splitlines(keepends=True)
    parsed = [json.loads(line) for line in lines if line.endswith("\n")]
    return [line for line in parsed if split in (None, line["split"])]


def board(workdir, split: str = "eval") -> EventAccumulator:
    """What TensorBoard reads of a run's metrics and what is shown beside them."""
    return EventAccumulator(os.path.join(workdir, "tensorboard", split)).Reload()


def last_step(workdir) -> int:
    """The step of the last line of metrics.jsonl; 0 without one."""
    return max((line["step"] for line in metrics(workdir)), default=0)


def latest(workdir) -> str | None:
    """Path of the newest checkpoint."""
    return tf.train.latest_checkpoint(os.path.join(workdir, "checkpoints"))


def saved(path: str) -> dict[str, np.ndarray]:
    """Every number of a checkpoint by its name in the TrainState."""
    reader = tf.compat.v1.train.NewCheckpointReader(path)  # of any file system
    prefix, suffix = "variables/", "/.ATTRIBUTES/VARIABLE_VALUE"
    return {
        name.removeprefix(prefix).removesuffix(suffix).replace(".S", "/"): reader.get_tensor(name)
        for name in reader.get_variable_to_shape_map()
        if name.startswith(prefix)
    }


def rewind(workdir, to, step: int, **planted) -> None:
    """Copies a run as it was at an earlier checkpoint.

    Args:
        workdir: the run.
        to: new directory.
        step: of the checkpoint.
        **planted: functions of an array, by a part of a variable's name: what to make of it.
    """
    shutil.copytree(workdir, to)
    path = os.path.join(to, "checkpoints", f"ckpt-{step}")
    listing = os.path.join(to, "checkpoints", "checkpoint")
    pathlib.Path(listing).write_text(
        f'model_checkpoint_path: "ckpt-{step}"\nall_model_checkpoint_paths: "ckpt-{step}"\n'
    )
    if planted:
        values = saved(path)
        for part, change in planted.items():
            names = [name for name in values if part in name]
            assert names, f"no variable has {part} in its name"
            values |= {name: change(values[name]) for name in names}
        variables = {name: tf.Variable(value) for name, value in values.items()}
        checkpoint = tf.train.Checkpoint(variables=variables)
        checkpoint.save_counter.assign(1)  # which also creates it
        checkpoint.write(path)


def _run_all(lists):
    from configs import electra_small
    from electra_tf.runs import pretraining
    from electra_tf.tasks.pretraining import PretrainingTask

    class Watched(PretrainingTask):
        """Notes how often the loss is traced and how many tokens the metrics are made of."""

        def __init__(self, config, model=None):
            super().__init__(config, model)
            loss_sums, metrics = self.objective.loss_sums, self.objective.metrics

            def counted(model, batch, draws, dropout):
                seen["traces"] += dropout is not None  # an evaluation has none
                return loss_sums(model, batch, draws, dropout)

            def noted(counts):
                seen["tokens"].append(float(counts.get("disc/total", counts["masked_lm/total"])))
                return metrics(counts)

            self.objective.loss_sums, self.objective.metrics = counted, noted

    pretraining.PretrainingTask = Watched
    for workdir, fields in itertools.chain.from_iterable(map(json.loads, lists)):
        seen = {"traces": 0, "tokens": [], "error": None}
        config = electra_small.get_config()
        for name, value in fields.items():
            *section, field = name.split(".")
            setattr(getattr(config, *section) if section else config, field, value)
        try:
            pretraining.pretrain(config, workdir)
        except (FloatingPointError, ValueError) as error:
            seen["error"] = str(error)
        print(json.dumps(seen), flush=True)


def leave() -> None:
    """Ends a child process at once: to take traced models apart would need seconds."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _exact_uniform(self, name, rows, shape):
    """Stands in for Draws.uniform: a hash of name, step and place."""
    bits = tf.range(self._global_rows * int(np.prod(shape)), dtype=tf.int32)
    bits = bits * 1_640_531_527 + zlib.crc32(name.encode()) % 2**31 + self._step * 40_503
    for shift, factor in ((15, 739_982_445), (13, 1_540_483_477)):
        bits = tf.bitwise.bitwise_xor(bits, tf.bitwise.right_shift(bits, shift)) * factor
    bits = tf.bitwise.bitwise_and(tf.bitwise.right_shift(bits, 7), 2**23 - 1)
    noise = tf.reshape((tf.cast(bits, tf.float32) + 0.5) * 2.0**-23, [-1, *shape])
    return tf.slice(noise, [self._first_row, *[0] * len(shape)], [rows, *shape])


if __name__ == "__main__":
    if sys.argv[1:] == ["exact"]:
        from electra_tf.models.randomness import Draws

        Draws.uniform = _exact_uniform
    _run_all(sys.stdin)
    leave()
