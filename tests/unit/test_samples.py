"""What is shown of held-out rows: samples against the counts of the same evaluation, as words."""

import html
import re

import numpy as np
import pytest
import tensorflow as tf
from scipy import special
from tensorboard import plugin_util

from electra_tf.models.randomness import Draws
from electra_tf.objectives import counts
from electra_tf.objectives.samples import Samples
from electra_tf.tasks.samples import Word, markdown, words_of
from electra_tf.text.vocabulary import Vocabulary
from tests.unit.test_objectives import objective_of, ragged_batch, tiny_config

TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing", "the", "*b*", "|<i>"]


@pytest.mark.parametrize(
    "name",
    ["electra", "mlm", "electra_15", "replace_mlm", "all_tokens_mlm", "electric", "adversarial"],
)
def test_samples_are_those_that_the_evaluation_counts(name):
    objective, batch = objective_of(tiny_config(name=name)), ragged_batch()
    model = objective.new_model(0)
    found = objective.samples(model, batch, Draws(0, -1, 12))
    counted = objective.eval_counts(model, batch, Draws(0, -1, 12))
    ids, mask, shown, text, places = map(
        np.asarray, (batch["input_ids"], batch["input_mask"], found.shown, found.text, found.places)
    )
    assert places.sum() == counted["masked_lm/total"] > 0
    for changed in (shown, text):
        np.testing.assert_array_equal(np.where(places, ids, changed), ids)
    right = counted["masked_lm/correct" if name == "mlm" else "sampled/correct"]
    assert ((text == ids) & (places > 0)).sum() == right
    assert (shown == ids).all() == (name == "electric")
    # Fewer rows have the same samples.
    rows = {name: value[:3] for name, value in batch.items()}
    some = objective.samples(model, rows, Draws(0, -1, 12))
    np.testing.assert_array_equal(some.text, text[:3])
    if found.logits is None:
        assert counts.DETECTION_HISTOGRAM not in counted
        return
    np.testing.assert_allclose(some.logits, found.logits[:3], atol=1e-5)
    labels = places > 0 if name == "electric" else text != ids
    probabilities = special.expit(np.asarray(found.logits, np.float64))
    both = counts.by_probability(counted[counts.DETECTION_HISTOGRAM], 1 << 5)
    for histogram, label in zip(both, (False, True), strict=True):
        expected, edges = np.histogram(
            probabilities[(mask > 0) & (labels == label)], 1 << 5, (0.0, 1.0)
        )
        np.testing.assert_array_equal(histogram.edges, edges)
        assert histogram.numbers.sum() == expected.sum() > 0
        # A logit lies in a bin of 1/512 of a logit, so few tokens may be on another side.
        assert abs(np.cumsum(histogram.numbers) - np.cumsum(expected)).max() <= 2


def test_words_are_whole_and_without_padding():
    vocabulary = Vocabulary(TOKENS)
    ids = np.array([[2, 7, 5, 6, 3, 0], [2, 8, 3, 0, 0, 0], [0] * 6])
    batch = {"input_ids": tf.constant(ids), "input_mask": tf.constant((ids > 0).astype(int))}
    shown, text, places = ids.copy(), ids.copy(), np.zeros(ids.shape)
    shown[0, 3], text[0, 3], places[0, 3] = 4, 9, 1
    logits = np.full(ids.shape, -50.0)
    logits[0, 2:4] = 0.0, 1.0
    words = words_of(batch, Samples(shown, text, places, logits), vocabulary)
    assert words == [
        [
            Word("the", "the", "the", False, pytest.approx(0)),
            Word("playing", "play [MASK]", "play |<i>", True, pytest.approx(special.expit(1))),
        ],
        [Word("*b*", "*b*", "*b*", False, pytest.approx(0))],
    ]
    [first, _] = words_of(batch, Samples(shown, text, places), vocabulary)
    assert [word.probability for word in first] == [None, None]


def test_tensorboard_shows_the_words_as_they_are():
    words = [
        Word("the", "the", "the", False, 0.2),
        Word("*b*", "[MASK]", "|<i>", True, 0.754),
        Word("`a_b_`", "`a_b_`", "`a_b_`", False, 0.9),
    ]
    shown = plugin_util.markdown_to_safe_html(markdown([words, words]))
    assert "<i>" not in shown and "<em>" not in shown and "<code>" not in shown
    assert "<strong>&#124;&#60;i&#62;</strong> (0.75)" in shown
    assert shown.count("<table>") == 2
    cells = re.findall("<t[dh]>(.*?)</t[dh]>", shown)
    assert [html.unescape(cell) for cell in cells[:8]] == [
        "original", "shown", "put", "probability of a replacement",
        "*b*", "[MASK]", "|<i>", "0.75",
    ]  # fmt: skip
    text = html.unescape(re.sub("<.*?>", "", shown)).split("\n")[0]
    assert text == "Text 1: the |<i> (0.75) `a_b_` (0.90)"
    without = markdown([[word._replace(probability=None) for word in words]])
    assert "probability" not in without and "(" not in without
