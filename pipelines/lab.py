"""Runs a study: many pre-trainings of equal compute, and what each of them learns.

    electra_tf lab --study=configs/studies/table5.py:tiny --corpus='corpus/*.txt' \\
        --tasks_dir=tasks --root=runs/table5

ROOT/table.md, results.png and results.svg show means, standard deviations and every seed;
results.json holds the numbers, and tensorboard/ has them as trials by their hyper-parameters. The
same command continues after an interruption and repeats what has failed. --print_commands prints
what is left to do as lines for a shell or a cluster's scheduler; docs/laboratory.md has examples.
"""

import os
import shlex
import sys

from absl import flags

from electra_tf import command

_STUDY = command.define_path(
    "study", None, "A Python file with get_config(), such as configs/studies/table5.py:tiny."
)
_ROOT = command.define_path("root", None, "Directory for everything that the study writes.")
_CORPUS = flags.DEFINE_multi_string(
    "corpus", None, "Text to pre-train on, as electra_tf build_dataset takes it with --input."
)
_DATA_DIR = command.define_path("data_dir", None, "Shards to pre-train on, in place of a corpus.")
_TASKS_DIR = command.define_path(
    "tasks_dir", None, "Directory that the study's probes find their data in, such as glue/RTE."
)
_SEEDS = flags.DEFINE_integer("seeds", None, "Seeds 0, 1, …; default: the study's.", lower_bound=1)
_JOBS = flags.DEFINE_integer("jobs", 1, "Commands that run at a time here.", lower_bound=1)
_STAGE = flags.DEFINE_enum(
    "stage",
    None,
    ["vocabulary", "shards", "pretrain", "probes", "results"],
    "Do only this stage; results: collect what is there. Default: all of them.",
)
_PRINT = flags.DEFINE_bool(
    "print_commands", False, "Print the remaining commands without running them."
)


def main(argv: list[str]) -> None:
    command.no_arguments(argv)
    # Imported here so that --help does not wait for TensorFlow.
    from electra_tf.config.study import Study
    from electra_tf.lab.run import TABLE, Laboratory

    study = Study.from_file(_STUDY.value)
    study.corpus = _CORPUS.value or study.corpus
    study.data_dir = _DATA_DIR.value or study.data_dir
    study.tasks_dir = _TASKS_DIR.value or study.tasks_dir
    study.seeds = range(_SEEDS.value) if _SEEDS.value else study.seeds
    laboratory = Laboratory(study, _ROOT.value)
    if _PRINT.value:
        for line in laboratory.lines(_STAGE.value) + ([] if _STAGE.value else _last_lines()):
            print(line)
        return
    laboratory.run(_JOBS.value, _STAGE.value)
    with open(os.path.join(_ROOT.value, TABLE), encoding="utf-8") as file:
        print(file.read(), end="")
    laboratory.require_complete(_STAGE.value)


def _last_lines() -> list[str]:
    """What collects the results of printed commands: this command with another flag."""
    own = [flag for flag in sys.argv[1:] if not flag.lstrip("-").startswith("print_commands")]
    return ["# results", shlex.join(["electra_tf", "lab", *own, "--stage=results"])]


if __name__ == "__main__":
    flags.mark_flags_as_required(["study", "root"])
    command.run(main)
