"""Models trained with `config.model.sharing=gdes`, wherever they go: what is read is the sum."""

import types

import numpy as np
import pytest
import tensorflow as tf
from random_models import assert_same, random_electra

import electra_tf
from electra_tf.config import Config
from electra_tf.conversion import convert
from electra_tf.errors import UserError
from electra_tf.objectives import build_objective
from electra_tf.runs.pretraining import Start
from electra_tf.runs.ready_generator import ReadyGenerator
from electra_tf.saved import model_directory
from electra_tf.saved.model_directory import Pretrained
from electra_tf.serving.graph.pretrained import load_pretrained

TEXTS = ["the model is trained", "texts [MASK] words"]
TABLES = ("tokens", "positions", "segments")


def random_disentangled(vocab_file, **generator) -> Pretrained:
    """An Electra of unequal sizes with random E_G and E_delta."""
    model = random_electra(vocab_file, "embeddings")
    config = Config.from_json(model.config.to_json())
    config.model.sharing = "gdes"
    for name, value in generator.items():
        setattr(config.generator, name, value)
    random, weights = np.random.default_rng(5), {}
    for path, shape in build_objective(config).variable_shapes().items():
        around = 1.0 if path.endswith("gamma") else 0.0
        weights[path] = random.normal(around, 0.3, shape).astype(np.float32)
    return Pretrained(config, weights, model.vocabulary).check("the test")


def summed(pretrained: Pretrained) -> dict[str, np.ndarray]:
    """Weights as the networks read them, written without the library."""
    weights = dict(pretrained.weights)
    for name in TABLES:
        weights[f"embeddings/{name}"] = (
            weights[f"embeddings/{name}"] + weights[f"generator_embeddings/{name}"]
        )
    return weights


@pytest.fixture
def trained(tiny_vocab_file, tmp_path):
    """(the model, its directory, its networks as they are trained)."""
    pretrained = random_disentangled(tiny_vocab_file)
    directory = str(tmp_path / "trained")
    model_directory.write(pretrained, directory)
    network = build_objective(pretrained.config).build_model()
    for variable in network.trainable_variables:
        variable.assign(pretrained.weights[variable.path])
    assert network.embeddings.base is network.generator.embeddings
    return pretrained, directory, network


def batch_of(model):
    return model.tokenizer.batch(TEXTS)


def test_a_loaded_model_answers_as_the_trained_one(trained):
    _, directory, network = trained
    model = electra_tf.load(directory)
    batch = batch_of(model)
    np.testing.assert_allclose(model(batch), network(batch), atol=1e-4)
    np.testing.assert_allclose(model.generator(batch), network.generator(batch), atol=1e-4)
    states, lengths = network.discriminator(batch).numpy(), batch["input_mask"].numpy().sum(1)
    for state, length, found in zip(states, lengths, model.encode(TEXTS), strict=True):
        np.testing.assert_allclose(found, state[:length], atol=1e-4)
    graph = load_pretrained(directory, include_generator=True)
    answers = graph.encode(tf.constant(TEXTS))["sequence_output"].numpy()
    np.testing.assert_allclose(answers[1][: lengths[1]], states[1][: lengths[1]], atol=1e-4)
    # The difference is nothing that rounding could hide.
    network.embeddings.tokens.assign(0.0 * network.embeddings.tokens)
    assert np.abs(network(batch) - model(batch)).max() > 0.1


def test_fine_tuning_starts_from_ordinary_tables(trained):
    pretrained, directory, _ = trained
    encoder = model_directory.read(directory).encoder_only()
    assert encoder.config.model.sharing == "none"
    expected = summed(pretrained)
    assert {path.split("/")[0] for path in encoder.weights} == {"embeddings", "discriminator"}
    for path, value in encoder.weights.items():
        np.testing.assert_array_equal(value, expected[path], err_msg=path)


def test_a_copy_keeps_both_tables(trained, tmp_path):
    pretrained, directory, _ = trained
    convert(directory, "electra_tf", str(tmp_path / "copy"), "electra_tf", say=lambda line: None)
    assert_same(pretrained, model_directory.read(str(tmp_path / "copy")))


@pytest.mark.parametrize("output_format", ["huggingface", "google"])
def test_other_formats_have_the_sum(tiny_vocab_file, tmp_path, output_format):
    # The original's own generator tables are as wide as the generator.
    fits = {"hidden_fraction": 2 / 3, "num_heads": 0, "intermediate_size": 0}
    pretrained = random_disentangled(tiny_vocab_file, **fits)
    first, other, back = (str(tmp_path / name) for name in ("first", "other", "back"))
    if output_format == "google":
        pretrained.config.model.layer_norm_epsilon = 1e-12
    model_directory.write(pretrained, first)
    convert(first, "electra_tf", other, output_format, say=lambda line: None)
    convert(other, output_format, back, "electra_tf", say=lambda line: None)
    found = model_directory.read(back)
    assert found.config.model.sharing == "none"
    assert found.config.generator_model() == pretrained.published().config.generator_model()
    expected = summed(pretrained)
    assert found.weights.keys() == expected.keys()
    for path, value in expected.items():
        np.testing.assert_array_equal(found.weights[path], value, err_msg=path)


def test_what_the_original_cannot_build_is_refused(trained, tmp_path):
    _, directory, _ = trained
    with pytest.raises(UserError, match="For --output_format=google"):
        convert(directory, "electra_tf", str(tmp_path / "google"), "google", say=lambda line: None)
    assert not (tmp_path / "google").exists()


def begun(config, source, with_generator=True):
    """The weights that a run begins with that starts from a model; None where it starts fresh."""
    config.init_from = source
    start = Start(config, with_generator)
    start.prepare()
    shapes = build_objective(config).variable_shapes()
    weights = {path: tf.Variable(tf.fill(shape, np.nan)) for path, shape in shapes.items()}
    start(types.SimpleNamespace(weights=weights, step=tf.Variable(0, dtype=tf.int64)))
    values = {path: weight.numpy() for path, weight in weights.items()}
    return {path: None if np.isnan(value).all() else value for path, value in values.items()}


def run_config(sharing):
    config = Config()
    config.model.sharing = sharing
    return config


def written(tiny_vocab_file, tmp_path, sharing, parts=("generator_head/", "discriminator_head/")):
    model = random_electra(tiny_vocab_file, sharing, parts=parts)
    model_directory.write(model, str(tmp_path / sharing))
    return model, str(tmp_path / sharing)


def test_the_same_sharing_goes_on_exactly(trained, logged):
    pretrained, directory, _ = trained
    found = begun(run_config("gdes"), directory)
    for path, value in pretrained.weights.items():
        np.testing.assert_array_equal(found[path], value, err_msg=path)
    assert not logged()


@pytest.mark.parametrize("sharing", ["embeddings", "token_embeddings"])
def test_shared_tables_become_the_generators(tiny_vocab_file, tmp_path, logged, sharing):
    source, directory = written(tiny_vocab_file, tmp_path, sharing)
    config = run_config("gdes")
    found = begun(config, directory)
    assert config.model.sharing == "gdes" and config.generator.embedding_size == 0
    for path, value in source.weights.items():
        if not path.startswith(("embeddings/", "generator_embeddings/")):
            np.testing.assert_array_equal(found[path], value, err_msg=path)
    for name in (*TABLES, "layer_norm/gamma"):
        large = source.weights.get(f"embeddings/{name}")
        small = source.weights.get(f"generator_embeddings/{name}")
        base, delta = found[f"generator_embeddings/{name}"], found[f"embeddings/{name}"]
        np.testing.assert_array_equal(base, large if small is None else small)
        if "layer_norm" in name:
            np.testing.assert_array_equal(delta, large)
        elif small is None:
            assert not delta.any()
        else:
            np.testing.assert_allclose(base + delta, large, atol=1e-6)
    [said] = logged()
    assert f"{directory} has config.model.sharing={sharing}, this run gdes: E_G starts as" in said


def test_a_discriminator_alone_gives_the_generator_its_tables(tiny_vocab_file, tmp_path, logged):
    source, directory = written(tiny_vocab_file, tmp_path, "none", ("discriminator_head/",))
    config = run_config("gdes")
    config.generator.hidden_fraction = 1 / 3
    found = begun(config, directory)
    for name in TABLES:
        table = source.weights[f"embeddings/{name}"]
        np.testing.assert_array_equal(found[f"generator_embeddings/{name}"], table)
        assert not found[f"embeddings/{name}"].any()
    fresh = {path.split("/")[0] for path, value in found.items() if value is None}
    assert fresh == {"generator", "generator_head"}
    assert "start from fresh weights: generator, generator_head" in logged()[-1]


def test_two_tables_of_one_size_become_a_table_and_a_difference(trained, tmp_path):
    pretrained, _, _ = trained
    directory = str(tmp_path / "published")
    model_directory.write(pretrained.published(), directory)
    found = begun(run_config("gdes"), directory)
    for path, value in pretrained.weights.items():
        np.testing.assert_allclose(found[path], value, atol=1e-6, err_msg=path)


def test_two_tables_of_two_sizes_are_refused(tiny_vocab_file, tmp_path):
    _, directory = written(tiny_vocab_file, tmp_path, "none")
    with pytest.raises(UserError, match="discriminator's size, 32, or none.* tables of size 20"):
        begun(run_config("gdes"), directory)


@pytest.mark.parametrize("sharing", ["embeddings", "token_embeddings", "none"])
def test_another_sharing_starts_with_the_sum(trained, logged, sharing):
    pretrained, directory, _ = trained
    config = run_config(sharing)
    found = begun(config, directory)
    assert config.model.sharing == sharing
    expected = summed(pretrained)
    for path, value in found.items():
        np.testing.assert_array_equal(value, expected[path], err_msg=path)
    assert "start as the sums E_G + E_delta" in logged()[-1]


def test_a_run_without_its_generator_starts_with_the_sum(trained):
    pretrained, directory, _ = trained
    config = run_config("none")
    config.objective.generator = "frozen"
    config.objective.generator_from = directory
    found = begun(config, directory, with_generator=False)
    np.testing.assert_array_equal(
        found["embeddings/tokens"], summed(pretrained)["embeddings/tokens"]
    )
    assert all(value is None for path, value in found.items() if path.startswith("generator"))


def test_its_generator_can_be_another_runs(trained):
    pretrained, directory, _ = trained
    published = pretrained.published().weights
    weights = {
        path: tf.Variable(np.zeros_like(value))
        for path, value in published.items()
        if path.startswith("generator")
    }
    ReadyGenerator(directory)(types.SimpleNamespace(weights=weights))
    for path, weight in weights.items():
        np.testing.assert_array_equal(weight, pretrained.weights[path], err_msg=path)
