"""Pre-trains from token shards: `electra_tf pretrain --config=FILE --workdir=DIR`.

The same command starts a run, continues it after any interruption, and does nothing once the
run is complete. Every field of the config can be set on the command line, for example

  electra_tf pretrain --config=configs/electra_small.py \\
      --config.data.dir=shards --config.train.batch_size=256 --workdir=runs/mine
"""

from absl import flags

from electra_tf import command
from electra_tf.config import Config

_CONFIG = command.define_config(
    "Experiment: a Python file with get_config(), such as "
    "configs/electra_small.py. Set fields with --config.SECTION.FIELD=VALUE.",
    Config,
)
_WORKDIR = command.define_path(
    "workdir",
    None,
    "Directory of the run: checkpoints, config.json, vocab.txt, metrics.jsonl, "
    "tensorboard/. Shared by all workers.",
)


def main(argv):
    command.no_arguments(argv)
    from electra_tf.runs import pretraining  # TensorFlow starts here: --help stays quick

    pretraining.pretrain(_CONFIG.value, _WORKDIR.value)


if __name__ == "__main__":
    flags.mark_flags_as_required(["config", "workdir"])
    command.run(main)
