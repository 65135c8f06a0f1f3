"""How often the tokens of a data set occur, from a part of it."""

import dataclasses

import numpy as np

from electra_tf import features
from electra_tf.data import dataset

MOST_FILES, MOST_EXAMPLES = 64, 1 << 16  # that are read, within a few seconds
_ROWS = 256


def count_tokens(split: dataset.Split, vocab_size: int) -> np.ndarray:
    """Counts the tokens of about MOST_EXAMPLES examples at most, int64 [vocab_size].

    They are the first ones of up to MOST_FILES files from all over the split: a function of the
    data set alone, so that a resumed run, and every worker of one, counts the same.

    Args:
        split: what `dataset.open_split` returned.
        vocab_size: number of tokens.
    """
    counts = np.zeros(vocab_size, np.int64)
    stride = -(-len(split.files) // MOST_FILES)
    files = list(zip(split.files, split.examples_per_file, strict=True))[::stride]
    for file, examples in files:
        if not examples:
            continue
        alone = dataclasses.replace(split, files=(file,), examples_per_file=(examples,))
        batches = -(-MOST_EXAMPLES // (_ROWS * len(files)))
        for batch in dataset.eval_batches(
            alone, batch_size=_ROWS, num_batches=batches
        ).as_numpy_iterator():
            ids = batch[features.INPUT_IDS][batch[features.INPUT_MASK] > 0]
            counts += np.bincount(ids, minlength=vocab_size)
    return counts
