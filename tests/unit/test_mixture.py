"""Several data sets read as one: which examples come when, and what must be alike."""

import dataclasses
import fractions
import itertools

import numpy as np
import pytest
from numbered_shards import naive_order, numbers_of, write_data

from electra_tf.config import Config, mixtures
from electra_tf.data import dataset
from electra_tf.data.mixture import Interleaving
from electra_tf.data.token_counts import count_tokens
from electra_tf.errors import UserError

WEIGHTS = [(1,), (3, 1), (1, 1), (2, 3, 7), (1, 50), (5, 5, 1, 2)]


def reference(weights, count):
    """Pairs of (data set, example), one after the other: always what is due first."""
    taken, order = [0] * len(weights), []
    for _ in range(count):
        due = [
            fractions.Fraction(2 * number + 1, 2 * weight)
            for number, weight in zip(taken, weights, strict=True)
        ]
        source = due.index(min(due))
        order.append((source, taken[source]))
        taken[source] += 1
    return order


def drawn(weights, first, end):
    sources, numbers = Interleaving(weights).draw(first, end)
    return list(zip(sources.tolist(), numbers.tolist(), strict=True))


@pytest.mark.parametrize("weights", WEIGHTS)
def test_positions_equal_a_plain_reference(weights):
    expected = reference(weights, 3 * sum(weights) + 5)
    assert drawn(weights, 0, len(expected)) == expected
    for first, end in ((1, 4), (sum(weights) - 1, 2 * sum(weights) + 1), (2, 2)):
        assert drawn(weights, first, end) == expected[first:end]


@pytest.mark.parametrize("weights", WEIGHTS)
def test_late_positions_are_found_without_the_ones_before(weights):
    period, rows = sum(weights), 256
    position = 10**7 * rows + 3
    expected = reference(weights, 2 * period + rows)[position % period :][:rows]
    expected = [
        (source, number + position // period * weights[source]) for source, number in expected
    ]
    assert drawn(weights, position, position + rows) == expected


@pytest.mark.parametrize("weights", [*WEIGHTS, (999, 1), (333_333, 333_334, 333_333)])
def test_shares_are_kept_at_every_position(weights):
    period, most = sum(weights), 2000
    sources, _ = Interleaving(weights).draw(0, most)
    for source, weight in enumerate(weights):
        read = np.cumsum(sources == source)
        ideal = np.arange(1, most + 1) * weight / period
        assert np.abs(read - ideal).max() <= (1 + len(weights)) / 2
    sources, numbers = Interleaving(weights).draw(0, period)
    assert np.bincount(sources).tolist() == list(weights)
    for source, weight in enumerate(weights):
        np.testing.assert_array_equal(numbers[sources == source], np.arange(weight))


@pytest.fixture
def directories(tmp_path):
    """Three data sets, of examples 1 to 12, 101 to 117 and 201 to 203."""
    for name, sizes, first in (("a", (5, 3, 4), 1), ("b", (17,), 101), ("c", (1, 2), 201)):
        (tmp_path / name).mkdir()
        write_data(tmp_path / name, sizes, first=first)
    return [str(tmp_path / name) for name in "abc"]


def expected_order(seed, limit, count):
    """The examples of these data sets, mixed 5 : 3 : 2."""
    streams = [
        iter([first + number for number in naive_order(sizes, seed, limit * weight // 10, 60)])
        for sizes, first, weight in (((5, 3, 4), 0, 5), ((17,), 100, 3), ((1, 2), 200, 2))
    ]
    return [next(streams[source]) for source, _ in reference((5, 3, 2), count)]


@pytest.mark.parametrize("limit", [20, 1000])
def test_each_data_set_has_its_own_order_and_resumes_at_any_step(directories, limit):
    split = dataset.open_mixture(dict(zip(directories, (5, 3, 2))), "train")
    settings = dict(seed=4, batch_size=7, shuffle_examples=limit)
    expected = expected_order(4, limit, 7 * 23)
    for step in (0, 1, 6, 20):
        batches = dataset.train_batches(split, start_step=step, **settings)
        assert numbers_of(batches, 3) == expected[7 * step : 7 * step + 21]
    batch = dataset.batch_at(split, step=9, **settings)
    assert batch["input_ids"][:, 0].tolist() == expected[63:70]


def test_workers_rows_together_are_the_global_batch(directories):
    split = dataset.open_mixture(dict(zip(directories, (5, 3, 2))), "train")
    settings = dict(seed=4, batch_size=12, start_step=2, shuffle_examples=20)
    parts = [
        numbers_of(
            dataset.train_batches(
                split, rows=(6 * worker, 6 * worker + 6), rows_per_batch=3, **settings
            ),
            6,
        )
        for worker in range(2)
    ]
    merged = [part[6 * step : 6 * step + 6] for step in range(3) for part in parts]
    assert list(itertools.chain(*merged)) == expected_order(4, 20, 60)[24:]


def test_one_data_set_is_read_as_without_a_mixture(directories):
    settings = dict(seed=1, batch_size=5, start_step=0, shuffle_examples=6)
    alone = dataset.open_split(directories[0], "train")
    mixed = dataset.open_mixture({directories[0]: 1}, "train")
    orders = [numbers_of(dataset.train_batches(each, **settings), 8) for each in (alone, mixed)]
    assert orders[0] == orders[1]


def test_evaluation_has_all_examples_or_of_each_data_set_its_share(directories):
    split = dataset.open_mixture(dict(zip(directories, (1, 1, 8))), "train")
    everything = [*range(1, 13), *range(101, 118), *range(201, 204)]
    assert split.num_examples == len(everything) == 32
    assert numbers_of(dataset.eval_batches(split, batch_size=8)) == everything
    parts = [
        numbers_of(
            dataset.eval_batches(split, batch_size=4, num_batches=4, worker=w, num_workers=2)
        )
        for w in range(2)
    ]
    merged = [*parts[0][:4], *parts[1][:4], *parts[0][4:], *parts[1][4:]]
    assert merged == [*range(1, 7), *range(101, 109), *range(201, 203)]  # half of each


def test_tokens_are_counted_by_weight(directories):
    split = dataset.open_mixture(dict(zip(directories, (1, 2, 1))), "train")
    counts = count_tokens(split, 300)
    assert counts.sum() == pytest.approx(3 * split.num_examples, abs=10)
    shares = [counts[first : first + 99].sum() / counts.sum() for first in (100, 200)]
    # A third of all tokens are numbers, of which half are of b, a quarter of c.
    np.testing.assert_allclose(shares, [1 / 6, 1 / 12], rtol=0.1)


@pytest.mark.parametrize("changes, message", [
    ({"packing": "documents"}, "same --packing. Received: none in .*a, documents in .*b;"),
    ({"seq_length": 5}, "seq_length of dataset.json must be that of the examples"),
])  # fmt: skip
def test_examples_must_fit_into_one_batch(directories, tmp_path, changes, message):
    write_data(tmp_path / "b", (3,), **changes)
    with pytest.raises(UserError, match=message):
        dataset.open_mixture(dict.fromkeys(directories, 1), "train")


def test_the_examples_must_have_one_length(directories, monkeypatch):
    opened = dataset.open_split

    def of_another_length(directory, name):
        split = opened(directory, name)
        return dataclasses.replace(split, seq_length=9) if directory[-1] == "c" else split

    monkeypatch.setattr(dataset, "open_split", of_another_length)
    with pytest.raises(UserError, match="same --seq_length. Received: 4 in .*a, 9 in .*c; build"):
        dataset.open_mixture(dict.fromkeys(directories, 1), "train")


@pytest.mark.parametrize("text, weights", [
    ('{"a": 3, "b": 1}', {"a": 3, "b": 1}),
    ('{"a": 30, "b": 10}', {"a": 3, "b": 1}),
    ('{"a": 0.7, "b": 0.3}', {"a": 7, "b": 3}),
    ('{"a": 1.5, "b": 1, "c": 0.25}', {"a": 6, "b": 4, "c": 1}),
    ('{"gs://bucket/a": 2}', {"gs://bucket/a": 1}),
    ("", {}),
])  # fmt: skip
def test_weights_as_text(text, weights):
    assert mixtures.read(text, "x") == weights


@pytest.mark.parametrize("text, message", [
    ("shards/a,shards/b", "x must be directories with their weights, .* as JSON, such as"),
    ('["a", "b"]', "must be directories"),
    ("{}", "must be directories"),
    ('{"a": 0}', "must be directories"),
    ('{"a": -1}', "must be directories"),
    ('{"a": true}', "must be directories"),
    ('{"a": NaN}', "must be directories"),
    ('{"a": {"b": 1}}', "must be directories"),
    ('{"": 1}', "must be directories"),
    ('{"a": 1, "a": 2}', "must name each directory once. Received: a and a"),
    ('{"a": 1, "b/../a/": 2}', "must name each directory once. Received: a and b/../a/"),
    ('{"a": 0.123457, "b": 1}', "sum of at most 1,000,000; round them. Received: 1,123,457 for"),
])  # fmt: skip
def test_texts_that_are_no_mixture(text, message):
    with pytest.raises(UserError, match=message):
        mixtures.read(text, "x")


def test_a_mixture_takes_the_place_of_the_directory():
    config = Config()
    assert config.data.sources() == {"": 1}
    config.data.dir = "shards"
    assert config.validate().data.sources() == {"shards": 1}
    config.data.mixture = '{"a": 2}'
    with pytest.raises(UserError, match="must be in place of config.data.dir, .* and shards"):
        config.validate()
    config.data.dir = ""
    assert config.validate().data.sources() == {"a": 1}
