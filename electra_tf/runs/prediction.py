"""Predictions of a fine-tuned model for a file; rankings of texts by a pre-trained one."""

import sys

from tqdm import tqdm

from electra_tf import files
from electra_tf.runs import ranking
from electra_tf.runs.loaded import LoadedPretrained, load


def predict(model: str, source: str, output: str, *, overwrite: bool = False) -> int:
    """Predicts for every example of a file; returns how many there are.

    Args:
        model: workdir of a complete fine-tuning; or a pre-trained model, run or directory, which
            ranks candidates.
        source: a file in the task's layout, with or without labels; for a pre-trained model see
            `ranking.rank_file`.
        output: file to write, complete or not at all: {id: text} for questions, JSON lines else.
        overwrite: replace an existing file.

    Raises:
        UserError: no such model, the file is not in the layout, or the output may not be written,
            see `files.output`.
    """
    model, source = files.expand(model), files.expand(source)
    output = files.output(output, inputs=(model, source), overwrite=overwrite)
    loaded = load(model)
    if isinstance(loaded, LoadedPretrained):
        return ranking.rank_file(loaded, source, output)
    examples = loaded.task.read_file(source)
    with tqdm(
        total=len(examples), unit=" examples", desc="predicting", disable=not sys.stderr.isatty()
    ) as bar:
        predictions = loaded.predict_examples(
            examples, on_progress=lambda share: bar.update(round(share * bar.total) - bar.n)
        )
    loaded.task.write_file(examples, predictions, output)
    return len(examples)
