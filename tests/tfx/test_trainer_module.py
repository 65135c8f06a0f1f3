"""TFX's own Trainer with this library's run_fn, as a component of a local pipeline."""

import json
import os
import pathlib

import pytest

pytest.importorskip("tfx", reason="the TFX tests run in .venv-tfx")

import tiny_runs
import tiny_tasks
from tfx.components import Trainer
from tfx.components.trainer.fn_args_utils import FnArgs
from tfx.dsl.components.common.importer import Importer
from tfx.orchestration.pipeline import Pipeline
from tfx.proto import trainer_pb2
from tfx.types.standard_artifacts import Examples

from configs import custom
from electra_tf.config import Config
from electra_tf.runs.pretraining import pretrain
from electra_tf.saved.weights import SavedWeights
from electra_tf.tfx import trainer_module
from electra_tf.tfx.components.task_examples import TaskExampleGen
from electra_tf.tfx.runners import local as local_runner

STEPS = 6


def tiny_config() -> Config:
    config = Config()
    for name, value in (tiny_runs.TINY | {"runtime.deterministic": True}).items():
        section, field = name.split(".")
        setattr(getattr(config, section), field, value)
    return config


def into_folders(data: str) -> None:
    """Gives a data directory the layout of an Examples artifact."""
    path = pathlib.Path(data) / "dataset.json"
    manifest = json.loads(path.read_text())
    for split, values in manifest["splits"].items():
        for file in values["files"]:
            name = f"Split-{split}/{file['name']}"
            (path.parent / f"Split-{split}").mkdir(exist_ok=True)
            os.rename(path.parent / file["name"], path.parent / name)
            file["name"] = name
    path.write_text(json.dumps(manifest))


def weights(directory: str) -> dict:
    saved = SavedWeights(os.path.join(directory, "checkpoints"))
    return {path: saved.read(path).tobytes() for path in saved.shapes}


def outputs(root: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """The newest outputs of Trainer: model and model_run."""
    return tuple(
        max((root / "pipeline" / "Trainer" / key).iterdir()) for key in ("model", "model_run")
    )


@pytest.mark.slow
def test_the_stock_trainer_pretrains(tmp_path):
    data = tiny_runs.write_data(tmp_path / "data")
    into_folders(data)
    examples = Importer(
        source_uri=data, artifact_type=Examples, properties={"split_names": '["train", "eval"]'}
    ).with_id("examples")
    trainer = Trainer(
        run_fn=trainer_module.RUN_FN,
        examples=examples.outputs["result"],
        train_args=trainer_pb2.TrainArgs(num_steps=STEPS),
        eval_args=trainer_pb2.EvalArgs(),
        custom_config={"config": tiny_config().to_json()},
    )
    root = tmp_path / "root"
    states = local_runner.run(
        Pipeline("stock", str(root / "pipeline"), components=[examples, trainer]), str(root)
    )
    assert states["Trainer"] == "COMPLETE"

    model, model_run = outputs(root)
    card = json.loads((model / "Format-Serving" / "model_card.json").read_text())
    assert card["step"] == STEPS and "serving_default" in card["signatures"]
    assert tiny_runs.last_step(model_run) == STEPS and (model_run / "tensorboard").is_dir()
    config = tiny_config()  # the same by hand
    config.data.dir, config.train.num_steps = data, STEPS
    pretrain(config, str(tmp_path / "by_hand"))
    assert weights(str(model_run)) == weights(str(tmp_path / "by_hand"))
    assert not (root / "pipeline" / "Trainer" / "unfinished").exists()


@pytest.mark.slow
def test_the_stock_trainer_fine_tunes(tmp_path, tiny_vocab_file):
    source = tiny_tasks.write_model(tmp_path / "model_dir", tiny_vocab_file)
    _, fields = tiny_tasks.write_task("classification", tmp_path / "data")
    config = custom.get_config("classification")
    for name, value in (tiny_tasks.FIELDS | fields | {"train.num_epochs": 1.0}).items():
        section, field = name.split(".")
        setattr(getattr(config, section), field, value)
    config.data.dir = ""
    examples = TaskExampleGen(config, str(tmp_path / "data"))
    trainer = Trainer(
        run_fn=trainer_module.RUN_FN,
        examples=examples.outputs["examples"],
        train_args=trainer_pb2.TrainArgs(),
        eval_args=trainer_pb2.EvalArgs(),
        custom_config={"config": config.to_json(), "init_from": source},
    )
    root = tmp_path / "root"
    local_runner.run(
        Pipeline("stock", str(root / "pipeline"), components=[examples, trainer]), str(root)
    )
    model, model_run = outputs(root)
    card = json.loads((model / "Format-Serving" / "model_card.json").read_text())
    assert "classify" in card["signatures"] and card["metrics"]["task"] == "task"
    results = json.loads((model_run / "results.json").read_text())
    assert results["median"]["dev"]["accuracy"] > 0


CONFIG = tiny_config().to_json()
FINETUNING = custom.get_config("classification").to_json()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"custom_config": None}, r'custom_config\["config"\] must be the JSON.*None'),
        ({"custom_config": {"config": "{"}}, "config must be the JSON of a Config"),
        ({"custom_config": {"config": "5"}}, "config must be a JSON object. Received: 5"),
        ({"custom_config": {"config": CONFIG, "steps": 3}}, "Exec properties must be among.*steps"),
        ({"custom_config": {"config": '{"train": {"steps": 3}}'}}, "config.train must have only"),
        (
            {"custom_config": {"config": FINETUNING}, "train_steps": 5},
            "train_args.num_steps must be 0 in fine-tuning.*5",
        ),
        (
            {"train_files": ["a/Split-train/*", "b/Split-train/*"]},
            "Examples must be one artifact.*a/Split-train.*b/Split-train",
        ),
    ],
)
def test_what_is_wrong_shows_before_anything_is_written(arguments, message, tmp_path):
    given = {
        "custom_config": {"config": CONFIG},
        "train_files": ["examples/Split-train/*"],
        "model_run_dir": str(tmp_path / "1" / "2"),
    }
    with pytest.raises(ValueError, match=message):
        trainer_module.run_fn(FnArgs(**given | arguments))
    assert not os.listdir(tmp_path)
