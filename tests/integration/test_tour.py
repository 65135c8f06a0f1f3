"""docs/tour.ipynb: its code runs in order, its stored outputs are of this code and of no machine.

    ELECTRA_TF_UPDATE_GOLDEN=1 .venv/bin/python -m pytest tests/integration/test_tour.py

stores the outputs anew.
"""

import ast
import base64
import contextlib
import io
import json
import os
import pathlib
import pprint
import re
import sys

import pytest

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"
NOTEBOOK = DOCS / "tour.ipynb"
UPDATE = bool(os.environ.get("ELECTRA_TF_UPDATE_GOLDEN"))


def notebook() -> dict:
    return json.loads(NOTEBOOK.read_text(encoding="utf-8"))


def code_cells(content: dict) -> list[dict]:
    return [cell for cell in content["cells"] if cell["cell_type"] == "code"]


def source_of(cell: dict) -> str:
    return "".join(cell["source"])


def execute(source: str, namespace: dict) -> list[dict]:
    """Runs a cell; returns its outputs in the form of a notebook's file."""
    *statements, last = ast.parse(source).body
    value, outputs = None, []
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        if not isinstance(last, ast.Expr):
            statements.append(last)
        exec(compile(ast.Module(statements, []), "<cell>", "exec"), namespace)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), "<cell>", "eval"), namespace)
    if printed.getvalue():
        text = printed.getvalue().splitlines(keepends=True)
        outputs.append({"name": "stdout", "output_type": "stream", "text": text})
    if value is not None:
        text = pprint.pformat(value, width=100, sort_dicts=False).splitlines(keepends=True)
        result = {"data": {"text/plain": text}, "metadata": {}, "output_type": "execute_result"}
        outputs.append(result | {"execution_count": None})
    return outputs + figures()


def figures() -> list[dict]:
    """What matplotlib has drawn, as a notebook shows it at the end of a cell."""
    pyplot, outputs = sys.modules.get("matplotlib.pyplot"), []
    for number in pyplot.get_fignums() if pyplot else ():
        drawn, picture = pyplot.figure(number), io.BytesIO()
        drawn.savefig(picture, format="png", dpi=60, metadata={"Software": None})
        data = {
            "image/png": base64.b64encode(picture.getvalue()).decode(),
            "text/plain": [repr(drawn)],
        }
        outputs.append({"data": data, "metadata": {}, "output_type": "display_data"})
        pyplot.close(drawn)
    return outputs


def kinds(outputs: list[dict]) -> list[str]:
    return [output["output_type"] for output in outputs]


@pytest.mark.slow
def test_cells_run_in_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    content, namespace = notebook(), {"__name__": "__main__"}
    for number, cell in enumerate(code_cells(content), start=1):
        outputs = execute(source_of(cell), namespace)
        if UPDATE:
            cell["execution_count"], cell["outputs"] = number, outputs
            for output in outputs:
                output.update(execution_count=number) if "execution_count" in output else None
        assert kinds(cell["outputs"]) == kinds(outputs), source_of(cell)
    if UPDATE:
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        NOTEBOOK.write_text(text, encoding="utf-8")
    assert [path.name for path in tmp_path.iterdir()] == ["tour"]
    # What the text says of the outputs.
    [tokens] = namespace["model"].predict(["Every day the fish the in the lake."])
    assert [each["token"] for each in tokens if each["replaced_probability"] > 0.5] == ["the"]
    [ranking] = namespace["model"].rank(
        [["The wild owl glides in the sky.", "The wild owl the in the sky."]]
    )
    assert ranking["best"] == 0
    assert namespace["results"]["median"]["dev"]["accuracy"] > 0.6  # of three homes


def test_outputs_are_stored_and_name_no_machine():
    cells = code_cells(notebook())
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert sum(bool(cell["outputs"]) for cell in cells) >= 10
    pictures = [
        output["data"].pop("image/png")
        for cell in cells
        for output in cell["outputs"]
        if output["output_type"] == "display_data"
    ]
    assert [base64.b64decode(each)[:4] for each in pictures] == [b"\x89PNG"]
    outputs = json.dumps([cell["outputs"] for cell in cells])
    assert not re.findall(r"(?<![\w.<])/[a-z]\w*|site-packages|0x[0-9a-f]{6}", outputs)


def test_links_lead_to_pages_and_code_to_its_folder():
    for cell in notebook()["cells"]:
        if cell["cell_type"] == "code":
            assert not re.search(r"""["']/""", source_of(cell))
        else:
            for target in re.findall(r"\]\(([^)#]+)", source_of(cell)):
                assert (DOCS / target).is_file()
