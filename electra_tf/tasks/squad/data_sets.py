"""TFDS data sets as the files that question answering reads."""

import json
from collections.abc import Iterator

from electra_tf.tasks.readers.tfds import DataSetFiles
from electra_tf.tasks.readers.tfds_source import NUMBER, TEXT, TRUTH, DataSet

_ANSWERS = f"list of {{answer_start: {NUMBER}, text: {TEXT}}}"


class SquadFiles(DataSetFiles):
    """SQuAD's JSON, with one article; of id, context, question, answers and is_impossible."""

    name, label = "squad", ""

    def __init__(self, data: DataSet):
        self.fields = tuple(
            data.require(field, f"A question's {field}", (type,))
            for field, type in (
                ("id", TEXT),
                ("context", TEXT),
                ("question", TEXT),
                ("answers", _ANSWERS),
            )
        )
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
