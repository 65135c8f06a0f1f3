"""Exec properties: what is refused when a pipeline is built, and again when it runs."""

import dataclasses
import json

import pytest

pytest.importorskip("tfx.orchestration", reason="the TFX tests run in .venv-tfx")

from electra_tf.config import Config
from electra_tf.config.checks import at_least
from electra_tf.config.finetuning import FinetuneConfig
from electra_tf.tfx import parameters
from electra_tf.tfx.parameters import Property

PROPERTIES = {
    "config": Property(Config, "The experiment."),
    "input": Property(str, "Files."),
    "num_steps": Property(
        int, "Steps.", check=lambda name, value: at_least(name, value, 1), optional=True
    ),
    "learning_rate": Property(float, "Peak.", optional=True),
    "packed": Property(bool, "Whether rows are packed.", optional=True),
    "num_epochs": Property(
        float, "Epochs.", parameters.field_of(FinetuneConfig, "train.num_epochs"), optional=True
    ),
    "num_trials": Property(
        int, "Trials.", parameters.field_of(FinetuneConfig, "num_trials"), optional=True
    ),
}
GIVEN = {"config": Config(), "input": "a.txt"}


def config_with(**sections) -> str:
    """JSON of a Config in which some fields are something else."""
    fields = dataclasses.asdict(Config())
    for name, value in sections.items():
        if isinstance(value, dict):
            fields[name].update(value)
        else:
            fields[name] = value
    return json.dumps(fields)


def test_what_the_constructor_is_given_arrives_at_the_executor():
    config = Config()
    config.train.num_steps = 7
    built = parameters.checked(
        "Trainer",
        PROPERTIES,
        {"config": config, "input": "a.txt", "num_steps": 3, "learning_rate": 1, "packed": True},
    )
    assert {name: type(value) for name, value in built.items()} == {
        "config": str,
        "input": str,
        "num_steps": int,
        "learning_rate": float,
        "packed": int,
    }
    received = parameters.read(PROPERTIES, built)
    assert received.config == config
    assert (received.input, received.num_steps, received.learning_rate) == ("a.txt", 3, 1.0)
    assert received.packed is True


def test_what_is_optional_may_be_missing():
    assert set(parameters.checked("Trainer", PROPERTIES, GIVEN | {"num_steps": None})) == set(GIVEN)
    received = parameters.read(PROPERTIES, {"config": "{}", "input": "a.txt"})
    assert received.num_steps is None and received.learning_rate is None
    assert received.config == Config()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (
            {"config": config_with(train={"num_stepz": 1})},
            ["config.train.num_stepz=1", "num_steps,"],
        ),
        ({"config": config_with(trains=1)}, ["config.trains=1"]),
        ({"config": config_with(train=3)}, ["config.train", "JSON object", "3"]),
        (
            {"config": config_with(train={"num_steps": "many"})},
            ["config.train.num_steps", "an integer", "'many'"],
        ),
        ({"config": config_with(train={"num_steps": 1.5})}, ["config.train.num_steps", "1.5"]),
        ({"config": config_with(train={"num_steps": True})}, ["config.train.num_steps", "True"]),
        (
            {"config": config_with(data={"lower_case": 1})},
            ["config.data.lower_case", "true or false"],
        ),
        ({"config": config_with(train={"num_steps": 0})}, ["config.train.num_steps", "at least 1"]),
        ({"config": "{'train': 1}"}, ["config", "JSON", "'train'"]),
        ({"config": FinetuneConfig()}, ["config must have only", "config.task"]),
        ({"config": None}, ["config must be given"]),
        ({"input": None}, ["input must be given"]),
        ({"input": 3}, ["input", "a string", "3"]),
        ({"num_steps": 0}, ["num_steps", "at least 1"]),
        ({"num_steps": 10.0}, ["num_steps", "an integer", "10.0"]),
        ({"learning_rate": float("nan")}, ["learning_rate", "nan"]),
        ({"learning_rate": "1e-3"}, ["learning_rate", "a number", "'1e-3'"]),
        ({"config": "[" * 100_000}, ["config must be the JSON of a Config"]),
        ({"packed": "false"}, ["packed", "'false'"]),
        ({"packed": 2}, ["packed must be", "2"]),
        ({"packed": 1.0}, ["packed must be", "1.0"]),
        ({"num_epochs": 0.0}, ["num_epochs must be in (0, ", "0.0"]),
        ({"num_trials": 0}, ["num_trials must be at least 1", "0"]),
        ({"steps": 3}, ["num_steps", "Received: steps"]),
    ],
)
def test_refused_with_field_and_value(change, named):
    with pytest.raises(ValueError) as building:
        parameters.checked("Trainer", PROPERTIES, GIVEN | change)
    assert str(building.value).startswith("Trainer: ")
    executed = {
        name: value.to_json() if isinstance(value, (Config, FinetuneConfig)) else value
        for name, value in (GIVEN | change).items()
    }
    with pytest.raises(ValueError) as executing:
        parameters.read(PROPERTIES, executed)
    for message in (str(building.value), str(executing.value)):
        assert all(word in message for word in named), message
        assert "\n" not in message


def test_runtime_parameters_are_typed_and_their_defaults_checked():
    steps = parameters.runtime_parameter("num_steps", 100)
    built = parameters.checked("Trainer", PROPERTIES, GIVEN | {"num_steps": steps})
    assert built["num_steps"] is steps
    for wrong in (
        parameters.runtime_parameter("num_steps", 0),
        parameters.runtime_parameter("num_steps", 100.0),
    ):
        with pytest.raises(ValueError, match="Trainer: num_steps must be"):
            parameters.checked("Trainer", PROPERTIES, GIVEN | {"num_steps": wrong})
    with pytest.raises(ValueError, match="config must be a Config"):
        parameters.checked(
            "Trainer", PROPERTIES, GIVEN | {"config": parameters.runtime_parameter("config", "{}")}
        )


def test_the_specification_has_every_property():
    types = {
        name: (item.type, item.optional)
        for name, item in parameters.specification(PROPERTIES).items()
    }
    assert types == {
        "config": (str, False),
        "input": (str, False),
        "num_steps": (int, True),
        "learning_rate": (float, True),
        "packed": (int, True),
        "num_epochs": (float, True),
        "num_trials": (int, True),
    }
