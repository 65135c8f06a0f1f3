"""Chapters of six novels that come with electra_tf: `docs:novels` as a corpus.

A corpus that is the same on every machine, without a download. README.md beside this file tells
where the texts are from.
"""

import dataclasses
import lzma
import pathlib
from collections.abc import Iterator


@dataclasses.dataclass(frozen=True)
class Novel:
    """One work: `file`.txt.xz beside this module."""

    author: str
    title: str
    file: str

    def documents(self) -> Iterator[list[bytes]]:
        """Yields each chapter as a list of paragraphs."""
        path = pathlib.Path(__file__).with_name(f"{self.file}.txt.xz")
        for chapter in lzma.decompress(path.read_bytes()).strip().split(b"\n\n"):
            yield chapter.split(b"\n")


NOVELS = (
    Novel("Jane Austen", "Pride and Prejudice", "pride_and_prejudice"),
    Novel("Lewis Carroll", "Alice's Adventures in Wonderland", "alices_adventures_in_wonderland"),
    Novel("Charles Dickens", "A Christmas Carol", "a_christmas_carol"),
    Novel("Charles Dickens", "A Tale of Two Cities", "a_tale_of_two_cities"),
    Novel("Mary Shelley", "Frankenstein", "frankenstein"),
    Novel("Bram Stoker", "Dracula", "dracula"),
)


def documents() -> Iterator[list[bytes]]:
    """Yields all chapters of all works."""
    for novel in NOVELS:
        yield from novel.documents()
