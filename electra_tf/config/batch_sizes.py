"""Batches that are smaller at the beginning of a run, as a text: `[[2000, 64], [3000, 128]]`.

Each pair is a step and the rows of the batches before it: 64 up to step 2,000, 128 up to step
3,000, then as many as a batch has without that.
"""

import dataclasses

from electra_tf.config.breakpoints import read_pairs
from electra_tf.errors import UserError

_PAIRS = "a step and the rows of the batches before it as JSON, such as [[2000, 64], [3000, 128]]"


@dataclasses.dataclass(frozen=True)
class Stretch:
    """Steps of a run whose batches have the same size.

    Attributes:
        begin, end: its steps, without `end`; None: to the end of the run.
        size: rows of a batch.
        first_example: place of the first row in the order of all examples.
        field: which says the size.
    """

    begin: int
    end: int | None
    size: int
    first_example: int
    field: str = "config.train.batch_size"

    def examples(self, step: int) -> int:
        """Rows of the run's batches before a step of this stretch."""
        return self.first_example + (step - self.begin) * self.size


class BatchSizes:
    """The size of the batch at each step of a run.

    Attributes:
        stretches: of the run, in their order.

    Args:
        text: pairs of (step, rows) as JSON; empty: all batches have the same size.
        size: rows of a batch after them.
        name: of the text's field, for messages.

    Raises:
        UserError: they are no pairs, or do not rise.
    """

    def __init__(self, text: str, size: int, name: str):
        pairs = read_pairs(text, name, _PAIRS, _is_pair)
        rising = [(0, 0), *pairs, (float("inf"), size)]
        for former, pair in zip(rising, rising[1:], strict=False):
            if pair[0] <= former[0] or pair[1] <= former[1]:
                raise UserError(
                    f"The steps and the rows of {name} must rise, the rows to below "
                    f"config.train.batch_size, {size}. Received: {text!r:.80}"
                )
        stretches, begin, first = [], 0, 0
        for end, rows in pairs:
            stretches.append(Stretch(begin, end, rows, first, name))
            begin, first = end, stretches[-1].examples(end)
        self.stretches = (*stretches, Stretch(begin, None, size, first))

    def at(self, step: int) -> Stretch:
        """The stretch of a step."""
        return next(each for each in self.stretches if each.end is None or step < each.end)

    def examples(self, step: int) -> int:
        """Rows of all batches before a step."""
        return self.at(step).examples(step)

    def steps(self, examples: float) -> float:
        """Steps whose batches have so many rows."""
        stretch = [each for each in self.stretches if each.first_example <= examples][-1]
        return stretch.begin + (examples - stretch.first_example) / stretch.size


def _is_pair(pair) -> bool:
    return isinstance(pair, list) and len(pair) == 2 and all(type(each) is int for each in pair)
