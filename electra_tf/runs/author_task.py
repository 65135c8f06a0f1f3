"""Which of three authors wrote this sentence? A task made of docs:novels by rule.

Its held-out sentences are from the chapters that a pre-training on docs:novels holds out.
"""

import json
import os
import re
import shutil
from collections import defaultdict
from typing import Any

from electra_tf import files
from electra_tf.config import Config, FinetuneConfig
from electra_tf.config.finetuning import TaskConfig
from electra_tf.data.manifest import HASH_RANGE
from electra_tf.data.shards import document_hash
from electra_tf.runs.finetuning import finetune
from electra_tf.text.novels import NOVELS

AUTHORS = ("Jane Austen", "Charles Dickens", "Bram Stoker")
NUM_SENTENCES = {"train": 500, "dev": 70}  # of each author
_WORDS = range(6, 11)  # about as many tokens as the quickstart's model can take
_NO_END = "".join(rf"(?<!\b{title}\.)" for title in ("Mr", "Mrs", "Dr", "St"))
_BETWEEN = re.compile(rf"(?<=[.!?]){_NO_END}[\"']?\s+(?=[\"']?[A-Z])")
_NAME = "authors"
EPOCHS, RATE = 4.0, 1e-3  # of so small a model, with so few sentences


def examples(eval_fraction: float, seed: int = 0) -> dict[str, list[dict[str, str]]]:
    """The sentences and their authors, by split, the same with every call.

    Args:
        eval_fraction: as `build_dataset` has held out chapters of docs:novels.
        seed: the same.

    Returns:
        {"train": [...], "dev": [...]}, each a list of {"text", "label"}; the authors have the
        same number of sentences, spread evenly over their chapters.
    """
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for novel in NOVELS:
        for chapter in novel.documents():
            held_out = document_hash(chapter, seed) < int(eval_fraction * HASH_RANGE)
            found["dev" if held_out else "train", novel.author] += _sentences(chapter)
    return {
        split: [
            {"text": sentence, "label": author}
            for author in AUTHORS
            for sentence in _spread(found[split, author], number)
        ]
        for split, number in NUM_SENTENCES.items()
    }


def _sentences(chapter: list[bytes]) -> list[str]:
    return [
        sentence.strip("\"' ")
        for paragraph in chapter
        for sentence in _BETWEEN.split(paragraph.decode())
        if len(sentence.split()) in _WORDS
    ]


def _spread(items: list[str], number: int) -> list[str]:
    return [items[i * len(items) // number] for i in range(min(number, len(items)))]


def write(directory: str, eval_fraction: float) -> None:
    """Writes train.jsonl and dev.jsonl."""
    os.makedirs(directory, exist_ok=True)
    for split, rows in examples(eval_fraction).items():
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        files.write_text(os.path.join(directory, f"{split}.jsonl"), lines)


def finetune_authors(config: Config, run: str, data: str, workdir: str) -> dict[str, Any]:
    """Fine-tunes a pre-trained model for the task, anew where it was done before.

    Args:
        config: of the pre-training.
        run: its workdir.
        data: what `write` has filled.
        workdir: of the fine-tuning; what it holds is replaced.

    Returns:
        What results.json holds.
    """
    if os.path.exists(workdir):
        shutil.rmtree(workdir)
    settings = FinetuneConfig(task=TaskConfig(kind="classification", name=_NAME))
    settings.task.max_seq_length = min(config.model.max_positions, 32)
    settings.data.dir, settings.init_from = data, run
    settings.train.num_epochs, settings.optimizer.learning_rate = EPOCHS, RATE
    settings.train.seed, settings.runtime.strategy = config.train.seed, config.runtime.strategy
    return finetune(settings, workdir)


def summary(data: str, workdir: str, results: dict[str, Any]) -> str:
    """How well the held-out sentences' authors are found, and the first sentences of two authors.

    Args:
        data, workdir: as of `finetune_authors`.
        results: what that returned.
    """
    rows = _read(os.path.join(data, "dev.jsonl"))
    answers = _read(os.path.join(workdir, "predictions", f"{_NAME}-dev.jsonl"))
    labels = [row["label"] for row in rows]
    majority = max(map(labels.count, labels)) / len(labels)
    accuracy = results["median"]["dev"]["accuracy"]
    lines = [
        f"{len(rows)} sentences of held-out chapters: accuracy {accuracy:.3f} "
        f"(always the same author: {majority:.3f})"
    ]
    for author in AUTHORS[:2]:
        number = labels.index(author)
        label = answers[number]["label"]
        share = answers[number]["probabilities"][label]
        lines.append(f"  {rows[number]['text']}\n    {label} ({share:.2f}); it is {author}")
    return "\n".join(lines)


def _read(path: str) -> list[dict[str, Any]]:
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]
