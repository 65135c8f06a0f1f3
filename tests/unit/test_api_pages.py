"""`make docs`: pdoc renders the public API without warnings, and all of it is described."""

import html
import importlib.util
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPT = ROOT / ".ci" / "api_pages.py"

pytestmark = pytest.mark.skipif(not importlib.util.find_spec("pdoc"), reason="needs pdoc")


def run(*command: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, cwd=ROOT)


def test_public_api_renders_and_is_described(tmp_path):
    done = run(str(SCRIPT), str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    names = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.html")}
    assert {"index.html", "electra_tf.html", "electra_tf/objectives/objective.html"} <= names
    exports = (tmp_path / "electra_tf.html").read_text(encoding="utf-8")
    for name in ("load", "pretrain", "finetune", "export", "Tokenizer", "UserError"):
        assert f'id="{name}"' in exports
    sections = (tmp_path / "electra_tf" / "config.html").read_text(encoding="utf-8")
    text = html.unescape(re.sub("<[^>]*>", "", sections))
    assert "share of an example's tokens that is masked\n\n0 < mask_fraction ≤ 1\n" in text


def test_what_is_not_described_is_an_error(tmp_path):
    (tmp_path / "silent_api.py").write_text(
        '"""A module."""\n\n\nclass Said:\n    """Said."""\n\n    def unsaid(self):\n        pass\n'
        '\n\ndef warned(value: "Unknown"):  # noqa: F821\n    """Said."""\n'
    )
    code = (
        "import sys; sys.path[:0] = sys.argv[1:]; import api_pages; "
        "api_pages.MODULES = ('silent_api',); del sys.argv[1]; api_pages.main()"
    )
    done = run("-c", code, str(SCRIPT.parent), str(tmp_path))
    assert done.returncode == 1
    assert "Received: silent_api.Said.unsaid" in done.stderr
    assert "Unknown" in done.stderr
