"""Synthetic batches, to measure a training step without data."""

import dataclasses

import numpy as np

from electra_tf import features
from electra_tf.config import Config

VOCAB_SIZE = 30_522  # of a config that leaves it to the data


@dataclasses.dataclass(frozen=True)
class SyntheticVocabulary:
    """Stands in for a `Vocabulary`: special tokens first; every fourth token continues a word."""

    size: int
    pad_id: int = 0
    unk_id: int = 1
    cls_id: int = 2
    sep_id: int = 3
    mask_id: int = 4

    def __len__(self) -> int:
        return self.size

    def begins_word(self) -> np.ndarray:
        """Whether a token begins a word, bool [V]; true of special tokens."""
        ids = np.arange(self.size)
        return (ids % 4 > 0) | (ids <= self.mask_id)


def vocabulary(config: Config) -> SyntheticVocabulary:
    """A vocabulary of the config's size, which is set if it was left open."""
    config.model.vocab_size = config.model.vocab_size or VOCAB_SIZE
    return SyntheticVocabulary(config.model.vocab_size)


def batch(config: Config, seq_length: int) -> dict[str, np.ndarray]:
    """A global batch of full-length examples of random words, int32 [batch_size, seq_length]."""
    generator = np.random.default_rng(config.train.seed)
    shape = config.train.batch_size, seq_length
    ids = generator.integers(5, config.model.vocab_size, shape)
    ids[:, 0], ids[:, -1] = 2, 3
    return {
        features.INPUT_IDS: ids.astype(np.int32),
        features.INPUT_MASK: np.ones(shape, np.int32),
        features.SEGMENT_IDS: np.zeros(shape, np.int32),
    }
