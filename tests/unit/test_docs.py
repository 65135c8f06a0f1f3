"""README and docs: links, commands, fields, paths, Python and quoted messages are what there is."""

import ast
import functools
import importlib.util
import pathlib
import re
import shlex

import pytest

import electra_tf
from electra_tf.__main__ import COMMANDS, _module
from electra_tf.config import Config, FinetuneConfig
from electra_tf.config.json_config import RANDOM
from electra_tf.errors import UserError

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "BUILD.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "export" / "tf_serving" / "README.md",
    ROOT / "tests" / "device" / "README.md",
]
OF_PAGES = pytest.mark.parametrize(
    "page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix()
)
MAX_README_LINES = 150
FINETUNING = ("finetune", "tfx_finetune")
# Phrases that read as translated, as regular expressions: what a native writer says is beside them.
BANNED = (
    "all said of",  # what this page says about
    "any bytes have a defined answer",  # every input has an answer
    "as quick as",  # as fast as
    "by other means than",
    "certificates of one's own",  # private certificates
    "fit each other",  # fit together
    "goes on where",  # continues
    "has learnt",  # has learned
    "in bundles neither",  # nor in bundles
    "is told by what",
    "lets go of it",  # releases it
    "others than before",  # differ from before
    "said aloud",  # stated
    "speaks like it",  # has the same protocols
    "stay where guessing is",  # stay at chance
    "takes for replaced",
    "the exception are",  # the exception is
    "told in one line",  # reported in one line
    "was not run here",  # we have not run
    "were not run",
    "nothing was run",
    "who need no password",  # without a password
    "who wants a",  # to …, do …
    r"(?:^|[.:;|] )of an? ",  # "Of a tokenizer the case comes along": a tokenizer brings its case
)
# Bare flags in the text that are other programs'.
OTHER_FLAGS = ("--hparams",)


def text_of(page: pathlib.Path) -> str:
    return page.read_text(encoding="utf-8")


def fences(text: str, language: str = "") -> list[str]:
    """Blocks of code of a language, the shell's being nameless or sh."""
    found = re.findall(r"^ *```(\w*)\n(.*?)^ *```$", text, re.DOTALL | re.MULTILINE)
    return [body for name, body in found if name in ((language,) if language else ("", "sh"))]


def spans(text: str) -> list[str]:
    """Code inside of lines."""
    without = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.DOTALL | re.MULTILINE)
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", without)]


def anchors(page: pathlib.Path) -> set[str]:
    """The names that GitHub gives to headings."""
    titles = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def banned(text: str) -> list[str]:
    """The phrases of BANNED that a text has."""
    text = " ".join(text.lower().split())
    return [phrase for phrase in BANNED if re.search(phrase, text)]


def command_lines(text: str) -> list[list[str]]:
    """Arguments of every `electra_tf COMMAND …` in blocks and spans of code."""
    blocks = "\n".join(fences(text)).replace("\\\n", " ").splitlines()
    code = [part for line in blocks for part in re.split(r"&&|;|\|", line)] + spans(text)
    given = [re.match(r"\s*(?:\w+=\S* )*(?:\S+/)?electra_tf (?=[a-z])(.*)", line) for line in code]
    return [shlex.split(each[1], comments=True) for each in given if each]


def file_of(command: str) -> pathlib.Path:
    return ROOT / f"{_module(COMMANDS[command][0]).replace('.', '/')}.py"


@functools.cache
def flags_of(command: str) -> dict[str, bool]:
    """The flags of a command, and whether each is on or off: read in its file, without a start."""
    found, sources = {}, [file_of(command)]
    for source in sources:  # grows by the files that one takes flags from
        for node in ast.walk(ast.parse(text_of(source))):
            if isinstance(node, ast.ImportFrom) and node.level and not node.module:
                sources += [source.with_name(f"{alias.name}.py") for alias in node.names]
            defines = isinstance(node, ast.Call) and re.match(
                r"(DEFINE|define)_(\w+)", getattr(node.func, "attr", "")
            )
            if defines:
                first = node.args[0]
                if defines[2] == "config":
                    found["config"] = False
                elif isinstance(first, ast.Constant):
                    found[first.value] = defines[2] == "bool"
            elif isinstance(node, ast.DictComp):
                dicts = [each for each in ast.walk(node) if isinstance(each, ast.Dict)]
                found |= {key.value: False for each in dicts for key in each.keys}
    return found


def config_of(command: str) -> type[Config] | type[FinetuneConfig]:
    return FinetuneConfig if command in FINETUNING else Config


def is_placeholder(value: str) -> bool:
    """Whether a value stands for one that the reader has, such as RUN or …."""
    return not value or value.isupper() or "…" in value


def problem_of(arguments: list[str]) -> str | None:
    """What is wrong with a command line, if anything."""
    command, *given = arguments
    command = command.rstrip(".,:")
    if command not in COMMANDS:
        return f"no command {command}"
    known, fields = flags_of(command), {}
    for argument in given:
        name, _, value = argument.lstrip("-").partition("=")
        if not argument.startswith("--") or name in ("help", "…"):
            continue
        if name.startswith("config."):
            fields[name] = value
        elif name not in known and not known.get(name.removeprefix("no")):
            return f"{command} has no flag --{name}"
        elif name == "config" and not is_placeholder(value):
            config, _, kind = value.partition(":")
            if not (ROOT / config).is_file():
                return f"no config {config}"
            if kind and not is_placeholder(kind) and "$" not in kind:
                try:
                    config_of(command).from_file(str(ROOT / config) + f":{kind}")
                except UserError as error:
                    return str(error)
    return next(filter(None, (field_problem(command, *each) for each in fields.items())), None)


def field_problem(command: str, name: str, value: str) -> str | None:
    """Sets a field as the command line does; gives the message of what refuses it."""
    config = config_of(command)()
    if name not in config.flat():
        return f"{command} has no field {name}"
    if is_placeholder(value) or value.startswith(RANDOM) or "$" in value:
        return None
    *path, last = name.split(".")[1:]
    section = getattr(config, path[0]) if path else config
    kind = type(getattr(section, last))
    try:
        setattr(section, last, value == "true" if kind is bool else kind(value))
        config.check_fields()
    except ValueError as error:
        return str(error)
    return None


def templates() -> list[str]:
    """All texts of the library and the Makefile with … for what is filled in."""
    found = [" ".join(re.sub(r'["\\]', "", text_of(ROOT / "Makefile")).split())]
    for folder in ("electra_tf", "pipelines", "export"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(text_of(path))):
                if isinstance(node, ast.JoinedStr):
                    parts = [p.value if isinstance(p, ast.Constant) else "…" for p in node.values]
                    found.append("".join(map(str, parts)))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.append(re.sub(r"%(\.\d)?[sdrf]", "…", node.value))
    return [re.sub("…+", "…", text) for text in found]


@OF_PAGES
def test_links_resolve(page):
    wrong = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if re.match(r"https?:", target):
            continue
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        if not file.exists() or anchor and anchor not in anchors(file):
            wrong.append(target)
    assert not wrong


@OF_PAGES
def test_commands_and_fields_exist(page):
    problems = {" ".join(line): problem_of(line) for line in command_lines(text_of(page))}
    wrong = [f"{line}: {problem}" for line, problem in problems.items() if problem]
    fields = {*Config().flat(), *FinetuneConfig().flat(), "config.json"}
    sections = {name.rpartition(".")[0] for name in fields}
    for span in spans(text_of(page)):
        names = re.findall(r"\bconfig\.[a-z]\w*(?:\.[a-z]\w*)?", span)
        wrong += [f"{span}: no field {name}" for name in names if name not in fields | sections]
    assert not wrong


@OF_PAGES
def test_flags_named_in_the_text_exist(page):
    if page.parts[-2] in ("tf_serving", "device"):
        return  # of the server, of a program of its own
    known = {name: is_bool for command in COMMANDS for name, is_bool in flags_of(command).items()}
    folders = (ROOT / "tests" / "integration", ROOT / "docs" / "examples")
    programs = "\n".join(text_of(path) for folder in folders for path in folder.glob("*.py"))
    wrong = [
        span
        for span in spans(text_of(page))
        for name in re.findall(r"^--(\w[\w-]*)", span)
        if not (name in known or known.get(name.removeprefix("no")) or name in ("config", "help"))
        and f'"--{name}"' not in programs
        and f"--{name}" not in OTHER_FLAGS
    ]
    assert not wrong


@OF_PAGES
def test_make_targets_and_files_exist(page):
    targets = re.findall(r"^([a-z-]+):", text_of(ROOT / "Makefile"), re.MULTILINE)
    folders = ("configs", "docs", "electra_tf", "export", "pipelines", "tests")
    files = "\n".join(f"/{file}\n" for folder in folders for file in (ROOT / folder).rglob("*.*"))
    code = [*"\n".join(fences(text_of(page))).splitlines(), *spans(text_of(page))]
    wrong = []
    for line in code:
        made = re.match(r"make ([a-z -]+)", line)
        if made:
            named = [word for word in made[1].split() if not word.startswith("-")]
            wrong += [f"make {word}" for word in named if word not in targets]
        for path in re.findall(r"(?:^|[\s/])((?:[\w.]+/)+\w+\.(?:py|md|yaml|sh|svg))\b", line):
            wrong += [path] if f"/{path}\n" not in files else []
    assert not wrong


@OF_PAGES
def test_python_is_valid_and_names_exist(page):
    for code in fences(text_of(page), "python"):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "electra_tf":
                assert node.attr in electra_tf.__all__
            if isinstance(node, ast.ImportFrom) and node.module.startswith("electra_tf"):
                assert importlib.util.find_spec(node.module)


@OF_PAGES
def test_english_is_not_translated(page):
    assert not banned(text_of(page))


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_not_translated(command):
    constants = [
        node.value
        for node in ast.walk(ast.parse(text_of(file_of(command))))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert not banned("\n".join(constants))


def test_quoted_messages_are_those_of_the_code():
    page = text_of(ROOT / "docs" / "troubleshooting.md")
    first_cells = re.findall(r"^\| (.+?) \|", page, re.MULTILINE)
    messages = [span for cell in first_cells for span in spans(cell) if span.count(" ") > 2]
    assert len(messages) > 30
    known = templates()
    unknown = [each for each in messages if not any(each in template for template in known)]
    assert not unknown


def test_readme_is_short_and_names_every_page():
    readme = text_of(ROOT / "README.md")
    assert len(readme.splitlines()) <= MAX_README_LINES
    missing = [page.name for page in (ROOT / "docs").glob("*.md") if page.name not in readme]
    assert not missing
