"""The GLUE benchmark, in the layouts of its own files: columns, labels, metrics, submissions.

Columns and the order of labels are the original's. A quote is a character like any other.
"""

import dataclasses
import os
from collections.abc import Iterator

import numpy as np
from absl import logging

from electra_tf.files import write_text
from electra_tf.tasks import tables
from electra_tf.tasks.sentence_examples import Gathering, Sentences
from electra_tf.tasks.sentences import SentencePredictions, SentenceTask

ENTAILMENT = ("entailment", "not_entailment")
FILES = {"train": ("train.tsv",), "dev": ("dev.tsv",), "test": ("test.tsv",)}
MNLI_FILES = {split: (f"{split}.tsv",) for split in
              ("train", "dev_matched", "dev_mismatched", "test_matched", "test_mismatched")}
MNLI_FILES["test_diagnostic"] = ("diagnostic.tsv",)
MNLI_SUFFIXES = {"matched": "-m", "mismatched": "-mm"}
# Microsoft's own files: its training file is both train and dev, told apart by pairs of numbers.
MSR_TRAIN = "msr_paraphrase_train.txt"
MRPC_FILES = {"train": ("train.tsv", MSR_TRAIN), "dev": ("dev.tsv", MSR_TRAIN),
              "test": ("test.tsv", "msr_paraphrase_test.txt")}
MSR_DEV = {"dev_ids.tsv": slice(0, 2), "dev.tsv": slice(1, 3)}  # and in which columns


@dataclasses.dataclass(frozen=True)
class Layout:
    """One task of GLUE.

    Attributes:
        name: as GLUE writes it; also of the submission's file.
        fields: what the texts are called where a table is to be predicted.
        columns: of the texts in train and dev; negative ones count from the end.
        label: column of the label in train and dev.
        test_columns: of the texts in test files.
        labels: names in the order of the head's outputs, as the server wants them; none: numbers
            from 0 to 5.
        metrics: the main one first.
        header: whether train and dev begin with column names; test always does.
        is_unordered: the original trains on both orders of a pair.
        files: names by split, of which the first that there is counts.
    """

    name: str
    fields: tuple[str, ...]
    columns: tuple[int, ...]
    label: int
    test_columns: tuple[int, ...]
    labels: tuple[str, ...] = ("0", "1")
    metrics: tuple[str, ...] = ("accuracy",)
    header: bool = True
    is_unordered: bool = False
    files: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=lambda: FILES)


SENTENCES = ("sentence1", "sentence2")
LAYOUTS = {layout.name.lower().replace("-", ""): layout for layout in (
    Layout("CoLA", ("sentence",), (3,), 1, (1,), metrics=("matthews", "accuracy"), header=False),
    Layout("SST-2", ("sentence",), (0,), 1, (1,)),
    Layout("MRPC", SENTENCES, (3, 4), 0, (3, 4), metrics=("accuracy", "f1"), is_unordered=True,
           files=MRPC_FILES),
    Layout("STS-B", SENTENCES, (-3, -2), -1, (-2, -1), labels=(),
           metrics=("spearman", "pearson"), is_unordered=True),
    Layout("QQP", ("question1", "question2"), (3, 4), 5, (1, 2), metrics=("accuracy", "f1")),
    Layout("MNLI", SENTENCES, (8, 9), -1, (8, 9), files=MNLI_FILES,
           labels=("contradiction", "entailment", "neutral")),
    Layout("QNLI", ("question", "sentence"), (1, 2), 3, (1, 2), labels=ENTAILMENT),
    Layout("RTE", SENTENCES, (1, 2), 3, (1, 2), labels=ENTAILMENT),
    Layout("WNLI", SENTENCES, (1, 2), 3, (1, 2)),
)}
ALIASES = {"sst": "sst2", "sts": "stsb"}  # the original's names


def layout_of(name: str) -> Layout:
    """The layout of a task, such as rte, SST-2 or stsb; ValueError if GLUE has none."""
    key = name.lower().replace("-", "").replace("_", "")
    layout = LAYOUTS.get(ALIASES.get(key, key))
    if layout is None:
        names = ", ".join(known.name for known in LAYOUTS.values())
        raise ValueError(f"The name of a GLUE task must be one of {names}. Received: {name!r}")
    return layout


def task(name: str, data_dir: str, train_file: str = "", eval_file: str = "", test_file: str = "",
         max_seq_length: int = 128) -> SentenceTask:
    """A GLUE task; no file is read before it is needed.

    Splits are "train", "dev" and, if there is its file, "test"; of MNLI "dev_matched",
    "dev_mismatched", "test_matched", "test_mismatched" and, for the diagnostic set (AX),
    "test_diagnostic".

    Args:
        name: such as rte, SST-2 or stsb.
        data_dir: where the task's files are.
        train_file, eval_file, test_file: names of files in GLUE's layout; empty: GLUE's names.
            MNLI has the split of a given file and not that of its mismatched counterpart.
        max_seq_length: longer examples are cut.

    Raises:
        ValueError: GLUE has no such task.
    """
    layout = layout_of(name)
    given = {"train": train_file, "dev": eval_file, "test": test_file}
    return GlueTask(layout, data_dir, {part: file for part, file in given.items() if file},
                    max_seq_length)


class GlueTask(SentenceTask):
    """See `task`.

    Differs from the original: WNLI, the mismatched part of MNLI's dev set and files for the
    server are there, too.
    """

    value_range = (0.0, 5.0)

    def __init__(self, layout: Layout, data_dir: str, given: dict[str, str], max_seq_length: int):
        super().__init__("classification" if layout.labels else "regression", layout.name,
                         metrics=layout.metrics, text_fields=layout.fields,
                         max_seq_length=max_seq_length, swap_in_training=layout.is_unordered)
        self._layout, self._data_dir, self._given = layout, data_dir, given
        self._files = dict(layout.files)
        for split in layout.files:
            part, _, rest = split.partition("_")
            if part in given and rest == "mismatched":
                del self._files[split]
            elif part in given and rest != "diagnostic":
                self._files[split] = (given[part],)

    @property
    def labels(self) -> tuple[str, ...]:
        return self._layout.labels

    @property
    def splits(self) -> tuple[str, ...]:
        """Train and dev, and the others of which there are files."""
        needed = {"train", "dev", "dev_matched"}
        return tuple(split for split, names in self._files.items()
                     if split in needed or names[0] in self._given.values()
                     or tables.find(self._data_dir, names))

    def read(self, split: str) -> Sentences:
        """Examples of a split; lines with missing fields are left out with a warning.

        Their ids are the file's index column where it has one, else they are counted from 0.

        Raises:
            ValueError: no file, too few columns, an unknown label, or no example.
        """
        layout, is_test = self._layout, split.startswith("test")
        path = tables.require(self._data_dir, self._files[split],
                              f"The {split} file of {self.name}")
        columns = layout.test_columns if is_test else layout.columns
        if split == "test_diagnostic":
            columns = (1, 2)
        read = columns if is_test else (*columns, layout.label)
        least = max(-column if column < 0 else column + 1 for column in read)
        has_header, has_ids, num_fields = is_test or layout.header, False, least
        skipped = first_skipped = 0
        gathering = Gathering(path, len(columns), None if is_test else self.kind, layout.labels)
        for line, record in self._records(split, path):
            if line == 1 and has_header:
                num_fields, has_ids = len(record), record[0] in ("index", "id")
                if num_fields < least:
                    raise ValueError(f"A {split} file of {self.name} must have at least {least} "
                                     f"columns. Received: {', '.join(record)} in {path}")
            elif record == [""]:
                continue
            elif len(record) < num_fields:
                skipped, first_skipped = skipped + 1, first_skipped or line
            else:
                gathering.add(line, record[0] if has_ids else None,
                              tuple(record[column] for column in columns),
                              None if is_test else record[layout.label])
        if skipped:
            logging.warning("%s: %d lines have missing fields and are left out, the first is "
                            "line %d", path, skipped, first_skipped)
        return gathering.examples()

    def write(self, split: str, examples: Sentences, predictions: SentencePredictions,
              directory: str) -> None:
        """Writes what GLUE's server takes, such as RTE.tsv; of other splits RTE-dev.tsv."""
        part, _, rest = split.partition("_")
        name = self.name + MNLI_SUFFIXES.get(rest, "")
        if rest == "diagnostic":
            name = "AX"
        if part != "test":
            name += f"-{part}"
        if self.kind == "regression":
            answers = [f"{value:.3f}" for value in np.clip(predictions.labels, *self.value_range)]
        else:
            answers = [self.labels[number] for number in predictions.labels]
        lines = [f"{identity}\t{answer}\n" for identity, answer in zip(examples.ids, answers)]
        write_text(os.path.join(directory, f"{name}.tsv"),
                   "index\tprediction\n" + "".join(lines))

    def _records(self, split: str, path: str) -> Iterator[tuple[int, list[str]]]:
        """Lines of the file; of Microsoft's training file those of the split."""
        records = tables.tab_separated(path)
        if os.path.basename(path).removesuffix(".gz") != MSR_TRAIN:
            yield from records
            return
        listed = tables.require(self._data_dir, MSR_DEV,
                                f"The list of the dev pairs in {MSR_TRAIN}")
        columns = MSR_DEV[os.path.basename(listed).removesuffix(".gz")]
        dev = {tuple(record[columns]) for _, record in tables.tab_separated(listed)}
        for line, record in records:
            if line == 1 or (tuple(record[1:3]) in dev) == (split == "dev"):
                yield line, record
