"""The networks: layers against Keras's own, packing against separate documents, sharing."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from electra_tf.config import Config
from electra_tf.config.sections import SHARING
from electra_tf.models import attention, electra, layers
from electra_tf.models.initialization import ONES, ZEROS, add_weight, initialize
from electra_tf.models.randomness import Dropout
from electra_tf.models.sharing import MODES
from electra_tf.models.visibility import Visibility
from electra_tf.objectives import build_objective
from tests.unit import frequent_token


def tiny_config(sharing="embeddings") -> Config:
    config = Config()
    config.model.vocab_size, config.model.hidden_size, config.model.num_heads = 97, 16, 2
    config.model.embedding_size, config.model.intermediate_size = 8, 32
    config.model.num_layers, config.model.max_positions = 2, 64
    config.model.sharing = sharing
    config.generator.hidden_fraction = 1.0 if sharing == "all" else 0.5
    return config.validate()


def test_layer_norm_equals_keras_with_gradients():
    random = np.random.default_rng(0)
    inputs = tf.constant(random.normal(3, 2, (40, 16)), tf.float32)
    upstream = tf.constant(random.normal(size=(40, 16)), tf.float32)
    ours = layers.LayerNorm(16, 1e-12, name="ours")
    ours.build()
    theirs = keras.layers.LayerNormalization(epsilon=1e-12)
    theirs.build((None, 16))
    for layer in (ours, theirs):
        layer.gamma.assign(np.linspace(0.5, 2, 16))
        layer.beta.assign(np.linspace(-1, 1, 16))
    results = []
    for layer in (ours, theirs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            output = layer(inputs)
            total = tf.reduce_sum(output * upstream)
        results.append(
            [output, *tape.gradient(total, [inputs, layer.gamma.value, layer.beta.value])]
        )
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_gelu_is_the_erf_form_with_its_gradient():
    inputs = tf.constant(np.linspace(-6, 6, 201), tf.float32)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(inputs)
        ours, theirs = layers.gelu(inputs), tf.nn.gelu(inputs, approximate=False)
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    np.testing.assert_allclose(
        tape.gradient(ours, inputs), tape.gradient(theirs, inputs), atol=1e-6
    )


def batch_of(ids, **more):
    ids = tf.constant(ids, tf.int32)
    return {
        "input_ids": ids,
        "input_mask": tf.cast(ids > 0, tf.int32),
        "segment_ids": tf.zeros_like(ids),
    } | more


def test_packed_documents_do_not_see_each_other():
    model = build_objective(tiny_config()).new_model(0)
    first, second = [2, 11, 12, 13, 3], [2, 21, 22, 23, 24, 25, 3]
    packed = batch_of(
        [first + second + [0, 0]], document_ids=tf.constant([[1] * 5 + [2] * 7 + [0, 0]])
    )
    together = model.discriminator(packed)[0]
    np.testing.assert_allclose(together[:5], model.discriminator(batch_of([first]))[0], atol=1e-5)
    np.testing.assert_allclose(
        together[5:12], model.discriminator(batch_of([second]))[0], atol=1e-5
    )


@pytest.mark.parametrize("rate", [0.0, 0.3])
@pytest.mark.parametrize("rows", [1, 3])
def test_attention_some_rows_at_a_time_is_that_of_all_rows(monkeypatch, rate, rows):
    random = np.random.default_rng(0)
    given = [tf.constant(random.normal(size=(6, 2, 24, 8)), tf.float32) for _ in range(3)]
    upstream = tf.constant(random.normal(size=(6, 2, 24, 8)), tf.float32)
    mask = np.arange(24) < np.array([24, 20, 5, 24, 12, 1])[:, None]
    seen = Visibility({"input_mask": tf.constant(mask, tf.int32)})
    results = []
    for scores in (attention.MANY_SCORES, rows * 2 * 24 * 24):
        monkeypatch.setattr(attention, "MANY_SCORES", scores)
        with tf.GradientTape() as tape:
            tape.watch(given)
            output = attention.attend(*given, seen, Dropout(0, 3, 12, 6), rate)
            total = tf.reduce_sum(output * upstream)
        results.append([output, *tape.gradient(total, given)])
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_padding_is_not_seen():
    model = build_objective(tiny_config()).new_model(0)
    short, padded = [2, 11, 12, 3], [2, 11, 12, 3, 0, 0, 0]
    np.testing.assert_allclose(
        model(batch_of([short]))[0], model(batch_of([padded]))[0, :4], atol=1e-5
    )


@pytest.mark.parametrize(
    "sharing, expected",
    [
        ("all", set()),
        ("embeddings", set()),
        ("token_embeddings", {"positions", "segments", "gamma", "beta"}),
        ("none", {"tokens", "positions", "segments", "gamma", "beta"}),
        ("gdes", {"tokens", "positions", "segments", "gamma", "beta"}),
    ],
)
def test_sharing_decides_which_embeddings_the_generator_owns(sharing, expected):
    model = build_objective(tiny_config(sharing)).new_model(0)
    paths = [variable.path for variable in model.trainable_variables]
    assert len(paths) == len(set(paths))
    own = {path.rsplit("/", 1)[-1] for path in paths if path.startswith("generator_embeddings/")}
    assert own == expected
    assert (model.generator is model.discriminator) == (sharing == "all")
    # Whatever is shared is trained by both, but for gdes: the generator's loss reaches the table.
    batch = batch_of([[2, 11, 12, 13, 3]])
    with tf.GradientTape() as tape:
        hidden = model.generator(batch)
        loss = tf.reduce_sum(model.generator_head(hidden, tf.constant([[1, 2]])) ** 2)
    gradient = tape.gradient(loss, model.embeddings.tokens.value)
    assert (gradient is None) == (sharing in ("none", "gdes"))


def test_every_mode_of_sharing_has_its_networks():
    assert set(MODES) == set(SHARING)


def test_number_of_weights_of_electra_small():
    def encoder(hidden, layers=12):
        attention, feed_forward = 4 * (hidden + 1) * hidden, (8 * hidden + 5) * hidden
        return layers * (attention + feed_forward + 4 * hidden) + 129 * hidden

    vocabulary, config = 30522, Config()
    config.model.vocab_size = vocabulary
    expected = (
        128 * (vocabulary + 512 + 2 + 2)
        + encoder(256)
        + encoder(64)
        + (65 * 128 + 2 * 128 + vocabulary)
        + (257 * 256 + 257)
    )
    assert electra.Electra(config).count_params() == expected


def test_initialisation_follows_its_table():
    config = tiny_config()
    config.model.hidden_size = 64
    model = build_objective(config).new_model(3)
    again, other = build_objective(config).new_model(3), build_objective(config).new_model(4)
    for variable, same, different in zip(
        model.trainable_variables, again.trainable_variables, other.trainable_variables, strict=True
    ):
        value, name = variable.numpy(), variable.path.rsplit("/", 1)[-1]
        np.testing.assert_array_equal(value, same.numpy())
        if name in ("bias", "beta", "output_bias", "gamma"):
            assert (value == float(name == "gamma")).all()
            continue
        assert (value != different.numpy()).all()
        if variable.path.endswith(("embeddings_project/kernel", "logit/kernel")):
            limit = np.sqrt(6 / sum(value.shape))
            assert 0.8 * limit < np.abs(value).max() <= limit
        else:
            assert 0.03 < np.abs(value).max() <= 0.04  # 2 standard deviations of 0.02
            assert value.std() == pytest.approx(0.0176, abs=0.003)  # of the cut normal


def test_a_weight_starts_as_its_layer_declares_whatever_its_name():
    layer = keras.layers.Layer(name="some")
    add_weight(layer, "kernel", (3, 2), ZEROS)
    add_weight(layer, "bias", (4,), ONES)
    kernel, bias = initialize(layer, 0.02, 0).trainable_variables
    assert not kernel.numpy().any() and (bias.numpy() == 1).all()


def test_the_gradient_of_a_frequent_token_is_summed_in_float32():
    assert frequent_token.largest_error() < 1e-5


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_stays_close_and_ends_in_float32(dtype):
    config = tiny_config()
    full, mixed = build_objective(config).new_model(0), build_objective(config).new_model(0, dtype)
    batch = batch_of([[2, 11, 12, 13, 14, 15, 3]])
    assert mixed.discriminator(batch).dtype == dtype.removeprefix("mixed_")
    assert mixed(batch).dtype == "float32"
    assert all(variable.dtype == "float32" for variable in mixed.trainable_variables)
    np.testing.assert_allclose(mixed(batch), full(batch), atol=0.05)


def test_dropout_acts_only_with_randomness():
    model, batch = build_objective(tiny_config()).new_model(0), batch_of([[2, 11, 12, 13, 3]])
    plain = model(batch).numpy()
    np.testing.assert_array_equal(plain, model(batch).numpy())
    dropped = model(batch, dropout=Dropout(0, 0)).numpy()
    assert np.abs(dropped - plain).max() > 1e-4
    np.testing.assert_array_equal(dropped, model(batch, dropout=Dropout(0, 0)).numpy())
