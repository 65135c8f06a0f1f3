"""Gradient-disentangled embedding sharing: who trains which table, against NumPy in float64."""

import numpy as np
import pytest
import tensorflow as tf

from electra_tf.config.sections import GENERATORS
from electra_tf.errors import UserError
from electra_tf.models.embeddings import Embeddings
from electra_tf.models.layout import PaddedRows
from electra_tf.models.randomness import Draws, Dropout
from electra_tf.models.sharing import DisentangledEmbeddings
from electra_tf.objectives import build_objective, validate
from electra_tf.objectives.similarity import average_cosine
from electra_tf.saved.model_directory import Pretrained
from electra_tf.speed.memory import MemoryModel
from tests.unit.test_objectives import VOCAB, objective_of, ragged_batch, tiny_config

ROWS, LENGTH, SIZE = 6, 40, 8
TABLES = ("tokens", "positions", "segments")
NAMES = ["electra", "electra_15", "electric", "replace_mlm", "all_tokens_mlm"]


def config_of(name, sharing="gdes", fraction=0.15):
    config = tiny_config(name=name, mask_fraction=fraction)
    config.model.sharing, config.model.initializer_range = sharing, 0.3
    return config


def filled(model, seed=0):
    """The model with random numbers in all its weights, E_delta's too."""
    random = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        around = 1.0 if variable.path.endswith("gamma") else 0.0
        variable.assign(random.normal(around, 0.3, variable.shape))
    return model


def weights_of(model):
    return {variable.path: variable.numpy() for variable in model.trainable_variables}


def losses_of(objective, model, dropout=None):
    """(sums by term, a persistent tape, variables by path) of one step."""
    draws = Draws(0, 0, ROWS)
    batch = objective.prepare(ragged_batch(ROWS, LENGTH), draws)
    variables = {variable.path: variable.value for variable in model.trainable_variables}
    with tf.GradientTape(persistent=True) as tape:
        sums = objective.loss_sums(model, batch, draws, dropout)[0]
    return sums, tape, variables


def normalized(summed, gamma, beta, epsilon):
    centered = summed - summed.mean(-1, keepdims=True)
    return centered / np.sqrt((centered**2).mean(-1, keepdims=True) + epsilon) * gamma + beta


def test_the_block_is_that_of_the_sums_and_trains_the_differences_alone():
    """Values and directional derivatives of the block and of the output matrix."""
    config, random = tiny_config().model, np.random.default_rng(1)
    base, own = Embeddings(config, name="base"), DisentangledEmbeddings(config)
    own.base = base
    for layer in (base, own):
        layer.build()
    weights = {variable.path: variable for variable in own.trainable_variables}
    assert len(weights) == 10
    for variable in weights.values():
        variable.assign(random.normal(0.0, 1.0, variable.shape))
    batch = ragged_batch(ROWS, LENGTH)
    ids = batch["input_ids"].numpy()
    segments = random.integers(0, 2, ids.shape)
    by_block = random.normal(size=(ids.size, SIZE))
    by_table = random.normal(size=(VOCAB, SIZE))

    def loss(values):
        tokens, positions, segment_table = (
            values[f"base/{name}"] + values[f"embeddings/{name}"] for name in TABLES
        )
        summed = (tokens[ids] + positions[:LENGTH] + segment_table[segments]).reshape(-1, SIZE)
        scale = [values[f"embeddings/layer_norm/{name}"] for name in ("gamma", "beta")]
        block = normalized(summed, *scale, config.layer_norm_epsilon)
        return block, (block * by_block).sum() + (tokens * by_table).sum()

    exact = {path: variable.numpy().astype(np.float64) for path, variable in weights.items()}
    with tf.GradientTape() as tape:
        block = own(batch["input_ids"], tf.constant(segments, tf.int32), layout=PaddedRows(batch))
        total = tf.reduce_sum(block * by_block.astype(np.float32))
        total += tf.reduce_sum(own.output_weights("float32") * by_table.astype(np.float32))
    np.testing.assert_allclose(block, loss(exact)[0], atol=2e-5)
    variables = {path: variable.value for path, variable in weights.items()}
    gradients = tape.gradient(total, variables)
    for name in TABLES:
        path, step = f"embeddings/{name}", 1e-6
        assert gradients[f"base/{name}"] is None
        for _ in range(3):
            direction = random.normal(size=exact[path].shape)
            sides = [
                loss({**exact, path: exact[path] + sign * step * direction})[1]
                for sign in (1.0, -1.0)
            ]
            expected = (sides[0] - sides[1]) / (2.0 * step)
            found = float(np.sum(tf.convert_to_tensor(gradients[path]).numpy() * direction))
            assert found == pytest.approx(expected, rel=1e-4, abs=1e-3), name


@pytest.mark.parametrize("name", NAMES)
def test_each_loss_trains_the_tables_of_its_network_alone(name):
    objective = objective_of(config_of(name))
    sums, tape, variables = losses_of(objective, filled(objective.new_model(1)))
    generator, main = objective.terms
    for table in (*TABLES, "layer_norm/gamma", "layer_norm/beta"):
        of = [variables[f"{scope}/{table}"] for scope in ("generator_embeddings", "embeddings")]
        assert tape.gradient(sums[main], of[0]) is None
        assert tape.gradient(sums[generator], of[1]) is None
        for term, variable in zip((generator, main), of, strict=True):
            assert np.abs(tf.convert_to_tensor(tape.gradient(sums[term], variable))).max() > 0


@pytest.mark.parametrize("name", NAMES)
def test_losses_and_gradients_are_those_of_separate_tables_with_the_sums(name):
    objective = objective_of(config_of(name))
    model = filled(objective.new_model(1))
    published = Pretrained(objective.config, weights_of(model)).published()
    assert published.config.model.sharing == "none"
    for table in TABLES:
        parts = [model.embeddings, model.embeddings.base]
        [delta, base] = [
            next(each.numpy() for each in part.trainable_variables if each.path.endswith(table))
            for part in (parts[0], parts[1])
        ]
        np.testing.assert_array_equal(published.weights[f"embeddings/{table}"], delta + base)
    separate = objective_of(published.config)
    found = losses_of(objective, model)
    expected = losses_of(separate, published.network())
    assert found[2].keys() == expected[2].keys()
    for term in objective.terms:
        assert float(found[0][term]) == pytest.approx(float(expected[0][term]), rel=1e-5)
        ours, theirs = (each[1].gradient(each[0][term], each[2]) for each in (found, expected))
        for path, gradient in theirs.items():
            assert (gradient is None) == (ours[path] is None), path
            if gradient is not None:
                np.testing.assert_allclose(
                    tf.convert_to_tensor(ours[path]),
                    tf.convert_to_tensor(gradient),
                    rtol=1e-3,
                    atol=1e-3,
                    err_msg=path,
                )


def test_the_first_step_is_that_of_shared_embeddings():
    disentangled = objective_of(config_of("electra"))
    shared = objective_of(config_of("electra", "embeddings"))
    models = disentangled.new_model(1), shared.new_model(1)
    weights = weights_of(models[0])
    for table in TABLES:
        assert not weights[f"embeddings/{table}"].any()
        assert weights[f"generator_embeddings/{table}"].std() > 0.1
    for variable in models[1].trainable_variables:
        path = variable.path
        path = f"generator_{path}" if path.startswith("embeddings/") else path
        variable.assign(weights[path])
    sums, expected = (
        losses_of(objective, model, Dropout(3, 0, 0, ROWS))[0]
        for objective, model in zip((disentangled, shared), models, strict=True)
    )
    for term, value in sums.items():
        assert float(value) == float(expected[term]), term


def test_without_a_generator_the_tables_are_ordinary_ones():
    objective = build_objective(config_of("electra"))
    model = objective.build_model(["embeddings/tokens", "discriminator_head/logit/kernel"])
    assert model.generator is None and model.embeddings.base is None
    tokens = np.random.default_rng(0).normal(size=(VOCAB, SIZE)).astype(np.float32)
    model.embeddings.tokens.assign(tokens)
    np.testing.assert_array_equal(model.embeddings.output_weights("float32"), tokens)
    weights = weights_of(model)
    kept = Pretrained(objective.config, weights).published().weights
    assert kept.keys() == weights.keys()
    np.testing.assert_array_equal(kept["embeddings/tokens"], tokens)


@pytest.mark.parametrize("generator", sorted(set(GENERATORS) - {"trained"}))
def test_a_generator_must_learn(generator):
    config = config_of("electra")
    config.objective.generator = generator
    if generator == "frozen":
        config.objective.generator_from = "somewhere"
    with pytest.raises(UserError, match=f"generator(=| must be trained.*: ){generator}"):
        validate(config)


def test_tables_have_one_size():
    config = config_of("electra")
    config.generator.embedding_size = 4
    with pytest.raises(UserError, match="embedding_size must be 0 unless.* size, 8. Received: 4"):
        validate(config)


def test_memory_counts_both_tables():
    numbers = [
        MemoryModel(build_objective(config_of("electra", sharing)), LENGTH).of(4, 1, mixed=False)
        for sharing in ("gdes", "embeddings")
    ]
    block = VOCAB * SIZE + 64 * SIZE + 2 * SIZE + 2 * SIZE
    assert numbers[0].weights - numbers[1].weights == 4 * block
    assert numbers[0].optimizer - numbers[1].optimizer == 2 * 4 * block


def test_average_cosine_is_that_of_all_pairs():
    random = np.random.default_rng(0)
    vectors = random.normal(0.3, 1.0, (37, 5)).astype(np.float32)
    vectors[11] = 0.0
    exact = vectors.astype(np.float64)
    norms = np.linalg.norm(exact, axis=1)
    pairs = [
        0.0
        if not norms[one] * norms[other]
        else exact[one] @ exact[other] / norms[one] / norms[other]
        for one in range(37)
        for other in range(37)
        if one != other
    ]
    assert average_cosine(vectors) == pytest.approx(np.mean(pairs), abs=1e-6)
    assert average_cosine(np.ones((4, 3), np.float32)) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "name, sharing, networks",
    [
        ("electra", "gdes", {"generator", "discriminator"}),
        ("electra", "none", {"generator", "discriminator"}),
        ("electra", "token_embeddings", {"discriminator"}),
        ("electra", "all", {"discriminator"}),
        ("electric", "gdes", {"generator", "discriminator"}),
        ("electric", "embeddings", {"discriminator"}),
        ("replace_mlm", "gdes", {"generator", "encoder"}),
        ("mlm", "gdes", {"encoder"}),
    ],
)
def test_cosines_are_of_the_tables_that_the_networks_read(name, sharing, networks):
    config = config_of(name, sharing)
    if sharing == "all":
        config.generator.hidden_fraction, config.generator.num_heads = 1.0, 0
    objective = objective_of(config)
    model = filled(objective.new_model(0))
    found = objective.weight_metrics(model)
    assert found.keys() == {f"embedding_cosine_{network}" for network in networks}
    weights = Pretrained(config, weights_of(model)).published().weights
    for network in networks:
        path = "embeddings/tokens"
        path = f"generator_{path}" if network == "generator" else path
        expected = average_cosine(weights[path])
        assert found[f"embedding_cosine_{network}"] == pytest.approx(expected, abs=1e-6)
