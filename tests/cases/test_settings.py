"""Settings that cannot be: fields, config files, command lines, data sets, arguments of `batch`."""

import dataclasses
import json
import pathlib
import shutil
import sys

import numpy as np
import pytest
import tensorflow as tf
import tiny_runs
from random_models import random_electra

import electra_tf
from electra_tf.config import Config, FinetuneConfig, JsonConfig, OptimizerConfig, load
from electra_tf.data import dataset
from electra_tf.errors import UserError, is_for_user, one_line
from electra_tf.objectives import validate
from electra_tf.saved import model_directory
from electra_tf.train.optimizers import build_optimizer

CONFIGS = sorted(path.name for path in (tiny_runs.ROOT / "configs").glob("*.py"))


def numeric_fields(kind: type[JsonConfig]) -> list[tuple[type[JsonConfig], str, str, type]]:
    """(kind, section or "", field, type) of all numbers of a config."""
    found = []
    for field in dataclasses.fields(kind):
        if dataclasses.is_dataclass(field.type):
            inner = dataclasses.fields(field.type)
            found += [(kind, field.name, each.name, each.type) for each in inner]
        else:
            found.append((kind, "", field.name, field.type))
    return [each for each in found if each[3] in (int, float)]


NUMBERS = [*numeric_fields(Config), *numeric_fields(FinetuneConfig)]


def with_field(kind, section, field, value) -> JsonConfig:
    config = kind()
    setattr(getattr(config, section) if section else config, field, value)
    return config


def refusal(config: JsonConfig) -> str:
    with pytest.raises(UserError) as caught:
        config.validate()
    return str(caught.value)


@pytest.mark.parametrize(("kind", "section", "field", "type_"), NUMBERS)
def test_every_number_has_a_range(kind, section, field, type_):
    name = ".".join(filter(None, ["config", section, field]))
    wrong = [float("nan"), float("inf"), -float("inf"), True, "1", None, [1], -(10**40), 10**40]
    for value in wrong + [1.5] * (type_ is int):
        message = refusal(with_field(kind, section, field, value))
        assert message.startswith(f"{name} must be ") and "Received: " in message
        assert "\n" not in message


@pytest.mark.parametrize(
    ("kind", "section", "field", "value", "message"),
    [
        (Config, "optimizer", "beta_1", 1.5, "config.optimizer.beta_1 must be in [0, 1)."),
        (Config, "optimizer", "epsilon", -1, "config.optimizer.epsilon must be in [1e-30, 1]."),
        (Config, "optimizer", "epsilon", 0.0, "config.optimizer.epsilon must be in [1e-30, 1]."),
        (Config, "model", "intermediate_size", -1, "config.model.intermediate_size must be at lea"),
        (Config, "model", "hidden_dropout", 1, "config.model.hidden_dropout must be in [0, 1)."),
        (Config, "train", "num_steps", 2**31, "config.train.num_steps must be at most 1000000000."),
        (Config, "train", "batch_size", True, "config.train.batch_size must be an integer."),
        (Config, "data", "lower_case", "false", "config.data.lower_case must be true or false."),
        (Config, "data", "dir", 5, "config.data.dir must be a string."),
        (Config, "", "train", {"num_steps": 5}, "config.train must be a TrainConfig."),
        (Config, "optimizer", "name", "sgd", "config.optimizer.name must be one of adam, adamw, "),
        (Config, "optimizer", "layer_decay", 0.0, "config.optimizer.layer_decay must be in (0, 1]"),
        (
            Config,
            "objective",
            "discriminator_weight",
            -0.5,
            "config.objective.discriminator_weight must be -1, the objective's own, or at least 0",
        ),
        (FinetuneConfig, "task", "low", 1.0, "config.task.low must be at most config.task.high"),
        (FinetuneConfig, "task", "version", 3, "config.task.version must be at most 2."),
        (FinetuneConfig, "train", "num_epochs", 0, "config.train.num_epochs must be in (0, "),
    ],
)
def test_a_wrong_value_is_told_with_field_rule_and_value(kind, section, field, value, message):
    told = refusal(with_field(kind, section, field, value))
    assert told.startswith(message) and f"Received: {value!r}"[:30] in told
    if field == "name":
        assert "keras:NAME" in told


def test_numbers_of_numpy_become_pythons():
    config = Config()
    config.train.seed, config.optimizer.learning_rate = np.int64(3), np.float32(0.25)
    assert json.loads(config.validate().to_json())["train"]["seed"] == 3
    assert type(config.optimizer.learning_rate) is float


@pytest.mark.parametrize(("objective", "weight"), [("mlm", "generator"), ("electra", "both")])
def test_a_loss_without_weight_is_refused(objective, weight):
    config = Config()
    config.objective.name, config.objective.generator_weight = objective, 0.0
    if weight == "both":
        validate(config)  # the discriminator alone
        config.objective.discriminator_weight = 0.0
    with pytest.raises(UserError, match="must have a loss: config.objective.generator_weight"):
        validate(config)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ('{"beta_1": 1.5}', r"beta_1 in config.optimizer.keras_arguments must be in \[0, 1\)"),
        ('{"epsilon": NaN}', "epsilon in .* must be in .* Received: nan"),
        ('{"epsilon": "1"}', "epsilon in .* must be a number. Received: '1'"),
        ("[" * 100_000, "must be a JSON object"),
    ],
)
def test_arguments_of_a_keras_optimizer(arguments, message):
    config = OptimizerConfig(name="keras:Adam", keras_arguments=arguments)
    with pytest.raises(UserError, match=message):
        build_optimizer(config, 1, {})


def test_an_unknown_attribute_is_refused_with_the_closest_name():
    config = Config()
    with pytest.raises(UserError, match=r"Received: num_step, unknown; did you mean num_steps\?"):
        config.train.num_step = 5
    with pytest.raises(UserError, match=r"A field of Config .* trian, unknown; did you mean train"):
        config.trian = 5
    with pytest.raises(UserError, match="there are num_steps, max_minutes, batch_size"):
        config.train.zzz = 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("5", "must hold one JSON object"),
        ("[]", "must hold one JSON object"),
        ('{"train": {"num_', "must be valid"),
        ("[" * 100_000, "must be valid"),
        ('{"train": 5}', "must be an object. Received: train with 5"),
        ('{"train": {"num_step": 5}}', "Received: num_step, unknown; did you mean num_steps"),
        ('{"train": {"to_json": 5}}', "Received: to_json, unknown"),
        ('{"to_json": 5}', "unknown section, 'to_json'"),
        (
            '{"train": {"num_steps": []}}',
            r"config.train.num_steps must be an integer. Received: \[",
        ),
        ('{"train": {"num_steps": NaN}}', "config.train.num_steps must be an integer"),
        ('{"init_from": {}}', "config.init_from must be a string. Received: {}"),
    ],
)
def test_a_garbled_config_json(tmp_path, text, message):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        load(str(tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("5", "must hold one JSON object"),
        ('{"task": {}', "must be valid"),
        ('{"task": 5}', "must be an object. Received: task with 5"),
        ('{"task": {"knid": ""}}', "Received: knid, unknown; did you mean kind"),
        ('{"task": {"low": Infinity}}', r"config.task.low must be in \[-1e\+30, 1e\+30\]"),
        ('{"task": {}, "num_trials": true}', "config.num_trials must be an integer"),
    ],
)
def test_a_garbled_config_json_of_a_finetuning(tmp_path, text, message):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        FinetuneConfig.load(str(tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def get_config(:\n", r"Received: SyntaxError: invalid syntax \(.*mine.py:1\)"),
        ("\nimport nothing\n", r"ModuleNotFoundError: No module named 'nothing' \(.*mine.py:2\)"),
        ("def get_config():\n    return 1 / 0\n", r"ZeroDivisionError: .* \(.*mine.py:2\)"),
        (
            "from electra_tf.config import Config\n\ndef get_config():\n    config = Config()\n"
            "    config.train.num_step = 3\n    return config\n",
            r"did you mean num_steps\? \(.*mine.py:5\)",
        ),
        ("import sys\nsys.exit(0)\n", r"SystemExit: 0 \(.*mine.py:2\)"),
        ("x = 1\n", "must define get_config.* mine.py without it"),
        ("get_config = 1\n", "must define get_config"),
        ("def get_config():\n    pass\n", "must be a Config here, .* returns a NoneType"),
        ("def get_config(phase):\n    pass\n", "mine.py must be followed by :ARGUMENT"),
    ],
)
def test_what_is_wrong_in_a_config_file_is_told_with_its_line(tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(tmp_path)
    pathlib.Path("mine.py").write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        Config.from_file("mine.py")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        (
            FinetuneConfig,
            "configs/electra_small.py",
            "must be a FinetuneConfig here, .*glue.py:rte",
        ),
        (Config, "configs/glue.py:rte", "must be a Config here, such as configs/electra_small.py"),
        (Config, "configs/electra_small.py:v3", "must be given without an :ARGUMENT"),
        (FinetuneConfig, "configs/squad.py:v3", "squad.py must be followed by :v1 or :v2. .*: v3$"),
        (Config, "configs/nothing.py", "Received: configs/nothing.py, which is not there"),
    ],
)
def test_a_config_of_another_kind(kind, name, message):
    with pytest.raises(UserError, match=message):
        kind.from_file(name)


@pytest.mark.parametrize("name", CONFIGS)
def test_packaged_configs_are_found_from_any_folder(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    is_finetuning = name in ("custom.py", "glue.py", "squad.py", "tagging.py")
    kind = FinetuneConfig if is_finetuning else Config
    kind.from_file(f"configs/{name}").validate()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workdir=x", "--config=configs/glue.py:rte"], "A config must be a Config here"),
        (["--workdir=x"], "--config must be given. Received: nothing"),
        (["--workdir=x", "--config.train.seed=1"], "--config must be given where a field"),
        (
            ["--workdir=x", "--config=configs/electra_small.py", "--config.trian.seed=1"],
            "A --config flag must name a section and a field",
        ),
        (
            ["--workdir=x", "--config=configs/electra_small.py", "--config.learning_rate=1"],
            "A --config flag must name a section and a field",
        ),
        (
            ["--workdir=x", "--config=configs/electra_small.py", "--config.train.seed=one"],
            "config.train.seed must be an integer. Received: one",
        ),
    ],
)
def test_a_wrong_command_line_is_one_line(arguments, message):
    result = tiny_runs.run([sys.executable, "-m", "electra_tf", "pretrain", *arguments], code=1)
    assert result.stderr.startswith(f"error: {message}") and result.stderr.count("\n") == 1
    closest = {"trian": "config.train.seed?", "learning_rate": "config.optimizer.learning_rate?"}
    for part, name in closest.items():
        assert (part in arguments[-1]) == (f"did you mean {name}" in result.stderr)


def test_a_misspelt_command_is_told():
    result = tiny_runs.run([sys.executable, "-m", "electra_tf", "pretrian"], code=1)
    assert result.stderr.endswith("Received: pretrian; did you mean pretrain?\n")


def test_help_is_printed_on_any_terminal():
    result = tiny_runs.run([sys.executable, "-m", "electra_tf"], PYTHONIOENCODING="ascii")
    assert "[--flag=value \\u2026]" in result.stdout


def test_help_is_no_failure():
    result = tiny_runs.run([sys.executable, "-m", "electra_tf", "pretrain", "--help"])
    assert "--workdir" in result.stdout and not result.stderr


@pytest.mark.parametrize(("steps", "warns"), [(4, True), (5, False)])
def test_a_warm_up_longer_than_the_run_is_told(tmp_path, caplog, steps, warns):
    config = Config()
    config.optimizer.warmup_steps, config.train.num_steps = 5, steps
    with pytest.raises(UserError, match="config.data.dir must be a data set"):
        electra_tf.pretrain(config, str(tmp_path / "run"))
    told = "config.optimizer.warmup_steps, 5, is more than config.train.num_steps, 4" in caplog.text
    assert told == warns


@pytest.mark.parametrize("text", ["garbage", "[1]", '{"cluster": {"worker": ["x:1"]}}'])
def test_a_garbled_cluster(tmp_path, monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(UserError, match="TF_CONFIG must be JSON with a cluster"):
        electra_tf.pretrain(Config(), str(tmp_path / "run"))


def test_a_tpu_that_is_not_there(tmp_path):
    config = Config()
    config.runtime.strategy = "tpu"
    with pytest.raises(UserError, match="strategy=tpu needs config.runtime.tpu.*: nothing"):
        electra_tf.pretrain(config, str(tmp_path / "run"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: "5", "must hold one JSON object here"),
        (lambda text: text[:50], "A JSON file must be valid"),
        (lambda text: text.replace('"splits"', '"split"'), "Received: .* with splits=None"),
        (lambda text: text.replace('"examples": 240}', '"examples": "240"}'), "with splits={"),
        (lambda text: text.replace('"examples": 240}', '"examples": 1e18}'), "with splits={"),
        (lambda text: text.replace('"examples": 240}', f'"examples": {10**18}}}'), "with splits={"),
        (lambda text: text.replace('"name": "train', '"nam": "train'), "with splits={"),
        (lambda text: text.replace('"seq_length": 16', '"seq_length": "16"'), "seq_length='16'"),
        (lambda text: text.replace('"seq_length": 16', '"seq_length": 32'), "of the examples, 16"),
        (lambda text: text.replace('"none"', "[]"), r"with packing=\[\]"),
    ],
)
def test_a_garbled_dataset_json(data, tmp_path, change, message):
    shutil.copytree(data, tmp_path / "data")
    path = tmp_path / "data" / "dataset.json"
    changed = change(path.read_text())
    assert changed != path.read_text()
    path.write_text(changed)
    with pytest.raises(UserError, match=message) as caught:
        dataset.open_split(str(tmp_path / "data"), "train")
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(("split", "lost"), [("train", 1), ("train", 5000), ("eval", 1)])
def test_a_shard_cut_off_is_named_in_one_line(data, tmp_path, split, lost):
    shutil.copytree(data, tmp_path / "data")
    opened = dataset.open_split(str(tmp_path / "data"), split)
    shard = pathlib.Path(opened.files[0])
    shard.write_bytes(shard.read_bytes()[:-lost])
    settings = {"seed": 0, "batch_size": 2, "start_step": 0, "shuffle_examples": 9}
    batches = (
        dataset.train_batches(opened, **settings)
        if split == "train"
        else dataset.eval_batches(opened, batch_size=4)
    )
    with pytest.raises(Exception) as caught:
        for _ in range(200):
            list(batches.take(200))
    assert is_for_user(caught.value)
    told = one_line(caught.value)
    assert told.startswith("A shard must ") and str(shard) in told
    assert "Traceback" not in told and len(told) < 300


@pytest.fixture(scope="module")
def model(tmp_path_factory, tiny_vocab_file):
    path = str(tmp_path_factory.mktemp("model") / "model")
    model_directory.write(random_electra(tiny_vocab_file, "embeddings"), path)
    return electra_tf.load(path)


def test_a_batch_is_cut_to_the_models_length(model):
    longest = model.config.model.max_positions
    batch = model.tokenizer.batch(["the model " * 100, "a text"], ["a pair", "words " * 100])
    assert batch["input_ids"].shape == (2, longest) == model(batch).shape
    with pytest.raises(UserError, match=f"as many tokens as .* positions, {longest}. .*: 60"):
        model(model.tokenizer.batch(["the model " * 100], max_seq_length=60))


def test_a_batch_takes_any_list_of_strings(model):
    batch = model.tokenizer.batch
    expected = batch(["the model", "a text"])["input_ids"].numpy()
    for given in (
        ("the model", "a text"),
        np.array(["the model", "a text"]),
        ["the model", b"a text"],
    ):
        np.testing.assert_array_equal(batch(given)["input_ids"], expected)
    np.testing.assert_array_equal(batch(["the \ud83dmodel", "a text"])["input_ids"], expected)
    assert batch([])["input_ids"].shape[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a string"], "texts must be a list of strings.* Received: 'a string'"),
        ([b"a string"], "texts must be a list of strings"),
        ([["a"], "c"], "pairs must be a list of strings.* Received: 'c'"),
        ([["a", "b"], ["c"]], "pairs must be as many as texts, 2. Received: 1"),
        ([["a"], ["b", "c"]], "pairs must be as many as texts, 1. Received: 2"),
        ([["a", 3]], "texts must be a list of strings.* Received: one with 3"),
        ([[["a"], ["b"]]], r"texts must be a list of strings.* Received: one with \['a'\]"),
        ([None], "texts must be a list of strings.* Received: None"),
        ([np.zeros(2)], "texts must be a list of strings"),
        ([["a"], None, 0], "max_seq_length must be at least 2. Received: 0"),
        ([["a"], None, "16"], "max_seq_length must be an integer. Received: '16'"),
    ],
)
def test_what_is_no_batch_is_refused(model, arguments, message):
    with pytest.raises(UserError, match=message):
        model.tokenizer.batch(*arguments)


def test_tokenize_takes_a_list(model):
    with pytest.raises(UserError, match="texts must be a list of strings.* Received: 'a string'"):
        model.tokenizer.tokenize("a string")
    assert model.tokenizer.tokenize([]) == []


def test_tensorflows_file_errors_are_one_line(tmp_path):
    def told(function) -> str | None:
        with pytest.raises(tf.errors.OpError) as caught:
            function()
        return one_line(caught.value) if is_for_user(caught.value) else None

    missing = f"{tmp_path}/missing"
    assert told(lambda: tf.io.read_file(missing)) == f"{missing}; No such file or directory"
    in_graph = tf.function(lambda: tf.io.read_file(missing))
    assert told(in_graph) == f"{missing}; No such file or directory"
    assert "directory" in told(lambda: tf.io.gfile.GFile(str(tmp_path), "rb").read())
    assert "nosuch://x" in told(lambda: tf.io.gfile.listdir("nosuch://x"))
    assert told(lambda: tf.gather([1], 5)) is None  # a fault of the program


def test_a_user_error_inside_a_graph_keeps_its_words():
    def fail(value):
        raise UserError("A value must be right. Received: wrong")

    function = tf.function(lambda: tf.py_function(fail, [1], tf.int32))
    with pytest.raises(tf.errors.OpError) as caught:
        function()
    assert is_for_user(caught.value)
    assert one_line(caught.value) == "A value must be right. Received: wrong"
