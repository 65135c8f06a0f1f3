"""Fine-tunes by a TFX pipeline, from a task's files to a version in a serving directory.

  python -m pipelines.tfx_finetune --config=configs/glue.py:cola --config.data.dir=glue/CoLA \\
      --model=runs/mine --root=runs/tfx_cola

The same command goes on after an interruption; what has not changed comes from the cache. TFX's
Evaluator asks the exported bundle about the dev file; a model that is less accurate than the last
blessed one is not pushed. --runner=kubeflow or vertex writes the pipeline's specification for such
a cluster instead of running it. Needs the packages of requirements-tfx.txt.
"""

import os

from absl import flags
from ml_collections import config_flags

from electra_tf import command

_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "Task: configs/glue.py:NAME of a task with classes, or "
    "configs/custom.py:classification. Set fields with --config.SECTION.FIELD=VALUE.")
_MODEL = flags.DEFINE_string(
    "model", None, "Pre-trained model to start from: a model directory or a run.")
_ROOT = flags.DEFINE_string(
    "root", None, "Directory (or gs:// bucket) of what the pipeline writes: pipeline/COMPONENT/… "
    "and, for local runs, metadata.sqlite.")
_SERVING_DIR = flags.DEFINE_string(
    "serving_dir", None, "Where blessed versions are pushed; default: ROOT/serving.")
_RUNNER = flags.DEFINE_enum(
    "runner", "local", ["local", "kubeflow", "vertex"],
    "local: run it here. kubeflow, vertex: write the specification to --output.")
_OUTPUT = flags.DEFINE_string("output", None, "File of the specification.")
_IMAGE = flags.DEFINE_string(
    "image", None, "Container image of a cluster's steps, with electra_tf[tfx] in it.")
_MIN_ACCURACY = flags.DEFINE_float(
    "min_accuracy", 0.0, "What a model must reach on the dev file to be pushed.")
_BEAM_ARGS = flags.DEFINE_multi_string(
    "beam_args", [], "An option for Apache Beam, such as --beam_args=--direct_num_workers=1; "
    "repeat the flag for more.")


def main(argv):
    command.no_arguments(argv)
    command.require_package("tfx", "make venv-tfx, then use .venv-tfx/bin/python")
    from electra_tf.tfx import finetuning_pipeline  # TFX starts here: --help stays quick

    config = _CONFIG.value
    data_dir, config.data.dir = config.data.dir, ""  # the pipeline copies the files
    serving_dir = _SERVING_DIR.value or os.path.join(_ROOT.value, "serving")
    pipeline = finetuning_pipeline.build(
        _ROOT.value, serving_dir, config, data_dir, _MODEL.value, min_accuracy=_MIN_ACCURACY.value,
        beam_args=_BEAM_ARGS.value, runner=_RUNNER.value)
    if _RUNNER.value == "local":
        from electra_tf.tfx import local_runner

        local_runner.run(pipeline, _ROOT.value)
    else:
        from electra_tf.tfx import cluster_runner

        cluster_runner.compile(pipeline, _RUNNER.value, _OUTPUT.value or "", _IMAGE.value or "")
        print(f"{_OUTPUT.value}: specification for {_RUNNER.value}")


if __name__ == "__main__":
    flags.mark_flags_as_required(["config", "model", "root"])
    command.run(main)
