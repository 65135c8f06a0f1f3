"""Pre-trains, evaluates, exports and tries a tiny ELECTRA in a few minutes, offline.

    electra_tf quickstart

The text is the documentation of the Python packages installed here. All results are in the workdir.
Repeating the command continues an interrupted run and reuses what is there. Fields of the
experiment can be set, for example --config.train.num_steps=100.
"""

import logging

from absl import flags

from electra_tf import command
from electra_tf.config import Config

_CONFIG = command.define_config("The experiment.", Config, "configs/quickstart.py")
_WORKDIR = command.define_path(
    "workdir", "runs/quickstart", "Directory of the run; data/, serving/ and curves.png in it."
)
_INPUT = flags.DEFINE_string(
    "input", "docs:installed", "The corpus, as electra_tf build_dataset takes it."
)


def main(argv: list[str]) -> None:
    command.no_arguments(argv)
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)  # errors are raised, too
    logging.disable(logging.WARNING)  # Beam misses Google's cloud libraries and says so
    from electra_tf.runs import quickstart  # here, so that --help stays quick

    logging.disable(logging.NOTSET)
    quickstart.run(_CONFIG.value, _WORKDIR.value, _INPUT.value)


if __name__ == "__main__":
    command.run(main)
