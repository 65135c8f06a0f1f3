"""English prose from the Python packages installed here: `docs:installed` as a corpus.

A corpus that is there on every machine, without a download: docstrings, longer comments,
documentation files and package descriptions. One document per file, in sorted order; paragraphs
that occur again (in the same package or another) are dropped, as are code, tables of parameters
and licence texts.
"""

import ast
import hashlib
import inspect
import os
import re
import sysconfig
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator

MIN_PARAGRAPH_CHARACTERS = 60
_MIN_WORDS = 9
_MIN_LETTERS_AND_SPACES = 0.9
_MIN_COMMON_WORDS = 0.2
_COMMON_WORDS = frozenset(
    "a about all also an and any are as at be been but by can do does each for from has have if in "
    "into is it its may more must not of on one only or other same should so such than that the "
    "their them then there these they this to use used using value was we when where which will "
    "with would you your".split()
)
_BOILERPLATE = re.compile(
    r"copyright|licen[cs]|warrant(y|ies)|redistribut|merchantab|auto-?generated|do not edit|"
    r"all rights reserved|this (module|op|file) (is|was) (generated|produced)",
    re.IGNORECASE,
)
_CODE = re.compile(
    r"^(>>>|\.\.\.|\$ |@\w|[-+|=~^#*]{3,}|\||\+-|\.\. |:\w[\w ]*:|import |from \w+ import )"
)
# Sections of Google and NumPy docstrings whose entries are tables or code.
_TABLE_HEADING = re.compile(
    r"^(Args?|Arguments|(Other |Keyword )?Parameters|Keyword [Aa]rg(ument)?s|Kwargs|Returns?|"
    r"Raises?|Yields?|Attributes|Methods|Examples?|Usage( [Ee]xamples?)?|See [Aa]lso|References|"
    r"Input shape|Output shape|Properties|Call arguments|Inputs?|Outputs?)\s*:?\s*$"
)
_COMMENT_BLOCK = re.compile(rb"(?:^[ \t]*#.*\n){2,}", re.MULTILINE)
_UNDERLINE = re.compile(r"^([-=~^\"'#*+])\1{2,}$")
_ROLE = re.compile(r":[a-z:]+:`~?([^`<]*)(?:<[^`]*>)?`")
_LINK = re.compile(r"`([^`<]+?)\s*<[^`>]*>`_+|!?\[([^\]]*)\]\([^)]*\)")
_MARKUP = re.compile(r"`{1,2}([^`]*)`{1,2}_*|\*\*([^*]+)\*\*|(?<!\w)\*([^*\s][^*]*)\*")
_NOT_PROSE_FOLDERS = frozenset({"tests", "test", "testing", "__pycache__", "node_modules"})


def installed_documents(
    counts: Counter | None = None, root: str | None = None
) -> Iterator[list[str]]:
    """Yields each file's prose as a list of paragraphs.

    Args:
      counts: gains `files`, `paragraphs_kept`, `paragraphs_repeated`.
      root: folder of installed packages; None means the running environment's site-packages.
    """
    counts = Counter() if counts is None else counts
    seen: set[bytes] = set()
    for path in _documentation_files(root or sysconfig.get_paths()["purelib"]):
        counts["files"] += 1
        document = []
        for paragraph in _file_paragraphs(path):
            key = hashlib.blake2b(paragraph.encode(), digest_size=8).digest()
            if key in seen:
                counts["paragraphs_repeated"] += 1
                continue
            seen.add(key)
            document.append(paragraph)
        if document:
            counts["paragraphs_kept"] += len(document)
            yield document


def _documentation_files(root: str) -> Iterator[str]:
    """Files that may hold prose, in an order that depends on their names only."""
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = sorted(set(subfolders) - _NOT_PROSE_FOLDERS)
        for name in sorted(names):
            is_description = name == "METADATA" and folder.endswith(".dist-info")
            if name.endswith((".py", ".rst", ".md")) or is_description:
                yield os.path.join(folder, name)


def _file_paragraphs(path: str) -> Iterator[str]:
    try:
        with open(path, "rb") as file:
            source = file.read()
    except OSError:
        return
    if not path.endswith(".py"):
        text = source.decode("utf-8", "ignore").replace("\r\n", "\n")
        if path.endswith("METADATA"):
            text = text.partition("\n\n")[2]  # after the header fields
        yield from prose_paragraphs(text)
        return
    if b'"""' in source or b"'''" in source:  # parsing the others would double the time
        for docstring in _docstrings(_statements(source)):
            yield from prose_paragraphs(inspect.cleandoc(docstring))
    for block in _COMMENT_BLOCK.findall(source):
        lines = block.decode("utf-8", "ignore").split("\n")
        text = "\n".join(line.strip().lstrip("#").removeprefix(" ") for line in lines)
        yield from prose_paragraphs(text)


def _statements(source: bytes) -> list[ast.stmt]:
    """The statements of a module; none if this Python cannot parse it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def _docstrings(body: list[ast.stmt]) -> Iterator[str]:
    """The docstrings of a body of statements and of the definitions directly below it."""
    first = body[0] if body else None
    value = getattr(first.value, "value", None) if isinstance(first, ast.Expr) else None
    if isinstance(value, str):
        yield value
    for statement in body:
        if isinstance(statement, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _docstrings(statement.body)


def prose_paragraphs(text: str) -> Iterator[str]:
    """Yields the paragraphs of a documentation text that read as English sentences.

    Args:
      text: reStructuredText, Markdown or a docstring, without common indentation.
    """
    for lines in _prose_blocks(text.expandtabs().split("\n")):
        paragraph = " ".join(" ".join(lines).split())
        paragraph = _ROLE.sub(r"\1", paragraph)
        paragraph = _LINK.sub(_first_group, paragraph)
        paragraph = _MARKUP.sub(_first_group, paragraph).removeprefix("- ").removeprefix("* ")
        if _is_prose(paragraph):
            yield paragraph


def _first_group(match: re.Match) -> str:
    return next((group for group in match.groups() if group is not None), "")


def _prose_blocks(lines: Iterable[str]) -> Iterator[list[str]]:
    """Cuts text into blocks at blank lines and list items, without code and tables."""
    block: list[str] = []
    fenced = False
    # Lines indented deeper than this belong to a code block or to a table; None: outside of one.
    skip_deeper_than: int | None = None
    in_numpy_table = False
    previous = ""
    for line in lines:
        stripped = line.strip()
        indent = len(line) - len(line.lstrip())
        if stripped.startswith("```"):
            fenced = not fenced
        if fenced or stripped.startswith("```"):
            previous = ""
            continue
        if _UNDERLINE.match(stripped):
            # The line before it was a heading; NumPy tables run to the next heading.
            in_numpy_table = bool(_TABLE_HEADING.match(previous))
            skip_deeper_than, block, previous = None, [], ""
            continue
        if not stripped:
            if block:
                yield block
            block = []
            continue
        if skip_deeper_than is not None and indent > skip_deeper_than:
            continue
        skip_deeper_than = None
        is_item = stripped.startswith(("- ", "* ")) or re.match(r"\d+[.)] ", stripped)
        if is_item and block:
            yield block
            block = []
        if _TABLE_HEADING.match(stripped) or stripped.endswith("::") or _CODE.match(stripped):
            skip_deeper_than = indent
            if block:
                yield block
            block = []
        elif not in_numpy_table:
            block.append(stripped)
        previous = stripped
    if block:
        yield block


def _is_prose(paragraph: str) -> bool:
    """Whether a paragraph on one line is English sentences that are worth learning from."""
    if len(paragraph) < MIN_PARAGRAPH_CHARACTERS or not paragraph.endswith((".", "!", "?", ":")):
        return False
    words = paragraph.lower().split()
    plain = sum(map(str.isalpha, paragraph)) + len(words) - 1
    common = sum(word.strip(".,;:()'\"") in _COMMON_WORDS for word in words)
    return (
        len(words) >= _MIN_WORDS
        and plain >= _MIN_LETTERS_AND_SPACES * len(paragraph)
        and common >= _MIN_COMMON_WORDS * len(words)
        and not _BOILERPLATE.search(paragraph)
    )
