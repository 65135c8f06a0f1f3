"""Fine-tunes: `python -m electra_tf.finetune --config=configs/glue.py:rte --workdir=RUN`.

The model to start from is --config.init_from=DIR, a model directory or a pre-training run;
random:DIR takes only its sizes and vocabulary, the control. The data are local files in the
task's original layout:

  python -m electra_tf.finetune --config=configs/glue.py:rte --config.init_from=runs/mine \\
      --config.data.dir=glue/RTE --config.num_trials=3 --workdir=runs/rte

RUN/results.json has every trial's metrics and their medians, RUN/predictions/ the best trial's
predictions, and RUN itself is the best trial's model for electra_tf.predict. The same command
continues after an interruption; more trials are added by a larger --config.num_trials.
"""

from absl import flags
from ml_collections import config_flags

from electra_tf import command

_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "Task: configs/glue.py:NAME, configs/squad.py:v1|v2, "
    "configs/tagging.py:chunk|ner, configs/custom.py:KIND. Set fields with "
    "--config.SECTION.FIELD=VALUE; electra_tf/finetune_config.py lists them.")
_WORKDIR = flags.DEFINE_string("workdir", None, "Directory of the results; made if missing.")


def main(argv):
    command.no_arguments(argv)
    from electra_tf import finetuning, results  # TensorFlow starts here: --help stays quick

    print(results.table(finetuning.finetune(_CONFIG.value, _WORKDIR.value)))


if __name__ == "__main__":
    flags.mark_flags_as_required(["config", "workdir"])
    command.run(main)
