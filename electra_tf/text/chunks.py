"""Chunks: pieces of a corpus that workers read independently of each other.

A chunk is a byte range that begins and ends between documents. Plain files are cut where they lie.
What can only be read from its beginning (compressed files, data sets) is written out once, as
files of one chunk each. The chunks of small files make one shard together. Where the cuts fall
depends on the input only, never on the workers.
"""

import dataclasses
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from electra_tf.errors import UserError
from electra_tf.text.corpus import (
    DAMAGED,
    MAX_DOCUMENT_BYTES,
    Document,
    Source,
    documents_of_lines,
    open_source,
    read_lines,
    read_source,
)

# Chunks grow with the corpus, up to the point where a worker would hold too much of it.
_MIN_CHUNK_BYTES = 4 << 20
_MAX_CHUNK_BYTES = 64 << 20
_CHUNKS_WANTED = 256
_ASSUMED_COMPRESSION = 4


@dataclasses.dataclass(frozen=True)
class Chunk:
    """A range of documents.

    Attributes:
      source: index of the source.
      part: position in the source.
      path: file to read.
      start, end: byte range.
      kind: "txt" or "jsonl".
      text_field: the text's name in "jsonl".
    """

    source: int
    part: int
    path: str
    start: int
    end: int
    kind: str
    text_field: str

    @property
    def name(self) -> str:
        """Sorts in the order of the corpus."""
        return f"{self.source:05d}-{self.part:06d}"


def estimated_bytes(sources: Sequence[Source]) -> int:
    """About how much text the files hold; data sets count nothing."""
    return sum(s.size * (_ASSUMED_COMPRESSION if s.is_compressed else 1) for s in sources)


def chunk_bytes(sources: Sequence[Source]) -> int:
    """The chunk size for an input."""
    wanted = estimated_bytes(sources) // _CHUNKS_WANTED
    return min(max(wanted, _MIN_CHUNK_BYTES), _MAX_CHUNK_BYTES)


def group_sources(sources: Sequence[Source], size: int) -> list[list[Source]]:
    """Small files together, to about `size` bytes of text; other files and data sets alone."""
    groups: list[list[Source]] = []
    small: list[Source] = []
    room = 0
    for source in sources:
        length = estimated_bytes([source])
        if not source.is_file or length >= size:
            groups.append([source])
            continue
        if length > room:
            small = []
            groups.append(small)
            room = size
        small.append(source)
        room -= length
    return groups


def chunks_of_shards(
    group: Sequence[Source], size: int, spool_dir: str, problems: Mapping[int, Counter]
) -> Iterator[tuple[Chunk, ...]]:
    """The chunks of a group of sources, those of one shard together.

    Args:
      group: one of `group_sources`.
      size, spool_dir: see `make_chunks`.
      problems: a counter for each source's index, which gains counts of what was skipped.
    """
    gathered: list[Chunk] = []
    length = 0
    for source in group:
        for chunk in make_chunks(source, size, spool_dir, problems[source.index]):
            gathered.append(chunk)
            length += chunk.end - chunk.start
            if length >= size:
                yield tuple(gathered)
                gathered, length = [], 0
    if gathered:
        yield tuple(gathered)


def make_chunks(source: Source, size: int, spool_dir: str, problems: Counter) -> Iterator[Chunk]:
    """Cuts a source into chunks of about `size` bytes.

    Args:
      source: what to cut.
      size: bytes of text per chunk.
      spool_dir: where to write what cannot be cut in place.
      problems: gains counts of what was skipped.
    """
    if source.is_file and not source.is_compressed:
        ends = _cut_points(source, size)
        start = 0
        for part, end in enumerate(ends):
            yield Chunk(source.index, part, source.name, start, end, source.kind, source.text_field)
            start = end
        return
    kind = source.kind if source.is_file else "txt"
    blocks = _file_blocks(source) if source.is_file else _document_blocks(source, problems)
    part = 0
    written: list[bytes] = []
    length = 0

    def spool() -> Chunk:
        path = os.path.join(spool_dir, f"{source.index:05d}-{part:06d}.{kind}")
        with open(path, "wb") as file:
            file.writelines(written)
        return Chunk(source.index, part, path, 0, length, kind, source.text_field)

    for block, may_cut in blocks:
        written.append(block)
        length += len(block)
        if length >= size and may_cut or length >= size + MAX_DOCUMENT_BYTES:
            yield spool()
            part, length = part + 1, 0
            written.clear()
    if written:
        yield spool()


def _cut_points(source: Source, size: int) -> Iterator[int]:
    """Ends of the chunks of a plain file, the last being the file's end."""
    position = size
    with open_source(source) as file:
        while position < source.size:
            file.seek(position)
            lines = read_lines(file, source.kind)
            position += len(next(lines))  # most likely the rest of a line
            last = position + MAX_DOCUMENT_BYTES
            while source.kind == "txt" and position < min(last, source.size):
                line = next(lines)
                position += len(line)
                if not line.strip():
                    break
            if position < source.size:
                yield position
            position += size
    if source.size:
        yield source.size


def _file_blocks(source: Source) -> Iterator[tuple[bytes, bool]]:
    """Lines of a file, and whether a document ends there."""
    try:
        with open_source(source) as file:
            for line in read_lines(file, source.kind):
                yield line, source.kind == "jsonl" or not line.strip()
    except DAMAGED as error:
        raise UserError(
            f"The input must be readable to its end. Received: {source.name} ({error})"
        ) from None


def _document_blocks(source: Source, problems: Counter) -> Iterator[tuple[bytes, bool]]:
    """Documents of a data set as text with blank lines between them."""
    for document in read_source(source, problems):
        yield b"\n".join(document) + b"\n\n", True


def read_chunk(chunk: Chunk, problems: Counter) -> Iterator[Document]:
    """Streams the documents of a chunk."""

    with open(chunk.path, "rb") as file:
        file.seek(chunk.start)
        lines = read_lines(file, chunk.kind, chunk.end - chunk.start)
        yield from documents_of_lines(lines, chunk.kind, chunk.text_field, problems)
