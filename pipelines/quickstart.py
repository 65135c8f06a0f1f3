"""Pre-trains, evaluates, exports and tries a tiny ELECTRA in a few minutes, offline.

    python -m pipelines.quickstart

The text is the documentation of the Python packages installed here. Everything is left in the
workdir. The same command goes on where a former one was stopped, and reuses what is there. Fields
of the experiment can be set as --config.train.num_steps=100.
"""

import logging
import signal
import sys

from absl import flags
from ml_collections import config_flags

from electra_tf import command

_CONFIG = config_flags.DEFINE_config_file(
    "config", "configs/quickstart.py", "The experiment.")
_WORKDIR = flags.DEFINE_string(
    "workdir", "runs/quickstart", "Directory of the run; data/, serving/ and curves.png in it.")
_INPUT = flags.DEFINE_string(
    "input", "docs:installed", "The corpus, as pipelines.build_dataset takes it.")


def main(argv: list[str]) -> None:
    command.no_arguments(argv)
    # A polite kill should remove temporary files as well; pre-training has its own answer to it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    logging.getLogger("apache_beam").setLevel(logging.ERROR)
    logging.disable(logging.WARNING)  # Beam misses Google's cloud libraries and says so
    from electra_tf import quickstart  # here, so that --help stays quick

    logging.disable(logging.NOTSET)
    quickstart.run(_CONFIG.value, _WORKDIR.value, _INPUT.value)


if __name__ == "__main__":
    command.run(main)
