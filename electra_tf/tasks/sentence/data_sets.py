"""TFDS data sets as the files that sentence tasks read: GLUE's, and JSON lines for own tasks."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from electra_tf.config.finetuning import TaskConfig
from electra_tf.errors import UserError
from electra_tf.tasks.readers.tfds import DataSetFiles, json_line
from electra_tf.tasks.readers.tfds_source import CLASS, NUMBER, PREFIX, TEXT, DataSet
from electra_tf.tasks.sentence.glue_layouts import layout_of


class GlueFiles(DataSetFiles):
    """TSV in GLUE's columns, in GLUE's order; tabs and line ends in texts become blanks.

    The features are the texts by GLUE's names (of MNLI premise and hypothesis), label and idx.
    """

    label = "label"

    def __init__(self, data: DataSet, task: TaskConfig):
        layout = self._layout = layout_of(task.name)
        self.name = f"glue-{layout.name}"
        key = layout.name.lower().replace("-", "")
        if data.builder_name == "glue" and data.config_name != key:
            raise UserError(
                f"config.data.dir must be {PREFIX}glue/{key}, as config.task.name is "
                f"{task.name}. Received: {data.name}"
            )
        texts = ("premise", "hypothesis") if layout.name == "MNLI" else layout.fields
        for text in texts:
            data.require(text, f"A text of {layout.name}", (TEXT,))
        data.require(
            "label", f"The label of {layout.name}", (CLASS,) if layout.labels else (NUMBER,)
        )
        self._texts, self._index = texts, "idx" if data.types.get("idx") == NUMBER else ""
        self.fields = (*texts, "label", *filter(None, [self._index]))
        names = data.features["label"].names if layout.labels else ()
        if layout.labels == ("0", "1") and len(names) == 2:
            self._written = dict(zip(names, layout.labels))
        elif set(names) == set(layout.labels):
            self._written = dict(zip(names, names))
        else:
            raise UserError(
                f"The labels of {layout.name} must be {', '.join(layout.labels)}. "
                f"Received: {data.name} with {', '.join(names)}"
            )

    def file_name(self, split: str) -> str:
        return self._layout.files.get(split, ("",))[0]

    def lines(self, rows: list[dict], is_test: bool) -> Iterator[str]:
        layout, fields = self._layout, self._texts
        columns = layout.test_columns
        if not is_test:
            columns, fields = (*layout.columns, layout.label), (*fields, "label")
        width = max(0, *columns) + 1 + sum(column < 0 for column in columns)
        columns = [column % width for column in columns]
        if is_test or layout.header:
            yield _record(
                width, 0, dict(zip(columns, fields)) | ({} if 0 in columns else {0: "index"})
            )
        if self._index:  # TFDS has shuffled them
            rows = sorted(rows, key=lambda row: row[self._index])
        for number, row in enumerate(rows):
            values = [
                self._written.get(row[field], row[field])
                if field == "label"
                else re.sub(r"[\t\r\n]", " ", row[field])
                for field in fields
            ]
            yield _record(width, row.get(self._index, number), dict(zip(columns, values)))


def _record(width: int, index: int, values: dict[int, Any]) -> str:
    """A line of a TSV file; its first column is the index unless `values` has another."""
    values = {0: index} | values
    return "\t".join(str(values.get(column, "")) for column in range(width)) + "\n"


class OwnFiles(DataSetFiles):
    """JSON lines with the text_field, pair_field, label_field and id_field.

    Args:
        label_types: that the label may have.
    """

    name = "rows"

    def __init__(self, data: DataSet, task: TaskConfig, label_types: Iterable[str]):
        wanted = (
            ("text_field", (TEXT,)),
            ("pair_field", (TEXT,)),
            ("label_field", tuple(label_types)),
            ("id_field", (TEXT, NUMBER)),
        )
        self.label = task.label_field
        self.fields = tuple(
            data.require(getattr(task, setting), f"config.task.{setting}", types)
            for setting, types in wanted
            if getattr(task, setting)
        )

    def file_name(self, split: str) -> str:
        return f"{split}.jsonl"

    def lines(self, rows: list[dict], is_test: bool) -> Iterator[str]:
        for row in rows:
            yield json_line({field: value for field, value in row.items() if value is not None})
