"""The layers of docs/architecture.md: imports only go down, and models know no TensorFlow."""

import ast
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
LAYERS = {
    "durations": 0, "errors": 0, "file_systems": 0, "locks": 0, "pretrained": 0,
    "extras": 1, "files": 1, "first_bytes": 1, "json_files": 1, "keras_backend": 1, "stderr": 1,
    "features": 2, "config": 2,
    "text": 3, "models": 3,
    "data": 4, "objectives": 4,
    "tasks": 5, "train": 5,
    "saved": 6,
    "conversion": 7, "serving": 7, "speed": 7,
    "lab": 8, "probes": 8, "runs": 8,
}  # fmt: skip
TOP = 9
CODE = ("electra_tf", "pipelines", "export", "configs", "tests")
OUTER = ("pipelines", "export")  # entry points and deployment files: the library knows neither
NO_TENSORFLOW = (
    "durations.py",
    "errors.py",
    "files.py",
    "first_bytes.py",
    "json_files.py",
    "locks.py",
    "features.py",
    "config/",
    "models/",
    "objectives/",
    "train/optimizers/",
    "train/peak.py",
    "train/precision.py",
    "train/schedule.py",
)
# What runs on any file system, so by file_systems.py.
ANY_FILE_SYSTEM = (
    "config/directories.py",
    "config/json_config.py",
    "data/dataset.py",
    "data/description.py",
    "json_files.py",
    "runs/evaluation.py",
    "runs/pretraining.py",
    "runs/trials.py",
    "saved/",
    "serving/checking/contents.py",
    "serving/graph",
    "serving/model_card.py",
    "tasks/base.py",
    "tasks/readers/tables.py",
    "tasks/registry.py",
    "tasks/sentence/",
    "tasks/squad/",
    "tasks/tagging/",
    "text/byte_pair_vocabulary.py",
    "text/piece_vocabulary.py",
    "text/tokenization.py",
    "text/vocabulary.py",
    "train/board.py",
    "train/checkpoint.py",
)
LOCAL_CALLS = re.compile(
    r"open|glob\.\w+|shutil\.\w+|os\.(listdir|makedirs|mkdir|remove|rename|replace|scandir|stat|walk)"
    r"|os\.path\.(abspath|exists|isdir|isfile|getmtime|getsize|lexists|normpath|realpath|samefile)"
)
MAX_LINES = {"tests": 500}  # per file; elsewhere DEFAULT_MAX_LINES
DEFAULT_MAX_LINES = 350


def python_files(*folders: str) -> list[pathlib.Path]:
    files = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return [path for path in files if "__pycache__" not in path.parts]


def module_name(path: pathlib.Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_names(tree: ast.AST, module: str, is_package: bool) -> list[tuple[int, str]]:
    """Every import anywhere in the file, inside functions too, as (line, absolute dotted name).

    Those for type checkers alone are none.
    """
    for_types = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
        for child in node.body
    }
    found = []
    for node in ast.walk(tree):
        if node in for_types:
            continue
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".")[: None if is_package else -1]
                package = package[: len(package) - node.level + 1]
                base = ".".join([*package, base] if base else package)
            found += [(node.lineno, f"{base}.{alias.name}") for alias in node.names]
    return found


def unit(name: str) -> tuple[str, int]:
    """The package of electra_tf, or the folder, that a dotted name belongs to, and its layer."""
    first, _, rest = name.partition(".")
    if first != "electra_tf":
        return first, TOP
    second = rest.split(".")[0]
    if second == "__main__":
        return second, TOP
    if not second or second.startswith("__"):
        return "electra_tf", -1  # the package itself: a version number and lazy names
    return second, LAYERS.get(second, TOP)


def may_import(importer: str, imported: str) -> bool:
    """The rule, on two dotted names. Everything outside the project is allowed here."""
    if imported.split(".")[0] not in CODE:
        return True
    (source, source_layer), (target, target_layer) = unit(importer), unit(imported)
    if source == "tests" or source == target:
        return True
    if source == "configs":
        return target in ("config", "errors")
    if target in ("tests", "configs"):
        return source in OUTER and target == "configs"
    if target in OUTER:
        return source in OUTER
    if target == "tfx":
        return source in OUTER  # an optional extra
    if source_layer == TOP:
        return True
    return source != "electra_tf" and target_layer < source_layer


def violations(path: pathlib.Path) -> list[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    module = module_name(path)
    return [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for line, name in imported_names(tree, module, path.name == "__init__.py")
        if not may_import(module, name)
    ]


def tensorflow_uses(tree: ast.AST) -> list[int]:
    """Lines that import TensorFlow or use the name `tf`."""
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    lines = [node.lineno for node in names if node.id == "tf"]
    for line, name in imported_names(tree, "m", False):
        if name.split(".")[0] in ("tensorflow", "tensorflow_text", "tf"):
            lines.append(line)
    return sorted(set(lines))


def test_imports_only_go_down():
    found = [line for path in python_files(*CODE) for line in violations(path)]
    assert not found, "Imports go to a lower layer or stay in their package:\n" + "\n".join(found)


def test_models_and_objectives_are_backend_neutral():
    library = ROOT / "electra_tf"
    found = []
    for path in python_files("electra_tf"):
        if path.relative_to(library).as_posix().startswith(NO_TENSORFLOW):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            found += [f"{path.relative_to(ROOT)}:{line}" for line in tensorflow_uses(tree)]
    assert not found, "These files do without TensorFlow:\n" + "\n".join(found)


def test_what_runs_on_any_file_system_leaves_paths_to_one_module():
    found, seen = [], 0
    for path in python_files("electra_tf"):
        if path.relative_to(ROOT / "electra_tf").as_posix().startswith(ANY_FILE_SYSTEM):
            seen += 1
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Attribute | ast.Name) and LOCAL_CALLS.fullmatch(
                    ast.unparse(node)
                ):
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno} {ast.unparse(node)}")
    assert seen > len(ANY_FILE_SYSTEM)
    assert not found, "These files use file_systems instead:\n" + "\n".join(found)


def test_files_are_small_and_have_a_subject():
    files = [*python_files(*CODE), *ROOT.glob("*.py")]
    assert len(files) > 5
    long = {
        str(path.relative_to(ROOT)): lines
        for path in files
        if (lines := len(path.read_text(encoding="utf-8").splitlines()))
        > MAX_LINES.get(path.relative_to(ROOT).parts[0], DEFAULT_MAX_LINES)
    }
    assert not long, f"A file has at most {DEFAULT_MAX_LINES} lines. Received: {long}"
    unnamed = [str(path.relative_to(ROOT)) for path in files if path.name == "utils.py"]
    assert not unnamed, f"A file is named after its subject, not utils.py. Received: {unnamed}"


@pytest.mark.parametrize(
    ("importer", "imported", "allowed"),
    [
        ("electra_tf.models.encoder", "electra_tf.config.ModelConfig", True),
        ("electra_tf.models.encoder", "electra_tf.models.layers", True),
        ("electra_tf.models.encoder", "electra_tf.text.wordpiece", False),
        ("electra_tf.text.corpus", "electra_tf.models", False),
        ("electra_tf.config", "electra_tf.models.layers", False),
        ("electra_tf.objectives.electra", "electra_tf.models.electra", True),
        ("electra_tf.train.loop", "electra_tf.tasks.pretraining", False),
        ("electra_tf.serving.graph", "electra_tf.train.checkpoint", True),
        ("electra_tf.serving.graph", "electra_tf.runs.pretraining", False),
        ("electra_tf.commands.pretrain", "electra_tf.train.loop", True),
        ("electra_tf.commands.pretrain", "electra_tf.tfx.component", False),
        ("electra_tf.commands.pretrain", "export.savedmodel", False),
        ("electra_tf", "electra_tf.text.wordpiece", False),
        ("electra_tf.train.loop", "electra_tf.__version__", True),
        ("pipelines.quickstart", "electra_tf.runs.quickstart", True),
        ("pipelines.tfx_local", "electra_tf.tfx.component", True),
        ("configs.electra_small", "electra_tf.config", True),
        ("configs.electra_small", "electra_tf.train.loop", False),
        ("electra_tf.train.loop", "numpy", True),
    ],
)
def test_the_rule_itself(importer, imported, allowed):
    assert may_import(importer, imported) is allowed


def test_imports_are_found_in_functions_and_relative():
    lines = ["def f():", " from ..train import loop", " import tensorflow as tf", " tf.constant(1)"]
    tree = ast.parse("\n".join(lines))
    names = imported_names(tree, "electra_tf.models.encoder", is_package=False)
    assert names == [(2, "electra_tf.train.loop"), (3, "tensorflow")]
    assert tensorflow_uses(tree) == [3, 4]


def test_flags_of_paths_expand_the_home_directory():
    for path in python_files("pipelines", "export", "electra_tf/commands"):
        names = re.findall(r"flags\.DEFINE_string\(\s*\"(\w+)\"", path.read_text(encoding="utf-8"))
        of_paths = [name for name in names if re.search(r"(^|_)(file|dir|workdir|output)$", name)]
        assert not of_paths, f"command.define_path is for paths. Received: {of_paths} in {path}"
