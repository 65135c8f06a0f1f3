"""`tfds:NAME`: a data set of TensorFlow Datasets, copied once to files that the tasks read.

| kind     | features                                                      | files               |
| -------- | ------------------------------------------------------------- | ------------------- |
| glue     | texts by GLUE's names (MNLI: premise, hypothesis), label, idx | GLUE's, as TSV      |
| squad    | id, context, question, answers, of SQuAD 2.0 is_impossible    | SQuAD's JSON        |
| tagging  | tokens or words; label_field, or the only list of classes, or | JSON lines: words,  |
|          | the one called as the task, also with an s: ner, chunks       | tags                |
| others   | text_field, pair_field, label_field, id_field                 | JSON lines of these |

The splits validation (or valid, val) and validation_matched become dev and dev_matched; train and
test keep their names; others are not copied. Class labels are written by name. Where only some
examples of a split have a label (-1 is none), the others are left out.
"""

import abc
import json
import os
import re
import sys
from collections.abc import Iterator
from typing import Any

from absl import logging
from tqdm import tqdm

from electra_tf import files
from electra_tf.finetune_config import TaskConfig
from electra_tf.tasks import glue
from electra_tf.tasks.tfds_source import CLASS, NUMBER, PREFIX, TEXT, TRUTH, DataSet

_SPLITS = {"train": "train", "test": "test", "dev": "dev",
           "validation": "dev", "valid": "dev", "val": "dev"}
_ANSWERS = f"list of {{answer_start: {NUMBER}, text: {TEXT}}}"


def local_copy(name: str, task: TaskConfig, directory: str = "") -> str:
    """Folder with the files of a data set, which are written if they are not there yet.

    Args:
        name: `tfds:NAME`, also with config and version, such as tfds:glue/rte:2.0.0. TFDS
            downloads what it does not have.
        task: says in which layout, and for own tasks which features.
        directory: where folders are kept, one per data set, version, layout and choice of
            features. Empty: electra_tf in TFDS's own directory, which is $TFDS_DATA_DIR or
            ~/tensorflow_datasets.

    Returns:
        What `config.data.dir` would be with the same files.

    Raises:
        ValueError: TFDS does not know or cannot prepare the data set, or it has not the features
            or splits of the task.
    """
    data = DataSet(name)
    layout = _LAYOUTS.get(task.kind, _OwnLayout)(data, task)
    folder = re.sub(r"[^\w.]+", "-", "-".join([data.full_name, layout.name, *layout.fields]))
    path = os.path.join(directory or _default_directory(), folder)
    if not os.path.isdir(path):
        data.prepare()
        try:
            _write(data, layout, path)
        except (OSError, ValueError):
            if not os.path.isdir(path):  # else another worker was faster
                raise
    logging.info("%s is read from %s", name, path)
    return path


def _default_directory() -> str:
    root = os.environ.get("TFDS_DATA_DIR", "")
    if not root or "://" in root:  # remote storage cannot rename a folder in one step
        root = os.path.join(os.path.expanduser("~"), "tensorflow_datasets")
    return os.path.join(root, "electra_tf")


def _write(data: DataSet, layout: "_Layout", path: str) -> None:
    splits = {split: layout.file_name(part + ending) for split in data.sizes
              for part, ending in [_renamed(split)] if part and layout.file_name(part + ending)}
    if not splits:
        raise ValueError(f"config.data.dir must be a data set with the splits train, validation, "
                         f"test. Received: {data.name} with {', '.join(data.sizes) or 'none'}")
    total = sum(data.sizes[split] for split in splits)
    with files.new_directory(path) as folder, tqdm(
            total=total, unit=" examples", desc=f"copying {data.name}",
            disable=not sys.stderr.isatty()) as bar:
        for split, file_name in splits.items():
            is_test = _renamed(split)[0] == "test"
            examples = data.examples(split, layout.fields, bar)
            rows = _labelled(list(examples), layout.label, is_test, f"{data.name}, split {split}")
            if rows:
                with open(os.path.join(folder, file_name), "w", encoding="utf-8",
                          newline="\n") as file:
                    file.writelines(layout.lines(rows, is_test))


def _renamed(split: str) -> tuple[str, str]:
    """"validation_matched" is ("dev", "_matched"); of what is not known the first is empty."""
    part, separator, ending = split.partition("_")
    return _SPLITS.get(part, ""), separator + ending


def _labelled(rows: list[dict], label: str, is_test: bool, place: str) -> list[dict]:
    """Rows with a label; all rows of a test split that has none at all."""
    labelled = [row for row in rows if not label or row[label] is not None]
    if is_test and not labelled:
        return rows
    if len(labelled) < len(rows):
        logging.warning("%s: %d of %d examples have no label and are left out", place,
                        len(rows) - len(labelled), len(rows))
    return labelled


class _Layout(abc.ABC):
    """Files of one kind of task.

    Attributes:
        name: in the folder's name.
        fields: features that are read.
        label: the one of them without which an example is of no use, or "".
    """

    name: str
    fields: tuple[str, ...]
    label: str

    @abc.abstractmethod
    def file_name(self, split: str) -> str:
        """Of a split; empty if the task has none of this name."""

    @abc.abstractmethod
    def lines(self, rows: list[dict], is_test: bool) -> Iterator[str]:
        """Text of a file, in parts."""


class _GlueLayout(_Layout):
    """TSV in GLUE's columns, in GLUE's order; tabs and line ends in texts become blanks."""

    label = "label"

    def __init__(self, data: DataSet, task: TaskConfig):
        layout = self._layout = glue.layout_of(task.name)
        self.name = f"glue-{layout.name}"
        key = layout.name.lower().replace("-", "")
        if data.builder_name == "glue" and data.config_name != key:
            raise ValueError(f"config.data.dir must be {PREFIX}glue/{key}, as config.task.name is "
                             f"{task.name}. Received: {data.name}")
        texts = ("premise", "hypothesis") if layout.name == "MNLI" else layout.fields
        for text in texts:
            data.require(text, f"A text of {layout.name}", (TEXT,))
        data.require("label", f"The label of {layout.name}",
                     (CLASS,) if layout.labels else (NUMBER,))
        self._texts, self._index = texts, "idx" if data.types.get("idx") == NUMBER else ""
        self.fields = (*texts, "label", *filter(None, [self._index]))
        names = data.features["label"].names if layout.labels else ()
        if layout.labels == ("0", "1") and len(names) == 2:
            self._written = dict(zip(names, layout.labels))
        elif set(names) == set(layout.labels):
            self._written = dict(zip(names, names))
        else:
            raise ValueError(f"The labels of {layout.name} must be {', '.join(layout.labels)}. "
                             f"Received: {data.name} with {', '.join(names)}")

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
            yield _record(width, 0, dict(zip(columns, fields)) | (
                {} if 0 in columns else {0: "index"}))
        if self._index:  # TFDS has shuffled them
            rows = sorted(rows, key=lambda row: row[self._index])
        for number, row in enumerate(rows):
            values = [self._written.get(row[field], row[field]) if field == "label"
                      else re.sub(r"[\t\r\n]", " ", row[field]) for field in fields]
            yield _record(width, row.get(self._index, number), dict(zip(columns, values)))


def _record(width: int, index: int, values: dict[int, Any]) -> str:
    """A line of a TSV file; its first column is the index unless `values` has another."""
    values = {0: index} | values
    return "\t".join(str(values.get(column, "")) for column in range(width)) + "\n"


class _SquadLayout(_Layout):
    """SQuAD's JSON, with one article."""

    name, label = "squad", ""

    def __init__(self, data: DataSet, task: TaskConfig):
        del task  # version 2 reads what version 1 does and more
        self.fields = tuple(data.require(field, f"A question's {field}", (type,)) for field, type in
                            (("id", TEXT), ("context", TEXT), ("question", TEXT),
                             ("answers", _ANSWERS)))
        if data.types.get("is_impossible") == TRUTH:
            self.fields += ("is_impossible",)

    def file_name(self, split: str) -> str:
        return f"{split}.json"

    def lines(self, rows: list[dict], is_test: bool) -> Iterator[str]:
        questions: dict[str, list[dict]] = {}
        for row in rows:
            questions.setdefault(row.pop("context"), []).append(row)
        paragraphs = [{"context": context, "qas": its} for context, its in questions.items()]
        yield json.dumps({"data": [{"paragraphs": paragraphs}]}) + "\n"


class _TaggingLayout(_Layout):
    """JSON lines with `words` and, where there are some, `tags`; without empty sentences."""

    name = "tagging"

    def __init__(self, data: DataSet, task: TaskConfig):
        self._words = data.require("words" if "words" in data.types else "tokens",
                                   "The words of a sentence", (f"list of {TEXT}",))
        classes = [field for field, type in data.types.items() if type == f"list of {CLASS}"]
        named = [field for field in classes if field in (task.name, f"{task.name}s")]
        label = task.label_field
        if label not in data.types and label == TaskConfig().label_field:
            label = (named or classes if len(named or classes) == 1 else [label])[0]
        self.label = data.require(label, "config.task.label_field",
                                  (f"list of {CLASS}", f"list of {TEXT}"))
        self.fields = (self._words, self.label)

    def file_name(self, split: str) -> str:
        return f"{split}.jsonl"

    def lines(self, rows: list[dict], is_test: bool) -> Iterator[str]:
        for row in rows:
            if row[self._words]:  # TFDS makes an empty sentence of a blank line at the end
                tags = {} if row[self.label] is None else {"tags": row[self.label]}
                yield _json_line({"words": row[self._words]} | tags)


class _OwnLayout(_Layout):
    """JSON lines with the features as fields."""

    name = "rows"

    def __init__(self, data: DataSet, task: TaskConfig):
        types = {"classification": (CLASS, TEXT, NUMBER, TRUTH), "regression": (NUMBER,),
                 "multi_label": (f"list of {CLASS}", f"list of {TEXT}")}[task.kind]
        wanted = (("text_field", (TEXT,)), ("pair_field", (TEXT,)), ("label_field", types),
                  ("id_field", (TEXT, NUMBER)))
        self.label = task.label_field
        self.fields = tuple(data.require(getattr(task, setting), f"config.task.{setting}", types)
                            for setting, types in wanted if getattr(task, setting))

    def file_name(self, split: str) -> str:
        return f"{split}.jsonl"

    def lines(self, rows: list[dict], is_test: bool) -> Iterator[str]:
        for row in rows:
            yield _json_line({field: value for field, value in row.items() if value is not None})


_LAYOUTS: dict[str, type[_Layout]] = {
    "glue": _GlueLayout, "squad": _SquadLayout, "tagging": _TaggingLayout}


def _json_line(value: dict) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"
