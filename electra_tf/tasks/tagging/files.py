"""Files of tagged words: columns as in the CoNLL shared tasks, or JSON lines. Also gzipped.

Columns: one word per line, a blank line after a sentence; `columns` says which lines are words.

JSON lines: `{"words": ["A", "word"], "tags": ["O", "O"]}`, or without tags `{"text": "A word"}`,
whose words are what lies between white space.
"""

import dataclasses
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from electra_tf.errors import UserError
from electra_tf.files import write_text
from electra_tf.tasks import class_names
from electra_tf.tasks.readers import json_text, rows, tables
from electra_tf.tasks.tagging import columns

SUFFIXES = (".txt", ".conll", ".conllu", ".tsv", ".bio", ".jsonl")


@dataclasses.dataclass
class TaggedSentences:
    """What a file holds.

    Attributes:
        path: of the file.
        words: of each sentence.
        tags: as many, or None where they were not asked for.
        tag_lines: the line, from 1, where each tag occurs first.
        first_lines: the line of each sentence's first word, where tags were asked for.
        left_out: counts of lines that are no words, by what they are.
    """

    path: str
    words: list[tuple[str, ...]]
    tags: list[tuple[str, ...]] | None
    tag_lines: dict[str, int]
    first_lines: list[int] = dataclasses.field(default_factory=list)
    left_out: Counter = dataclasses.field(default_factory=Counter)

    def __len__(self) -> int:
        return len(self.words)

    @property
    def required_tags(self) -> list[tuple[str, ...]]:
        """Tags of a file that was read with them."""
        assert self.tags is not None, "the file was read without tags"
        return self.tags


@dataclasses.dataclass(frozen=True)
class Fields:
    """Where words and tags are: columns counted from 0, or from the end if below; JSON fields."""

    word_column: int = 0
    tag_column: int = -1
    words_field: str = "words"
    tags_field: str = "tags"


def find_tagged_file(data_dir: str, configured: str, stems: Sequence[str]) -> str | None:
    """A file of a data directory.

    Args:
        data_dir: where it is looked for; empty: only a configured file is.
        configured: its name; `.gz` may be left out. Empty: the first there is of the stems, in
            their order, with each of SUFFIXES, then with `.gz` after it.
        stems: for example ("dev", "valid").

    Returns:
        Its path, or None if none was configured and none is there.

    Raises:
        UserError: the configured file does not exist.
    """
    names = [configured] if configured else [stem + end for stem in stems for end in SUFFIXES]
    if configured:
        return tables.require(data_dir, names, "A file of tagged words")
    return tables.find(data_dir, names) if data_dir else None


def is_json(path: str) -> bool:
    """Whether a file's name says that it holds JSON lines."""
    return path.removesuffix(".gz").endswith(".jsonl")


def has_tags(path: str, fields: Fields, num_columns: int = 2) -> bool:
    """Whether the first line of words has at least `num_columns` columns, or the tags' field."""
    if not is_json(path):
        return count_columns(path) >= num_columns
    for number, line in tables.lines(path):
        if line.strip():
            return _record(line, tables.at(path, number)).get(fields.tags_field) is not None
    raise columns.no_words(path)


def count_columns(path: str) -> int:
    """How many columns the lines of words have."""
    return columns.Layout.of_file(path).width


def read_sentences(path: str, fields: Fields, labelled: bool) -> TaggedSentences:
    """A whole file.

    Args:
        path: JSON lines if its name ends so (`is_json`), else columns.
        fields: where words and tags are.
        labelled: whether to read the tags, which must be there then.

    Raises:
        UserError: what is no such file; names file and line.
    """
    sentences = TaggedSentences(path, [], [] if labelled else None, {})
    if is_json(path):
        read = _json_rows(path, fields, labelled)
    else:
        tag_column = fields.tag_column if labelled else None
        read = columns.sentences(path, fields.word_column, tag_column, sentences.left_out)
    for lines, words, tags in read:
        sentences.words.append(tuple(words))
        if labelled:
            sentences.required_tags.append(tuple(sys.intern(tag) for tag in tags))
            sentences.first_lines.append(lines[0] if lines else 0)
            for line, tag in zip(lines, tags):
                if sentences.tag_lines.setdefault(tag, line) == line:
                    _require_visible(tag, tables.at(path, line))
    if not sentences.words or (labelled and not sentences.tag_lines):
        raise columns.no_words(path)
    return sentences


def write_columns(path: str, words: Sequence[Sequence[str]], tags: Sequence[Sequence[str]]) -> None:
    """Writes `word<TAB>tag` lines, with a blank line after each sentence."""
    text = (
        "".join(f"{word}\t{tag}\n" for word, tag in zip(*sentence, strict=True)) + "\n"
        for sentence in zip(words, tags, strict=True)
    )
    write_text(path, "".join(text))


def sentences_of_rows(given: Iterable[Any], fields: Fields) -> TaggedSentences:
    """Sentences from Python, without tags.

    Args:
        given: of each a text, which is split at white space, a list of words, or a dict as a line
            of JSON has it.
        fields: the dicts' fields.

    Raises:
        UserError: a row is something else.
    """
    sentences = TaggedSentences(rows.SOURCE, [], None, {})
    for number, row in enumerate(rows.checked(given)):
        place, record = rows.at(number), row
        if isinstance(row, str):
            record = {"text": row}
        elif isinstance(row, list | tuple):
            record = {fields.words_field: list(row)}
        elif not isinstance(row, Mapping):
            raise UserError(
                "A row must be a text, a list of words, or a dict with the field "
                f"{fields.words_field!r} or 'text'. Received: {rows.shown(row)} as {place}"
            )
        sentences.words.append(tuple(_words(record, fields, place)))
    return sentences


def _json_rows(path, fields, labelled) -> Iterator[tuple[list[int], list[str], list[str]]]:
    """Lines, words and tags of each sentence."""
    for number, line in tables.lines(path):
        if not line.strip():
            continue
        place = tables.at(path, number)
        record = _record(line, place)
        words = _words(record, fields, place)
        tags = []
        if labelled:
            tags = _strings(record.get(fields.tags_field), fields.tags_field, place)
            if len(tags) != len(words):
                raise UserError(
                    f"A sentence must have as many tags as words, {len(words)}. "
                    f"Received: {len(tags)} in {place}"
                )
        yield [number] * len(words), words, tags


def _require_visible(tag: str, place: str) -> None:
    if not class_names.key_of(tag):
        raise UserError(f"A tag must not be empty. Received: {tag!r} in {place}")


def _words(record: Mapping, fields: Fields, place: str) -> list[str]:
    if fields.words_field not in record and isinstance(record.get("text"), str):
        return _strings(record["text"].split(), "text", place)
    return _strings(record.get(fields.words_field), fields.words_field, place)


def _record(line: str, place: str) -> dict:
    try:
        record = json_text.parsed(line)
    except ValueError as error:
        raise UserError(f"A line must be a JSON object. Received: {place} ({error})") from None
    if not isinstance(record, dict):
        raise UserError(f"A line must be a JSON object. Received: {line.strip()[:60]} in {place}")
    return record


def _strings(value, field: str, place: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise UserError(
            f"The field {field!r} must be a list of strings. Received: "
            f"{json_text.shown(value)} in {place}"
        )
    try:
        "".join(value).encode("utf-8")
    except UnicodeEncodeError:
        raise UserError(
            f"The field {field!r} must be valid Unicode. Received: half of a "
            f"surrogate pair in {place}"
        ) from None
    return value
