"""The head against the original's formulas in NumPy, and compiled against not compiled."""

import json

import numpy as np
import pytest
import tensorflow as tf
from scipy import special

from electra_tf.config import ModelConfig
from electra_tf.models.initialization import initialize
from electra_tf.tasks.base import Encoded
from electra_tf.tasks.squad.task import QuestionAnsweringTask

B, L, H = 3, 24, 16


@pytest.fixture(scope="module", params=[1, 2])
def task(request, tmp_path_factory):
    directory = tmp_path_factory.mktemp("squad")
    (directory / "dev.json").write_text(json.dumps({"data": []}))
    return QuestionAnsweringTask("x", str(directory), version=request.param, beam_size=5)


def new_head(task, dtype=None):
    head = task.new_head(ModelConfig(hidden_size=H), dtype)
    random = np.random.default_rng(0)
    initialize(head, 0.2, seed=1)
    for variable in head.trainable_variables:  # biases too, or a forgotten one would not show
        if variable.path.endswith("bias"):
            variable.assign(random.normal(0, 0.3, variable.shape))
    return head


def batch_of(seed=0):
    """Questions of 4 to 6 tokens, windows of 8 to 14, then padding."""
    hidden = np.random.default_rng(seed).normal(0, 1, (B, L, H)).astype(np.float32)
    mask, segments = np.zeros((B, L), np.int32), np.zeros((B, L), np.int32)
    for row in range(B):
        begin, end = 6 + row, 14 + 4 * row
        mask[row, :end], segments[row, begin:end] = 1, 1
    batch = {
        "input_mask": mask,
        "segment_ids": segments,
        "start_positions": np.array([[7], [0], [10]], np.int32),
        "end_positions": np.array([[9], [0], [10]], np.int32),
        "is_impossible": np.array([[0], [1], [0]], np.int32),
    }
    return tf.constant(hidden), {name: tf.constant(value) for name, value in batch.items()}


def gelu(x):
    return x * special.ndtr(x)


class Reference:
    """The original's formulas, with every concatenation it makes."""

    def __init__(self, head, hidden, batch):
        self.weights = {
            variable.path.split("task/")[-1]: variable.numpy().astype(np.float64)
            for variable in head.trainable_variables
        }
        self.hidden = hidden.numpy().astype(np.float64)
        self.mask = batch["input_mask"].numpy() * batch["segment_ids"].numpy() * 1.0
        self.mask[:, 0] += 1

    def dense(self, inputs, name):
        return inputs @ self.weights[f"{name}/kernel"] + self.weights[f"{name}/bias"]

    def start_log_probs(self):
        logits = self.dense(self.hidden, "start_logit")[..., 0] + 1000.0 * (self.mask - 1)
        return special.log_softmax(logits, axis=-1)

    def end_log_probs(self, starts):
        given = np.stack([self.hidden[row, start] for row, start in enumerate(starts)])
        both = np.concatenate([np.repeat(given[:, None], L, 1), self.hidden], -1)
        logits = self.dense(gelu(self.dense(both, "end_hidden")), "end_logit")[..., 0]
        return special.log_softmax(logits + 1000.0 * (self.mask - 1), axis=-1)

    def impossible_logits(self):
        mean = np.einsum("bl,blh->bh", np.exp(self.start_log_probs()), self.hidden)
        both = np.concatenate([self.hidden[:, 0], mean], -1)
        return self.dense(gelu(self.dense(both, "impossible_hidden")), "impossible_logit")[:, 0]


def test_losses(task):
    head = new_head(task)
    hidden, batch = batch_of()
    reference = Reference(head, hidden, batch)
    starts, ends = (batch[name].numpy()[:, 0] for name in ("start_positions", "end_positions"))
    rows = np.arange(B)
    expected = -0.5 * (
        reference.start_log_probs()[rows, starts] + reference.end_log_probs(starts)[rows, ends]
    )
    if task.version == 2:
        sign = 1 - 2 * batch["is_impossible"].numpy()[:, 0]
        expected += 0.5 * np.log1p(np.exp(sign * reference.impossible_logits()))
    np.testing.assert_allclose(task.losses(head, hidden, batch, None), expected, rtol=1e-5)


def test_chance_loss_is_that_of_the_best_guess(task):
    """Three rows without answer, five with, of one or two tokens somewhere in ten."""
    starts, ends = np.array([[0, 0, 0, 5, 6, 7, 8, 9], [0, 0, 0, 5, 6, 8, 9, 10]], np.int32)
    features = {
        "start_positions": starts[:, None],
        "end_positions": ends[:, None],
        "is_impossible": np.array([[1]] * 2 + [[0]] * 6, np.int32),
    }
    segments = np.zeros((8, 20), np.int8)
    segments[:, 5:16] = 1  # with [SEP]
    encoded = Encoded(features | {"segment_ids": segments}, np.arange(8))
    start = -(3 * np.log(3 / 8) + 5 * np.log(5 / 8 / 10)) / 8
    end = -(2 * np.log(2 / 5) + 3 * np.log(3 / 5)) / 8
    classifier = -(2 * np.log(2 / 8) + 6 * np.log(6 / 8)) / 8
    expected = 0.5 * (start + end) + (0.5 * classifier if task.version == 2 else 0.0)
    assert task.chance_loss(encoded) == pytest.approx(expected)


def test_outputs(task):
    head = new_head(task)
    hidden, batch = batch_of()
    reference = Reference(head, hidden, batch)
    outputs = {name: value.numpy() for name, value in task.outputs(head, hidden, batch).items()}
    start_log_probs = reference.start_log_probs()
    order = np.argsort(-start_log_probs)[:, :5]
    np.testing.assert_array_equal(outputs["start_top_index"], order)
    np.testing.assert_allclose(
        outputs["start_top_log_probs"], np.take_along_axis(start_log_probs, order, -1), atol=1e-5
    )
    for beam in range(5):
        end_log_probs = reference.end_log_probs(order[:, beam])
        ends = np.argsort(-end_log_probs)[:, :5]
        np.testing.assert_array_equal(outputs["end_top_index"][:, beam], ends)
        np.testing.assert_allclose(
            outputs["end_top_log_probs"][:, beam],
            np.take_along_axis(end_log_probs, ends, -1),
            atol=1e-5,
        )
    if task.version == 2:
        np.testing.assert_allclose(
            outputs["answerable_logit"], reference.impossible_logits(), atol=1e-5
        )
    else:
        assert "answerable_logit" not in outputs
    for name in ("start_top_index", "end_top_index"):
        assert outputs[name].dtype == np.int32


def test_the_end_depends_on_the_start(task):
    head = new_head(task)
    hidden, batch = batch_of()
    logits = head.end_logits(hidden, batch, tf.constant([[7, 8, 7]] * B)).numpy()
    np.testing.assert_array_equal(logits[:, 0], logits[:, 2])
    allowed = batch["segment_ids"].numpy() > 0
    shift = (logits[:, 1] - logits[:, 0])[allowed]
    assert shift.std() > 1e-2  # more than the same number for every end


def test_nothing_but_the_context_and_cls_is_chosen(task):
    hidden, batch = batch_of()
    outputs = task.outputs(new_head(task), hidden, batch)
    allowed = batch["segment_ids"].numpy() > 0
    allowed[:, 0] = True
    for row in range(B):
        assert allowed[row, outputs["start_top_index"][row].numpy()].all()
        assert allowed[row, outputs["end_top_index"][row].numpy()].all()


def test_every_weight_learns(task):
    head = new_head(task)
    hidden, batch = batch_of()
    variables = [variable.value for variable in head.trainable_variables]
    with tf.GradientTape() as tape:
        tape.watch(hidden)
        loss = tf.reduce_sum(task.losses(head, hidden, batch, None))
    gradients = tape.gradient(loss, [hidden, *variables])
    for variable, gradient in zip(
        ["hidden", *(v.path for v in head.trainable_variables)], gradients
    ):
        assert np.isfinite(gradient).all(), variable
        if not variable.endswith(("start_logit/bias", "end_logit/bias")):  # cancel in the softmax
            assert np.abs(gradient).max() > 0, variable
    assert {v.path.split("/")[-2] for v in head.trainable_variables} == {
        "start_logit",
        "end_hidden",
        "end_logit",
    } | ({"impossible_hidden", "impossible_logit"} if task.version == 2 else set())


def test_compiled_equals_plain(task):
    head = new_head(task)
    hidden, batch = batch_of()

    def both(hidden, batch):
        return task.losses(head, hidden, batch, None), task.outputs(head, hidden, batch)

    plain_loss, plain = both(hidden, batch)
    for jit_compile in (False, True):
        loss, outputs = tf.function(both, jit_compile=jit_compile)(hidden, batch)
        np.testing.assert_allclose(loss, plain_loss, rtol=1e-5)
        for name, value in plain.items():
            np.testing.assert_allclose(outputs[name], value, rtol=1e-5, atol=1e-5)


def test_mixed_precision_keeps_logits_in_float32(task):
    hidden, batch = batch_of()
    whole = task.losses(new_head(task), hidden, batch, None)
    half = task.losses(new_head(task, "mixed_bfloat16"), tf.cast(hidden, tf.bfloat16), batch, None)
    assert half.dtype == tf.float32
    np.testing.assert_allclose(half, whole, rtol=0.03)
    outputs = task.outputs(new_head(task, "mixed_bfloat16"), tf.cast(hidden, tf.bfloat16), batch)
    assert {value.dtype for value in outputs.values()} == {tf.float32, tf.int32}


def test_a_beam_is_no_wider_than_a_row(task):
    hidden, batch = batch_of()
    short = {name: value[:, :4] for name, value in batch.items()}
    assert task.outputs(new_head(task), hidden[:, :4], short)["end_top_index"].shape == (B, 4, 4)
