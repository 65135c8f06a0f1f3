"""Fine-tunes by a TFX pipeline, from a task's files to a version in a serving directory.

  electra_tf tfx_finetune --config=configs/glue.py:cola --config.data.dir=glue/CoLA \\
      --model=runs/mine --root=runs/tfx_cola

The same command continues after an interruption; what has not changed comes from the cache. TFX's
Evaluator tests the exported bundle on the dev file; a model that is less accurate than the last
blessed one is not pushed. --runner=kubeflow or vertex writes the pipeline's specification for such
a cluster instead of running it. Needs electra_tf[tfx].
"""

from absl import flags

from electra_tf import command
from electra_tf.config import FinetuneConfig

from . import tfx_runner  # relative: an installed package has this folder elsewhere

_CONFIG = command.define_config(
    "Task: configs/glue.py:NAME of a task with classes, or "
    "configs/custom.py:classification. Set fields with --config.SECTION.FIELD=VALUE.",
    FinetuneConfig,
)
_MODEL = command.define_path(
    "model", None, "Pre-trained model to start from: a model directory or a run."
)
_MIN_ACCURACY = flags.DEFINE_float(
    "min_accuracy", 0.0, "The accuracy on the dev file that a model needs to be pushed."
)


def main(argv):
    command.no_arguments(argv)
    tfx_runner.require_tfx()
    # TFX starts here: --help stays quick.
    from electra_tf.tfx.pipelines import finetuning as finetuning_pipeline

    config = _CONFIG.value
    config.expand_paths()
    data_dir, config.data.dir = config.data.dir, ""  # the pipeline copies the files
    pipeline = finetuning_pipeline.build(
        config=config,
        data_dir=data_dir,
        model=_MODEL.value,
        min_accuracy=_MIN_ACCURACY.value,
        **tfx_runner.settings(),
    )
    tfx_runner.execute(pipeline)


if __name__ == "__main__":
    flags.adopt_module_key_flags(tfx_runner)  # for --help
    flags.mark_flags_as_required(["config", "model", "root"])
    command.run(main)
