"""Pre-trains from token shards: `electra_tf pretrain --config=FILE --workdir=DIR`.

The same command starts a run, continues it after any interruption, and does nothing once the
run is complete. Every field of the config can be set on the command line, for example

  electra_tf pretrain --config=configs/electra_small.py \\
      --config.data.dir=shards --config.train.batch_size=256 --workdir=runs/mine

With --check nothing is trained or written: the command reports devices, workers, data, workdir,
memory and cost, and everything that stands in the way of the run.
"""

from absl import flags

from electra_tf import command
from electra_tf.config import Config
from electra_tf.errors import UserError

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
_CHECK = flags.DEFINE_bool(
    "check", False, "Report whether the run can start here, and what it will take; then end."
)


def main(argv):
    command.no_arguments(argv)
    if _CHECK.value:
        _check()
        return
    from electra_tf.runs import pretraining  # TensorFlow starts here: --help stays quick

    pretraining.pretrain(_CONFIG.value, _WORKDIR.value)


def _check():
    from electra_tf.runs import start_check

    found = start_check.check(_CONFIG.value, _WORKDIR.value)
    print("\n".join(found.lines()), flush=True)
    if found.problems:
        raise UserError(
            f"Nothing may stand in the way of a run. Received: {len(found.problems)} "
            f"problem{'s' if len(found.problems) > 1 else ''}, each with its remedy above"
        )


if __name__ == "__main__":
    flags.mark_flags_as_required(["config", "workdir"])
    command.run(main)
