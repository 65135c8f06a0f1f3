"""Sentence tasks of the user's own .tsv, .csv or .jsonl files; see `tables.rows`."""

import functools
import os
from collections.abc import Iterator
from typing import Any, ClassVar

from electra_tf.errors import UserError
from electra_tf.tasks.class_names import OneType
from electra_tf.tasks.readers import tables
from electra_tf.tasks.sentence.data_sets import OwnFiles
from electra_tf.tasks.sentence.examples import (
    Gathering,
    SentencePredictions,
    Sentences,
    read_table,
)
from electra_tf.tasks.sentence.outputs import Output
from electra_tf.tasks.sentence.task import SentenceTask


class OwnFilesTask(SentenceTask):
    """Its splits are "train", "dev" and "test", as far as there are files.

    No file is read before it is needed. Subclasses say which `Output` they have.

    Args:
        name: of results and prediction files.
        data_dir: where the files are.
        train_file, eval_file, test_file: names; empty: train, dev, test with .tsv, .csv or .jsonl,
            the first that there is.
        text_field, pair_field: of the text and the second text; no second text if empty.
        label_field: of the label; not read of the test file.
        id_field: what prediction files call an example; empty: its number, from 0.
        output: of `output_class`; None: the training file tells.
        max_seq_length: longer examples are cut.
        hidden_layer: of the head, see `ClassificationHead`.

    Raises:
        UserError: two of the fields are one.
    """

    output_class: ClassVar[type[Output]]

    def __init__(
        self,
        name: str,
        data_dir: str,
        *,
        train_file: str = "",
        eval_file: str = "",
        test_file: str = "",
        text_field: str = "text",
        pair_field: str = "",
        label_field: str = "label",
        id_field: str = "",
        output: Output | None = None,
        max_seq_length: int = 128,
        hidden_layer: bool = False,
    ):
        fields = [field for field in (text_field, pair_field, label_field) if field]
        if len(set(fields)) < len(fields):
            raise UserError(
                "text_field, pair_field and label_field must be different. "
                f"Received: {', '.join(fields)}"
            )
        super().__init__(
            name,
            metrics=self.output_class.metrics,
            text_fields=(text_field, pair_field) if pair_field else (text_field,),
            max_seq_length=max_seq_length,
            hidden_layer=hidden_layer,
        )
        self._data_dir = data_dir
        self._files = {"train": train_file, "dev": eval_file, "test": test_file}
        self.id_field, self._label_field, self._given = id_field, label_field, output

    @classmethod
    def from_config(cls, task, data):
        return cls(
            task.name,
            data.dir,
            train_file=data.train_file,
            eval_file=data.eval_file,
            test_file=data.test_file,
            text_field=task.text_field,
            pair_field=task.pair_field,
            label_field=task.label_field,
            id_field=task.id_field,
            output=cls.output_class.of_config(task),
            max_seq_length=task.max_seq_length,
            hidden_layer=task.hidden_layer,
        )

    @classmethod
    def files_of_data_set(cls, data, task):
        return OwnFiles(data, task, cls.output_class.data_set_types)

    def remember(self, task):
        self.output.remember(task)

    @property
    def splits(self) -> tuple[str, ...]:
        there = [
            split
            for split, file in self._files.items()
            if file or tables.find(self._data_dir, _usual_names(split))
        ]
        return tuple(dict.fromkeys(["train", *there]))

    @functools.cached_property
    def output(self) -> Output:
        """The given one, or what the labels of the training file say."""
        if self._given is not None:
            return self._given
        return self.output_class.of_labels(self._training_labels(), self._path("train"))

    @property
    def known_labels(self) -> tuple[str, ...]:
        return () if self._given is None else self._given.labels

    @property
    def usual_files(self) -> tuple[tuple[str, ...], ...]:
        return tuple(map(_usual_names, self._files))

    def read(self, split: str) -> Sentences:
        path, is_test = self._path(split), split.startswith("test")
        return read_table(
            path,
            Gathering(path, len(self.text_fields), None if is_test else self.output),
            self.text_fields,
            self.id_field,
            "" if is_test else self._label_field,
        )

    def write(
        self, split: str, examples: Sentences, predictions: SentencePredictions, directory: str
    ) -> None:
        """Writes NAME-SPLIT.jsonl, see `answers`."""
        self.write_file(
            examples, predictions, os.path.join(directory, f"{self.name}-{split}.jsonl")
        )

    def _path(self, split: str) -> str:
        names = [self._files[split]] if self._files[split] else _usual_names(split)
        return tables.require(self._data_dir, names, f"The {split} file")

    def _training_labels(self) -> Iterator[tuple[int, Any]]:
        """Lines and parsed labels."""
        path = self._path("train")
        label_type = OneType(path)
        for line, (value,) in tables.rows(path, [self._label_field]):
            parsed = self.output_class.parse(value, tables.at(path, line))
            label_type.require(value, line)
            yield line, parsed


def _usual_names(split: str) -> tuple[str, ...]:
    return tuple(split + extension for extension in tables.EXTENSIONS)
