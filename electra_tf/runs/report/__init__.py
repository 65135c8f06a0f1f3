"""The report of a run: one HTML page that needs nothing else."""

import os

from electra_tf import files, pretrained
from electra_tf.config import directories
from electra_tf.config.json_config import is_finetuning, read_fields
from electra_tf.errors import UserError
from electra_tf.runs.report import finetuning, finetuning_page, pretraining, pretraining_page

NAME = "report.html"


def write_report(run_directory: str, output: str | None = None) -> str:
    """Writes the report of a pre-training run or a fine-tuning; returns its path.

    What the run lacks is left out, with a line that says how to get it. The same run gives the same
    file. A discriminator is run on a bounded part of the held-out examples.

    Args:
        run_directory: workdir of `electra_tf pretrain`, `quickstart` or `finetune`, or a model.
        output: the file to write, a new one; None: `run_directory`/report.html, which it replaces,
            but among the models of the package.

    Raises:
        UserError: no run, or an output that may not be written.
    """
    run_directory = files.expand(run_directory)
    fields = read_fields(run_directory)
    if fields is None:
        raise UserError(
            "A run must contain config.json, which `electra_tf pretrain` and `electra_tf finetune` "
            f"write. Received: {directories.describe(run_directory)}"
        )
    if output is None and pretrained.holds(run_directory):
        raise UserError(
            "The report of a model that comes with the package must get a file of its own: pass "
            f"--output=FILE.html. Received: none for {run_directory}"
        )
    if output is None:
        path = files.output(os.path.join(run_directory, NAME), overwrite=True)
    else:
        path = files.output(output, inputs=[run_directory])
    if is_finetuning(fields):
        page = finetuning_page.render(finetuning.collect(run_directory))
    else:
        page = pretraining_page.render(pretraining.collect(run_directory))
    files.write_text(path, page)
    return path
