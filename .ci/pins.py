"""Renews requirements/{runtime,dev,jax,interop}.txt: `make pins`.

pip resolves the ranges of setup.py without installing anything; the versions it picks become the
pins. Run it with a pip of version 23 or later, from the root of the checkout:

    python .ci/pins.py [--constraints=FILE]
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys
import tempfile

# The tools that install the rest. They are pinned so that every machine installs alike.
INSTALLERS = ["pip", "setuptools", "wheel"]
BUILDERS = ["setuptools-scm<9"]  # seqeval has no wheel, and takes its version from this
# What `KERAS_BACKEND=jax electra_tf benchmark` and its tests need; no TensorFlow.
JAX = ["jax>=0.10,<0.11", "keras", "numpy", "absl-py", "ml_collections", "tqdm", "pytest"]
# What the tests of conversion to and from Hugging Face run in the other environment; no TensorFlow.
# torch is held to one version: indexes differ in which versions have a build for CPUs alone.
INTEROP = [
    "transformers>=5,<6",
    "torch==2.13.0",
    "safetensors",
    "tokenizers",
    "numpy",
    "pytest",
    "onnx>=1.17,<2",
    "onnxruntime>=1.20,<2",
]

HEADER = """\
# {what}
# Resolved from setup.py for CPython 3.11 on Linux x86-64. Renewed by `make pins`, not by hand.
# Installed with `pip install --no-deps -r {file}`: the list is complete.
"""
WHAT = {
    "requirements/runtime.txt": "The runtime of electra_tf: every package, with its version.",
    "requirements/dev.txt": "The runtime, plus what tests, lint and pages of the API need.",
    "requirements/jax.txt": "A second environment, without TensorFlow: the same models on Keras's "
    "JAX backend.",
    "requirements/interop.txt": "A third environment, without TensorFlow: Hugging Face's "
    "transformers on PyTorch.",
}


def resolve(requirements: list[str], constraints: list[pathlib.Path]) -> dict[str, str]:
    """Asks pip which versions it would install. Returns normalised name -> version."""
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder) / "report.json"
        command = [sys.executable, "-m", "pip", "install", "-qq", "--dry-run", "--ignore-installed"]
        command += ["--report", str(report)]
        for path in constraints:
            command += ["-c", str(path)]
        subprocess.run(command + requirements, check=True)
        chosen = json.loads(report.read_text(encoding="utf-8"))["install"]
    pins = {
        re.sub(r"[-_.]+", "-", item["metadata"]["name"]).lower(): item["metadata"]["version"]
        for item in chosen
    }
    # Which build of a version an index has, such as 2.13.0+cpu, is the index's affair.
    pins = {name: version.split("+")[0] for name, version in pins.items()}
    pins.pop("electra-tf", None)
    return pins


def write(file: str, pins: dict[str, str], include: str = "") -> None:
    text = HEADER.format(what=WHAT[file], file=file)
    text += f"-r {include}\n" if include else ""
    text += "".join(f"{name}=={version}\n" for name, version in sorted(pins.items()))
    pathlib.Path(file).write_text(text, encoding="utf-8")
    print(f"{file}: {len(pins)} pins")


def main() -> None:
    parser = argparse.ArgumentParser(description="Renews the pinned requirements files.")
    parser.add_argument("--constraints", type=pathlib.Path, help="versions to stay with")
    given = parser.parse_args().constraints
    constraints = [given] if given else []

    runtime = resolve([".[all]", *INSTALLERS], constraints)
    dev = resolve([".[all,dev]", *BUILDERS, *INSTALLERS], constraints + pins_file(runtime))
    jax = resolve(JAX + INSTALLERS, pins_file(dev))
    interop = resolve(INTEROP + INSTALLERS, pins_file(dev))
    write("requirements/runtime.txt", runtime)
    write(
        "requirements/dev.txt",
        {name: version for name, version in dev.items() if name not in runtime},
        include="runtime.txt",
    )
    write("requirements/jax.txt", jax)
    write("requirements/interop.txt", interop)


def pins_file(pins: dict[str, str]) -> list[pathlib.Path]:
    """The pins as a constraints file, so that a later resolution agrees with an earlier one."""
    path = pathlib.Path(tempfile.mkstemp(prefix="electra_tf_pins_", suffix=".txt")[1])
    path.write_text("".join(f"{n}=={v}\n" for n, v in pins.items()), encoding="utf-8")
    return [path]


if __name__ == "__main__":
    main()
