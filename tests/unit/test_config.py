"""The config: its files, its checks, its JSON."""

import dataclasses
import importlib
import json

import pytest

from electra_tf.config import Config, load
from electra_tf.objectives import build_objective, validate

# Table 6 of the paper: layers, hidden, FFN, heads, embedding, generator hidden, mask share,
# learning rate, batch, steps.
TABLE_6 = {
    "electra_small": (12, 256, 1024, 4, 128, 64, 0.15, 5e-4, 128, 1_000_000),
    "electra_base": (12, 768, 3072, 12, 768, 256, 0.15, 2e-4, 256, 766_000),
    "electra_large": (24, 1024, 4096, 16, 1024, 256, 0.25, 2e-4, 2048, 400_000),
}


@pytest.mark.parametrize("name", TABLE_6)
def test_configs_have_the_papers_hyperparameters(name):
    config = validate(importlib.import_module(f"configs.{name}").get_config())
    model, train = config.model, config.train
    assert TABLE_6[name] == (
        model.num_layers,
        model.hidden_size,
        model.intermediate_size,
        model.num_heads,
        model.embedding_size,
        config.generator_model().hidden_size,
        config.objective.mask_fraction,
        config.optimizer.learning_rate,
        train.batch_size,
        train.num_steps,
    )
    assert (config.optimizer.warmup_steps, config.optimizer.weight_decay) == (10_000, 0.01)
    assert model.hidden_dropout == model.attention_dropout == 0.1
    assert build_objective(config).terms == {"masked_lm": 1.0, "disc": 50.0}


@pytest.mark.parametrize(
    "name",
    ["bert_small", "continue", "electra_modern_base", "electra_modern_small", "quickstart"],
)
def test_other_configs_are_valid(name):
    validate(importlib.import_module(f"configs.{name}").get_config())


def test_the_tiny_configs_have_the_compute_they_state():
    compute = {}
    for name in ("electra_tiny", "bert_tiny"):
        compute[name] = 0
        for phase, length in (("16", 16), ("128", 128), ("pairs", 128)):
            config = validate(importlib.import_module(f"configs.{name}").get_config(phase))
            config.model.vocab_size = 8192
            compute[name] += (
                build_objective(config).training_flops_per_token(length)
                * config.train.num_steps
                * config.train.batch_size
                * length
            )
    assert compute["electra_tiny"] == pytest.approx(1.40e14, rel=0.005)
    assert compute["bert_tiny"] == pytest.approx(1.38e14, rel=0.005)


@pytest.mark.parametrize("name", ["electra_tiny", "bert_tiny", "squad"])
def test_an_unknown_argument_is_refused(name):
    with pytest.raises(ValueError, match="must be followed by .* Received: 64"):
        importlib.import_module(f"configs.{name}").get_config("64")


def test_generator_follows_the_originals_rules():
    config = Config()
    generator = config.generator_model()
    assert (generator.hidden_size, generator.num_heads, generator.intermediate_size) == (64, 1, 256)
    config.model.hidden_size, config.generator.hidden_fraction = 768, 1 / 3
    config.generator.layer_fraction = 0.5
    generator = config.generator_model()
    assert (generator.hidden_size, generator.num_heads, generator.num_layers) == (256, 4, 6)
    config.generator.num_heads = 8
    assert config.generator_model().num_heads == 8


def test_json_round_trip(tmp_path):
    config = Config()
    config.model.hidden_size, config.data.dir, config.optimizer.learning_rate = 512, "x", 1e-3
    config.init_from = "elsewhere"
    (tmp_path / "config.json").write_text(config.to_json())
    assert load(str(tmp_path)) == config


@pytest.mark.parametrize("text", ['{"models": {}}', '{"model": {"hidden": 1}}'])
def test_json_with_unknown_names_is_refused(text):
    with pytest.raises(ValueError, match="unknown"):
        Config.from_json(text)


def test_a_directory_without_config_is_named(tmp_path):
    with pytest.raises(ValueError, match="config.json.*Received"):
        load(str(tmp_path))


@pytest.mark.parametrize(
    "section, field, value",
    [
        ("model", "num_heads", 3),
        ("model", "sharing", "some"),
        ("model", "num_layers", 0),
        ("objective", "name", "bert"),
        ("objective", "mask_fraction", 0.0),
        ("objective", "mask_fraction", 1.5),
        ("train", "accumulation_steps", 3),
        ("optimizer", "name", "sgd"),
        ("optimizer", "learning_rate", 0.0),
        ("runtime", "precision", "fp16"),
        ("runtime", "strategy", "horovod"),
        ("generator", "hidden_fraction", 0.0),
        ("generator", "num_heads", 7),
        ("train", "seed", -1),
        ("data", "shuffle_examples", 0),
        ("objective", "generator_weight", -1.0),
    ],
)
def test_a_wrong_field_is_named_with_its_value(section, field, value):
    config = Config()
    setattr(getattr(config, section), field, value)
    with pytest.raises(ValueError) as error:
        validate(config)
    assert f"config.{section}.{field}" in str(error.value) and "Received" in str(error.value)


def test_sharing_all_needs_equal_networks():
    config = Config()
    config.model.sharing = "all"
    with pytest.raises(ValueError, match="sharing=all"):
        validate(config)
    config.generator.hidden_fraction = 1.0
    assert validate(config).generator_model() == config.model


def test_two_stages_need_equal_networks_and_steps_for_both():
    config = Config()
    config.objective.name, config.train.num_steps = "two_stage", 10
    config.generator.hidden_fraction, config.generator.num_heads = 1.0, config.model.num_heads
    with pytest.raises(ValueError, match="config.model.sharing must be none"):
        validate(config)
    config.model.sharing, config.generator.embedding_size = "none", config.model.embedding_size
    for steps in (0, 10):
        config.objective.generator_steps = steps
        with pytest.raises(ValueError, match="config.objective.generator_steps must be .* less"):
            validate(config)
    config.objective.generator_steps = 9
    validate(config)


def test_flag_overrides_reach_every_field():
    for section in dataclasses.asdict(Config()).values():
        for value in section.values() if isinstance(section, dict) else [section]:
            assert type(value) in (int, float, str, bool), "flags need plain types"


def test_json_of_before_a_field_has_its_default():
    """Runs of older versions know no schedules by name, for example."""
    former = json.loads(Config().to_json())
    del former["optimizer"]["schedule"], former["optimizer"]["keras_arguments"]
    assert Config.from_json(json.dumps(former)).validate() == Config()
