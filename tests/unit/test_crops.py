"""The crops that contrastive learning compares texts with."""

import numpy as np

from electra_tf.models.randomness import Draws
from electra_tf.objectives.additions import contrastive
from tests.unit.test_additions import LENGTH, ON, ROWS
from tests.unit.test_objectives import ragged_batch, tiny_config


def crop_of(ids, segments, start):
    """A row's crop by the rule: [CLS], and 90 % of what is behind it, rounded down."""
    body, kept = len(ids) - 1, int(0.9 * (len(ids) - 1) + 1e-9)
    chosen = [0, *range(1 + start, 1 + start + kept)]
    assert 0 <= start <= body - kept
    first = segments[chosen[1]] if kept else 0
    return ids[chosen], np.maximum(segments[chosen] - first, 0)


def test_a_crop_is_cls_and_nine_tenths_in_a_row():
    batch = {key: value.numpy() for key, value in ragged_batch(40, LENGTH).items()}
    length = batch["input_mask"].sum(-1)
    batch["segment_ids"][:] = np.arange(LENGTH) > 2
    batch["segment_ids"] *= batch["input_mask"]
    term = contrastive.Contrastive(tiny_config(**ON), "contrastive")
    starts = set()
    for number in range(30):
        prepared = term.prepare(batch, Draws(0, number, 40))
        cropped = {key: value.numpy() for key, value in contrastive.crop(prepared).items()}
        for row in range(40):
            used, start = length[row], int(prepared["crop_starts"][row, 0])
            ids, segments = crop_of(
                batch["input_ids"][row, :used], batch["segment_ids"][row, :used], start
            )
            assert len(ids) < used and ids[0] == 2
            padding = (0, LENGTH - len(ids))
            np.testing.assert_array_equal(cropped["input_ids"][row], np.pad(ids, padding))
            np.testing.assert_array_equal(cropped["segment_ids"][row], np.pad(segments, padding))
            np.testing.assert_array_equal(
                cropped["input_mask"][row], np.pad(np.ones_like(ids), padding)
            )
            if used == LENGTH:
                starts.add(start)
    assert starts == set(range(LENGTH - 1 - 35 + 1))  # 35 of the 39 behind [CLS]


def test_the_crop_of_packed_rows_is_of_the_document_that_cls_sees():
    batch = {key: value.numpy() for key, value in ragged_batch(4, LENGTH).items()}
    batch["input_ids"][:] = np.arange(LENGTH) + 5
    batch["input_mask"][:] = 1
    batch["document_ids"] = np.tile(1 + (np.arange(LENGTH) >= 21), (4, 1)).astype(np.int32)
    term = contrastive.Contrastive(tiny_config(**ON), "contrastive")
    cropped = contrastive.crop(term.prepare(batch, Draws(0, 0, 4)))
    assert set(cropped) == {"input_ids", "input_mask", "segment_ids"}
    for row in cropped["input_ids"].numpy():
        kept = row[row > 0]
        assert len(kept) == 1 + 18 and kept[0] == 5 and kept.max() < 5 + 21


def test_crops_are_the_same_for_any_batching():
    batch, term = ragged_batch(), contrastive.Contrastive(tiny_config(**ON), "contrastive")
    whole = term.prepare(batch, Draws(0, 5, ROWS))["crop_starts"].numpy()
    for first in (0, 6):
        part = {key: value[first : first + 6] for key, value in batch.items()}
        starts = term.prepare(part, Draws(0, 5, ROWS, first))["crop_starts"]
        np.testing.assert_array_equal(starts, whole[first : first + 6])
