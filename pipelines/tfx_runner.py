"""Where a TFX pipeline runs: the flags that both command lines share, and what they do."""

import os
from typing import Any

from absl import flags

from electra_tf import command

_ROOT = flags.DEFINE_string(
    "root", None, "Directory (or gs:// bucket) of what the pipeline writes: pipeline/COMPONENT/… "
    "and, for local runs, metadata.sqlite.")
_RUNNER = flags.DEFINE_enum(
    "runner", "local", ["local", "kubeflow", "vertex"],
    "local: run it here. kubeflow, vertex: write the specification to --output.")
_BEAM_ARGS = flags.DEFINE_multi_string(
    "beam_args", [], "An option for Apache Beam, such as --beam_args=--direct_num_workers=1; "
    "repeat the flag for more.")
_SERVING_DIR = flags.DEFINE_string(
    "serving_dir", None, "Where blessed versions are pushed; default: ROOT/serving.")
_OUTPUT = flags.DEFINE_string(
    "output", None, "File of the specification: .yaml for kubeflow, .json for vertex.")
_IMAGE = flags.DEFINE_string(
    "image", None, "Container image with electra_tf[tfx], for the steps on a cluster.")


def require_tfx() -> None:
    """Raises ValueError where TFX is not installed."""
    command.require_package("tfx", "make venv-tfx, then use .venv-tfx/bin/python")


def settings() -> dict[str, Any]:
    """What the functions that build a pipeline take from these flags."""
    return {"root": _ROOT.value, "runner": _RUNNER.value, "beam_args": _BEAM_ARGS.value,
            "serving_dir": _SERVING_DIR.value or os.path.join(_ROOT.value, "serving")}


def execute(pipeline) -> None:
    """Runs a pipeline, or writes its specification, as the flags say."""
    if _RUNNER.value == "local":
        from electra_tf.tfx import local_runner

        local_runner.run(pipeline, _ROOT.value)
    else:
        from electra_tf.tfx import cluster_runner

        cluster_runner.compile(pipeline, _RUNNER.value, _OUTPUT.value or "", _IMAGE.value or "")
        print(f"{_OUTPUT.value}: specification for {_RUNNER.value}")
