"""A tiny pre-trained model, tiny tasks with easy rules, and fine-tunings as child processes.

As a program it does the runs of a JSON list, `[[workdir, config, {field: value}, file], ...]`, and
prints what became of each: starting TensorFlow takes longer than fine-tuning these models.
"""

import csv
import json
import pathlib
import sys

import numpy as np
import tiny_runs

from electra_tf.config import Config
from electra_tf.objectives import build_objective
from electra_tf.saved import model_directory
from electra_tf.saved.model_directory import Pretrained
from electra_tf.text.vocabulary import Vocabulary

COMMAND = [sys.executable, "-m", "electra_tf", "finetune"]
PREDICT = [sys.executable, "-m", "electra_tf", "predict"]
NUM_TRAIN, NUM_DEV, NUM_TEST = 320, 41, 7  # a last batch of 9 rows, and fewer rows than a batch
# What a task is about: words of the vocabulary that decide, and words that do not.
SIGNAL = ("network", "model", "data")
OTHERS = ("the", "of", "and", "small", "large", "text", "words", "trained", "with", "for")
FIELDS = {
    "train.batch_size": 16,
    "train.num_epochs": 5.0,
    "train.log_steps": 5,
    "train.checkpoint_steps": 1000,
    "optimizer.learning_rate": 2e-3,
    "optimizer.layer_decay": 1.0,
    "task.max_seq_length": 32,
}


def write_model(directory, vocab_file, **sizes) -> str:
    """Writes a model directory of random weights: 2 layers, hidden 32, 48 positions."""
    vocabulary = Vocabulary.from_file(vocab_file)
    config = Config()
    sizes = {
        "vocab_size": len(vocabulary),
        "hidden_size": 32,
        "num_layers": 2,
        "num_heads": 2,
        "intermediate_size": 64,
        "embedding_size": 32,
        "max_positions": 48,
    } | sizes
    for name, value in sizes.items():
        setattr(config.model, name, value)
    random = np.random.default_rng(0)
    weights = {
        path: random.normal(path.endswith("gamma"), 0.1, shape).astype(np.float32)
        for path, shape in build_objective(config).variable_shapes(("discriminator_head/",)).items()
    }
    model_directory.write(Pretrained(config, weights, vocabulary), str(directory))
    return str(directory)


def command(config: str, workdir, fields: dict) -> list[str]:
    """The finetune command with FIELDS and other config fields."""
    return [
        *COMMAND,
        f"--config=configs/{config}",
        f"--workdir={workdir}",
        *(f"--config.{name}={value}" for name, value in (FIELDS | fields).items()),
    ]


def predict_command(model, source, output) -> list[str]:
    return [*PREDICT, f"--model={model}", f"--input={source}", f"--output={output}"]


def together(*runs: tuple) -> list[dict]:
    """Does several fine-tunings one after the other in one process.

    All have two virtual devices; those that ask for no strategy use the first.

    Args:
        *runs: (workdir, config such as "custom:regression", {field: value}, file to predict
            afterwards into WORKDIR.predicted or nothing) each.

    Returns:
        For each: `error`, `traces` of the step, the `widths` of the batches that were made.
    """
    fields = {**FIELDS, "runtime.strategy": "one_device", "runtime.num_virtual_devices": 2}
    prepared = [
        [str(workdir), config, fields | changes, *map(str, source)]
        for workdir, config, changes, *source in runs
    ]
    result = tiny_runs.run([sys.executable, __file__, json.dumps(prepared)])
    return [json.loads(line) for line in result.stdout.splitlines()]


def _text(random, least=2, most=12):
    return [str(word) for word in random.choice(OTHERS, random.integers(least, most))]


def _with_signals(random, signals=SIGNAL):
    """A text in which each signal stands with a chance of a half, and which do."""
    words, there = _text(random), random.random(len(signals)) < 0.5
    for signal in np.array(signals)[there]:
        words.insert(int(random.integers(len(words) + 1)), str(signal))
    return " ".join(words), there


def _splits():
    """Names, sizes and generators of the splits."""
    for seed, (split, number) in enumerate(
        (("train", NUM_TRAIN), ("dev", NUM_DEV), ("test", NUM_TEST))
    ):
        yield split, number, np.random.default_rng(seed)


def write_classification(directory: pathlib.Path) -> dict:
    """CSV: whether the text has the word."""
    for split, number, random in _splits():
        with open(directory / f"{split}.csv", "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["review", "stars"])
            for _ in range(number):
                text, (there,) = _with_signals(random, SIGNAL[:1])
                writer.writerow([text, "five, or so" if there else "one"])
    return {"task.text_field": "review", "task.label_field": "stars"}


def _write_lines(directory, new_row):
    for split, number, random in _splits():
        rows = [{"id": f"{split}-{row}", **new_row(random)} for row in range(number)]
        (directory / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_pairs(directory: pathlib.Path) -> dict:
    """JSON lines: whether the second text has the word."""

    def new_row(random):
        second, (there,) = _with_signals(random, SIGNAL[:1])
        return {"premise": " ".join(_text(random)), "hypothesis": second, "label": int(there)}

    _write_lines(directory, new_row)
    return {"task.text_field": "premise", "task.pair_field": "hypothesis", "task.id_field": "id"}


def write_multi_label(directory: pathlib.Path) -> dict:
    """TSV: which of three words the text has."""
    for split, number, random in _splits():
        lines = ["text\tlabel\n"]
        for _ in range(number):
            text, there = _with_signals(random)
            lines.append(f"{text}\t{'|'.join(np.array(SIGNAL)[there])}\n")
        (directory / f"{split}.tsv").write_text("".join(lines))
    return {}


def write_regression(directory: pathlib.Path) -> dict:
    """JSON lines: two of the words have a price each."""

    def new_row(random):
        text, there = _with_signals(random, SIGNAL[:2])
        return {"text": text, "label": float(there @ [30, 10]) - 20}

    _write_lines(directory, new_row)
    return {}


def write_tagging(directory: pathlib.Path) -> dict:
    """Columns: a thing is a word of one of two types, and the word before it if that is small."""
    for split, number, random in _splits():
        lines = []
        for _ in range(number):
            words = _with_signals(random, SIGNAL[:2])[0].split()
            tags = [{"network": "B-NET", "model": "B-MOD"}.get(word, "O") for word in words]
            lines += [f"{word} {tag}\n" for word, tag in zip(words, tags)] + ["\n"]
        (directory / f"{split}.txt").write_text("".join(lines))
    return {}


def write_squad(directory: pathlib.Path) -> dict:
    """SQuAD 2.0: the answer is the word, if the context has it."""
    for split, number, random in _splits():
        paragraphs = []
        for row in range(number):
            context, (there,) = _with_signals(random, SIGNAL[:1])
            answers = [{"text": "network", "answer_start": context.find("network")}] * int(there)
            paragraphs.append(
                {
                    "context": context,
                    "qas": [
                        {
                            "id": f"{split}{row}",
                            "question": "which text?",
                            "answers": answers,
                            "is_impossible": not answers,
                        }
                    ],
                }
            )
        content = {"version": "v2.0", "data": [{"title": "", "paragraphs": paragraphs}]}
        (directory / f"{split}-v2.0.json").write_text(json.dumps(content))
    return {"task.max_query_length": 8, "task.doc_stride": 4}


def write_cola(directory: pathlib.Path) -> dict:
    """GLUE's CoLA: whether the text has the word."""
    for split, number, random in _splits():
        lines = ["index\tsentence\n"] if split == "test" else []
        for row in range(number):
            text, (there,) = _with_signals(random, SIGNAL[:1])
            lines.append(
                f"{row}\t{text}\n" if split == "test" else f"gj04\t{int(there)}\t\t{text}\n"
            )
        (directory / f"{split}.tsv").write_text("".join(lines))
    return {}


# By name: the config and what writes the data.
TASKS = {
    "classification": ("custom.py:classification", write_classification),
    "pairs": ("custom.py:classification", write_pairs),
    "multi_label": ("custom.py:multi_label", write_multi_label),
    "regression": ("custom.py:regression", write_regression),
    "tagging": ("tagging.py:chunk", write_tagging),
    "squad": ("squad.py:v2", write_squad),
    "cola": ("glue.py:cola", write_cola),
}


def write_task(name: str, directory: pathlib.Path) -> tuple[str, dict]:
    """Writes a task's files; returns its config and fields."""
    config, write = TASKS[name]
    directory.mkdir(parents=True)
    return config, {"data.dir": str(directory), **write(directory)}


def _run_all(runs):
    import importlib

    from electra_tf.runs import finetuning, prediction, trials
    from electra_tf.tasks.finetuning import LoopTask

    class Watched(LoopTask):
        """Notes how often the loss is traced, and for which width."""

        def __init__(self, *args, **settings):
            super().__init__(*args, **settings)
            loss_sums = self.objective.loss_sums

            def counted(*args):
                seen["traces"] += 1
                return loss_sums(*args)

            self.objective.loss_sums = counted

        def train_batch(self, step):
            batch = super().train_batch(step)
            seen["widths"].append(batch["input_ids"].shape[1])
            return batch

    trials.LoopTask = Watched
    for workdir, name, fields, *source in runs:
        seen = {"traces": 0, "widths": [], "error": None}
        module, argument = name.split(".py:")
        config = importlib.import_module(f"configs.{module}").get_config(argument)
        for field_name, value in fields.items():
            *section, field = field_name.split(".")
            setattr(getattr(config, *section) if section else config, field, value)
        try:
            finetuning.finetune(config, workdir)
            if source:
                prediction.predict(workdir, *source, f"{workdir}.predicted")
        except (FloatingPointError, ValueError) as error:
            seen["error"] = str(error)
        print(json.dumps(seen), flush=True)


if __name__ == "__main__":
    _run_all(json.loads(sys.argv[1]))
    tiny_runs.leave()
