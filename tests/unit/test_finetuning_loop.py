"""Order and width of a fine-tuning's batches, and outputs for each row, once, in its place."""

import itertools

import numpy as np
import pytest
from keras import ops

from electra_tf import features
from electra_tf.config import ModelConfig
from electra_tf.models.finetuned import Finetuned
from electra_tf.models.initialization import initialize
from electra_tf.models.tagging_head import TaggingHead
from electra_tf.tasks.base import Encoded
from electra_tf.tasks.finetuning import LoopTask, predict_outputs
from electra_tf.train.task import EvaluatedTask
from electra_tf.train.task import Task as LoopProtocol

CONFIG = ModelConfig(
    vocab_size=50,
    hidden_size=16,
    num_layers=2,
    num_heads=2,
    intermediate_size=32,
    embedding_size=16,
    max_positions=128,
    initializer_range=0.2,
)
WORD_LABELS = "word_labels"


class Task:
    """As much of a task as the loop asks for: outputs with an axis of tokens and without."""

    sequence_features = (*features.data_features(packed=False), WORD_LABELS)

    def new_head(self, config, dtype):
        head = TaggingHead(config, 3, name="task", dtype=dtype)
        head.build()
        return head

    def outputs(self, head, hidden, batch):
        logits = head(hidden)
        mask = ops.cast(batch[features.INPUT_MASK], "float32")[..., None]
        return {
            "logits": logits * mask,
            "first": logits[:, 0],
            "ids": ops.sum(batch[features.INPUT_IDS], axis=1),
        }


def rows_of(lengths, width=None, seed=0):
    """Rows of these lengths; `place` is each row's number."""
    lengths, random = np.array(lengths), np.random.default_rng(seed)
    mask = (np.arange(width or lengths.max()) < lengths[:, None]).astype(np.int32)
    ids = random.integers(5, 50, mask.shape).astype(np.int32) * mask
    return Encoded(
        {
            "input_ids": ids,
            "input_mask": mask,
            "segment_ids": random.integers(0, 2, mask.shape).astype(np.int8) * mask,
            WORD_LABELS: ids.astype(np.int16) - 1,
            "place": np.arange(len(lengths), dtype=np.int32)[:, None],
            "target": random.random((len(lengths), 2)),
        },
        np.arange(len(lengths), dtype=np.int32),
    )


def loop_task(encoded, batch_size=8, seed=0, one_width=False):
    return LoopTask(Task(), CONFIG, encoded, seed, batch_size, one_width)


def order(task, steps):
    """Numbers of the rows of so many steps."""
    return np.concatenate([task.train_batch(step)["place"][:, 0] for step in range(steps)])


@pytest.mark.parametrize(
    ("num_rows", "batch_size"), [(640, 8), (641, 8), (37, 8), (40, 8), (5, 8), (3, 8), (300, 1)]
)
def test_every_epoch_has_each_row_once(num_rows, batch_size):
    """Batches go over the ends of epochs, so that every step has a whole batch."""
    lengths = np.random.default_rng(0).integers(3, 60, num_rows)
    task = loop_task(rows_of(lengths), batch_size)
    found = order(task, -(-4 * num_rows // batch_size))[: 4 * num_rows].reshape(4, num_rows)
    for epoch in found:
        np.testing.assert_array_equal(np.sort(epoch), np.arange(num_rows))
    assert len({tuple(epoch) for epoch in found}) > 1


def test_the_order_is_a_function_of_the_seed_and_the_step():
    encoded = rows_of(np.random.default_rng(0).integers(3, 60, 101))
    expected = order(loop_task(encoded, seed=3), 40)
    np.testing.assert_array_equal(order(loop_task(encoded, seed=3), 40), expected)
    assert (order(loop_task(encoded, seed=4), 40) != expected).mean() > 0.5
    epochs = expected[:303].reshape(3, 101)
    assert all((one != other).mean() > 0.5 for one, other in itertools.combinations(epochs, 2))
    task = loop_task(encoded, seed=3)
    for step in (39, 0, 13, 12, 25):  # in any order, over any end of an epoch
        np.testing.assert_array_equal(
            task.train_batch(step)["place"][:, 0], expected[8 * step : 8 * step + 8]
        )


def test_short_rows_come_at_any_time():
    """Sorting by length must not make an epoch begin with the short rows, or end with them."""
    lengths = np.random.default_rng(0).integers(3, 100, 8 * 32 * 4)
    first = [lengths[order(loop_task(rows_of(lengths), seed=seed), 1)].mean() for seed in range(40)]
    assert abs(np.mean(first) - lengths.mean()) < 4 * np.std(first) / np.sqrt(len(first))
    assert np.std(first) > 20


@pytest.mark.parametrize("start", [0, 1, 12, 13, 14, 30])
def test_the_data_set_starts_at_any_step(start):
    encoded = rows_of(np.random.default_rng(0).integers(3, 60, 101))
    task = loop_task(encoded)
    for rows, rows_per_batch in (((0, 8), 8), ((4, 8), 2)):
        found = loop_task(encoded).train_batches(start, rows, rows_per_batch).as_numpy_iterator()
        for step in range(start, start + 5):
            batch = task.train_batch(step)
            for first in range(*rows, rows_per_batch):
                part = next(found)
                assert part.keys() == batch.keys() == encoded.features.keys()
                for name, value in batch.items():
                    np.testing.assert_array_equal(part[name], value[first : first + rows_per_batch])


def test_a_batch_holds_its_rows_whole_and_little_else():
    lengths = np.random.default_rng(0).integers(3, 61, 200)
    encoded = rows_of(lengths)
    task, widths = loop_task(encoded), set()
    for step in range(50):
        batch = task.train_batch(step)
        places = batch["place"][:, 0]
        longest = lengths[places].max()
        width = batch["input_ids"].shape[1]
        assert longest <= width <= min(longest + 7, 60)
        assert width % 8 == 0 or width == 60
        widths.add(width)
        for name, value in encoded.features.items():
            is_sequence = name in Task.sequence_features
            np.testing.assert_array_equal(
                batch[name], value[places, : width if is_sequence else None].astype(np.float32)
            )
            assert batch[name].dtype == (np.float32 if name == "target" else np.int32)
        np.testing.assert_array_equal(batch["input_mask"].sum(1), lengths[places])
    assert len(widths) > 4
    fixed = loop_task(encoded, one_width=True)
    assert all(fixed.train_batch(step)["input_ids"].shape == (8, 60) for step in range(50))
    np.testing.assert_array_equal(order(fixed, 50), order(task, 50))
    spec = fixed.train_batches(0, (0, 8), 8).element_spec
    assert spec["input_ids"].shape == (8, 60) and spec["place"].shape == (8, 1)


def test_rows_of_one_length_share_a_batch():
    """Of the padding that batches in random order have, less than a tenth is left."""
    random = np.random.default_rng(0)
    lengths = np.minimum(3 + random.gamma(2.0, 15.0, 32 * 120).astype(int), 128)
    task = loop_task(rows_of(lengths), batch_size=32)
    tokens = sum(task.train_batch(step)["input_ids"].size for step in range(120))
    shuffled = random.permutation(lengths).reshape(-1, 32).max(axis=1)
    unsorted = (np.minimum(-(-shuffled // 8) * 8, 128) * 32).sum()
    assert tokens - lengths.sum() < 0.1 * (unsorted - lengths.sum())


def network():
    """Weights large enough that no two rows, and no two orders, give the same."""
    model = initialize(Finetuned(CONFIG, Task().new_head, dtype="float32"), 0.2, 0)
    for variable in model.head.trainable_variables:
        variable.assign(np.random.default_rng(1).normal(size=variable.shape))
    return model


@pytest.mark.parametrize(("num_rows", "longest"), [(41, 77), (1, 9), (64, 64)])
def test_each_row_has_its_outputs_as_if_it_were_alone(num_rows, longest):
    lengths = np.random.default_rng(num_rows).integers(3, longest + 1, num_rows)
    lengths[num_rows // 2] = longest
    encoded, model, shares = rows_of(lengths), network(), []
    outputs = predict_outputs(Task(), model, encoded, on_progress=shares.append)
    assert outputs["logits"].shape[0] == outputs["first"].shape[0] == num_rows
    assert longest <= outputs["logits"].shape[1] <= encoded.features["input_ids"].shape[1]
    np.testing.assert_array_equal(outputs["ids"], encoded.features["input_ids"].sum(axis=1))
    for row, length in list(enumerate(lengths))[::5]:  # each of these is a call of its own
        alone = {
            name: encoded.features[name][row : row + 1, :length].astype(np.int32)
            for name in features.data_features(packed=False)
        }
        expected = Task().outputs(model.head, model(alone), alone)
        np.testing.assert_allclose(
            outputs["logits"][row, :length], expected["logits"][0], rtol=1e-4, atol=1e-4
        )
        assert not outputs["logits"][row, length:].any()
        np.testing.assert_allclose(
            outputs["first"][row], expected["first"][0], rtol=1e-4, atol=1e-4
        )
    others = outputs["first"][1:]
    assert not num_rows > 1 or np.abs(others - outputs["first"][:-1]).max(axis=1).min() > 1e-3
    assert shares == sorted(shares) and shares[-1] == 1.0 and len(shares) == -(-num_rows // 32)


def test_other_batch_sizes_give_the_same():
    encoded, model = rows_of(np.random.default_rng(0).integers(3, 60, 23)), network()
    one, other = (predict_outputs(Task(), model, encoded, batch_size=size) for size in (32, 7))
    for name, value in one.items():
        np.testing.assert_allclose(other[name], value, rtol=1e-4, atol=1e-4)


def test_the_average_row_counts_no_padding():
    task = loop_task(rows_of([3, 5, 10, 42], width=100))
    assert task.seq_length == 15


def test_a_finetuning_is_a_task_of_the_loop():
    task = loop_task(rows_of([3, 5]))
    assert isinstance(task, LoopProtocol) and not isinstance(task, EvaluatedTask)
