"""Masking of whole words and runs of them, against a re-implementation that goes word by word."""

import random

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from electra_tf.config import Config, breakpoints
from electra_tf.errors import UserError
from electra_tf.models.randomness import Draws
from electra_tf.objectives import build_objective, masking, over_steps, spans, validate
from electra_tf.objectives.special_tokens import SpecialTokens
from electra_tf.speed import synthetic
from electra_tf.text.examples import DocumentPacker, PairBuilder, pad_examples
from electra_tf.text.vocabulary import SPECIAL_TOKENS, Vocabulary

VOCAB, CLS, SEP, MASK = 97, 2, 3, 4
BEGINS = np.random.default_rng(5).random(VOCAB) < 0.6
SPECIAL = SpecialTokens(CLS, SEP, MASK, VOCAB, (0, 1), BEGINS)


def objective_config(**fields):
    config = Config()
    config.model.vocab_size = VOCAB
    for name, value in fields.items():
        setattr(config.objective, name, value)
    return validate(config).objective


def ragged_rows(rows, length, seed=0) -> dict:
    """Rows of any number of tokens, of documents of two segments; some are all padding."""
    rng = np.random.default_rng(seed)
    batch = {
        name: np.zeros((rows, length), np.int32)
        for name in ("input_ids", "input_mask", "segment_ids", "document_ids")
    }
    for row in range(rows):
        used = int(rng.integers(0, length + 1))
        ids = rng.integers(5, VOCAB, used)
        if row % 5 == 0:  # long words
            ids = np.where(rng.random(used) < 0.8, ids[BEGINS[ids].argmin()] if used else 0, ids)
        ends = np.sort(rng.choice(np.arange(1, length), 3, replace=False))
        for name, cuts in (("document_ids", ends[1:]), ("segment_ids", ends)):
            batch[name][row, :used] = np.searchsorted(cuts, np.arange(used), side="right")
        batch["document_ids"][row, :used] += 1
        if row % 3:  # else neither [CLS] nor [SEP] parts what the other features part
            ids[[end for end in ends if end < used]] = rng.choice([CLS, SEP, MASK])
        ids[:1] = CLS
        batch["input_ids"][row, :used], batch["input_mask"][row, :used] = ids, 1
    return batch


def words_of(batch, row) -> list[list[int]]:
    """Places of the words of a row; a word begins a part if its first place has a negative sign."""
    words, before = [], None
    for place, token in enumerate(batch["input_ids"][row]):
        part = batch["segment_ids"][row, place], batch["document_ids"][row, place]
        if not batch["input_mask"][row, place] or token in (CLS, SEP, MASK):
            before = None
            continue
        if before != part or BEGINS[token]:
            words.append(([], before != part))
        words[-1][0].append(place)
        before = part
    return words


def spans_of(batch, row, objective, lengths) -> list[list[int]]:
    if objective.span == "word":
        return [word for word, _ in words_of(batch, row)]
    made, left, drawn = [], 0, iter(lengths)
    for word, begins_part in words_of(batch, row):
        if begins_part or not left:
            made.append([])
        left = left or next(drawn)
        made[-1] += word
        left -= 1
    return made


def expected_places(batch, objective, noise_of, fraction) -> list[list[int]]:
    """Spans one after the other, in the order of their noise, each if it fits entirely."""
    rows, length = batch["input_ids"].shape
    wanted, slots = wanted_of(batch, fraction), masking.max_masked(length, fraction)
    noise = noise_of("positions", rows, (length,)).numpy()
    shares = 1 / np.arange(1, objective.span_max_words + 1)
    bounds = np.float32(np.cumsum(shares) / shares.sum())[:-1]
    lengths = 1 + np.searchsorted(
        bounds, noise_of("span_words", rows, (length,)).numpy(), side="right"
    )
    found = []
    for row in range(rows):
        number = min(int(wanted[row]), slots)
        given = spans_of(batch, row, objective, lengths[row])
        order = sorted(range(len(given)), key=lambda span: -noise[row, span])
        taken = []
        for span in order:
            if len(taken) + len(given[span]) <= number:
                taken += given[span]
        if not taken and given:
            taken = given[order[0]][:number]
        found.append(sorted(taken))
    return found


def masked_places(batch) -> list[list[int]]:
    used = batch["masked_weights"].numpy() > 0
    return [
        list(map(int, places[row])) for places, row in zip(batch["masked_positions"].numpy(), used)
    ]


def wanted_of(batch, fraction):
    return np.maximum(np.round(batch["input_mask"].sum(1).astype(np.float32) * fraction), 1)


def choose(batch, objective, draws, jit=False, special=SPECIAL):
    """The prepared batch, and the function that gives the noise of its draws."""

    def compiled(function):
        return tf.function(function, jit_compile=jit, autograph=False)

    tensors = {name: tf.constant(value) for name, value in batch.items()}
    masked = compiled(lambda features: masking.mask(features, objective, special, draws))(tensors)
    # A compiled generator makes other numbers of the same random bits.
    return masked, lambda *arguments: compiled(lambda: draws.uniform(*arguments))()


@pytest.mark.parametrize("fraction, jit", [(0.15, False), (0.15, True), (0.4, False), (1.0, False)])
@pytest.mark.parametrize("span, most", [("word", 3), ("ngram", 3), ("ngram", 8)])
def test_masks_are_those_of_the_reference(span, most, fraction, jit):
    objective = objective_config(span=span, span_max_words=most, mask_fraction=fraction)
    rows, length = 1500, 48
    batch = ragged_rows(rows, length)
    masked, noise_of = choose(batch, objective, Draws(3, 7, rows), jit)
    assert masked["masked_positions"].shape == (rows, masking.max_masked(length, fraction))
    assert masked_places(masked) == expected_places(batch, objective, noise_of, fraction)
    used = masked["masked_weights"].numpy() > 0
    ids = np.take_along_axis(batch["input_ids"], masked["masked_positions"].numpy(), 1)
    np.testing.assert_array_equal(masked["masked_ids"].numpy(), np.where(used, ids, 0))
    assert not masked["masked_positions"].numpy()[~used].any()


@pytest.mark.parametrize("span", ["word", "ngram"])
def test_words_are_masked_whole(span):
    """But where no span fits, which a row can only have if all its spans are longer than asked."""
    objective = objective_config(span=span)
    rows, length = 3000, 48
    batch = ragged_rows(rows, length, seed=1)
    masked, _ = choose(batch, objective, Draws(0, 0, rows))
    wanted, cut, several = wanted_of(batch, 0.15), 0, 0
    for row, places in enumerate(map(set, masked_places(masked))):
        words = [word for word, _ in words_of(batch, row)]
        assert places <= {place for word in words for place in word}
        assert len(places) == 0 if not words else 1 <= len(places) <= wanted[row]
        whole = [word for word in words if places.issuperset(word)]
        several += any(len(word) > 1 for word in whole)
        if sum(map(len, whole)) < len(places):
            cut += 1
            assert len(places) == min(wanted[row], int(0.155 * length))
            assert places == set(range(min(places), max(places) + 1))
            if span == "word":
                assert not whole and min(map(len, words)) > wanted[row]
    assert several > rows / 4 and 0 < cut < rows / 5


@pytest.mark.parametrize("span", ["word", "ngram"])
def test_rows_of_common_words_have_as_many_masks_as_by_token(span):
    rows, length = 1000, 128
    vocabulary = synthetic.SyntheticVocabulary(VOCAB)
    config = Config()
    config.model.vocab_size, config.train.batch_size = VOCAB, rows
    batch = synthetic.batch(config, length)
    special, counts = SpecialTokens.of(vocabulary), {}
    for each in ("token", span):
        objective = objective_config(span=each)
        masked, _ = choose(batch, objective, Draws(0, 0, rows), special=special)
        counts[each] = masked["masked_weights"].numpy().sum(1)
    assert (counts[span] <= counts["token"]).all()
    assert counts[span].mean() > 0.998 * counts["token"].mean()


def test_every_word_is_masked_equally_often():
    """Words of two tokens, in which a number that is odd leaves one over."""
    ids = [CLS, *[BEGINS[5:].argmax() + 5, BEGINS[5:].argmin() + 5] * 30, SEP]
    rows = 4000
    batch = {
        "input_ids": np.tile(np.int32(ids), (rows, 1)),
        "input_mask": np.ones((rows, len(ids)), np.int32),
        "segment_ids": np.zeros((rows, len(ids)), np.int32),
    }
    masked, _ = choose(batch, objective_config(span="word"), Draws(2, 0, rows))
    seen = np.bincount(np.concatenate(masked_places(masked)), minlength=len(ids))
    assert wanted_of(batch, 0.15)[0] == 9 and seen.sum() == 8 * rows
    np.testing.assert_array_equal(seen[1:-1:2], seen[2:-1:2])
    # Less than independent draws would vary, as they are without replacement.
    assert stats.chisquare(seen[1:-1:2]).pvalue > 1e-3


@pytest.mark.parametrize("most", [2, 3, 5])
def test_runs_have_lengths_like_1_by_n(most):
    rows, length = 3000, 60
    begins = SpecialTokens(CLS, SEP, MASK, VOCAB, (0, 1), np.ones(VOCAB, bool))
    batch = {
        "input_ids": tf.fill((rows, length), 7),
        "segment_ids": tf.zeros((rows, length), tf.int32),
    }
    objective = objective_config(span="ngram", span_max_words=most)
    starts = spans.starts(
        batch, tf.ones((rows, length), tf.bool), objective, begins, Draws(1, 1, rows)
    ).numpy()
    assert starts[:, 0].all()
    # The first ones: which runs end within the row depends on their length.
    lengths = np.array([np.diff(np.flatnonzero(row))[:8] for row in starts])
    expected = 1 / np.arange(1, most + 1)
    observed = np.bincount(lengths.ravel(), minlength=most + 1)[1:]
    assert len(observed) == most and lengths.shape == (rows, 8)
    assert stats.chisquare(observed, expected / expected.sum() * lengths.size).pvalue > 1e-3
    # One length tells nothing of the next.
    pairs = np.histogram2d(lengths[:, 0], lengths[:, 1], most)[0]
    assert stats.chi2_contingency(pairs).pvalue > 1e-3


def test_words_of_all_places_are_masked_about_equally_often_in_runs():
    """Not exactly: the row's ends cut runs, and of what is left over short ones fit more often."""
    rows, length = 20_000, 40
    begins = SpecialTokens(CLS, SEP, MASK, VOCAB, (0, 1), np.ones(VOCAB, bool))
    batch = {
        "input_ids": np.full((rows, length), 7, np.int32),
        "input_mask": np.ones((rows, length), np.int32),
        "segment_ids": np.zeros((rows, length), np.int32),
    }
    objective = objective_config(span="ngram", mask_fraction=0.25)
    masked, _ = choose(batch, objective, Draws(2, 0, rows), special=begins)
    rate = np.bincount(np.concatenate(masked_places(masked)), minlength=length) / rows
    np.testing.assert_allclose(rate, 0.25, rtol=0.08)
    places = np.zeros((rows, length), bool)
    np.put_along_axis(places, masked["masked_positions"].numpy(), True, 1)
    beside = (places[:, 1:] & places[:, :-1]).mean() / places.mean()
    assert beside > 0.4  # by token 0.25


def test_one_word_at_most_is_the_word():
    batch, draws = ragged_rows(400, 48), Draws(0, 0, 400)
    word, _ = choose(batch, objective_config(span="word"), draws)
    ngram, _ = choose(batch, objective_config(span="ngram", span_max_words=1), draws)
    for name, value in word.items():
        np.testing.assert_array_equal(ngram[name], value, err_msg=name)


@pytest.mark.parametrize("span", ["word", "ngram"])
def test_masks_belong_to_rows_of_the_global_batch(span):
    """Whatever part of it is prepared together, as by replicas."""
    objective, batch = objective_config(span=span), ragged_rows(12, 40)
    whole, _ = choose(batch, objective, Draws(7, 3, 12))
    for first, rows in ((0, 6), (6, 6), (4, 3)):
        part = {name: value[first : first + rows] for name, value in batch.items()}
        masked, _ = choose(part, objective, Draws(7, 3, 12, tf.constant(first)))
        for name, value in masked.items():
            np.testing.assert_array_equal(value, whole[name][first : first + rows], err_msg=name)


def test_token_draws_what_it_drew():
    """Bit for bit: the places with the most of the noise "positions", and no other noise."""
    rows, length = 200, 40
    batch, drawn = ragged_rows(rows, length), []

    class Watched(Draws):
        def uniform(self, name, *arguments):
            drawn.append(name)
            return super().uniform(name, *arguments)

    masked, noise_of = choose(batch, objective_config(), Watched(1, 2, rows))
    assert drawn == ["positions", "mask_tokens"]
    noise = noise_of("positions", rows, (length,)).numpy()
    covered = noise_of("mask_tokens", rows, (6,)).numpy() < np.float32(0.85)
    for row in range(rows):
        places = np.array([place for word, _ in words_of(batch, row) for place in word], int)
        number = min(int(wanted_of(batch, 0.15)[row]), 6, len(places))
        expected = places[np.argsort(-noise[row, places], kind="stable")[:number]]
        used = masked["masked_weights"][row].numpy() > 0
        np.testing.assert_array_equal(masked["masked_positions"][row].numpy()[used], expected)
        hidden = batch["input_ids"][row].copy()
        hidden[expected[covered[row, :number]]] = MASK
        np.testing.assert_array_equal(masked["masked_input_ids"][row], hidden)


def test_the_number_follows_the_step():
    objective = objective_config(span="word", mask_fraction_by_step="[[0, 0.3], [100, 0.1]]")
    batch = ragged_rows(300, 40)
    points = breakpoints.read(objective.mask_fraction_by_step)
    for step in (0, 50, 100, -1):
        share = np.float32(over_steps.value_at(points, step))
        masked, noise_of = choose(batch, objective, Draws(0, step, 300))
        assert masked["masked_weights"].shape == (300, masking.max_masked(40, 0.3))
        assert masked_places(masked) == expected_places(batch, objective, noise_of, share)


@pytest.fixture(scope="module")
def vocabulary():
    words = [f"w{number}" for number in range(20)] + [f"##c{number}" for number in range(40)]
    return Vocabulary([*SPECIAL_TOKENS, *words])


def documents(number):
    rng = np.random.default_rng(number)
    for _ in range(number):
        lengths = rng.integers(1, 30, rng.integers(1, 4))
        yield [rng.integers(5, 65, length).astype(np.int32) for length in lengths]


def examples_of(builder):
    for document in documents(300):
        yield from builder.add_document(document)
    yield from builder.finish()


@pytest.mark.parametrize("packed", [True, False])
def test_no_span_of_real_examples_leaves_its_document_or_segment(vocabulary, packed):
    """Examples cut words at their ends, and begin with the rest of one."""
    builder = (
        DocumentPacker(vocabulary, 64)
        if packed
        else PairBuilder(vocabulary, 64, random.Random(0), keep_leftovers=True)
    )
    batch = pad_examples(list(examples_of(builder)), 64, 0, packed)
    special = SpecialTokens.of(vocabulary)
    rows = len(batch["input_ids"])
    objective = objective_config(span="ngram", span_max_words=100)
    candidate = masking.candidates(batch, special.never_masked)
    starts = spans.starts(batch, candidate, objective, special, Draws(0, 0, rows)).numpy()
    candidate = candidate.numpy()
    assert not (starts & ~candidate).any()
    parts = [batch[name] for name in ("segment_ids", "document_ids") if name in batch]
    goes_on = candidate[:, 1:] & ~starts[:, 1:]  # the span of the place before
    assert candidate[:, :-1][goes_on].all() and goes_on.sum() > 10 * rows
    assert [part.max() for part in parts] == ([0, batch["document_ids"].max()] if packed else [1])
    assert not packed or parts[1].max() > 2
    for part in parts:
        assert (part[:, 1:] == part[:, :-1])[goes_on].all()
    # A run never begins within a word but at the beginning of an example's piece of it.
    begins = special.begins_word[batch["input_ids"]]
    within = starts & ~begins
    assert within.any() and np.isin(batch["input_ids"][:, :-1], (2, 3))[within[:, 1:]].all()


def test_the_greedy_choice_is_that_of_one_after_the_other():
    rng = np.random.default_rng(0)
    sizes = rng.integers(0, 9, (500, 40)) * (rng.random((500, 40)) < 0.8)
    sizes[::3] = np.sort(sizes[::3])[:, ::-1]  # the most rounds
    wanted = rng.integers(1, 60, (500, 1))
    taken = tf.function(spans.first_fit)(
        tf.constant(sizes, tf.float32), tf.constant(wanted, tf.float32), 60
    )
    expected, left = np.zeros(sizes.shape, bool), wanted[:, 0].copy()
    for place in range(sizes.shape[1]):
        size = sizes[:, place]
        expected[:, place] = (size > 0) & (size <= left)
        left -= size * expected[:, place]
    np.testing.assert_array_equal(taken, expected)


class WordlessVocabulary:
    pad_id, unk_id, cls_id, sep_id, mask_id = range(5)

    def __len__(self):
        return VOCAB


@pytest.mark.parametrize("span", ["word", "ngram"])
def test_a_tokenizer_without_words_is_refused(span):
    config = Config()
    config.model.vocab_size = VOCAB
    build_objective(config, WordlessVocabulary())
    config.objective.span = span
    with pytest.raises(UserError, match=f"config.objective.span must be token .*Received: {span}"):
        build_objective(config, WordlessVocabulary())


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"span": "sentence"}, "config.objective.span must be one of token, word, ngram"),
        ({"span_max_words": 0}, "config.objective.span_max_words must be at least 1"),
        ({"name": "electric", "span": "word"}, "span must be token .* Received: word and 0.0"),
    ],
)
def test_what_cannot_be_is_told(fields, message):
    with pytest.raises(UserError, match=message):
        objective_config(**fields)
