"""The order of training examples that come from several data sets.

A period of the order has as many examples of each data set as its weight says. Example j of weight
w is due at (j + 1/2) / w of the period, and the order is that in which they are due; where two are
due at once, the data set named first is. So whatever number of examples a run has read, of each of
k data sets it has read its share, give or take (k + 1) / 2 examples.

Where an example comes from, and which one of there it is, is a function of its position alone. Each
data set is shuffled and repeated on its own, as `order` says.
"""

import contextlib

import numpy as np

from electra_tf.data.order import Order, Reader


class Interleaving:
    """Which data set a position is of, and which of its examples.

    Args:
        weights: examples of each data set in a period, at least one.
    """

    def __init__(self, weights: tuple[int, ...]):
        self._weights = np.array(weights, np.int64)
        sources = np.repeat(np.arange(len(weights)), weights)
        numbers = np.concatenate([np.arange(weight) for weight in weights])
        # Exact for weights below 2**26: then quotients that differ do so by more than rounding.
        due = (2 * numbers + 1) / self._weights[sources]
        order = np.lexsort((sources, due))
        self._sources, self._numbers = sources[order], numbers[order]

    def draw(self, first: int, end: int) -> tuple[np.ndarray, np.ndarray]:
        """The data set of each example at positions [first, end), and its number there, from 0.

        Returns:
            Two int64 [end - first]. The numbers of one data set are consecutive.
        """
        periods, places = np.divmod(np.arange(first, end), len(self._sources))
        sources = self._sources[places]
        return sources, periods * self._weights[sources] + self._numbers[places]


class MixtureReader:
    """Serialized examples by position in the order; to be closed, as by `with`.

    Args:
        mixture: a `split.Mixture`, or a `split.Split`.
        seed: of the order of each data set.
        shuffle_examples: examples shuffled together, of all data sets by their weights.
        read_ahead: as of `Reader`.
    """

    def __init__(self, mixture, seed: int, shuffle_examples: int, read_ahead: bool = True):
        self._interleaving = Interleaving(mixture.weights)
        total = sum(mixture.weights)
        self._readers = []
        for part, weight in zip(mixture.parts, mixture.weights, strict=True):
            share = min(shuffle_examples, max(1, shuffle_examples * weight // total))
            self._readers.append(Reader(part, Order(part, seed, share), read_ahead))
        self._stack = contextlib.ExitStack()

    def __enter__(self):
        for reader in self._readers:
            self._stack.enter_context(reader)
        return self

    def __exit__(self, *error):
        return self._stack.__exit__(*error)

    def read(self, first: int, end: int) -> np.ndarray:
        """The examples at positions [first, end), bytes [end - first]."""
        if len(self._readers) == 1:
            return self._readers[0].read(first, end)
        sources, numbers = self._interleaving.draw(first, end)
        records = np.empty(end - first, object)
        for source, reader in enumerate(self._readers):
            (rows,) = np.nonzero(sources == source)
            if len(rows):
                records[rows] = reader.read(int(numbers[rows[0]]), int(numbers[rows[-1]]) + 1)
        return records
