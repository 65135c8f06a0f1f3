"""Files of tagged words: columns as in the CoNLL shared tasks, or JSON lines. Also gzipped.

Columns: one word per line, its columns separated by blanks or tabs (no other white space: a word
may hold a no-break space); a blank line ends a sentence, a line whose first column is
`-DOCSTART-` is skipped. All lines have the same number of columns. A line whose first column is
`#` and that has another number of columns is a comment; with the same number it is the word `#`.

JSON lines: `{"words": ["A", "word"], "tags": ["O", "O"]}`, or without tags `{"text": "A word"}`,
whose words are what lies between white space.
"""

import dataclasses
import json
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from electra_tf.files import write_text
from electra_tf.tasks import tables
from electra_tf.tasks.spans import Span

SUFFIXES = (".txt", ".conll", ".tsv", ".bio", ".jsonl")
_COLUMN = re.compile(r"[^ \t\r\n]+")


@dataclasses.dataclass
class Sentences:
    """What a file holds.

    Attributes:
        path: of the file.
        words: of each sentence.
        tags: as many, or None where they were not asked for.
        tag_lines: the line, from 1, where each tag occurs first.
    """

    path: str
    words: list[tuple[str, ...]]
    tags: list[tuple[str, ...]] | None
    tag_lines: dict[str, int]

    def __len__(self) -> int:
        return len(self.words)


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where words and tags are: columns counted from 0, or from the end if below; JSON fields."""

    word_column: int = 0
    tag_column: int = -1
    words_field: str = "words"
    tags_field: str = "tags"


def find_file(data_dir: str, configured: str, stems: Sequence[str]) -> str | None:
    """A file of a data directory.

    Args:
        data_dir: where it is looked for; empty: only a configured file is.
        configured: its name; `.gz` may be left out. Empty: the first there is of the stems, in
            their order, with each of SUFFIXES, then with `.gz` after it.
        stems: for example ("dev", "valid").

    Returns:
        Its path, or None if none was configured and none is there.

    Raises:
        ValueError: the configured file does not exist.
    """
    names = [configured] if configured else [stem + end for stem in stems for end in SUFFIXES]
    if configured:
        return tables.require(data_dir, names, "A file of tagged words")
    return tables.find(data_dir, names) if data_dir else None


def is_json(path: str) -> bool:
    """Whether a file's name says that it holds JSON lines."""
    return path.removesuffix(".gz").endswith(".jsonl")


def has_tags(path: str, layout: Layout, num_columns: int = 2) -> bool:
    """Whether the first line of words has at least `num_columns` columns, or the tags' field."""
    if not is_json(path):
        return count_columns(path) >= num_columns
    for number, line in tables.lines(path):
        if line.strip():
            return _record(line, tables.at(path, number)).get(layout.tags_field) is not None
    raise _no_words(path)


def count_columns(path: str) -> int:
    """How many columns the word lines of a file have: as many as the first without a `#`."""
    width = 0
    for _, line in tables.lines(path):
        columns = _COLUMN.findall(line)
        if columns and columns[0] not in ("-DOCSTART-", "#"):
            return len(columns)
        if columns and columns[0] == "#":
            width = width or len(columns)  # a file in which every word is #
    if not width:
        raise _no_words(path)
    return width


def read_sentences(path: str, layout: Layout, labelled: bool) -> Sentences:
    """A whole file.

    Args:
        path: JSON lines if its name ends so (`is_json`), else columns.
        layout: where words and tags are.
        labelled: whether to read the tags, which must be there then.

    Raises:
        ValueError: what is no such file; names file and line.
    """
    sentences = Sentences(path, [], [] if labelled else None, {})
    rows = (_json_rows if is_json(path) else _column_rows)(path, layout, labelled)
    for lines, words, tags in rows:
        sentences.words.append(tuple(words))
        if labelled:
            sentences.tags.append(tuple(sys.intern(tag) for tag in tags))
            for line, tag in zip(lines, tags):
                sentences.tag_lines.setdefault(tag, line)
    if not sentences.words:
        raise _no_words(path)
    return sentences


def write_columns(path: str, words: Sequence[Sequence[str]], tags: Sequence[Sequence[str]]
                  ) -> None:
    """Writes `word<TAB>tag` lines, with a blank line after each sentence."""
    text = ("".join(f"{word}\t{tag}\n" for word, tag in zip(*sentence, strict=True)) + "\n"
            for sentence in zip(words, tags, strict=True))
    write_text(path, "".join(text))


def write_json(path: str, words: Sequence[Sequence[str]], tags: Sequence[Sequence[str]],
               spans: Sequence[Sequence[Span]] | None) -> None:
    """Writes a JSON object per sentence: `words`, `tags` and, if given, `spans`.

    A span is `{"type": "PER", "start": 3, "end": 5}`: words 3 and 4, counted from 0.
    """
    text = []
    for number, (sentence, its_tags) in enumerate(zip(words, tags, strict=True)):
        record: dict[str, Any] = {"words": sentence, "tags": its_tags}
        if spans is not None:
            record["spans"] = [span._asdict() for span in spans[number]]
        text.append(json.dumps(record, ensure_ascii=False) + "\n")
    write_text(path, "".join(text))


def _column_rows(path, layout, labelled) -> Iterator[tuple[list[int], list[str], list[str]]]:
    """Lines, words and tags of each sentence."""
    width = count_columns(path)
    needed = {"word_column": layout.word_column} | (
        {"tag_column": layout.tag_column} if labelled else {})
    for name, column in needed.items():
        if not -width <= column < width:
            raise ValueError(f"{name} must be a column of the file, of {width}. "
                             f"Received: {column} for {path}")
    if labelled and layout.word_column % width == layout.tag_column % width:
        raise ValueError("word_column and tag_column must be two columns of a file. Received: "
                         f"{layout.word_column} and {layout.tag_column} of {width} in {path}")
    numbers, words, tags = [], [], []
    for number, line in tables.lines(path):
        columns = _COLUMN.findall(line)
        if not columns or columns[0] == "-DOCSTART-":
            if words:
                yield numbers, words, tags
            numbers, words, tags = [], [], []
        elif len(columns) == width:
            numbers.append(number)
            words.append(columns[layout.word_column])
            if labelled:
                tags.append(columns[layout.tag_column])
        elif columns[0] != "#":
            raise ValueError(f"A line must have as many columns as the file's first, {width}. "
                             f"Received: {len(columns)} in {tables.at(path, number)}")
    if words:
        yield numbers, words, tags


def _json_rows(path, layout, labelled) -> Iterator[tuple[list[int], list[str], list[str]]]:
    """Lines, words and tags of each sentence."""
    for number, line in tables.lines(path):
        if not line.strip():
            continue
        place = tables.at(path, number)
        record = _record(line, place)
        if layout.words_field not in record and isinstance(record.get("text"), str):
            words = _strings(record["text"].split(), "text", place)
        else:
            words = _strings(record.get(layout.words_field), layout.words_field, place)
        tags = []
        if labelled:
            tags = _strings(record.get(layout.tags_field), layout.tags_field, place)
            if len(tags) != len(words):
                raise ValueError(f"A sentence must have as many tags as words, {len(words)}. "
                                 f"Received: {len(tags)} in {place}")
        yield [number] * len(words), words, tags


def _record(line: str, place: str) -> dict:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError("A line must be a JSON object. "
                         f"Received: {place} ({error})") from None
    if not isinstance(record, dict):
        raise ValueError("A line must be a JSON object. "
                         f"Received: {line.strip()[:60]} in {place}")
    return record


def _strings(value, field: str, place: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"The field {field!r} must be a list of strings. "
                         f"Received: {str(value)[:60]} in {place}")
    try:
        "".join(value).encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(f"The field {field!r} must be valid Unicode. Received: half of a "
                         f"surrogate pair in {place}") from None
    return value


def _no_words(path: str) -> ValueError:
    return ValueError(f"A file of tagged words must hold at least one sentence. Received: {path}")
