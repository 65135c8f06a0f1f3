"""`tfds:NAME`: a data set of TensorFlow Datasets, copied once to files that the tasks read.

The splits validation (or valid, val) and validation_matched become dev and dev_matched; train and
test keep their names; others are not copied. Class labels are written by name. Where only some
examples of a split have a label (-1 is none), the others are left out.
"""

import abc
import json
import os
import re
import sys
from collections.abc import Callable, Iterator

from absl import logging
from tqdm import tqdm

from electra_tf import files
from electra_tf.errors import UserError
from electra_tf.tasks.readers.tfds_source import DataSet

_SPLITS = {
    "train": "train",
    "test": "test",
    "dev": "dev",
    "validation": "dev",
    "valid": "dev",
    "val": "dev",
}


def local_copy(
    name: str, new_files: Callable[[DataSet], "DataSetFiles"], directory: str = ""
) -> str:
    """Folder with the files of a data set, which are written if they are not there yet.

    Args:
        name: `tfds:NAME`, also with config and version, such as tfds:glue/rte:2.0.0. TFDS
            downloads what it does not have.
        new_files: makes the files; raises UserError for a data set that has other features.
        directory: where folders are kept, one per data set, version, kind of files and choice of
            features. Empty: electra_tf in TFDS's own directory, which is $TFDS_DATA_DIR or
            ~/tensorflow_datasets.

    Returns:
        What `config.data.dir` would be with the same files.

    Raises:
        UserError: TFDS does not know or cannot prepare the data set, or it has not the features
            or splits of the task.
    """
    data = DataSet(name)
    its_files = new_files(data)
    folder = re.sub(r"[^\w.]+", "-", "-".join([data.full_name, its_files.name, *its_files.fields]))
    path = os.path.join(directory or _default_directory(), folder)
    if not os.path.isdir(path):
        data.prepare()
        try:
            _write(data, its_files, path)
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


def _write(data: DataSet, its_files: "DataSetFiles", path: str) -> None:
    splits = {
        split: its_files.file_name(part + ending)
        for split in data.sizes
        for part, ending in [_renamed(split)]
        if part and its_files.file_name(part + ending)
    }
    if not splits:
        raise UserError(
            f"config.data.dir must be a data set with the splits train, validation, "
            f"test. Received: {data.name} with {', '.join(data.sizes) or 'none'}"
        )
    total = sum(data.sizes[split] for split in splits)
    with (
        files.new_directory(path) as folder,
        tqdm(
            total=total,
            unit=" examples",
            desc=f"copying {data.name}",
            disable=not sys.stderr.isatty(),
        ) as bar,
    ):
        for split, file_name in splits.items():
            is_test = _renamed(split)[0] == "test"
            examples = data.examples(split, its_files.fields, bar)
            rows = _labelled(
                list(examples), its_files.label, is_test, f"{data.name}, split {split}"
            )
            if rows:
                with open(
                    os.path.join(folder, file_name), "w", encoding="utf-8", newline="\n"
                ) as file:
                    file.writelines(its_files.lines(rows, is_test))


def _renamed(split: str) -> tuple[str, str]:
    """ "validation_matched" is ("dev", "_matched"); of what is not known the first is empty."""
    part, separator, ending = split.partition("_")
    return _SPLITS.get(part, ""), separator + ending


def _labelled(rows: list[dict], label: str, is_test: bool, place: str) -> list[dict]:
    """Rows with a label; all rows of a test split that has none at all."""
    labelled = [row for row in rows if not label or row[label] is not None]
    if is_test and not labelled:
        return rows
    if len(labelled) < len(rows):
        logging.warning(
            "%s: %d of %d examples have no label and are left out",
            place,
            len(rows) - len(labelled),
            len(rows),
        )
    return labelled


class DataSetFiles(abc.ABC):
    """How a data set is written for one kind of task.

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


def json_line(value: dict) -> str:
    """A line of a JSON lines file."""
    return json.dumps(value, ensure_ascii=False) + "\n"
