"""The part of a vocabulary that objectives know."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class SpecialTokens:
    """What objectives need to know of the vocabulary.

    Attributes:
        cls_id, sep_id, mask_id: ids of [CLS], [SEP], [MASK].
        vocab_size: number of tokens.
        others: ids of the other special tokens that there are, [PAD] and [UNK].
        begins_word: bool [vocab_size], whether a token begins a word; None where it is not known.
        counts: int64 [vocab_size], how often each token was seen; 0 where nobody has counted.
    """

    cls_id: int
    sep_id: int
    mask_id: int
    vocab_size: int
    others: tuple[int, ...] = ()
    begins_word: np.ndarray | None = None
    counts: np.ndarray | int = 0

    @classmethod
    def of(cls, vocabulary, counts: np.ndarray | int = 0) -> "SpecialTokens":
        """Those of anything with the three ids and a length.

        `pad_id`, `unk_id` and `begins_word()` need not be there.
        """
        begins_word = getattr(vocabulary, "begins_word", None)
        others = [getattr(vocabulary, name, None) for name in ("pad_id", "unk_id")]
        return cls(
            vocabulary.cls_id,
            vocabulary.sep_id,
            vocabulary.mask_id,
            len(vocabulary),
            tuple(each for each in others if each is not None),
            begins_word() if begins_word else None,
            counts,
        )

    @property
    def never_masked(self) -> tuple[int, ...]:
        """Ids that are never chosen for masking."""
        return self.cls_id, self.sep_id, self.mask_id

    @property
    def special_ids(self) -> frozenset[int]:
        """Ids of all special tokens."""
        return frozenset(self.never_masked + self.others)
