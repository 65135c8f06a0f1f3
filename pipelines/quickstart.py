"""Pre-trains, evaluates, exports and tries a tiny ELECTRA in a few minutes, offline.

    electra_tf quickstart

The text is of six novels that come with electra_tf. All results are in the workdir. Repeating the
command continues an interrupted run and reuses what is there. Fields of the experiment can be set,
for example --config.train.num_steps=100, which --minutes does not change then.
"""

import logging

from absl import flags

from electra_tf import command
from electra_tf.config import Config

_CONFIG = command.define_config("The experiment.", Config, "configs/quickstart.py")
_WORKDIR = command.define_path(
    "workdir",
    "runs/quickstart",
    "Directory of the run; data/, serving/, authors/ and report.html in it.",
)
_INPUT = flags.DEFINE_string(
    "input", "docs:novels", "The corpus, as electra_tf build_dataset takes it."
)
_MINUTES = flags.DEFINE_float(
    "minutes",
    7.0,
    "How long all of it may take, about, with a model of the quickstart's size. A new run measures "
    "how fast a step is and trains for as many as fit, at most config.train.num_steps, at least "
    "1,000. Without effect where --config.train.num_steps is given or a run is continued.",
    lower_bound=0.1,
)


def main(argv: list[str]) -> None:
    command.no_arguments(argv)
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)  # errors are raised, too
    logging.disable(logging.WARNING)  # Beam misses Google's cloud libraries and says so
    from electra_tf.runs import quickstart  # here, so that --help stays quick

    logging.disable(logging.NOTSET)
    minutes = None if command.sets_field("config.train.num_steps") else _MINUTES.value
    quickstart.run(_CONFIG.value, _WORKDIR.value, _INPUT.value, minutes)


if __name__ == "__main__":
    command.run(main)
