"""Writes the pages of the public Python API from its docstrings, as HTML: `make docs`.

    python .ci/api_pages.py FOLDER

A warning of pdoc is an error, and so is a public name without a docstring. The fields of a config
are documented by the comments beside them and by what they may be.
"""

import argparse
import ast
import dataclasses
import importlib
import inspect
import pathlib
import re
import sys
import textwrap
import warnings
from collections.abc import Iterator
from typing import Any

import pdoc.doc
import pdoc.render

import electra_tf

# What electra_tf exports, and the seams at which it is extended: see docs/CONTRIBUTING.md.
MODULES = (
    "electra_tf",
    "electra_tf.config",
    "electra_tf.features",
    "electra_tf.objectives",
    "electra_tf.objectives.additions.addition",
    "electra_tf.objectives.objective",
    "electra_tf.runs.loaded",
    "electra_tf.serving.bundle",
    "electra_tf.tasks.base",
    "electra_tf.tasks.registry",
    "electra_tf.text.tokenization",
    "electra_tf.text.tokenizer",
    "electra_tf.text.vocabulary",
    "electra_tf.text.wordpiece",
    "electra_tf.train.optimizers",
    "electra_tf.train.task",
)


def import_all() -> None:
    """Imports the modules, and what they load on first use."""
    for name in MODULES:
        module = importlib.import_module(name)
        for lazy in getattr(module, "__all__", ()):  # pdoc looks into __dict__ alone
            vars(module)[lazy] = getattr(module, lazy)


def load() -> dict[str, pdoc.doc.Module]:
    """The modules as pdoc knows them, by name."""
    modules = {name: pdoc.doc.Module.from_name(name) for name in MODULES}
    for module in modules.values():
        for each in [module, *module.flattened_own_members]:
            if isinstance(each, pdoc.doc.Namespace):
                describe_variables(each)
    return modules


def describe_variables(described: pdoc.doc.Namespace) -> None:
    """Gives constants, and the fields of dataclasses, what is said beside them as docstrings."""
    comments = comments_of(described.obj)
    fields = {}
    if dataclasses.is_dataclass(described.obj):
        fields = {field.name: field for field in dataclasses.fields(described.obj)}
    for member in described.own_members:
        if isinstance(member, pdoc.doc.Variable) and not member.docstring:
            field = fields.get(member.name)
            parts = [comments.get(member.name, ""), values_of(field) if field else ""]
            value = described.obj.__dict__.get(member.name)
            if isinstance(value, type):  # a class by another name
                parts = [f"`{value.__module__}.{value.__qualname__}`"]
            member.docstring = "\n\n".join(part for part in parts if part)


def comments_of(namespace: Any) -> dict[str, str]:
    """Comments above and beside the variables that a class or module itself defines, by name."""
    source = textwrap.dedent(inspect.getsource(namespace))
    lines, tree = source.splitlines(), ast.parse(source)
    found = {}
    for node in tree.body[0].body if isinstance(namespace, type) else tree.body:
        target = {ast.AnnAssign: "target", ast.Assign: "targets"}.get(type(node))
        target = getattr(node, target) if target else None
        target = target[0] if isinstance(target, list) else target
        if isinstance(target, ast.Name):
            first = node.lineno - 1
            while first and lines[first - 1].strip().startswith("#"):
                first -= 1
            comments = lines[first : node.lineno - 1]
            comments += [lines[node.end_lineno - 1].encode()[node.end_col_offset :].decode()]
            found[target.id] = " ".join(line.strip().lstrip("# ") for line in comments).strip()
    return found


def values_of(field: dataclasses.Field) -> str:
    """What a field of a config may be, in words."""
    if dataclasses.is_dataclass(field.type):
        return inspect.cleandoc(field.type.__doc__ or "").splitlines()[0]
    if "allowed" in field.metadata:
        return "One of " + ", ".join(f"`{each}`" for each in field.metadata["allowed"]) + "."
    if "range" in field.metadata:
        low, high, (low_too, high_too) = field.metadata["range"]
        signs = "≤" if low_too else "<", "≤" if high_too else "<"
        low, high = (f"{end:,}" if isinstance(end, int) else f"{end:g}" for end in (low, high))
        return f"{low} {signs[0]} `{field.name}` {signs[1]} {high}"
    return ""


def undocumented(modules: dict[str, pdoc.doc.Module]) -> Iterator[str]:
    """Full names of what is public and not described."""
    for module in modules.values():
        for outer in [module, *module.flattened_own_members]:
            if isinstance(outer, pdoc.doc.Namespace) and not is_private(outer):
                described = attributes_of(outer)
                for each in outer.own_members:
                    silent = not (each.docstring or each.name in described or is_private(each))
                    if silent and not is_its_own_name(each):
                        yield each.fullname


def is_private(member: pdoc.doc.Doc) -> bool:
    """Whether a name is no part of the interface, or is described with its class."""
    return any(part.startswith("_") for part in member.qualname.split("."))


def is_its_own_name(member: pdoc.doc.Doc) -> bool:
    """Whether this is a name for a key of a dict, such as INPUT_IDS = "input_ids"."""
    value = member.default_value if isinstance(member, pdoc.doc.Variable) else None
    return value == member.name.lower()


def attributes_of(outer: pdoc.doc.Namespace) -> set[str]:
    """The names that a class describes under "Attributes:", or as arguments that it keeps."""
    kinds = outer.obj.__mro__ if isinstance(outer.obj, type) else ()
    names: set[str] = set()
    for kind in kinds:
        text = inspect.cleandoc(kind.__doc__ or "")
        sections = re.findall(r"^(?:Args|Attributes):\n((?:(?: .*)?(?:\n|$))+)", text, re.MULTILINE)
        for listed in re.findall(r"^ +(\w[\w, ]*):", "\n".join(sections), re.MULTILINE):
            names |= set(listed.split(", "))
    return names


def write(modules: dict[str, pdoc.doc.Module], folder: pathlib.Path) -> None:
    """Writes a page for each module, an index and what searching needs."""
    pdoc.render.configure(
        docformat="google", show_source=False, footer_text=f"electra_tf {electra_tf.__version__}"
    )
    pages = {
        f"{name.replace('.', '/')}.html": pdoc.render.html_module(module, modules)
        for name, module in modules.items()
    }
    pages["index.html"] = pdoc.render.html_index(modules)
    pages["search.js"] = pdoc.render.search_index(modules)
    for name, text in pages.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Writes the pages of the public API.")
    parser.add_argument("folder", type=pathlib.Path)
    folder = parser.parse_args().folder
    import_all()  # here, because TensorFlow's own warnings are not ours
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        modules = load()
        silent = list(undocumented(modules))
        write(modules, folder)
    wrong = [f"A public name must have a docstring. Received: {name}" for name in silent]
    wrong += [str(each.message) for each in caught if "pdoc" in each.filename]
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"{len(modules)} modules in {folder / 'index.html'}")


if __name__ == "__main__":
    main()
