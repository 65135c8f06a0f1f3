"""What the kill campaign kills: commands on tiny inputs that are repeatable bit for bit."""

import dataclasses
import pathlib
import random
import string
import sys
from collections.abc import Callable

import tiny_runs
import tiny_tasks

from electra_tf.text.vocabulary import SPECIAL_TOKENS

ELECTRA_TF = [sys.executable, "-m", "electra_tf"]
PRETRAINING = {
    "runtime.deterministic": True,
    "train.num_steps": 120,
    "train.log_steps": 1,  # so that every step has its loss, wherever a run goes on
    "train.checkpoint_steps": 6,
    "train.keep_checkpoints": 2,
    "train.eval_steps": 40,
}
FINETUNING = {
    "runtime.deterministic": True,
    "num_trials": 2,
    "train.num_epochs": 6.0,
    "train.log_steps": 1,
    "train.checkpoint_steps": 12,
}
PIPELINE = {
    "data.shuffle_examples": 64,
    "model.vocab_size": 120,
    "runtime.deterministic": True,
    "train.num_steps": 60,
    "train.log_steps": 1,
    "train.checkpoint_steps": 6,
    "train.eval_steps": 30,
}


@dataclasses.dataclass(frozen=True)
class Command:
    """A command that is killed and repeated.

    Attributes:
        name: of the command, perhaps with what is special about this call.
        arguments: of (inputs, folder): the command line that writes to that folder.
        output: what it makes in the folder.
        continues: the same command goes on, also where its output is there; else it has an
            output only once it is done, and is not called again then.
        weight: how often it is killed, in relation to the others.
    """

    name: str
    arguments: Callable[[pathlib.Path, pathlib.Path], list[str]]
    output: str
    continues: bool = False
    weight: float = 1.0

    def is_done(self, folder: pathlib.Path) -> bool:
        """Whether there is no need to repeat it."""
        return not self.continues and (folder / self.output).exists()


def commands(tfx_python: str | None) -> dict[str, Command]:
    """All of them by name; the pipelines where there is a Python with TFX."""
    found = [
        Command(
            "build_dataset",
            lambda inputs, folder: _build_dataset(inputs, folder, "--num_workers=1"),
            "data",
        ),
        Command(
            "build_dataset_workers",
            lambda inputs, folder: _build_dataset(inputs, folder, "--num_workers=2"),
            "data",
        ),
        Command(
            "learn_vocab",
            lambda inputs, folder: [
                *ELECTRA_TF,
                "learn_vocab",
                f"--input={inputs}/corpus/*.txt",
                "--vocab_size=400",
                f"--output={folder}/vocab.txt",
            ],
            "vocab.txt",
        ),
        Command(
            "pretrain",
            lambda inputs, folder: tiny_runs.command(
                str(inputs / "shards"), folder / "run", PRETRAINING
            ),
            "run",
            continues=True,
            weight=2.0,
        ),
        Command("finetune", _finetune, "run", continues=True, weight=2.0),
        Command(
            "predict",
            lambda inputs, folder: tiny_tasks.predict_command(
                inputs / "finetuned" / "run", inputs / "new.csv", folder / "answers.jsonl"
            ),
            "answers.jsonl",
        ),
        Command(
            "convert",
            lambda inputs, folder: [
                *ELECTRA_TF,
                "convert",
                f"--input={inputs}/model",
                "--input_format=electra_tf",
                "--output_format=huggingface",
                f"--output={folder}/model",
            ],
            "model",
        ),
        Command(
            "export",
            lambda inputs, folder: [
                *ELECTRA_TF,
                "export",
                f"--model={inputs}/model",
                f"--output={folder}/serving",
                "--version=1",
            ],
            "serving/1",
        ),
    ]
    if tfx_python:
        found += [
            Command(
                "tfx_pretrain",
                lambda inputs, folder: _pipeline(
                    tfx_python,
                    "tfx_pretrain",
                    folder,
                    "configs/electra_small.py",
                    tiny_runs.TINY | PIPELINE,
                    f"--input={inputs}/corpus/0.txt",
                    "--eval_fraction=0.2",
                ),
                "root",
                continues=True,
                weight=0.5,
            ),
            Command(
                "tfx_finetune",
                lambda inputs, folder: _pipeline(
                    tfx_python,
                    "tfx_finetune",
                    folder,
                    "configs/custom.py:classification",
                    tiny_tasks.FIELDS
                    | FINETUNING
                    | {"num_trials": 1, "data.dir": inputs / "task", **_TASK_FIELDS},
                    f"--model={inputs}/model",
                ),
                "root",
                continues=True,
                weight=0.5,
            ),
        ]
    return {command.name: command for command in found}


def write_inputs(directory: pathlib.Path) -> None:
    """What the commands read, but for the fine-tuned model."""
    directory.mkdir(parents=True)
    draw = random.Random(0)
    syllables = [first + second for first in "bdfgklmnprst" for second in ("an", "el", "ir", "os")]
    (directory / "corpus").mkdir()
    for number in range(4):
        documents = []
        for _ in range(200):
            at, lines = draw.randrange(len(syllables)), []
            for _ in range(4):
                line = []
                for _ in range(12):
                    at = (at + draw.choice((1, 7))) % len(syllables)
                    line.append(syllables[at] + draw.choice(("", syllables[number])))
                lines.append(" ".join(line) + ".\n")
            documents.append("".join(lines))
        (directory / "corpus" / f"{number}.txt").write_text("\n".join(documents))
    letters = string.ascii_lowercase + string.digits + string.punctuation
    words = [*tiny_tasks.SIGNAL, *tiny_tasks.OTHERS, *syllables]
    tokens = dict.fromkeys(
        [*SPECIAL_TOKENS, *letters, *(f"##{letter}" for letter in letters), *words]
    )
    (directory / "vocab.txt").write_text("".join(f"{token}\n" for token in tokens))
    tiny_runs.write_data(directory / "shards")
    tiny_tasks.write_model(directory / "model", directory / "vocab.txt")
    tiny_tasks.write_task("classification", directory / "task")
    rows = "".join(f"the {draw.choice(words)} of {draw.choice(words)}\n" for _ in range(3000))
    (directory / "new.csv").write_text("review\n" + rows)


_TASK_FIELDS = {"task.text_field": "review", "task.label_field": "stars"}


def _build_dataset(inputs, folder, *flags):
    return [
        *ELECTRA_TF,
        "build_dataset",
        f"--input={inputs}/corpus/*.txt",
        f"--vocab={inputs}/vocab.txt",
        f"--output_dir={folder}/data",
        "--seq_length=32",
        "--eval_fraction=0.1",
        *flags,
    ]


def _finetune(inputs, folder):
    fields = {
        **FINETUNING,
        **_TASK_FIELDS,
        "data.dir": inputs / "task",
        "init_from": inputs / "model",
    }
    return tiny_tasks.command("custom.py:classification", folder / "run", fields)


def _pipeline(python, name, folder, config, fields, *flags):
    return [
        python,
        "-m",
        "electra_tf",
        name,
        f"--config={config}",
        f"--root={folder}/root",
        *flags,
        *(f"--config.{field}={value}" for field, value in fields.items()),
    ]
