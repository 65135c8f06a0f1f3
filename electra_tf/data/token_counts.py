"""How often the tokens of a data set occur, from a part of it."""

import dataclasses

import numpy as np

from electra_tf import features
from electra_tf.data import dataset
from electra_tf.data.split import Mixture, Split

MOST_FILES, MOST_EXAMPLES = 64, 1 << 16  # that are read, within a few seconds
_ROWS = 256


def count_tokens(split: Split | Mixture, vocab_size: int) -> np.ndarray:
    """Counts the tokens of about MOST_EXAMPLES examples at most, int64 [vocab_size].

    They are the first ones of up to MOST_FILES files from all over the split: a function of the
    data set alone, so that a resumed run, and every worker of one, counts the same. Of a mixture so
    many are counted of each data set, and each has its weight in the sum.

    Args:
        split: what `dataset.open_split` or `dataset.open_mixture` returned.
        vocab_size: number of tokens.
    """
    counts, examples = zip(*(_count(part, vocab_size) for part in split.parts), strict=True)
    factors = np.array(split.weights) / examples
    mixed = factors @ np.array(counts)
    return np.rint(mixed * (np.sum(counts) / max(1.0, mixed.sum()))).astype(np.int64)


def _count(split: Split, vocab_size: int) -> tuple[np.ndarray, int]:
    """Counts, and the number of examples that they are of."""
    counts, num_examples = np.zeros(vocab_size, np.int64), 0
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
            mask = batch[features.INPUT_MASK] > 0
            counts += np.bincount(batch[features.INPUT_IDS][mask], minlength=vocab_size)
            num_examples += int(mask.any(axis=1).sum())
    return counts, max(1, num_examples)
