"""GLUE from its own files: reading, and what its server takes.

A quote is a character like any other.
"""

import os
from collections.abc import Iterator

import numpy as np
from absl import logging

from electra_tf.errors import UserError
from electra_tf.files import write_text
from electra_tf.tasks.readers import tables
from electra_tf.tasks.sentence.classification import Classification
from electra_tf.tasks.sentence.data_sets import GlueFiles
from electra_tf.tasks.sentence.examples import Gathering, SentencePredictions, Sentences
from electra_tf.tasks.sentence.glue_layouts import MSR_DEV, MSR_TRAIN, layout_of
from electra_tf.tasks.sentence.outputs import Output
from electra_tf.tasks.sentence.regression import Regression
from electra_tf.tasks.sentence.task import SentenceTask

SCORES = (0.0, 5.0)  # of STS-B, whose labels are numbers
MNLI_SUFFIXES = {"matched": "-m", "mismatched": "-mm"}


class GlueTask(SentenceTask):
    """A GLUE task; no file is read before it is needed.

    Splits are "train", "dev" and, if there is its file, "test"; of MNLI "dev_matched",
    "dev_mismatched", "test_matched", "test_mismatched" and, for the diagnostic set (AX),
    "test_diagnostic".

    Differs from the original: WNLI, the mismatched part of MNLI's dev set and files for the
    server are there, too.

    Args:
        name: such as rte, SST-2 or stsb.
        data_dir: where the task's files are.
        train_file, eval_file, test_file: names of files in GLUE's layout; empty: GLUE's names.
            MNLI has the split of a given file and not that of its mismatched counterpart.
        max_seq_length: longer examples are cut.

    Raises:
        UserError: GLUE has no such task.
    """

    has_classes = True

    def __init__(
        self,
        name: str,
        data_dir: str,
        *,
        train_file: str = "",
        eval_file: str = "",
        test_file: str = "",
        max_seq_length: int = 128,
    ):
        layout = layout_of(name)
        super().__init__(
            layout.name,
            metrics=layout.metrics,
            text_fields=layout.fields,
            max_seq_length=max_seq_length,
            swap_in_training=layout.is_unordered,
        )
        self.has_classes = bool(layout.labels)
        self._output = Classification(layout.labels) if layout.labels else Regression(*SCORES)
        given = {"train": train_file, "dev": eval_file, "test": test_file}
        given = {part: file for part, file in given.items() if file}
        self._layout, self._data_dir, self._given = layout, data_dir, given
        self._files = dict(layout.files)
        for split in layout.files:
            part, _, rest = split.partition("_")
            if part in given and rest == "mismatched":
                del self._files[split]
            elif part in given and rest != "diagnostic":
                self._files[split] = (given[part],)

    @classmethod
    def from_config(cls, task, data):
        return cls(
            task.name,
            data.dir,
            train_file=data.train_file,
            eval_file=data.eval_file,
            test_file=data.test_file,
            max_seq_length=task.max_seq_length,
        )

    @classmethod
    def files_of_data_set(cls, data, task):
        return GlueFiles(data, task)

    @classmethod
    def title(cls, task):
        return task.name

    def remember(self, task):
        task.set_label_names(self.labels)

    @property
    def output(self) -> Output:
        return self._output

    @property
    def known_labels(self) -> tuple[str, ...]:
        return self.labels

    @property
    def usual_files(self) -> tuple[tuple[str, ...], ...]:
        return (*self._layout.files.values(), *((name,) for name in MSR_DEV))

    @property
    def splits(self) -> tuple[str, ...]:
        """Train and dev, and the others of which there are files."""
        needed = {"train", "dev", "dev_matched"}
        return tuple(
            split
            for split, names in self._files.items()
            if split in needed
            or names[0] in self._given.values()
            or tables.find(self._data_dir, names)
        )

    def read(self, split: str) -> Sentences:
        """Examples of a split; lines with missing or surplus fields are left out with a warning.

        Their ids are the file's index column where it has one, else they are counted from 0.

        Raises:
            UserError: no file, no column names, too few columns, an unknown label, or no example.
        """
        layout, is_test = self._layout, split.startswith("test")
        path = tables.require(
            self._data_dir, self._files[split], f"The {split} file of {self.name}"
        )
        columns = layout.test_columns if is_test else layout.columns
        if split == "test_diagnostic":
            columns = (1, 2)
        read = columns if is_test else (*columns, layout.label)
        least = max(-column if column < 0 else column + 1 for column in read)
        has_header, has_ids, num_fields = is_test or layout.header, False, least
        left_out = {"missing": [], "surplus": []}  # lines
        gathering = Gathering(path, len(columns), None if is_test else self.output)
        for line, record in self._records(split, path):
            if line == 1 and has_header:
                num_fields, has_ids = len(record), record[0] in ("index", "id")
                if num_fields < least:
                    raise UserError(
                        f"A {split} file of {self.name} must have at least {least} "
                        f"columns. Received: {', '.join(record)} in {path}"
                    )
                if self._is_example(record, is_test):
                    raise UserError(
                        f"A {split} file of {self.name} must begin with the names of its columns. "
                        f"Received: {', '.join(record)[:60]} in {path}"
                    )
                continue
            if record == [""]:
                continue
            if len(record) != num_fields:
                left_out["missing" if len(record) < num_fields else "surplus"].append(line)
                continue
            gathering.add(
                line,
                record[0] if has_ids else None,
                tuple(record[column] for column in columns),
                None if is_test else record[layout.label],
            )
        for kind, lines in left_out.items():
            if lines:
                logging.warning(
                    "%s: %d lines have %s fields and are left out, the first is line %d",
                    path,
                    len(lines),
                    kind,
                    lines[0],
                )
        found = dict(zip(("text", "pair"), columns)) | ({} if is_test else {"label": layout.label})
        found = {what: column % num_fields for what, column in found.items()}
        return gathering.examples(found, sum(map(len, left_out.values())))

    def _is_example(self, record: list[str], is_test: bool) -> bool:
        """Whether the first line of a file is no header."""
        if is_test:
            return record[0].isdecimal()
        label = record[self._layout.label]
        return label in self.labels if self.labels else label.replace(".", "", 1).isdecimal()

    def write(
        self, split: str, examples: Sentences, predictions: SentencePredictions, directory: str
    ) -> None:
        """Writes what GLUE's server takes, such as RTE.tsv; of other splits RTE-dev.tsv."""
        part, _, rest = split.partition("_")
        name = self.name + MNLI_SUFFIXES.get(rest, "")
        if rest == "diagnostic":
            name = "AX"
        if part != "test":
            name += f"-{part}"
        if self.labels:
            answers = [self.labels[number] for number in predictions.labels]
        else:
            answers = [f"{value:.3f}" for value in np.clip(predictions.labels, *SCORES)]
        lines = [f"{identity}\t{answer}\n" for identity, answer in zip(examples.ids, answers)]
        write_text(os.path.join(directory, f"{name}.tsv"), "index\tprediction\n" + "".join(lines))

    def _records(self, split: str, path: str) -> Iterator[tuple[int, list[str]]]:
        """Lines of the file; of Microsoft's training file those of the split."""
        records = tables.tab_separated(path)
        if os.path.basename(path).removesuffix(".gz") != MSR_TRAIN:
            yield from records
            return
        listed = tables.require(
            self._data_dir, MSR_DEV, f"The list of the dev pairs in {MSR_TRAIN}"
        )
        columns = MSR_DEV[os.path.basename(listed).removesuffix(".gz")]
        dev = {tuple(record[columns]) for _, record in tables.tab_separated(listed)}
        for line, record in records:
            if line == 1 or (tuple(record[1:3]) in dev) == (split == "dev"):
                yield line, record
