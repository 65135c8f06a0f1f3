"""Fine-tunes: `electra_tf finetune --config=configs/glue.py:rte --workdir=RUN`.

The model to start from is --config.init_from=DIR, a model directory or a pre-training run;
random:DIR takes only its sizes and vocabulary, as a control. The data are files in the task's
original layout:

  electra_tf finetune --config=configs/glue.py:rte --config.init_from=runs/mine \\
      --config.data.dir=glue/RTE --config.num_trials=3 --workdir=runs/rte

Before training it prints what it understood of the files: columns, how often each label occurs,
rows left out. RUN/results.json keeps that with every trial's metrics and their medians.
RUN/predictions/ has the best trial's predictions, and RUN itself is the best trial's model for
electra_tf predict. The same command continues after an interruption; a larger --config.num_trials
adds trials.
"""

from absl import flags

from electra_tf import command
from electra_tf.config import FinetuneConfig

_CONFIG = command.define_config(
    "Task: configs/glue.py:NAME, configs/squad.py:v1|v2, "
    "configs/tagging.py:chunk|ner, configs/custom.py:KIND. Set fields with "
    "--config.SECTION.FIELD=VALUE; electra_tf/config/finetuning.py and sections.py list them.",
    FinetuneConfig,
)
_WORKDIR = command.define_path("workdir", None, "Directory of the results; made if missing.")


def main(argv):
    command.no_arguments(argv)
    from electra_tf.runs import finetuning, results  # TensorFlow starts here: --help stays quick

    print(results.table(finetuning.finetune(_CONFIG.value, _WORKDIR.value)))


if __name__ == "__main__":
    flags.mark_flags_as_required(["config", "workdir"])
    command.run(main)
