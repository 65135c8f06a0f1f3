"""Reading of corpora: what `--input` names, and how bytes become documents.

A document is a list of lines: UTF-8 bytes without line ends, none of them blank. A line ends in a
line feed, a carriage return or both.

  *.txt     blank lines separate documents
  *.jsonl   each line is an object, whose field `text` is one document
  tfds:NAME[:SPLIT]   a TensorFlow Datasets data set, by default its split "train"
  docs:novels         the novels that come with electra_tf (see novels/)
  docs:installed      prose from the Python packages installed here (see docstrings.py)

The files may be compressed: .gz, .xz, .bz2.
"""

import bz2
import dataclasses
import glob
import gzip
import hashlib
import io
import itertools
import json
import lzma
import os
import re
import sys
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from electra_tf import extras, first_bytes
from electra_tf.errors import UserError
from electra_tf.files import expand
from electra_tf.text import novels
from electra_tf.text.docstrings import installed_documents

Document = list[bytes]

# Bounds the memory that a text without blank lines, or without line ends, can take. Such a text is
# cut into several documents.
MAX_DOCUMENT_BYTES = 8 << 20
MAX_JSON_LINE_BYTES = 64 << 20

NOVELS, INSTALLED = "docs:novels", "docs:installed"
_OPENERS = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}
_REPLACEMENT = "\ufffd".encode()
_FORMATS = (".txt", ".jsonl")
_BLOCK_BYTES = first_bytes.HEAD_BYTES
# Several carriage returns before a line feed are one line end: files converted twice have them.
_LINE = re.compile(rb"[^\r\n]*(?:\r*\n|\r)|[^\r\n]+")
# What the decompressors raise for damaged data.
DAMAGED = (EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile, OSError)


@dataclasses.dataclass(frozen=True)
class Source:
    """One file or data set of the input.

    Attributes:
      index: position in the input.
      name: path, or the `tfds:` or `docs:` name.
      kind: "txt", "jsonl", "tfds" or "docs".
      is_compressed: has to be read from its beginning.
      size: bytes of the file; 0 for data sets.
      text_field: where a JSON object or a TFDS example has its text.
    """

    index: int
    name: str
    kind: str
    is_compressed: bool = False
    size: int = 0
    text_field: str = "text"

    @property
    def is_file(self) -> bool:
        return self.kind in ("txt", "jsonl")


def find_sources(inputs: Sequence[str], text_field: str = "text") -> list[Source]:
    """What the values of `--input` stand for; the same files in any order of the file system.

    Args:
      inputs: paths, globs, `tfds:` and `docs:` names; each may be several, joined by commas.
      text_field: the field of .jsonl and TFDS inputs that holds the text.

    Raises:
      UserError: nothing is named, or a name stands for nothing that can be read.
    """
    names = [expand(name.strip()) for value in inputs for name in value.split(",") if name.strip()]
    if not names:
        raise UserError("The input must name at least one file, tfds:NAME or docs:novels.")
    sources: dict[str, Source] = {}
    for name in names:
        scheme, _, rest = name.partition(":")
        if scheme == "tfds" and rest or name in _DOCS:
            sources[name] = Source(len(sources), name, scheme, text_field=text_field)
            continue
        paths = [name] if os.path.exists(name) else sorted(glob.glob(name, recursive=True))
        if not paths:
            raise UserError(
                f"The input must match at least one file. Received: {name} "
                f"(looked from {os.getcwd()})"
            )
        for path in paths:
            if path not in sources:
                sources[path] = _file_source(len(sources), path, text_field)
    return list(sources.values())


def _file_source(index: int, path: str, text_field: str) -> Source:
    base, compression = os.path.splitext(path)
    is_compressed = compression in _OPENERS
    suffix = os.path.splitext(base)[1] if is_compressed else compression
    if suffix not in _FORMATS or not os.path.isfile(path):
        raise UserError(
            "The input must be .txt or .jsonl files, plain or with .gz, .xz or .bz2. "
            f"Received: {path}"
        )
    size = os.path.getsize(path)
    return Source(index, path, suffix[1:], is_compressed, size, text_field)


def fingerprint(source: Source) -> str:
    """A cheap digest of a file: its size, first, middle and last MiB."""
    digest = hashlib.sha256(f"{source.kind} {source.size}".encode())
    if source.is_file:
        with open(source.name, "rb") as file:
            for start in (0, source.size // 2, max(0, source.size - (1 << 20))):
                file.seek(start)
                digest.update(file.read(1 << 20))
    return digest.hexdigest()[:32]


def open_source(source: Source) -> io.BufferedReader:
    """Opens a file for reading its decompressed bytes.

    Raises:
      UserError: its first bytes are not those of UTF-8 text, or of JSON lines with the text.
    """
    opener = _OPENERS.get(os.path.splitext(source.name)[1], open)
    file = io.BufferedReader(opener(source.name, "rb"), _BLOCK_BYTES)
    try:
        head = file.peek(first_bytes.HEAD_BYTES)[: first_bytes.HEAD_BYTES]
        first_bytes.require_text(head, source.name)
        if source.kind == "jsonl":
            is_whole = not source.is_compressed and len(head) == source.size
            first_bytes.require_text_field(head, is_whole, source.text_field, source.name)
    except BaseException:
        file.close()
        raise
    return file


def first_objects(source: Source) -> list[dict]:
    """JSON objects at the beginning of a .jsonl file."""
    with open_source(source) as file:
        return first_bytes.objects(b"".join(itertools.islice(read_lines(file, source.kind), 100)))


def max_line_bytes(kind: str) -> int:
    """A longer line of a "txt" or "jsonl" file is read as several."""
    return MAX_JSON_LINE_BYTES if kind == "jsonl" else MAX_DOCUMENT_BYTES


def read_lines(file: io.BufferedReader, kind: str, num_bytes: int | None = None) -> Iterator[bytes]:
    """Lines with their line ends, of bounded length.

    Args:
      file: what to read, from where it stands.
      kind: "txt" or "jsonl".
      num_bytes: how much to read; None: all.
    """
    longest = max_line_bytes(kind)
    left = sys.maxsize if num_bytes is None else num_bytes
    rest = b""
    while block := file.read(min(_BLOCK_BYTES, longest - len(rest), left)):
        left -= len(block)
        text = rest + block
        ended = text.rstrip(b"\r")  # whose line feed may be to come
        lines = _LINE.findall(ended) if b"\r\r" in ended else ended.splitlines(True)
        rest = text[len(ended) :]
        if not ended.endswith(b"\n"):
            rest = b"".join(lines[-1:]) + rest
            del lines[-1:]
        yield from lines
        if len(rest) == longest:
            yield rest
            rest = b""
    yield from _LINE.findall(rest)


def documents_of_lines(
    lines: Iterable[bytes], kind: str, text_field: str, problems: Counter
) -> Iterator[Document]:
    """Documents of the lines of a "txt" or "jsonl" file.

    Args:
      lines: lines with or without line ends.
      kind: "txt" or "jsonl".
      text_field: name of the field, for "jsonl".
      problems: gains a count for each thing that was skipped or mended.
    """
    if kind == "jsonl":
        yield from _json_documents(lines, text_field, problems)
        return
    document: Document = []
    size = 0
    for line in lines:
        line = line.strip()
        if line:
            document.append(line)
            size += len(line)
        is_too_long = size >= MAX_DOCUMENT_BYTES
        problems["long_documents_cut"] += is_too_long
        if document and (is_too_long or not line):
            yield _valid(document, problems)
            document, size = [], 0
    if document:
        yield _valid(document, problems)


def _json_documents(
    lines: Iterable[bytes], text_field: str, problems: Counter
) -> Iterator[Document]:
    for line in lines:
        line = line.removeprefix(b"\xef\xbb\xbf").strip()
        if not line:
            continue
        (line,) = _mended([line], problems)
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            problems["bad_json_lines_skipped"] += 1
            continue
        text = value.get(text_field) if isinstance(value, dict) else None
        if not isinstance(text, str):
            problems["json_lines_without_text_skipped"] += 1
            continue
        # A JSON string can hold half of a surrogate pair, which UTF-8 cannot.
        document = _lines_of_text(text.encode("utf-8", "surrogatepass"))
        if not document:
            problems["empty_documents_skipped"] += 1
            continue
        yield _valid(document, problems)


def _lines_of_text(text: bytes) -> Document:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _valid(document: Document, problems: Counter) -> Document:
    """As `_mended`, counting U+FFFD too: another program's mark for a letter it could not read."""
    if _REPLACEMENT in b"\n".join(document):
        replaced = sum(_REPLACEMENT in line for line in document)
        problems["lines_with_replacement_characters"] += replaced
    return _mended(document, problems)


def _mended(document: Document, problems: Counter) -> Document:
    """The document without NUL bytes and bytes that are not UTF-8."""
    text = b"\n".join(document)
    if b"\0" in text:
        problems["lines_with_nul_bytes_mended"] += sum(b"\0" in line for line in document)
        document = [line.replace(b"\0", b"") for line in document]
    try:
        text.decode()
        return document
    except UnicodeDecodeError:
        mended = [line.decode("utf-8", "ignore").encode() for line in document]
        changed = sum(a != b for a, b in zip(document, mended, strict=True))
        problems["invalid_utf8_lines_mended"] += changed
        return mended


def read_source(source: Source, problems: Counter) -> Iterator[Document]:
    """Streams all documents of a source from its beginning.

    Raises:
      UserError: the file is damaged, or the data set or its text field is not there.
    """
    if source.kind == "docs":
        yield from _DOCS[source.name]()
    elif source.kind == "tfds":
        yield from _tfds_documents(source, problems)
    else:
        try:
            with open_source(source) as file:
                lines = read_lines(file, source.kind)
                yield from documents_of_lines(lines, source.kind, source.text_field, problems)
        except DAMAGED as error:
            raise UserError(
                f"The input must be readable to its end. Received: {source.name} ({error})"
            ) from None


def _installed_documents() -> Iterator[Document]:
    for paragraphs in installed_documents():
        yield [paragraph.encode("utf-8", "ignore") for paragraph in paragraphs]


_DOCS = {NOVELS: novels.documents, INSTALLED: _installed_documents}


def _tfds_documents(source: Source, problems: Counter) -> Iterator[Document]:
    with extras.needed("tfds"):
        import tensorflow_datasets as tfds  # slow to import, seldom needed

    # "tfds:wiki40b/en:1.3.0:train": what looks like a version belongs to the name.
    match = re.fullmatch(r"tfds:([^:]+(?::\d[\d.*]*)?)(?::(.+))?", source.name)
    name, split = match.groups() if match else (source.name[5:], None)
    try:
        builder = tfds.builder(name)
        features = builder.info.features or {}
        if source.text_field not in features:
            raise UserError(f"it has the fields {', '.join(sorted(features))}")
        builder.download_and_prepare()
        examples = tfds.as_numpy(builder.as_dataset(split=split or "train", shuffle_files=False))
    except Exception as error:  # TFDS raises many kinds, each with a page of advice
        reason = str(error).strip().split("\n")[0]
        raise UserError(
            f"The input must be a data set that TFDS can load, with a field "
            f"{source.text_field!r} (--text_field). Received: {source.name} ({reason})"
        ) from None
    for example in examples:
        text = example[source.text_field]
        if not isinstance(text, bytes):
            raise UserError(
                f"The field {source.text_field!r} (--text_field) must hold text. "
                f"Received: {source.name}, where it holds {type(text).__name__}"
            )
        document = _lines_of_text(text)
        if document:
            yield _valid(document, problems)
        else:
            problems["empty_documents_skipped"] += 1
