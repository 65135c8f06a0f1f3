"""What is read of data sets: a part of one, or that part of several."""

import dataclasses
import functools


@dataclasses.dataclass(frozen=True)
class Split:
    """One part of a data set: its files, and how many examples each holds.

    It also has the attributes of a `Mixture`, that of itself alone.

    Attributes:
        ids: smallest and largest token id of the whole data set where its files do not say of
            which vocabulary they are; else None.
    """

    name: str
    files: tuple[str, ...]
    examples_per_file: tuple[int, ...]
    seq_length: int
    packed: bool
    ids: tuple[int, int] | None = None

    @functools.cached_property
    def num_examples(self) -> int:
        return sum(self.examples_per_file)

    @property
    def parts(self) -> "tuple[Split, ...]":
        return (self,)

    @property
    def weights(self) -> tuple[int, ...]:
        return (1,)


@dataclasses.dataclass(frozen=True)
class Mixture:
    """The same part of several data sets, whose examples have the same features.

    Attributes:
        parts: of each data set.
        weights: examples of each in a period of the training order; see `mixture`.
    """

    parts: tuple[Split, ...]
    weights: tuple[int, ...]

    @functools.cached_property
    def num_examples(self) -> int:
        return sum(part.num_examples for part in self.parts)

    @property
    def seq_length(self) -> int:
        return self.parts[0].seq_length

    @property
    def packed(self) -> bool:
        return self.parts[0].packed
