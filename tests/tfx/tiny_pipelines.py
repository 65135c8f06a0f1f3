"""A tiny corpus, and artifacts and pipeline runs on it."""

import pathlib
import random
import sys
import time

import tiny_runs

from electra_tf.config import Config

LENGTH = 16
TIME_LIMIT = 3000  # seconds of a whole pipeline; a quiet machine takes about 60
# Bit for bit repeatable, and long enough to be killed in between.
TRAINING = {
    "data.shuffle_examples": 64,
    "model.vocab_size": 120,
    "train.num_steps": 150,
    "train.log_steps": 3,
    "train.checkpoint_steps": 9,
    "train.eval_steps": 50,
    "runtime.deterministic": True,
}
FIELDS = {**tiny_runs.TINY, **TRAINING}


def write_corpus(path: pathlib.Path, num_documents: int = 200) -> str:
    """Sentences in which each word follows from the one before: there is something to learn."""
    draw = random.Random(0)
    words = [first + second for first in "bdfgklmnprst" for second in ("an", "el", "ir", "os")]
    documents = []
    for _ in range(num_documents):
        at, lines = draw.randrange(len(words)), []
        for _ in range(4):
            line = []
            for _ in range(12):
                at = (at + draw.choice((1, 7))) % len(words)
                line.append(words[at])
            lines.append(" ".join(line) + ".\n")
        documents.append("".join(lines))
    path.write_text("\n".join(documents))
    return str(path)


def config(**changes) -> Config:
    """The tiny config; other fields by `section__field`."""
    result = Config()
    fields = FIELDS | {name.replace("__", "."): value for name, value in changes.items()}
    for name, value in fields.items():
        section, field = name.split(".")
        setattr(getattr(result, section), field, value)
    return result


def artifact(kind, uri, number: int = 1, **properties):
    """An artifact as TFX hands it to an executor."""
    made = kind()
    made.uri, made.id = str(uri), number
    for name, value in properties.items():
        setattr(made, name, value)
    return made


def command(corpus: str, root, *arguments: str, **changes) -> list[str]:
    """The pipeline's command with the tiny config; other fields by `section__field`."""
    fields = FIELDS | {name.replace("__", "."): value for name, value in changes.items()}
    return [
        sys.executable,
        "-m",
        "electra_tf",
        "tfx_pretrain",
        "--config=configs/electra_small.py",
        f"--input={corpus}",
        f"--root={root}",
        "--eval_fraction=0.2",
        *(f"--config.{name}={value}" for name, value in fields.items()),
        *arguments,
    ]


def run(arguments: list[str], code: int = 0) -> tiny_runs.Result:
    """Runs a command to its end and checks the exit code."""
    with tiny_runs.start(arguments) as process:
        result = tiny_runs.Result(*process.communicate(timeout=TIME_LIMIT))
    assert process.returncode == code, f"exit code {process.returncode}:\n{result}"
    return result


def wait_for(condition, process) -> None:
    """Returns when `condition()` is true; fails when the process ends or time is up."""
    end = time.monotonic() + TIME_LIMIT
    while not condition():
        assert process.poll() is None, f"ended too early:\n{process.communicate()[1]}"
        assert time.monotonic() < end, "nothing happened within the time limit"
        time.sleep(0.02)
