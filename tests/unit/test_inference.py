"""What servers run, `hidden_states`, against the Keras encoder of the same weights."""

import numpy as np
import pytest
import tensorflow as tf

from electra_tf.config import Config
from electra_tf.models.electra import Electra
from electra_tf.serving.graph import inference
from electra_tf.serving.graph.inference import PackedRows, hidden_states

VOCAB_SIZE, LONGEST = 50, 24
NAMES = ("input_ids", "input_mask", "segment_ids")


def new_model(dtype="float32", embedding_size=16):
    """An Electra with weights that are far from their initial values, biases too."""
    config = Config()
    sizes = {
        "vocab_size": VOCAB_SIZE,
        "hidden_size": 32,
        "num_layers": 3,
        "num_heads": 4,
        "intermediate_size": 48,
        "embedding_size": embedding_size,
        "max_positions": LONGEST,
        "layer_norm_epsilon": 1e-3,
    }
    for name, value in sizes.items():
        setattr(config.model, name, value)
    model = Electra(config, dtype=dtype)
    random = np.random.default_rng(0)
    for variable in model.trainable_variables:
        mean = 1.0 if variable.path.endswith("gamma") else 0.0
        variable.assign(random.normal(mean, 0.3, variable.shape))
    return model


def batch_of(mask):
    random = np.random.default_rng(1)
    mask = np.array(mask, np.int32)
    ids, segments = (
        random.integers(high, size=mask.shape, dtype=np.int32) for high in (VOCAB_SIZE, 2)
    )
    return {name: tf.constant(value) for name, value in zip(NAMES, (ids, mask, segments))}


def mask_of(lengths, width):
    return (np.arange(width) < np.array(lengths)[:, None]).astype(np.int32)


def assert_equal_on_tokens(encoder, batch, tolerance=1e-5):
    served = tf.function(lambda batch: hidden_states(encoder, batch), autograph=False)(batch)
    expected = tf.cast(encoder(batch), tf.float32).numpy()
    assert served.dtype == encoder.compute_dtype and served.shape == expected.shape
    served, mask = tf.cast(served, tf.float32).numpy(), batch["input_mask"].numpy() > 0
    np.testing.assert_allclose(served[mask], expected[mask], atol=tolerance, rtol=tolerance)
    assert not served[~mask].any()


@pytest.fixture(scope="module")
def model():
    return new_model()


@pytest.mark.parametrize("few_scores", [0, 10**9], ids=["as many", "as few"])
@pytest.mark.parametrize(
    "mask",
    [
        mask_of([24, 1, 7, 24, 2, 13], 24),
        mask_of([5, 5], 5),
        [[1]],
        mask_of([0, 4, 0], 4),
        [[0, 1, 1, 0, 1], [1, 0, 0, 0, 0], [0, 0, 0, 0, 1]],
    ],
    ids=["mixed lengths", "no padding", "one token", "rows of padding", "holes"],
)
def test_tokens_are_as_in_the_keras_model(model, mask, few_scores, monkeypatch):
    monkeypatch.setattr(inference, "FEW_SCORES", few_scores)
    assert_equal_on_tokens(model.discriminator, batch_of(mask))


def test_the_generator_and_equal_sizes_too(model):
    assert_equal_on_tokens(model.generator, batch_of(mask_of([9, 3], 9)))
    same = new_model(embedding_size=32).discriminator
    assert same.embeddings_project is None
    assert_equal_on_tokens(same, batch_of(mask_of([2, 6], 6)))


def test_of_nothing_but_padding_nothing_comes(model):
    encoder = model.discriminator
    call = tf.function(
        lambda *batch: hidden_states(encoder, dict(zip(NAMES, batch))),
        autograph=False,
        input_signature=[tf.TensorSpec([None, None], tf.int32)] * 3,
    )
    for shape in ((2, 3), (0, 7), (3, 0), (0, 0)):
        hidden = call(*batch_of(np.zeros(shape)).values()).numpy()
        assert hidden.shape == (*shape, 32) and not hidden.any()


def test_what_is_in_padding_does_not_matter(model):
    batch = batch_of(mask_of([6, 2, 4], 6))
    other = dict(batch, input_ids=tf.where(batch["input_mask"] > 0, batch["input_ids"], 3))
    one, two = (hidden_states(model.discriminator, rows).numpy() for rows in (batch, other))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("few_scores", [0, 10**9], ids=["as many", "as few"])
def test_mixed_precision_is_close(few_scores, monkeypatch):
    monkeypatch.setattr(inference, "FEW_SCORES", few_scores)
    encoder = new_model("mixed_bfloat16").discriminator
    assert encoder.compute_dtype == "bfloat16"
    assert_equal_on_tokens(encoder, batch_of(mask_of([3, 11, 8], 11)), tolerance=0.1)


def test_tokens_go_back_to_their_places():
    layout = PackedRows(tf.constant([[0, 1, 1], [0, 0, 0], [1, 0, 1]]))
    assert layout.positions.numpy().tolist() == [1, 2, 0, 2]
    assert layout.tokens(tf.reshape(tf.range(9), [3, 3])).numpy().tolist() == [1, 2, 6, 8]
    values = tf.constant([1.0, 2.0, 3.0, 4.0])
    assert layout.rows(values).numpy().tolist() == [[0, 1, 2], [0, 0, 0], [3, 0, 4]]
    pairs = layout.rows(tf.stack([values, -values], axis=1))
    assert pairs.shape == (3, 3, 2) and pairs[2, 2].numpy().tolist() == [4, -4]
