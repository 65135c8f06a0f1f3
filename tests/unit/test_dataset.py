"""Reading shards: order, resume, workers, evaluation, the original's files, error messages."""

import itertools
import json
import os

import numpy as np
import pytest
import tensorflow as tf
from numbered_shards import LENGTH, naive_order, numbers_of, write_data, write_records

from electra_tf.data import dataset, original_records


def write_original(directory, sizes):
    numbers = itertools.count(1)
    for index, size in enumerate(sizes):
        write_records(
            directory / f"pretrain_data.tfrecord-{index}-of-{len(sizes)}",
            itertools.islice(numbers, size),
        )
    return str(directory)


@pytest.mark.parametrize(
    "sizes, limit",
    [
        ((5, 3, 4), 100),  # one group
        ((5, 3, 0, 4, 6, 2), 8),  # groups of several files, and an empty file
        ((23, 2, 9), 5),  # files larger than a group
        ((3, 3, 2), 1),  # no shuffle within files
    ],
)
def test_order_equals_naive_reference_and_covers_each_epoch(tmp_path, sizes, limit):
    split = dataset.open_split(write_data(tmp_path, sizes), "train")
    epochs, total = 4, sum(sizes)
    actual = numbers_of(
        dataset.train_batches(split, seed=11, batch_size=1, start_step=0, shuffle_examples=limit),
        epochs * total,
    )
    assert actual == naive_order(sizes, 11, limit, epochs)
    for epoch in range(epochs):
        assert sorted(actual[epoch * total : (epoch + 1) * total]) == list(range(1, total + 1))
    assert actual[:total] != actual[total : 2 * total]


def test_seed_changes_the_order(tmp_path):
    split = dataset.open_split(write_data(tmp_path, (10, 10)), "train")
    orders = [
        numbers_of(
            dataset.train_batches(
                split, seed=seed, batch_size=20, start_step=0, shuffle_examples=99
            ),
            1,
        )
        for seed in (0, 1)
    ]
    assert orders[0] != orders[1]


@pytest.mark.parametrize("limit", [6, 1000])
def test_resume_at_any_step_continues_the_stream(tmp_path, limit):
    sizes, batch = (7, 4, 13), 5
    split = dataset.open_split(write_data(tmp_path, sizes), "train")
    whole = naive_order(sizes, 3, limit, 12)
    for step in (0, 1, 2, 4, 5, 23, 47):
        actual = numbers_of(
            dataset.train_batches(
                split, seed=3, batch_size=batch, start_step=step, shuffle_examples=limit
            ),
            3,
        )
        assert actual == whole[step * batch : (step + 3) * batch]


@pytest.mark.parametrize("limit", [4, 1000])
def test_workers_rows_together_are_the_global_batch(tmp_path, limit):
    split = dataset.open_split(write_data(tmp_path, (9, 5, 11)), "train")
    settings = dict(seed=5, batch_size=12, start_step=2, shuffle_examples=limit)
    whole = numbers_of(dataset.train_batches(split, **settings), 6)
    parts = [
        numbers_of(
            dataset.train_batches(
                split, rows=(6 * worker, 6 * worker + 6), rows_per_batch=3, **settings
            ),
            12,
        )
        for worker in range(2)
    ]
    merged = [part[6 * step : 6 * step + 6] for step in range(6) for part in parts]
    assert list(itertools.chain(*merged)) == whole


def test_fewer_examples_than_a_batch(tmp_path):
    split = dataset.open_split(write_data(tmp_path, (2, 1)), "train")
    batches = dataset.train_batches(split, seed=0, batch_size=16, start_step=1, shuffle_examples=2)
    assert numbers_of(batches, 2) == naive_order((2, 1), 0, 2, 16)[16:48]


def test_batches_are_int32_of_static_shape(tmp_path):
    split = dataset.open_split(write_data(tmp_path, (8,), packing="documents"), "train")
    assert split.packed
    batches = dataset.train_batches(
        split, seed=0, batch_size=4, start_step=0, shuffle_examples=8, rows_per_batch=2
    )
    expected = tf.TensorSpec([2, LENGTH], tf.int32)
    assert batches.element_spec == {
        name: expected for name in ("input_ids", "input_mask", "segment_ids", "document_ids")
    }
    element = next(iter(batches))
    np.testing.assert_array_equal(element["document_ids"], [[1, 1, 2, 0]] * 2)
    np.testing.assert_array_equal(element["segment_ids"], [[0, 0, 1, 0]] * 2)


def test_batch_at_is_the_batch_that_was_trained_on(tmp_path):
    split = dataset.open_split(write_data(tmp_path, (7, 6)), "train")
    settings = dict(seed=1, batch_size=4, shuffle_examples=5)
    trained = next(iter(dataset.train_batches(split, start_step=9, **settings)))
    again = dataset.batch_at(split, step=9, **settings)
    assert sorted(again) == ["input_ids", "input_mask", "segment_ids"]
    for name, value in again.items():
        assert value.dtype == np.int32
        np.testing.assert_array_equal(value, trained[name])


def test_a_small_data_set_is_read_once(tmp_path):
    split = dataset.open_split(write_data(tmp_path, (4, 3)), "train")
    batches = iter(
        dataset.train_batches(split, seed=0, batch_size=7, start_step=0, shuffle_examples=7)
    )
    next(batches)
    for path in split.files:
        os.remove(path)
    for _ in range(50):
        assert sorted(next(batches)["input_ids"][:, 0].numpy()) == list(range(1, 8))


@pytest.mark.parametrize("num_workers", [1, 2, 3])
@pytest.mark.parametrize("sizes", [(17,), (2, 0, 5), (1,), (8, 8)])
def test_evaluation_counts_every_example_once(tmp_path, sizes, num_workers):
    split = dataset.open_split(write_data(tmp_path, sizes, "eval"), "eval")
    workers = [
        list(dataset.eval_batches(split, batch_size=4, worker=worker, num_workers=num_workers))
        for worker in range(num_workers)
    ]
    batches = [batch for step in zip(*workers, strict=True) for batch in step]
    assert all(value.shape == (4, LENGTH) for batch in batches for value in batch.values())
    ids = np.concatenate([batch["input_ids"][:, 0] for batch in batches])
    mask = np.concatenate([batch["input_mask"][:, 0] for batch in batches])
    assert ids[mask == 1].tolist() == list(range(1, sum(sizes) + 1))
    assert not ids[mask == 0].any()


def test_evaluation_of_the_first_batches(tmp_path):
    split = dataset.open_split(write_data(tmp_path, (5, 6), "eval"), "eval")
    assert numbers_of(dataset.eval_batches(split, batch_size=3, num_batches=2)) == [*range(1, 7)]
    everything = numbers_of(dataset.eval_batches(split, batch_size=3, num_batches=99))
    assert everything == [*range(1, 12), 0]


@pytest.mark.parametrize("folder", ["", "pretrain_tfrecords"])
def test_original_records_are_counted_and_one_file_is_held_out(tmp_path, folder):
    (tmp_path / folder).mkdir(exist_ok=True)
    sizes = [3, 1, 0, 2, 1, 1, 1, 1, 1, 4, 5, 0]  # twelve, so that text order is not file order
    write_original(tmp_path / folder, sizes)
    train = dataset.open_split(str(tmp_path), "train")
    held_out = dataset.open_split(str(tmp_path), "eval")
    assert train.examples_per_file == (3, 1, 2, 1, 1, 1, 1, 1, 4)
    assert held_out.examples_per_file == (5,)
    assert train.seq_length == LENGTH and not train.packed
    batches = dataset.train_batches(train, seed=0, batch_size=15, start_step=0, shuffle_examples=4)
    assert sorted(numbers_of(batches, 1)) == list(range(1, 16))
    assert numbers_of(dataset.eval_batches(held_out, batch_size=5)) == list(range(16, 21))


def test_counting_records_across_read_blocks(tmp_path, monkeypatch):
    write_records(tmp_path / "x", range(50))
    for block in (8, 13, 100, 1000):
        monkeypatch.setattr(original_records, "_READ_BYTES", block)
        original_records._count.cache_clear()
        assert original_records.count(str(tmp_path / "x")) == 50


def test_records_are_counted_again_only_if_their_file_has_changed(tmp_path, monkeypatch):
    path = tmp_path / "x"
    write_records(path, range(5))
    assert original_records.count(str(path)) == 5
    with monkeypatch.context() as patched:
        patched.setattr(tf.io.gfile, "GFile", None)  # an evaluation asks again and again
        assert original_records.count(str(path)) == 5
    write_records(path, range(7))
    assert original_records.count(str(path)) == 7


def test_one_original_file_has_no_eval(tmp_path):
    write_original(tmp_path, [3])
    assert dataset.open_split(str(tmp_path), "train").num_examples == 3
    with pytest.raises(ValueError, match="'eval' split .* must hold at least one example"):
        dataset.open_split(str(tmp_path), "eval")


def test_not_a_data_set(tmp_path):
    for path in (str(tmp_path), str(tmp_path / "none"), ""):
        with pytest.raises(ValueError, match="must hold dataset.json .*electra_tf build_dataset"):
            dataset.open_split(path, "train")


def test_description_errors(tmp_path):
    data_dir = write_data(tmp_path, (2, 2), format_version=9)
    with pytest.raises(ValueError, match="must have format_version 1.*Received: 9"):
        dataset.open_split(data_dir, "train")
    data_dir = write_data(tmp_path, (2, 2))
    with pytest.raises(ValueError, match="must be one of train. Received: 'test'"):
        dataset.open_split(data_dir, "test")
    os.remove(tmp_path / "train-00001-of-00002.tfrecord")
    with pytest.raises(ValueError, match=r"train-00001-of-00002.tfrecord \(1 of 2 are missing\)"):
        dataset.open_split(data_dir, "train")
    with pytest.raises(ValueError, match="'train' split .* must hold at least one example"):
        dataset.open_split(write_data(tmp_path, (0,)), "train")


def test_files_in_folders(tmp_path):
    data_dir = write_data(tmp_path, (3, 2))
    expected = numbers_of(dataset.eval_batches(dataset.open_split(data_dir, "train"), batch_size=2))
    description = json.loads((tmp_path / "dataset.json").read_text())
    (tmp_path / "Split-train").mkdir()
    for file in description["splits"]["train"]["files"]:
        os.rename(tmp_path / file["name"], tmp_path / "Split-train" / file["name"])
        file["name"] = f"Split-train/{file['name']}"
    (tmp_path / "dataset.json").write_text(json.dumps(description))
    moved = dataset.open_split(data_dir, "train")
    assert numbers_of(dataset.eval_batches(moved, batch_size=2)) == expected == [1, 2, 3, 4, 5, 0]
    os.remove(tmp_path / "Split-train" / "train-00001-of-00002.tfrecord")
    with pytest.raises(ValueError, match="without Split-train/train-00001-of-00002.tfrecord"):
        dataset.open_split(data_dir, "train")


def test_missing_original_file(tmp_path):
    write_original(tmp_path, [3, 3])
    os.remove(tmp_path / "pretrain_data.tfrecord-0-of-2")
    with pytest.raises(ValueError, match="Received: 1 of N=2 files"):
        dataset.open_split(str(tmp_path), "train")


@pytest.mark.parametrize("bytes_lost", [1, 50, 75])
def test_truncated_original_file(tmp_path, bytes_lost):
    write_original(tmp_path, [3])
    path = tmp_path / "pretrain_data.tfrecord-0-of-1"
    path.write_bytes(path.read_bytes()[:-bytes_lost])
    with pytest.raises(ValueError, match="must be a complete TFRecord.*-0-of-1, which is cut off"):
        dataset.open_split(str(tmp_path), "train")


def test_damaged_shards_name_the_file(tmp_path):
    split = dataset.open_split(write_data(tmp_path, (3, 3)), "train")
    settings = dict(seed=0, batch_size=2, step=0, shuffle_examples=9)
    for count, message in ((2, "2"), (4, "more")):
        write_records(split.files[1], range(count))
        with pytest.raises(ValueError, match=f"as many .* 3. Received: {message} in .*00001-of-"):
            dataset.batch_at(split, **settings)
    with open(split.files[0], "r+b") as file:
        file.truncate(os.path.getsize(split.files[0]) - 1)
    with pytest.raises(ValueError, match="must be a complete TFRecord file. Received: .*00000-of"):
        dataset.batch_at(split, **settings)
    with pytest.raises(tf.errors.OpError, match="must be a complete TFRecord file"):
        next(
            iter(
                dataset.train_batches(split, seed=0, batch_size=2, start_step=0, shuffle_examples=9)
            )
        )
    with pytest.raises(tf.errors.OpError):
        list(dataset.eval_batches(split, batch_size=2))


def test_argument_errors(tmp_path):
    split = dataset.open_split(write_data(tmp_path, (3,)), "train")
    settings = dict(seed=0, batch_size=8, start_step=0)
    with pytest.raises(ValueError, match="rows must be .first, end. .*Received: .4, 9."):
        dataset.train_batches(split, shuffle_examples=9, rows=(4, 9), **settings)
    with pytest.raises(ValueError, match="rows_per_batch must divide .* Received: 3 with rows"):
        dataset.train_batches(split, shuffle_examples=9, rows_per_batch=3, **settings)
    with pytest.raises(ValueError, match="shuffle_examples must be at least 1"):
        dataset.batch_at(split, seed=0, batch_size=8, step=0, shuffle_examples=0)
