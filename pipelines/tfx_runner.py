"""Where a TFX pipeline runs: the flags that both command lines share, and what they do."""

import os
from typing import Any

from absl import flags

from electra_tf import command, extras
from electra_tf.errors import UserError

_ROOT = command.define_path(
    "root",
    None,
    "Directory (or gs:// bucket) of what the pipeline writes: pipeline/COMPONENT/… "
    "and, for local runs, metadata.sqlite.",
)
_RUNNER = flags.DEFINE_enum(
    "runner",
    "local",
    ["local", "kubeflow", "vertex"],
    "local: run it here. kubeflow, vertex: write the specification to --output.",
)
_BEAM_ARGS = flags.DEFINE_multi_string(
    "beam_args",
    [],
    "An option for Apache Beam, such as --beam_args=--direct_num_workers=1; "
    "repeat the flag for more.",
)
_SERVING_DIR = command.define_path(
    "serving_dir", None, "Where blessed versions are pushed; default: ROOT/serving."
)
_OUTPUT = command.define_path(
    "output", None, "File of the specification: .yaml for kubeflow, .json for vertex."
)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace the file of --output if it exists.")
_IMAGE = flags.DEFINE_string(
    "image", None, "Container image with electra_tf[tfx], for the steps on a cluster."
)


def require_tfx() -> None:
    """Raises UserError where TFX is not installed."""
    try:
        with extras.needed("tfx"):
            import tfx  # noqa: F401
    except UserError as error:
        raise UserError(f"{error}; in a checkout: make venv-tfx") from None


def settings() -> dict[str, Any]:
    """What the functions that build a pipeline take from these flags.

    Raises:
        UserError: one of them is empty, without effect, or of Beam but not known to it.
    """
    from electra_tf.data.runner import pipeline_options  # Beam: --help stays quick

    if not _ROOT.value:
        raise UserError("--root must be the name of a directory. Received: nothing")
    for flag in (_OUTPUT, _IMAGE):
        if flag.value and _RUNNER.value == "local":
            raise UserError(
                f"--{flag.name} must go with --runner=kubeflow or --runner=vertex. "
                "Received: --runner=local"
            )
    pipeline_options(_BEAM_ARGS.value, num_workers=1)
    return {
        "root": _ROOT.value,
        "runner": _RUNNER.value,
        "beam_args": _BEAM_ARGS.value,
        "serving_dir": _SERVING_DIR.value or os.path.join(_ROOT.value, "serving"),
    }


def execute(pipeline) -> None:
    """Runs a pipeline, or writes its specification, as the flags say."""
    if _RUNNER.value == "local":
        from electra_tf.tfx.runners import local as local_runner

        local_runner.run(pipeline, _ROOT.value)
    else:
        from electra_tf.tfx.runners import cluster as cluster_runner

        cluster_runner.compile(
            pipeline,
            _RUNNER.value,
            _OUTPUT.value or "",
            _IMAGE.value or "",
            overwrite=_OVERWRITE.value,
        )
        print(f"{_OUTPUT.value}: specification for {_RUNNER.value}")
