"""TFDS data sets as the files that tagging reads."""

from collections.abc import Iterator

from electra_tf.config.finetuning import TaskConfig
from electra_tf.tasks.readers.tfds import DataSetFiles, json_line
from electra_tf.tasks.readers.tfds_source import CLASS, TEXT, DataSet


class TaggedFiles(DataSetFiles):
    """JSON lines with `words` and, where there are some, `tags`; without empty sentences.

    The features are tokens or words, and label_field, or the only list of classes, or the one
    called as the task, also with an s: ner, chunks.
    """

    name = "tagging"

    def __init__(self, data: DataSet, task: TaskConfig):
        self._words = data.require(
            "words" if "words" in data.types else "tokens",
            "The words of a sentence",
            (f"list of {TEXT}",),
        )
        classes = [field for field, type in data.types.items() if type == f"list of {CLASS}"]
        named = [field for field in classes if field in (task.name, f"{task.name}s")]
        label = task.label_field
        if label not in data.types and label == TaskConfig().label_field:
            label = (named or classes if len(named or classes) == 1 else [label])[0]
        self.label = data.require(
            label, "config.task.label_field", (f"list of {CLASS}", f"list of {TEXT}")
        )
        self.fields = (self._words, self.label)

    def file_name(self, split: str) -> str:
        return f"{split}.jsonl"

    def lines(self, rows: list[dict], is_test: bool) -> Iterator[str]:
        for row in rows:
            if row[self._words]:  # TFDS makes an empty sentence of a blank line at the end
                tags = {} if row[self.label] is None else {"tags": row[self.label]}
                yield json_line({"words": row[self._words]} | tags)
