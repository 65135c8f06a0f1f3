"""export/launch/Dockerfile, read and not built: its targets, users, sources and pins."""

import re
import shlex

import pytest

from electra_tf.__main__ import COMMANDS
from tests.conftest import ROOT

DOCKERFILE = ROOT / "export" / "launch" / "Dockerfile"
INSTRUCTIONS = {"FROM", "ENV", "WORKDIR", "COPY", "RUN", "USER", "ENTRYPOINT", "CMD"}
TARGETS = ("cpu", "gpu", "tfx")


def stages() -> dict[str, list[tuple[str, str]]]:
    """Instructions and their arguments, by target; FROM is the first of each."""
    lines = DOCKERFILE.read_text().splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    found: dict[str, list[tuple[str, str]]] = {}
    for line in filter(None, text.replace("\\\n", " ").splitlines()):
        name, _, rest = line.partition(" ")
        assert name in INSTRUCTIONS, line
        if name == "FROM":
            target = rest.split(" AS ")[1]
            assert target not in found, f"{target} twice"
            found[target] = []
        found[target].append((name, rest))
    return found


def whole(target: str) -> list[tuple[str, str]]:
    """The instructions of a target and of those below it, the lowest first."""
    own = stages()[target]
    base = own[0][1].split()[0]
    return [*(whole(base) if base in stages() else []), *own]


def commands(target: str) -> list[list[str]]:
    """The shell commands of a target itself."""
    runs = [rest for name, rest in stages()[target] if name == "RUN"]
    return [shlex.split(each) for run in runs for each in run.split("&&")]


def test_there_is_one_stage_per_target_on_one_pinned_image():
    assert tuple(stages()) == TARGETS
    bases = {target: stages()[target][0][1].split()[0] for target in TARGETS}
    assert bases["gpu"] == bases["tfx"] == "cpu"
    # The Python of the pins, a patch of it, and a Debian that does not change.
    assert re.fullmatch(r"python:3\.11\.\d+-slim-bookworm", bases["cpu"])


@pytest.mark.parametrize("target", TARGETS)
def test_programs_do_not_run_as_root(target):
    users = [rest for name, rest in whole(target) if name == "USER"]
    assert users[-1] == "electra"
    created = [each for each in commands("cpu") if each[0] == "useradd"]
    assert created == [["useradd", "--create-home", "--uid", "1000", "electra"]]


def test_everything_that_is_copied_exists_and_is_sent():
    sent = (ROOT / ".dockerignore").read_text().splitlines()
    copied = [rest.split()[:-1] for name, rest in whole("cpu") if name == "COPY"]
    names = {name for each in copied for name in each}
    assert all((ROOT / name).exists() for name in names)
    assert {line[1:] for line in sent if line.startswith("!")} == names
    assert "*" in sent
    # setup.py takes its folders from these; without one the package is incomplete.
    assert {"configs", "electra_tf", "export", "pipelines", "setup.py", "LICENSE"} <= names


@pytest.mark.parametrize("target", TARGETS)
def test_packages_are_pinned(target):
    installs = [each[2:] for each in commands(target) if each[:2] == ["pip", "install"]]
    assert installs
    for options in installs:
        assert "--no-cache-dir" in options
        if "-c" in options:  # CUDA's libraries, which no file pins
            assert options[-1] == "tensorflow[and-cuda]"
            assert options[options.index("-c") + 1].endswith("requirements/runtime.txt")
            continue
        assert "--no-deps" in options
        file = options[options.index("-r") + 1] if "-r" in options else None
        if file is None:
            assert options[-1] == "."
        elif file != "installers.txt":
            assert (ROOT / file).is_file()


@pytest.mark.parametrize("target", TARGETS)
def test_the_installers_are_among_the_pins(target):
    for command in commands(target):
        if command[0] == "grep":
            names = re.findall(r"[\w-]+(?=[|)=])", command[2])
            pins = (ROOT / command[3]).read_text()
            assert names and all(f"\n{name}==" in pins for name in names)


def test_the_tfx_image_has_what_its_pins_include():
    assert "-r dev.txt" in (ROOT / "requirements" / "tfx.txt").read_text()
    assert "-r runtime.txt" in (ROOT / "requirements" / "dev.txt").read_text()


def test_the_program_and_the_worker_script_are_there():
    assert ("ENTRYPOINT", '["electra_tf"]') in whole("tfx")
    (script,) = [each for each in commands("cpu") if each[0] == "install"]
    assert (ROOT / script[3]).is_file() and script[4] == "/usr/local/bin/electra_tf_worker"
    manifest = (ROOT / "export" / "launch" / "jobset.yaml").read_text()
    assert script[4] in manifest
    shown = re.findall(r"electra_tf:\w+ (\w+) ", DOCKERFILE.read_text())
    assert shown and set(shown) <= set(COMMANDS)
