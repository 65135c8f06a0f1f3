"""Electras with random weights, large enough that no error of conversion could hide."""

import dataclasses
import pathlib

import numpy as np

from electra_tf.config import Config
from electra_tf.objectives import build_objective
from electra_tf.saved.model_directory import Pretrained
from electra_tf.text.vocabulary import Vocabulary

# A generator's size for each way to share: other than the original's rules would make it, too.
GENERATORS = {
    "embeddings": {
        "hidden_fraction": 0.5,
        "layer_fraction": 2 / 3,
        "num_heads": 2,
        "intermediate_size": 56,
    },
    "token_embeddings": {"hidden_fraction": 1.0, "num_heads": 6},
    "none": {"hidden_fraction": 1 / 3, "layer_fraction": 1 / 3, "embedding_size": 20},
    "all": {"hidden_fraction": 1.0, "num_heads": 3},
}


def random_electra(
    vocab_file: pathlib.Path,
    sharing: str,
    objective: str = "electra",
    parts: tuple[str, ...] = ("generator_head/", "discriminator_head/"),
    **fields,
) -> Pretrained:
    """A model of unequal sizes, whose token table is longer than its vocabulary.

    Args:
        vocab_file: its vocabulary.
        sharing: config.model.sharing.
        objective: config.objective.name.
        parts: beginnings of the paths of optional weights.
        fields: more of config.model.
    """
    vocabulary = Vocabulary.from_file(vocab_file)
    config = Config()
    config.objective.name = objective
    config.model = dataclasses.replace(
        config.model,
        vocab_size=len(vocabulary) + 7,
        hidden_size=48,
        num_layers=3,
        num_heads=3,
        intermediate_size=80,
        embedding_size=32,
        max_positions=40,
        layer_norm_epsilon=1e-3,
        sharing=sharing,
    )
    config.model = dataclasses.replace(config.model, **fields)
    if objective == "electra":
        config.generator = dataclasses.replace(config.generator, **GENERATORS[sharing])
    random = np.random.default_rng(len(sharing))
    shapes = build_objective(config).variable_shapes(parts)
    weights = {path: _values(path, shape, random) for path, shape in shapes.items()}
    return Pretrained(config, weights, vocabulary).check("the test")


def _values(path, shape, random):
    name = path.rsplit("/", 1)[1]
    values = random.normal(1.0 if name == "gamma" else 0.0, 0.3, shape)
    return values.astype(np.float32)


def assert_same(one: Pretrained, other: Pretrained) -> None:
    """Every number of weights, bit by bit, and what the config says of the networks."""
    assert one.weights.keys() == other.weights.keys()
    for path, value in one.weights.items():
        assert value.dtype == other.weights[path].dtype == np.float32
        assert value.shape == other.weights[path].shape
        assert value.tobytes() == other.weights[path].tobytes(), path
    assert one.config.model == other.config.model
    assert one.config.objective.name == other.config.objective.name
    if any(path.startswith("generator_head/") for path in one.weights):
        assert one.config.generator_model() == other.config.generator_model()
    assert one.vocabulary.tokens == other.vocabulary.tokens
