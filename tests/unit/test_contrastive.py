"""Sequence contrastive learning against NumPy in double precision."""

import types

import numpy as np
import pytest
import tensorflow as tf
from scipy import special

from electra_tf.models.randomness import Draws
from electra_tf.objectives import additions
from electra_tf.objectives.additions import contrastive
from tests.unit.additions_step import LENGTH, ON, ROWS, SIZE, Step, assert_differences
from tests.unit.test_objectives import ragged_batch, tiny_config


@pytest.fixture
def step(monkeypatch):
    return Step(monkeypatch)


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


def info_nce(texts, crops, size, temperature):
    """(losses [B], right [B], cosines of other rows' texts), view by view."""
    texts, crops = (each / np.linalg.norm(each, axis=-1, keepdims=True) for each in (texts, crops))
    losses, right, cosines = [], [], []
    for row in range(len(texts)):
        group = [other for other in range(len(texts)) if other // size == row // size]
        total = 0.0
        for own, partner in ((texts, crops), (crops, texts)):
            others = [own[row] @ own[other] for other in group if other != row]
            others += [own[row] @ partner[other] for other in group]
            pair = own[row] @ partner[row]
            total += special.logsumexp(np.array(others) / temperature) - pair / temperature
        losses.append(total / 2)
        right.append(row == max(group, key=lambda other: texts[row] @ crops[other]))
        cosines += [texts[row] @ texts[other] for other in group if other != row]
    return np.array(losses), np.array(right), np.array(cosines)


def test_contrastive_is_info_nce_in_groups_of_rows(step):
    cropped = step.states(contrastive.crop(step.batch))[:, 0]
    losses, right, cosines = info_nce(step.hidden[:, 0], cropped, SIZE, 0.5)
    assert float(step.weights["contrastive"]) == ROWS
    np.testing.assert_allclose(step.sums["contrastive"], losses.sum(), rtol=1e-5)
    assert step.metrics["contrastive_loss"] == pytest.approx(losses.mean(), rel=1e-5)
    assert step.metrics["contrastive_accuracy"] == pytest.approx(right.mean())
    assert len(cosines) == ROWS * (SIZE - 1)
    assert step.metrics["cls_cosine"] == pytest.approx(cosines.mean(), abs=1e-5)


def contrastive_sum(texts, crops, batch, **fields):
    """The term of given states [B, 1, H] of texts and of crops."""
    term = contrastive.Contrastive(tiny_config(**(ON | fields)), "contrastive")
    model = types.SimpleNamespace(discriminator=lambda batch, dropout: crops)
    detected = additions.Detected(None, None, texts, None)
    return term.loss_sum(model, batch, detected, None, None)


def test_gradients_of_contrastive_are_differences():
    random = np.random.default_rng(0)
    arrays = random.normal(0, 1, (2, ROWS, 1, 5))
    batch = contrastive.Contrastive(tiny_config(**ON), "contrastive").prepare(
        ragged_batch(), Draws(0, 0, ROWS)
    )
    given = [tf.constant(each, tf.float32) for each in arrays]
    with tf.GradientTape() as tape:
        tape.watch(given)
        result, _ = contrastive_sum(*given, batch)
    for number, gradient in enumerate(tape.gradient(result, given)):

        def loss(moved, number=number):
            changed = arrays.copy()
            changed[number] += moved.reshape(arrays.shape[1:])
            return info_nce(*changed[:, :, 0], SIZE, 0.5)[0].sum()

        assert_differences(tf.reshape(gradient, (-1,)), loss, ROWS * 5, range(0, ROWS * 5, 7))


def test_groups_are_the_same_for_any_batching(step):
    """Replicas and micro-batches have whole groups of consecutive rows."""
    crops = tf.constant(step.states(contrastive.crop(step.batch)), tf.float32)
    texts = tf.constant(step.hidden, tf.float32)
    whole, counts = contrastive_sum(texts, crops, step.batch)
    parts = [
        contrastive_sum(
            texts[first : first + SIZE],
            crops[first : first + SIZE],
            {key: value[first : first + SIZE] for key, value in step.batch.items()},
        )
        for first in range(0, ROWS, SIZE)
    ]
    np.testing.assert_allclose(sum(part[0] for part in parts), whole, rtol=1e-6)
    for name, value in counts.items():
        np.testing.assert_allclose(sum(part[1][name] for part in parts), value, rtol=1e-6)


def test_rows_that_are_not_there_change_nothing(step):
    """Those of padding, and those that the last group of an evaluation lacks."""
    crops = tf.constant(step.states(contrastive.crop(step.batch)), tf.float32)
    texts = tf.constant(step.hidden, tf.float32)
    kept = {key: value[:6] for key, value in step.batch.items()}
    hidden = {"input_mask": tf.where(tf.range(ROWS)[:, None] < 6, step.batch["input_mask"], 0)}
    few, few_counts = contrastive_sum(texts[:6], crops[:6], kept)
    padded, padded_counts = contrastive_sum(texts, crops, {**step.batch, **hidden})
    first, last = (
        info_nce(step.hidden[rows, 0], np.float64(crops[:, 0])[rows], SIZE, 0.5)[0].sum()
        for rows in (slice(0, 4), slice(4, 6))
    )
    for result in (few, padded):
        np.testing.assert_allclose(result, first + last, rtol=1e-5)
    for name, value in few_counts.items():
        np.testing.assert_allclose(padded_counts[name], value, rtol=1e-6)
    assert float(few_counts["contrastive/pairs"]) == 4 * 3 + 2


def test_contrastive_trains_what_reads_the_crop(step):
    """The encoder by both views; no gradient goes into the generator or a head."""
    for path, gradient in step.gradients("contrastive").items():
        reached = path.startswith(("embeddings/", "discriminator/"))
        assert (gradient is not None) == reached, path
    cropped = step.states(contrastive.crop(step.batch))
    assert np.abs(cropped[:, 0] - step.hidden[:, 0]).max() > 1e-3
