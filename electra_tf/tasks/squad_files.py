"""Questions about contexts, from SQuAD's JSON and from MRQA's JSON lines (the 2019 shared task).

| file           | a question's id | gold answers   | the answer to train on              |
| -------------- | --------------- | -------------- | ----------------------------------- |
| *.json (SQuAD) | id              | answers[].text | answers[0], at its answer_start     |
| *.jsonl (MRQA) | qid             | answers[]      | detected_answers[0], at char_spans  |

Both may be compressed (.gz). A file without any answers can be predicted on, not scored.
"""

import dataclasses
import glob
import gzip
import json
import os
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from absl import logging

ENDINGS = (".json", ".json.gz", ".jsonl", ".jsonl.gz")
RELEASES = {1: "v1.1", 2: "v2.0"}  # how SQuAD's own files are called, by `version`


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


def find_file(data_dir: str, name: str, stem: str, version: int) -> str | None:
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
        ValueError: the named file does not exist, or several could be meant.
    """
    if name:
        path = os.path.join(data_dir, name)
        for candidate in (path, path + ".gz"):
            if os.path.isfile(candidate):
                return candidate
        raise ValueError(f"The question answering file must exist, plain or as .gz. "
                         f"Received: {path}")
    if not data_dir:
        return None
    release = RELEASES[version]
    for usual in (stem, f"{stem}-{release}"):
        for ending in ENDINGS:
            path = os.path.join(data_dir, usual + ending)
            if os.path.isfile(path):
                return path
    found = sorted(path for path in glob.glob(os.path.join(glob.escape(data_dir), stem + "*"))
                   if path.endswith(ENDINGS))
    of_release = [path for path in found if release in os.path.basename(path)]
    found = of_release if len(of_release) == 1 else found
    if len(found) > 1:
        names = ", ".join(os.path.basename(path) for path in found)
        raise ValueError(f"{data_dir} must hold one {stem} file, or the file must be named. "
                         f"Received: {names}")
    return found[0] if found else None


def read_questions(path: str, version: int) -> Questions:
    """Reads a file; empty contexts are counted in a warning.

    Args:
        path: SQuAD JSON, or MRQA's where the name ends in .jsonl or .jsonl.gz.
        version: 1: every question of a file with answers has one; 2: or none.

    Raises:
        ValueError: damaged JSON, a missing field, an id that occurs twice, or a question without
            answer where all must have one; names the file and the question or line.
    """
    is_lines = path.removesuffix(".gz").endswith(".jsonl")
    new_question = _mrqa_question if is_lines else _squad_question
    index_of: dict[str, int] = {}
    questions, seen = [], set()
    for where, paragraph in _mrqa_paragraphs(path) if is_lines else _squad_paragraphs(path):
        context = _field(paragraph, "context", str, where)
        index = index_of.setdefault(context, len(index_of))
        for number, entry in enumerate(_field(paragraph, "qas", list, where)):
            question = new_question(entry, index, f"{where}, question {number}")
            if question.id in seen:
                raise ValueError(f"{path}: a question's id must occur once. "
                                 f"Received: {question.id!r} twice")
            seen.add(question.id)
            questions.append(question)
    result = Questions(path, list(index_of), questions)
    empty = sum(not context.strip() for context in result.contexts)
    if empty:
        logging.warning("%s: %d contexts are empty; their questions get no answer", path, empty)
    if version == 1 and result.is_labelled:
        for question in questions:
            if not question.answers:
                raise ValueError(f"{path}: every question must have an answer, unless version is "
                                 f"2. Received: question {question.id!r} without")
    return result


def _squad_paragraphs(path: str) -> Iterator[tuple[str, dict]]:
    with _open(path) as file:
        content = _parsed("".join(_lines(file, path)), path)
    for number, article in enumerate(_field(content, "data", list, path)):
        where = f"{path}: article {number}"
        for index, paragraph in enumerate(_field(article, "paragraphs", list, where)):
            yield f"{where}, paragraph {index}", paragraph


def _mrqa_paragraphs(path: str) -> Iterator[tuple[str, dict]]:
    with _open(path) as file:
        for number, line in enumerate(_lines(file, path), start=1):
            if not line.strip():
                continue
            where = f"{path}: line {number}"
            record = _parsed(line, where)
            if not (isinstance(record, dict) and "header" in record):
                yield where, record


def _squad_question(entry: dict, context: int, where: str) -> Question:
    name = _field(entry, "id", str, where)
    where += f" ({name!r})"
    answers = []
    for answer in _field(entry, "answers", list, where) if "answers" in entry else ():
        # The place only matters in training, which looks at the first answer.
        start = answer.get("answer_start", -1) if isinstance(answer, dict) else -1
        answers.append((_field(answer, "text", str, where), start))
    is_impossible = bool(entry.get("is_impossible", False))
    target = answers[0] if answers and not is_impossible else None
    if target is not None and not isinstance(target[1], int):
        raise ValueError(f"{where}: answer_start must be a number. Received: {target[1]!r}")
    return Question(name, context, _field(entry, "question", str, where),
                    tuple(text for text, _ in answers), target, is_impossible)


def _mrqa_question(entry: dict, context: int, where: str) -> Question:
    name = _field(entry, "qid", str, where)
    where += f" ({name!r})"
    answers = _field(entry, "answers", list, where) if "answers" in entry else []
    target = None
    for detected in entry.get("detected_answers", ())[:1]:
        spans = _field(detected, "char_spans", list, where)
        try:
            target = _field(detected, "text", str, where), int(spans[0][0])
        except (IndexError, TypeError):
            raise ValueError(f"{where}: char_spans must be [[first, last], …]. "
                             f"Received: {spans!r}") from None
    if not all(isinstance(answer, str) for answer in answers):
        raise ValueError(f"{where}: answers must be texts. Received: {answers!r}")
    return Question(name, context, _field(entry, "question", str, where), tuple(answers), target,
                    is_impossible=False)


def _field(record, name: str, kind: type, where: str):
    """A field of a JSON object, of the right type."""
    value = record.get(name) if isinstance(record, dict) else None
    if not isinstance(value, kind):
        expected = {str: "a text", list: "a list"}[kind]
        raise ValueError(f"{where} must have the field {name!r}, {expected}. "
                         f"Received: {str(record)[:80]}")
    return value


def _open(path: str):
    opener = gzip.open if path.endswith(".gz") else open
    return opener(path, "rt", encoding="utf-8")


def _lines(file, path: str) -> Iterator[str]:
    """Lines, with one kind of error for all that can be wrong with the bytes."""
    try:
        yield from file
    except (UnicodeDecodeError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} must be UTF-8, or whole gzip of it. Received: {error}") from None


def _parsed(text: str, where: str):
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where} must be JSON. Received: {error}") from None
