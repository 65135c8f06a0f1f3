"""ModernBERT's block: against NumPy, packed, in servers, and its attention in parts."""

import dataclasses
import math

import numpy as np
import pytest
import tensorflow as tf

from electra_tf.config import Config
from electra_tf.config.blocks import BLOCKS
from electra_tf.config.sections import SHARING
from electra_tf.errors import UserError
from electra_tf.models import attention, layers
from electra_tf.models.electra import MaskedLM
from electra_tf.models.randomness import Dropout
from electra_tf.models.visibility import Visibility
from electra_tf.objectives import build_objective, flops
from electra_tf.serving.graph.inference import hidden_states

WINDOW = 8  # 4 tokens to each side
SIZES = {
    "block": "modern",
    "vocab_size": 61,
    "hidden_size": 24,
    "embedding_size": 24,
    "num_heads": 3,
    "num_layers": 4,
    "intermediate_size": 20,
    "local_window": WINDOW,
    "layer_norm_epsilon": 1e-3,
    "rope_theta": 500.0,
    "local_rope_theta": 60.0,
}


def config_of(**fields) -> Config:
    config = Config()
    config.model = dataclasses.replace(config.model, **{**SIZES, **fields})
    return config.validate()


def new_model(dtype="float32", **fields) -> MaskedLM:
    """With weights that are far from their initial values."""
    model, random = MaskedLM(config_of(**fields), dtype=dtype), np.random.default_rng(0)
    for variable in model.trainable_variables:
        mean = 1.0 if variable.path.endswith("gamma") else 0.0
        variable.assign(random.normal(mean, 0.3, variable.shape))
    return model


@pytest.fixture(scope="module")
def model():
    return new_model()


def batch_of(lengths, width, **more):
    mask = np.arange(width) < np.array(lengths)[:, None]
    ids = np.random.default_rng(1).integers(5, 61, mask.shape) * mask
    batch = {"input_ids": ids, "input_mask": mask, "segment_ids": np.zeros_like(ids), **more}
    return {name: tf.constant(value, tf.int32) for name, value in batch.items()}


class Reference:
    """The masked LM as its paper tells it (arXiv 2412.13663), token by token, in float64."""

    def __init__(self, model):
        self.weights = {
            variable.path: np.asarray(variable, np.float64)
            for variable in model.trainable_variables
        }

    def hidden(self, ids):
        """Hidden states [L, H] of one text without padding."""
        x = self.norm(self.weights["embeddings/tokens"][ids], "embeddings")
        for layer in range(SIZES["num_layers"]):
            name = f"encoder/layer_{layer}"
            y = x if layer == 0 else self.norm(x, f"{name}/attention")
            x = x + self.attention(y, name, is_local=layer in (1, 2))
            wide = self.norm(x, f"{name}/feed_forward")
            wide = wide @ self.weights[f"{name}/feed_forward/intermediate/kernel"]
            first, gate = wide[:, :20], wide[:, 20:]
            x = x + gelu(first) * gate @ self.weights[f"{name}/feed_forward/output/kernel"]
        return self.norm(x, "encoder", "final_norm")

    def logits(self, ids):
        x = self.norm(gelu(self.hidden(ids) @ self.weights["head/dense/kernel"]), "head")
        return x @ self.weights["embeddings/tokens"].T + self.weights["head/output_bias"]

    def norm(self, x, scope, name="layer_norm"):
        x = x - x.mean(-1, keepdims=True)
        return (
            x
            / np.sqrt((x**2).mean(-1, keepdims=True) + SIZES["layer_norm_epsilon"])
            * self.weights[f"{scope}/{name}/gamma"]
        )

    def attention(self, x, name, is_local):
        heads = (x @ self.weights[f"{name}/attention/qkv/kernel"]).reshape(len(x), 3, 3, 8)
        theta = SIZES["local_rope_theta" if is_local else "rope_theta"]
        context = np.zeros((len(x), 3, 8))
        for head in range(3):
            for i in range(len(x)):
                seen = [j for j in range(len(x)) if not is_local or abs(i - j) <= WINDOW // 2]
                scores = [
                    turned(heads[i, 0, head], i, theta) @ turned(heads[j, 1, head], j, theta)
                    for j in seen
                ]
                weights = np.exp(np.array(scores) / math.sqrt(8))
                context[i, head] = weights @ heads[seen, 2, head] / weights.sum()
        return context.reshape(len(x), 24) @ self.weights[f"{name}/attention/output/kernel"]


def turned(vector, place, theta):
    """Pairs (i, i + 4) as complex numbers, times e^(i * place * theta^(-2i/8))."""
    numbers = vector[:4] + 1j * vector[4:]
    numbers = numbers * np.exp(1j * place * theta ** (-2 * np.arange(4) / 8))
    return np.concatenate([numbers.real, numbers.imag])


def gelu(x):
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


@pytest.mark.parametrize("width", [11, 40])  # local layers as a whole, and block by block
def test_hidden_states_and_logits_are_those_of_the_paper(model, width):
    lengths = [width, width - 4, 3]
    batch, reference = batch_of(lengths, width), Reference(model)
    hidden = model(batch)
    everywhere = tf.tile(tf.range(width)[None], (3, 1))
    logits = tf.reshape(model.head(hidden, everywhere), (3, width, -1))
    for row, length in enumerate(lengths):
        ids = batch["input_ids"][row, :length].numpy()
        np.testing.assert_allclose(hidden[row, :length], reference.hidden(ids), atol=2e-4)
        np.testing.assert_allclose(logits[row, :length], reference.logits(ids), atol=1e-3)


def test_packed_documents_are_computed_as_alone(model):
    lengths, width = [9, 30, 14], 57  # 4 places of padding
    documents = np.repeat([1, 2, 3, 0], [*lengths, width - sum(lengths)])[None]
    batch = batch_of([sum(lengths)], width, document_ids=documents)
    together, start = model(batch)[0], 0
    for length in lengths:
        alone = {name: value[:, start : start + length] for name, value in batch.items()}
        del alone["document_ids"]
        np.testing.assert_allclose(together[start : start + length], model(alone)[0], atol=1e-4)
        start += length


@pytest.mark.parametrize(("dtype", "width"), [("float32", 12), ("mixed_bfloat16", 40)])
def test_servers_compute_the_same(dtype, width):
    model = new_model(dtype, embedding_size=16, attention_dropout=0.0)
    batch = batch_of([width, 1, width // 2], width)
    served = tf.function(lambda batch: hidden_states(model.encoder, batch), autograph=False)(batch)
    expected, mask = model(batch), batch["input_mask"].numpy() > 0
    assert served.dtype == expected.dtype == model.compute_dtype
    served, expected = (tf.cast(each, tf.float32).numpy() for each in (served, expected))
    tolerance = 1e-4 if dtype == "float32" else 0.15
    np.testing.assert_allclose(served[mask], expected[mask], atol=tolerance, rtol=tolerance)


def test_rows_may_be_longer_than_any_table(model):
    long = batch_of([600], 600)
    assert config_of().model.max_positions < 600
    assert np.isfinite(model(long)).all()


ROWS, LENGTH = 3, 26


def attended(seen, window, rate, first_row=0, rows=ROWS):
    """Context of tokens, 0 in padding, and its gradients, on fixed numbers from a row on."""
    random = np.random.default_rng(0)
    arrays = random.normal(size=(4, ROWS, 2, LENGTH, 8))[:, first_row : first_row + rows]
    *given, upstream = [tf.constant(array, tf.float32) for array in arrays]
    with tf.GradientTape() as tape:
        tape.watch(given)
        output = attention.attend(*given, seen, Dropout(0, 3, first_row, rows), rate, window)
        output *= tf.cast(seen.ids > 0, tf.float32)[:, None, :, None]
        total = tf.reduce_sum(output * upstream)
    return [output, *tape.gradient(total, given)]


def visibility(name, first_row=0, rows=ROWS):
    lengths = np.array([26, 19, 4])[first_row : first_row + rows, None]
    batch = {"input_mask": tf.constant(np.arange(LENGTH) < lengths, tf.int32)}
    if name == "packed":
        batch["document_ids"] = batch["input_mask"] * (1 + tf.range(LENGTH)[None] // 7)
    return Visibility(batch, None if name != "left_to_right" else name)


@pytest.mark.parametrize("name", ["padded", "packed", "left_to_right"])
@pytest.mark.parametrize(("rate", "queries"), [(0.0, 1), (0.3, 7)])
def test_attention_some_queries_at_a_time_is_that_of_all(monkeypatch, name, rate, queries):
    seen = visibility(name)
    whole = attended(seen, 0, rate)
    monkeypatch.setattr(attention, "MANY_SCORES", 2 * LENGTH**2 - 1)
    many = ROWS * 2 * LENGTH * queries
    real = attention.long_rows.attend
    monkeypatch.setattr(attention.long_rows, "attend", lambda *args: real(*args[:-1], many))
    for one, other in zip(whole, attended(seen, 0, rate), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("name", ["padded", "packed", "left_to_right"])
def test_attention_by_blocks_is_that_of_masked_scores(name):
    seen, window = visibility(name), 3
    cut = attended(seen, window, 0.0)
    bias = seen.whole(window)
    for row in range(ROWS):
        for query in np.flatnonzero(seen.ids[row]):
            near = np.flatnonzero(bias[row, 0, query] == 0)
            assert set(near) <= set(range(query - window, query + window + 1))
    random = np.random.default_rng(0)
    queries, keys, values, upstream = (
        tf.constant(each, tf.float32) for each in random.normal(size=(4, ROWS, 2, LENGTH, 8))
    )
    with tf.GradientTape() as tape:
        given = [queries, keys, values]
        tape.watch(given)
        scores = tf.matmul(queries, keys, transpose_b=True) / math.sqrt(8) + bias
        context = tf.matmul(tf.nn.softmax(scores), values)
        context *= tf.cast(seen.ids > 0, tf.float32)[:, None, :, None]
        total = tf.reduce_sum(context * upstream)
    for one, other in zip(cut, [context, *tape.gradient(total, given)], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("scores", [attention.MANY_SCORES, 2 * LENGTH * 9, 1])
def test_dropout_of_local_attention_depends_on_the_row_alone(monkeypatch, scores):
    whole = attended(visibility("padded"), 3, 0.3)
    monkeypatch.setattr(attention, "MANY_SCORES", scores)
    part = attended(visibility("padded", 1, 2), 3, 0.3, 1, 2)
    for one, other in zip(whole, part, strict=True):
        np.testing.assert_allclose(one[1:], other, atol=1e-5)


def test_geglu_has_its_gradient():
    inputs = tf.constant(np.random.default_rng(0).normal(size=(7, 10)), tf.float32)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(inputs)
        ours = layers.geglu(inputs)
        theirs = tf.nn.gelu(inputs[:, :5], approximate=False) * inputs[:, 5:]
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    np.testing.assert_allclose(
        tape.gradient(ours, inputs), tape.gradient(theirs, inputs), atol=1e-6
    )


@pytest.mark.parametrize("sharing", SHARING)
def test_the_generator_has_the_block_too(sharing):
    config = config_of(sharing=sharing, embedding_size=16)
    config.generator.hidden_fraction = 1.0 if sharing == "all" else 0.5
    config.generator.num_heads = 3 if sharing == "all" else 2
    shapes = build_objective(config.validate()).variable_shapes()
    names = {path.rsplit("/", 1)[1] for path in shapes}
    assert names == {"tokens", "gamma", "kernel", "bias", "output_bias"}
    biases = {path.split("/")[0] for path in shapes if path.endswith("/bias")}
    assert biases == {"discriminator_head"}  # the block has none
    norms = {path for path in shapes if "layer_0/attention/layer_norm" in path}
    # Of both networks a projection comes first, where the generator has no tables of its size.
    assert len(norms) == (1 if sharing in ("all", "none") else 2)
    if sharing != "all":
        small = config.generator_model()
        assert small.intermediate_size == 32  # 8/3 of 12
        assert shapes["generator/layer_0/feed_forward/intermediate/kernel"] == (12, 64)


def test_elements_may_be_mixed():
    mixed = new_model(norm="after", feed_forward="gelu", biases="true", token_types="true")
    names = {variable.path for variable in mixed.trainable_variables}
    assert "embeddings/segments" in names and "embeddings/positions" not in names
    assert "encoder/final_norm/gamma" not in names and "encoder/layer_1/attention/qkv/bias" in names
    batch = batch_of([30, 20], 30)
    assert np.isfinite(mixed(batch)).all()
    assert config_of().model.elements() == dataclasses.replace(
        BLOCKS["modern"], local_window=WINDOW
    )
    windows = [config_of(local_window=0).model.window(layer) for layer in range(4)]
    assert windows == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"hidden_size": 27}, "must be even for rotary positions. Received: 9"),
        ({"local_window": 7}, "must be even, half of it to each side. Received: 7"),
        ({"block": "roberta"}, "config.model.block must be one of bert, modern"),
        ({"norm": "none"}, "config.model.norm must be one of auto, after, before"),
    ],
)
def test_blocks_that_cannot_be_are_refused(fields, message):
    with pytest.raises(UserError, match=message):
        config_of(**fields)


def test_operations_count_the_gate_and_the_windows():
    model, hidden, wide = config_of().model, 24, 20
    short = 4 * (4 * hidden**2 + 3 * hidden * wide + 2 * 7 * hidden)
    assert flops.multiply_adds(model, 7) == short
    long = 4 * (4 * hidden**2 + 3 * hidden * wide) + 2 * hidden * (2 * 100 + 2 * (WINDOW + 1))
    assert flops.multiply_adds(model, 100) == long
