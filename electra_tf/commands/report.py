"""Writes the report of a run as one HTML file: `electra_tf report --run=RUN`.

The file needs no network, server or script. For a pre-training run it shows sizes and cost, the
curves, held-out metrics beside simple baselines, the discriminator's ROC and calibration, held-out
texts as generator and discriminator read them, the data, and what differs from the config's
defaults. For a fine-tuning it shows every metric of every trial, and what was understood of the
data. What the run lacks is left out, with a line that says how to get it.
"""

from absl import flags

from electra_tf import command

_RUN = command.define_path(
    "run", None, "The workdir of a pre-training, a quickstart or a fine-tuning."
)
_OUTPUT = command.define_path(
    "output",
    None,
    "HTML file to write, a new one; default: report.html in the run, replaced. A model that comes "
    "with the package, pretrained:NAME, has no default.",
)


def main(argv):
    command.no_arguments(argv)
    from electra_tf.runs.report import write_report  # TensorFlow starts here: --help stays quick

    print(write_report(_RUN.value, _OUTPUT.value))


if __name__ == "__main__":
    flags.mark_flag_as_required("run")
    command.run(main)
