"""The wheel, installed beside the environment's packages and used in an empty folder."""

import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import urllib.request

import numpy as np
import pytest

from electra_tf.__main__ import COMMANDS
from tests.integration.tiny_runs import ROOT, TIME_LIMIT

pytestmark = pytest.mark.slow
WORDS = (
    ("the function", "a method", "this class", "the model"),
    ("returns", "reads", "replaces", "describes"),
    ("a list of names", "the shape of the input", "every line", "its own words"),
)


def python(*arguments, **settings) -> str:
    result = subprocess.run(
        [sys.executable, *map(str, arguments)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=TIME_LIMIT,
        **settings,
    )
    return result.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> pathlib.Path:
    """The folder of an environment that has the wheel, and what this one has."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # not the checkout: building writes into it
    source.mkdir()
    for name in ("electra_tf", "pipelines", "export", "configs"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = ["-m", "pip", "--disable-pip-version-check"]
    options = ["--no-deps", "--no-build-isolation", "--no-index"]
    python(*pip, "wheel", *options, "-q", "-w", folder, source)
    environment = folder / "environment"
    python("-m", "venv", "--without-pip", environment)
    (wheel,) = folder.glob("*.whl")
    python(*pip, "--python", environment / "bin" / "python", "install", "-q", *options[::2], wheel)
    (packages,) = environment.glob("lib/python*/site-packages")
    assert sorted(path.name.partition("-")[0] for path in packages.iterdir()) == ["electra_tf"] * 2
    (packages / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return environment


def write_corpus(folder: pathlib.Path) -> None:
    random, lines = np.random.default_rng(0), []
    for _ in range(300):
        for _ in range(int(random.integers(2, 6))):
            lines.append(" ".join(str(random.choice(choices)) for choices in WORDS) + ".")
        lines.append("")
    (folder / "text.txt").write_text("\n".join(lines))
    rows = [f"the model {verb},{verb}" for verb in WORDS[1][:2]] * 20
    for split in ("train", "dev"):
        (folder / f"{split}.csv").write_text("\n".join(["text,label", *rows, ""]))


def test_every_command_works_in_an_empty_folder(installed, tmp_path):
    write_corpus(tmp_path)
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONPATH", "TF_CPP_MIN_LOG_LEVEL")
    }
    settings = {"cwd": tmp_path, "env": environment, "text": True}

    def run(*arguments, program=(installed / "bin" / "electra_tf",)) -> str:
        result = subprocess.run(
            [*program, *arguments], capture_output=True, timeout=TIME_LIMIT, **settings
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    module = (installed / "bin" / "python", "-m", "electra_tf")
    assert run("--help") == run("--help", program=module)
    for command in COMMANDS:
        result = subprocess.run(
            [installed / "bin" / "electra_tf", command, "--help"],
            capture_output=True,
            timeout=TIME_LIMIT,
            **settings,
        )
        assert not result.stderr and "electra_tf " + command in result.stdout, command

    configs = sorted(
        path.relative_to(ROOT / "configs").as_posix()
        for path in (ROOT / "configs").rglob("*.py")
        if path.name != "sizes.py"  # no study of its own
    )
    code = (
        "import sys; from electra_tf.config.experiment import execute\n"
        "for name in sys.argv[1:]: execute(f'configs/{name}').validate()"
    )
    run("-c", code, *configs, program=module[:1])

    run("learn_vocab", "--input=text.txt", "--vocab_size=200", "--output=vocab.txt")
    run(
        "build_dataset",
        "--input=text.txt",
        "--vocab=vocab.txt",
        "--output_dir=shards",
        "--seq_length=16",
        "--eval_fraction=0.05",
        "--num_workers=2",
    )
    run(
        "pretrain",
        "--config=configs/bert_tiny.py",  # which builds on two other ones
        "--config.data.dir=shards",
        "--config.train.num_steps=5",
        "--workdir=masked",
        program=module,
    )
    run(
        "pretrain",
        "--config",
        "configs/quickstart.py",
        "--config.data.dir=shards",
        "--config.model.vocab_size=0",
        "--config.train.num_steps=5",
        "--workdir=run",
    )
    run(
        "finetune",
        "--config=configs/custom.py:classification",
        "--config.init_from=run",
        "--config.data.dir=.",
        "--config.task.max_seq_length=16",
        "--workdir=tuned",
    )
    run("predict", "--model=tuned", "--input=dev.csv", "--output=answers.jsonl")
    assert len((tmp_path / "answers.jsonl").read_text().splitlines()) == 40
    assert "detect_replaced" in run("export", "--model=run", "--output=serving")
    assert "->" in run("show_replaced", "serving/1", "the model reads => the names reads")
    with subprocess.Popen(
        [installed / "bin" / "electra_tf", "playground", "--model=serving/1", "--port=0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **settings,
    ) as playground:
        try:
            line = playground.stdout.readline()
            assert "The playground is at http" in line, playground.stderr.read()
            with urllib.request.urlopen(line.split()[4], timeout=60) as page:
                assert b"<html" in page.read()
        finally:
            playground.kill()


def test_the_package_brings_a_model(installed, tmp_path):
    code = (
        "import electra_tf\n"
        "model = electra_tf.load('pretrained:small-wiki-novels')\n"
        "tokens = model.predict(['The king and the queen lived in a castle near the eat.'])[0]\n"
        "print(max(tokens, key=lambda token: token['replaced_probability'])['token'])"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    printed = subprocess.run(
        [installed / "bin" / "python", "-c", code],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=TIME_LIMIT,
        cwd=tmp_path,
        env=environment,
    ).stdout
    assert printed == "eat\n"


@pytest.mark.parametrize("name", ["launch", "tf_serving"])
def test_deployment_files_are_installed(installed, name):
    folder = next(installed.glob(f"lib/python*/site-packages/electra_tf/commands/export/{name}"))
    ours = {path.name: path.read_bytes() for path in (ROOT / "export" / name).iterdir()}
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == ours


def test_the_novels_are_installed(installed):
    folder = next(installed.glob("lib/python*/site-packages/electra_tf/text/novels"))
    ours = ROOT / "electra_tf" / "text" / "novels"
    there = {path.name: path.read_bytes() for path in ours.iterdir() if path.is_file()}
    assert len(there) == 8
    assert {name: (folder / name).read_bytes() for name in there} == there
