"""The compiled pipelines: what a cluster would get, checked by the SDKs of Kubeflow and Vertex.

The golden files are the specifications for Vertex, without versions and without what one part of a
specification repeats of another. After a wanted change of a pipeline

  ELECTRA_TF_UPDATE_GOLDEN=1 .venv-tfx/bin/python -m pytest tests/tfx/test_cluster_runner.py

writes them anew; the difference is to be reviewed.
"""

import difflib
import json
import os
import pathlib

import pytest

pytest.importorskip("tfx.orchestration", reason="the TFX tests run in .venv-tfx")

import kfp
import yaml
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform
from tfx.components.evaluator import constants
from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor

from electra_tf.config import Config
from electra_tf.config.finetuning import FinetuneConfig, TaskConfig
from electra_tf.tfx.components import evaluator
from electra_tf.tfx.pipelines import finetuning as finetuning_pipeline
from electra_tf.tfx.pipelines import pretraining as pretraining_pipeline
from electra_tf.tfx.runners import cluster as cluster_runner

GOLDEN = pathlib.Path(__file__).parent / "golden"
UPDATE = bool(os.environ.get("ELECTRA_TF_UPDATE_GOLDEN"))
ROOT, SERVING, IMAGE = "gs://bucket/root", "gs://bucket/serving", "registry/electra_tf:1"
OUTPUTS = {"kubeflow": "pipeline.yaml", "vertex": "pipeline.json"}
PRETRAINING = {
    "ElectraExampleGen",
    "StatisticsGen",
    "PretrainingSchemaGen",
    "ExampleValidator",
    "ElectraPretrainer",
    "HeldOutEvaluator",
    "ServingExporter",
    "BundleChecker",
    "Pusher",
}
FINETUNING = {
    "TaskExampleGen",
    "StatisticsGen",
    "TaskSchemaGen",
    "ExampleValidator",
    "pretrained-model",
    "ElectraFinetuner",
    "ServingExporter",
    "Evaluator",
    "BundleChecker",
    "Pusher",
}
RESOLVERS = {"baseline-model-resolver", "baseline-model-blessing-resolver"}  # one node, two tasks


def pretraining(runner="vertex", **changes):
    return pretraining_pipeline.build(
        changes.pop("root", ROOT),
        SERVING,
        Config(),
        "gs://bucket/text/*.txt.xz",
        runner=runner,
        **changes,
    )


def finetuning(runner="vertex"):
    config = FinetuneConfig(task=TaskConfig(kind="glue", name="cola"))
    return finetuning_pipeline.build(
        ROOT, SERVING, config, "gs://bucket/glue/CoLA", "gs://bucket/model", runner=runner
    )


PIPELINES = {"pretraining": (pretraining, PRETRAINING), "finetuning": (finetuning, FINETUNING)}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """Each pipeline's file for each runner, by (pipeline, runner)."""
    files = {}
    for name, (build, _) in PIPELINES.items():
        for runner, output in OUTPUTS.items():
            path = tmp_path_factory.mktemp(f"{name}_{runner}") / output
            cluster_runner.compile(build(runner), runner, str(path), IMAGE)
            files[name, runner] = path
    return files


def specification(path: pathlib.Path) -> dict:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))  # JSON is YAML, too
    return content.get("pipelineSpec", content)


def readable(value):
    """A specification as a golden file shows it."""
    if isinstance(value, list):
        arguments = [readable(item) for item in value]
        if "--json_serialized_inputs_spec_args" in arguments:  # the component's inputs once more
            first = arguments.index("--json_serialized_inputs_spec_args")
            del arguments[first : first + 2]
        return arguments
    if isinstance(value, dict):
        return {key: readable(item) for key, item in value.items() if key != "sdkVersion"}
    if isinstance(value, str) and value.startswith("title: tfx."):
        return yaml.safe_load(value)["title"]  # a standard artifact's schema
    if isinstance(value, str) and value.startswith("{") and not value.startswith("{{"):
        return {"json": readable(json.loads(value))}
    return value


def vertex_job(path: pathlib.Path, **values):
    return aiplatform.PipelineJob(
        display_name="test",
        template_path=str(path),
        project="project",
        location="us-central1",
        credentials=AnonymousCredentials(),
        parameter_values=values,
    )


@pytest.mark.parametrize("name", PIPELINES)
def test_golden_file(compiled, name):
    text = yaml.safe_dump(readable(specification(compiled[name, "vertex"])))
    golden = GOLDEN / f"{name}.yaml"
    if UPDATE:
        golden.write_text(text, encoding="utf-8")
    difference = difflib.unified_diff(
        golden.read_text(encoding="utf-8").splitlines(),
        text.splitlines(),
        golden.name,
        "compiled now",
        lineterm="",
    )
    difference = "\n".join(difference)
    assert not difference, f"review it, then set ELECTRA_TF_UPDATE_GOLDEN=1:\n{difference}"


@pytest.mark.parametrize("name", PIPELINES)
def test_kubeflow_gets_the_same_without_the_resolvers(compiled, name):
    wanted = readable(specification(compiled[name, "vertex"]))
    tasks, executors = wanted["root"]["dag"]["tasks"], wanted["deploymentSpec"]["executors"]
    for resolver in RESOLVERS:
        del tasks[resolver], executors[f"{resolver}_executor"], wanted["components"][resolver]
    evaluator_name = "HeldOutEvaluator" if name == "pretraining" else "Evaluator"
    tasks[evaluator_name]["dependentTasks"].remove("baseline-model-resolver")
    del tasks[evaluator_name]["inputs"]["artifacts"]["baseline_model"]
    del wanted["components"][evaluator_name]["inputDefinitions"]["artifacts"]["baseline_model"]
    assert readable(specification(compiled[name, "kubeflow"])) == wanted


@pytest.mark.parametrize("name", PIPELINES)
def test_every_component_is_a_task_with_the_image(compiled, name):
    expected = PIPELINES[name][1]
    for runner, resolvers in (("vertex", RESOLVERS), ("kubeflow", set())):
        content = specification(compiled[name, runner])
        assert set(content["root"]["dag"]["tasks"]) == expected | resolvers
        containers = [
            item["container"]
            for item in content["deploymentSpec"]["executors"].values()
            if "container" in item
        ]
        assert {item["image"] for item in containers} == {IMAGE}
        assert len(containers) == len(expected - {"pretrained-model"})


@pytest.mark.parametrize("name", PIPELINES)
def test_vertex_sdk_takes_the_job_and_its_parameters(compiled, name):
    path = compiled[name, "vertex"]
    config = vertex_job(path, learning_rate=1e-3)._gca_resource.runtime_config
    assert config.gcs_output_directory == f"{ROOT}/pipeline"
    inputs = specification(path)["root"]["inputDefinitions"]["parameters"]
    assert set(config.parameter_values) == set(inputs)
    assert config.parameter_values["learning_rate"] == 1e-3
    with pytest.raises(ValueError, match="nothing_like_it"):
        vertex_job(path, nothing_like_it=1)


def test_kubeflow_sdk_takes_the_specification_and_its_defaults(compiled):
    loaded = kfp.components.load_component_from_file(str(compiled["pretraining", "kubeflow"]))
    inputs = {
        name: (item.type, item.default) for name, item in loaded.component_spec.inputs.items()
    }
    config = Config()
    assert inputs == {
        "input": ("String", "gs://bucket/text/*.txt.xz"),
        "num_steps": ("Integer", config.train.num_steps),
        "learning_rate": ("Float", config.optimizer.learning_rate),
        "min_auc": ("Float", 0.5),
    }
    loaded = kfp.components.load_component_from_file(str(compiled["finetuning", "kubeflow"]))
    assert {"data_dir", "num_trials", "num_epochs", "learning_rate"} == set(
        loaded.component_spec.inputs
    )


def step_arguments(path, task, invocation) -> list[str]:
    """The arguments that a step's container gets, with its inputs filled in."""
    executors = specification(path)["deploymentSpec"]["executors"]
    return [
        json.dumps(invocation) if item == "{{$}}" else item
        for item in executors[f"{task}_executor"]["container"]["args"]
    ]


def run_step(arguments) -> dict:
    """Runs a step as its container would, in this process; gives what it reports."""
    kubeflow_v2_run_executor.main(kubeflow_v2_run_executor._parse_flags(["", *arguments]))
    invocation = json.loads(arguments[arguments.index("--json_serialized_invocation_args") + 1])
    return json.loads(pathlib.Path(invocation["outputs"]["outputFile"]).read_text())


def artifact(title: str, path: pathlib.Path, **metadata) -> dict:
    path.mkdir(parents=True, exist_ok=True)
    return {
        "artifacts": [
            {
                "name": f"stores/1/artifacts/{path.name}",
                "uri": str(path),
                "metadata": metadata,
                "type": {"instanceSchema": f"title: tfx.{title}\ntype: object\n"},
            }
        ]
    }


def test_a_step_runs_as_in_its_container(compiled, tmp_path):
    """Parameters arrive as JSON numbers, which know no integers."""
    arguments = step_arguments(
        compiled["pretraining", "kubeflow"],
        "PretrainingSchemaGen",
        {
            "inputs": {
                "parameterValues": {"seq_length": 16.0, "vocab_size": 100.0, "packing": "none"}
            },
            "outputs": {
                "artifacts": {"schema": artifact("Schema", tmp_path / "schema")},
                "outputFile": str(tmp_path / "task" / "executor_output.json"),
            },
        },
    )
    run_step(arguments)
    assert "max: 99" in (tmp_path / "schema" / "schema.pbtxt").read_text()


def test_a_blessing_names_its_model_for_the_next_runs_resolver(compiled, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluator, "_evaluate", lambda *_: {"disc_auc": 0.7})
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(Config().to_json())
    arguments = step_arguments(
        compiled["pretraining", "vertex"],
        "HeldOutEvaluator",
        {
            "inputs": {
                "parameterValues": {"min_auc": 0.5},
                "artifacts": {
                    "examples": artifact("Examples", tmp_path / "examples"),
                    "model": artifact("Model", tmp_path / "model"),
                },
            },
            "outputs": {
                "artifacts": {
                    "evaluation": artifact("ModelEvaluation", tmp_path / "evaluation"),
                    "blessing": artifact("ModelBlessing", tmp_path / "blessing"),
                },
                "outputFile": str(tmp_path / "task" / "executor_output.json"),
            },
        },
    )
    reported = run_step(arguments)["artifacts"]["blessing"]["artifacts"][0]["metadata"]
    assert reported[constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY] == "stores/1/artifacts/model"
    assert reported[constants.ARTIFACT_PROPERTY_BLESSED_KEY] == 1


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"runner": "airflow"}, ["--runner", "kubeflow, vertex", "airflow"]),
        ({"output": "pipeline.yaml"}, ["--output", ".json", "pipeline.yaml"]),
        ({"output": ""}, ["--output", "nothing"]),
        ({"image": ""}, ["--image", "electra_tf[tfx]"]),
        ({"pipeline": {"root": "/data"}}, ["--root", "gs://", "/data"]),
        ({"pipeline": {"name": "My_pipeline"}}, ["lower-case", "My_pipeline"]),
        ({"runner": "kubeflow", "output": "a.yaml"}, ["Kubeflow", "no resolver", "baseline"]),
    ],
)
def test_refused(changes, named, tmp_path):
    output = changes.get("output", "pipeline.json")
    path = tmp_path / output if output else ""
    with pytest.raises(ValueError) as caught:
        cluster_runner.compile(
            pretraining(**changes.get("pipeline", {})),
            changes.get("runner", "vertex"),
            str(path),
            changes.get("image", IMAGE),
        )
    assert all(word in str(caught.value) for word in named), caught.value
    assert not os.listdir(tmp_path)
