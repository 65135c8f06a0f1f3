"""Sentences of column files, as in the CoNLL shared tasks: which lines are words, and which not.

| line                                       | CoNLL-U         | other columns                    |
| ------------------------------------------ | --------------- | -------------------------------- |
| blank, or its first column is `-DOCSTART-` | ends a sentence | ends a sentence                  |
| begins with `#`                            | a comment       | by the rule below                |
| numbered `1-2` or `3.1`                    | no word         | a word                           |
| any other                                  | a word          | a word                           |

A file is CoNLL-U if its first line of columns (one that does not begin with `#`) has ten, the first
of them a number. Columns lie between tabs alone if the first lines have the same
number of tabs but not of parts between tabs and blanks (a word may then hold a blank), or if both
come to the same; else between tabs and blanks, but no other white space: a word may hold a no-break
space. All lines of words have as many columns as the first.

Elsewhere the word `#` is one of a tagger's words, so `#` as a line's first column is a comment
only if the line has another number of columns, or no tabs where tabs separate them, or is
`# name = …` before a sentence's first word. So are the lines `#begin document` and `#end document`.
"""

import dataclasses
import re
from collections import Counter
from collections.abc import Iterator

from electra_tf.errors import UserError
from electra_tf.tasks.readers import tables

COMMENTS, NO_WORDS = "comments", "multiword and empty nodes"  # of what is left out
_COLUMN = re.compile(r"[^ \t\r\n]+")
_NUMBER = re.compile(r"[0-9]+([-.][0-9]+)?")  # of CoNLL-U; with a second part of no word
_CONLLU_COLUMNS = 10
_DOCUMENT_MARKS = (["#begin", "document"], ["#end", "document"])  # of OntoNotes
_LINES_SEEN = 100  # to tell what separates columns


@dataclasses.dataclass(frozen=True)
class Layout:
    """How a file's lines are cut.

    Attributes:
        width: columns of a line of words.
        by_tabs: tabs alone separate them.
        is_conllu: it is CoNLL-U.
    """

    width: int
    by_tabs: bool
    is_conllu: bool

    @classmethod
    def of_file(cls, path: str) -> "Layout":
        """Of its first lines of columns; UserError if there is none."""
        some, number_signs = [], []  # lines
        for _, line in tables.lines(path):
            columns = _COLUMN.findall(line)
            if columns and columns[0] != "-DOCSTART-":
                (number_signs if line.startswith("#") else some).append(line)
                if len(some) == _LINES_SEEN:
                    break
        some = some or number_signs[:1]
        if not some:
            raise no_words(path)
        columns, between_tabs = _COLUMN.findall(some[0]), some[0].split("\t")
        if _CONLLU_COLUMNS in (len(columns), len(between_tabs)) and _NUMBER.fullmatch(columns[0]):
            return cls(_CONLLU_COLUMNS, len(between_tabs) == _CONLLU_COLUMNS, True)
        widths = {len(_COLUMN.findall(line)) for line in some}
        tab_widths = {line.count("\t") + 1 for line in some}
        by_tabs = len(tab_widths) == 1 < min(tab_widths) and (
            len(widths) > 1 or widths == tab_widths
        )
        return cls(len(between_tabs) if by_tabs else len(columns), by_tabs, False)

    def columns_of(self, line: str) -> list[str]:
        """Columns of a line, none of a blank one."""
        columns = _COLUMN.findall(line)
        if columns and self.by_tabs and "\t" in line:
            return [column.strip(" \r\n") for column in line.split("\t")]
        return columns

    def is_comment(self, line: str, columns: list[str], is_first: bool) -> bool:
        """Whether a line is none of a sentence, by the rule above.

        Args:
            line, columns: as read.
            is_first: whether no word of the sentence came before.
        """
        if self.is_conllu:
            return line.startswith("#")
        if columns[:2] in _DOCUMENT_MARKS:
            return True
        return columns[0] == "#" and (
            len(columns) != self.width
            or (self.by_tabs and "\t" not in line)
            or (is_first and columns[2:3] == ["="])
        )


def sentences(
    path: str, word_column: int, tag_column: int | None, left_out: Counter
) -> Iterator[tuple[list[int], list[str], list[str]]]:
    """Line numbers, words and tags of each sentence.

    Args:
        path: of the file.
        word_column: counted from 0, or from the end if below.
        tag_column: the same; None: tags are not read.
        left_out: counts lines that are neither words nor blank.

    Raises:
        UserError: a column that is not there, or a line of another number of columns.
    """
    layout = Layout.of_file(path)
    _check_columns(layout, path, word_column, tag_column)
    numbers, words, tags = [], [], []
    for number, line in tables.lines(path):
        columns = layout.columns_of(line)
        if not columns or columns[0] == "-DOCSTART-":
            if words:
                yield numbers, words, tags
            numbers, words, tags = [], [], []
        elif layout.is_comment(line, columns, not words):
            left_out[COMMENTS] += 1
        elif len(columns) != layout.width:
            raise UserError(
                f"A line must have as many columns as the file's first, {layout.width}. "
                f"Received: {len(columns)} in {tables.at(path, number)}"
            )
        elif layout.is_conllu and not _NUMBER.fullmatch(columns[0]):
            raise UserError(
                "The first column of a CoNLL-U file must be the word's number. "
                f"Received: {columns[0]!r} in {tables.at(path, number)}"
            )
        elif layout.is_conllu and not columns[0].isdecimal():
            left_out[NO_WORDS] += 1
        else:
            numbers.append(number)
            words.append(_filled(columns[word_column], path, number))
            if tag_column is not None:
                tags.append(_filled(columns[tag_column], path, number))
    if words:
        yield numbers, words, tags


def no_words(path: str) -> UserError:
    """The error of a file without words."""
    return UserError(f"A file of tagged words must hold at least one word. Received: {path}")


def _check_columns(layout: Layout, path: str, word_column: int, tag_column: int | None) -> None:
    width = layout.width
    for name, column in (("word_column", word_column), ("tag_column", tag_column)):
        if column is not None and not -width <= column < width:
            raise UserError(
                f"{name} must be a column of the file, of {width}. Received: {column} for {path}"
            )
    if tag_column is not None and word_column % width == tag_column % width:
        raise UserError(
            "word_column and tag_column must be two columns of a file. Received: "
            f"{word_column} and {tag_column} of {width} in {path}"
        )
    if layout.is_conllu and word_column % width == 0:
        raise UserError(
            "word_column of a CoNLL-U file must be 1, its words, and tag_column 3 (UPOS), 4 (XPOS) "
            f"or what else is a tag: column 0 has numbers. Received: {word_column} for {path}"
        )


def _filled(value: str, path: str, number: int) -> str:
    if not value:
        raise UserError(
            f"A word and its tag must not be empty. Received: '' in {tables.at(path, number)}"
        )
    return value
