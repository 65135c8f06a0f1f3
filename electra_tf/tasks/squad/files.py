"""Questions about contexts, from SQuAD's JSON and from MRQA's JSON lines (the 2019 shared task).

| file           | a question's id | gold answers   | the answer to train on              |
| -------------- | --------------- | -------------- | ----------------------------------- |
| *.json (SQuAD) | id              | answers[].text | answers[0], at its answer_start     |
| *.jsonl (MRQA) | qid             | answers[]      | detected_answers[0], at char_spans  |

Both may be compressed (.gz). A file without any answers can be predicted on, not scored. Ids, texts
and answers are strings, places whole numbers, is_impossible true or false; nothing is converted.
"""

import dataclasses
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from absl import logging

from electra_tf import file_systems
from electra_tf.errors import UserError
from electra_tf.tasks.readers import json_text, rows, tables

ENDINGS = (".json", ".json.gz", ".jsonl", ".jsonl.gz")
RELEASES = {1: "v1.1", 2: "v2.0"}  # how SQuAD's own files are called, by `version`
_LARGEST_PLACE = (1 << 31) - 1  # of a character


class Question(NamedTuple):
    """One question.

    Attributes:
        id: unique in its file.
        context: index of its context.
        text: the question.
        answers: gold answers, for scoring; none for an unanswerable question.
        target: (text, first character in the context) of the answer to train on, or None.
        is_impossible: marked as unanswerable.
    """

    id: str
    context: int
    text: str
    answers: tuple[str, ...]
    target: tuple[str, int] | None
    is_impossible: bool


@dataclasses.dataclass
class Questions:
    """All questions of a file.

    Attributes:
        path: the file.
        contexts: distinct contexts; many questions share one.
        questions: in the file's order.
    """

    path: str
    contexts: list[str]
    questions: list[Question]

    def __len__(self) -> int:
        return len(self.questions)

    @property
    def is_labelled(self) -> bool:
        """Whether it says what the answers are."""
        return any(question.answers or question.is_impossible for question in self.questions)


def find_question_file(data_dir: str, name: str, stem: str, version: int) -> str | None:
    """Path of a split's file.

    Without a name: `stem`.json or .jsonl, then SQuAD's own name (train-v1.1.json), then the only
    file that begins with `stem`; of several, the only one with SQuAD's version in its name.

    Args:
        data_dir: where to look; empty: only a named file is found.
        name: as configured; may lack its .gz. Empty: by the rule above.
        stem: "train", "dev" or "test".
        version: 1 or 2.

    Returns:
        None where no file begins with `stem`.

    Raises:
        UserError: the named file does not exist, or several could be meant.
    """
    if name:
        path = file_systems.join(data_dir, name)
        for candidate in (path, path + ".gz"):
            if file_systems.is_file(candidate):
                return candidate
        raise UserError(
            f"The question answering file must exist, plain or as .gz. Received: {path}"
        )
    if not data_dir:
        return None
    release = RELEASES[version]
    for usual in (stem, f"{stem}-{release}"):
        for ending in ENDINGS:
            path = os.path.join(data_dir, usual + ending)
            if file_systems.is_file(path):
                return path
    found = sorted(
        path for path in file_systems.matching(data_dir, stem + "*") if path.endswith(ENDINGS)
    )
    of_release = [path for path in found if release in os.path.basename(path)]
    found = of_release if len(of_release) == 1 else found
    if len(found) > 1:
        names = ", ".join(os.path.basename(path) for path in found)
        raise UserError(
            f"{data_dir} must hold one {stem} file, or the file must be named. Received: {names}"
        )
    return found[0] if found else None


def read_questions(path: str, version: int) -> Questions:
    """Reads a file; empty contexts are counted in a warning.

    Args:
        path: SQuAD JSON, or MRQA's where the name ends in .jsonl or .jsonl.gz.
        version: 1: every question of a file with answers has one; 2: or none.

    Raises:
        UserError: damaged JSON, a missing field or one of another type, an id that occurs twice, a
            question without answer where all must have one, or with answers though it
            is_impossible; names the file and the question or line.
    """
    is_lines = path.removesuffix(".gz").endswith(".jsonl")
    new_question = _mrqa_question if is_lines else _squad_question
    index_of: dict[str, int] = {}
    questions, seen = [], set()
    for where, paragraph in _mrqa_paragraphs(path) if is_lines else _squad_paragraphs(path):
        context = _field(paragraph, "context", str, where)
        index = index_of.setdefault(context, len(index_of))
        for number, entry in enumerate(_field(paragraph, "qas", list, where)):
            place = f"{where}, question {number}"
            question = new_question(entry, index, place)
            if question.id in seen:
                raise UserError(
                    f"{place}: a question's id must occur once. Received: {question.id!r} twice"
                )
            seen.add(question.id)
            questions.append(question)
    result = Questions(path, list(index_of), questions)
    empty = sum(not context.strip() for context in result.contexts)
    if empty:
        logging.warning("%s: %d contexts are empty; their questions get no answer", path, empty)
    if version == 1 and result.is_labelled:
        for question in questions:
            if not question.answers:
                raise UserError(
                    f"{path}: every question must have an answer, unless version is "
                    f"2. Received: question {question.id!r} without"
                )
    return result


def questions_of_rows(given: Iterable[Any]) -> Questions:
    """Questions from Python, without answers.

    Args:
        given: dicts with `question`, `context` and, if wanted, `id`, which is unique; a question
            without one is called by its number, from "0".

    Raises:
        UserError: a row is something else.
    """
    index_of: dict[str, int] = {}
    questions: dict[str, Question] = {}
    for number, row in enumerate(rows.checked(given)):
        where = rows.at(number)
        context = index_of.setdefault(_field(row, "context", str, where), len(index_of))
        question = _squad_question(
            {"id": row.get("id", str(number)), "question": row.get("question")}, context, where
        )
        if question.id in questions:
            raise UserError(f"{where}: an id must occur once. Received: {question.id!r} twice")
        questions[question.id] = question
    return Questions(rows.SOURCE, list(index_of), list(questions.values()))


def _squad_paragraphs(path: str) -> Iterator[tuple[str, dict]]:
    content = _parsed(tables.whole_text(path), path)
    for number, article in enumerate(_field(content, "data", list, path)):
        where = f"{path}: article {number}"
        for index, paragraph in enumerate(_field(article, "paragraphs", list, where)):
            yield f"{where}, paragraph {index}", paragraph


def _mrqa_paragraphs(path: str) -> Iterator[tuple[str, dict]]:
    for number, line in tables.lines(path):
        if not line.strip():
            continue
        where = f"{path}: line {number}"
        record = _parsed(line, where)
        if not (isinstance(record, dict) and "header" in record and "context" not in record):
            yield where, record


def _squad_question(entry: dict, context: int, where: str) -> Question:
    name = _field(entry, "id", str, where)
    where += f" ({name!r})"
    answers = []
    for answer in _field(entry, "answers", list, where) if "answers" in entry else ():
        text = _field(answer, "text", str, where)
        # Not all files have places: they only matter in training.
        place = answer.get("answer_start", -1)
        answers.append((text, _place(place, "answer_start", where)))
    is_impossible = entry.get("is_impossible", False)
    if not isinstance(is_impossible, bool):
        raise UserError(
            f"{where}: is_impossible must be true or false. "
            f"Received: {json_text.shown(is_impossible)}"
        )
    if is_impossible and answers:
        raise UserError(
            f"{where}: a question that is_impossible must have no answers; plausible_answers may "
            f"hold them. Received: {json_text.shown(answers[0][0])}"
        )
    return Question(
        name,
        context,
        _field(entry, "question", str, where),
        tuple(text for text, _ in answers),
        answers[0] if answers else None,
        is_impossible,
    )


def _mrqa_question(entry: dict, context: int, where: str) -> Question:
    name = _field(entry, "qid", str, where)
    where += f" ({name!r})"
    answers = _field(entry, "answers", list, where) if "answers" in entry else []
    if not all(isinstance(answer, str) for answer in answers):
        raise UserError(f"{where}: answers must be texts. Received: {json_text.shown(answers)}")
    target = None
    if "detected_answers" in entry:
        for detected in _field(entry, "detected_answers", list, where)[:1]:
            spans = _field(detected, "char_spans", list, where)
            if not (spans and isinstance(spans[0], list) and spans[0]):
                raise UserError(
                    f"{where}: char_spans must be [[first, last], …]. "
                    f"Received: {json_text.shown(spans)}"
                )
            target = _field(detected, "text", str, where), _place(spans[0][0], "char_spans", where)
    return Question(
        name,
        context,
        _field(entry, "question", str, where),
        tuple(answers),
        target,
        is_impossible=False,
    )


def _place(value: Any, name: str, where: str) -> int:
    """The place of an answer; one that is not in the context is left out of training."""
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > _LARGEST_PLACE:
        raise UserError(
            f"{where}: {name} must be a whole number, the place of a character. "
            f"Received: {json_text.shown(value)}"
        )
    return value


def _field(record, name: str, kind: type, where: str):
    """A field of a JSON object, of the right type."""
    value = record.get(name) if isinstance(record, Mapping) else None
    if not isinstance(value, kind):
        expected = {str: "a text", list: "a list"}[kind]
        received = record if value is None else value
        received = received[:60] if isinstance(received, str) else json_text.shown(received)
        raise UserError(f"{where} must have the field {name!r}, {expected}. Received: {received}")
    return value


def _parsed(text: str, where: str):
    try:
        return json_text.parsed(text)
    except ValueError as error:
        raise UserError(f"{where} must be JSON. Received: {error}") from None
