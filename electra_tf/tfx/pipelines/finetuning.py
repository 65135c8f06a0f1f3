"""The fine-tuning pipeline: a task's files and a pre-trained model to a pushed version.

    TaskExampleGen ─▶ StatisticsGen ─▶ ExampleValidator ◀─ TaskSchemaGen
          │                                  │
          │        pretrained-model ─▶ ElectraFinetuner ─▶ ServingExporter ─▶ BundleChecker
          │                                                      │                 │
          └──────▶ Evaluator ◀── baseline ◀──────────────────────┤                 │
                       └───────── blessed? ─────────▶ Pusher ◀───┴─── blessed? ────┘

Evaluator asks the exported bundle, so what it measures is what a server will answer.
"""

import hashlib
import os
from collections.abc import Sequence

from tfx.components import Evaluator, ExampleValidator, Pusher, StatisticsGen
from tfx.dsl.components.common.importer import Importer
from tfx.orchestration.pipeline import Pipeline
from tfx.proto.pusher_pb2 import PushDestination  # pyright: ignore[reportAttributeAccessIssue] generated at import
from tfx.types.standard_artifacts import Model

from electra_tf.config.checks import between
from electra_tf.config.finetuning import FinetuneConfig
from electra_tf.errors import UserError
from electra_tf.tasks import registry
from electra_tf.tasks.readers.tfds_source import PREFIX
from electra_tf.tfx import tfma
from electra_tf.tfx.components.baseline import resolver
from electra_tf.tfx.components.exporter import ServingExporter
from electra_tf.tfx.components.finetuner import ElectraFinetuner
from electra_tf.tfx.components.infra_check import BundleChecker
from electra_tf.tfx.components.task_examples import TaskExampleGen, files_fingerprint
from electra_tf.tfx.components.task_schema import TaskSchemaGen, texts_and_labels
from electra_tf.tfx.parameters import runtime_parameter

NAME = "electra-finetune"


def build(
    root: str,
    serving_dir: str,
    config: FinetuneConfig,
    data_dir: str,
    model: str,
    *,
    name: str | None = None,
    min_accuracy: float = 0.0,
    beam_args: Sequence[str] = (),
    runner: str = "local",
) -> Pipeline:
    """Builds the pipeline; what is wrong with its parameters shows here, before anything runs.

    Args:
        root: directory or bucket of all that the components write.
        serving_dir: where Pusher puts a blessed version, for a server to find.
        config: the fine-tuning of a task with classes; data.dir and init_from stay empty.
        data_dir: directory of the task's files, or tfds:NAME.
        model: directory of the pre-trained model, such as `ElectraPretrainer` writes.
        name: of the pipeline, by which runs find what former runs made; None: made of the task's.
        min_accuracy: what a model must reach on the dev file to be blessed. It must also be at
            least as good as the last blessed one.
        beam_args: options for Apache Beam, for the components that run on it.
        runner: "local", or "vertex" or "kubeflow", for which data, trials, epochs and learning
            rate become runtime parameters and files are not looked at. The baseline is TFX's own
            resolver's on Vertex, which compiles no other; Kubeflow has no resolvers, so no
            baseline.

    Raises:
        UserError: a parameter, the config or, for a local run, the files; names the component.
    """
    between("Evaluator: min_accuracy", min_accuracy, 0, 1, closed=(True, True))
    fingerprint = num_trials = num_epochs = learning_rate = None
    identity = {}
    if runner != "local":
        data_dir = runtime_parameter("data_dir", data_dir, "Directory of the task's files.")
        num_trials = runtime_parameter("num_trials", config.num_trials, "Seeds to train with.")
        num_epochs = runtime_parameter("num_epochs", config.train.num_epochs, "Of each trial.")
        learning_rate = runtime_parameter(
            "learning_rate",
            config.optimizer.learning_rate,
            "Peak learning rate; 0: by the model's size.",
        )
    else:
        root, serving_dir, model = map(os.path.abspath, (root, serving_dir, model))
        fingerprint = files_fingerprint(config, data_dir)
        data_dir = data_dir if data_dir.startswith(PREFIX) else os.path.abspath(data_dir)
        identity = {"fingerprint": model_fingerprint(model)}

    examples = TaskExampleGen(config, data_dir, fingerprint)
    statistics = StatisticsGen(examples=examples.outputs["examples"])
    schema = TaskSchemaGen(config)
    validator = ExampleValidator(
        statistics=statistics.outputs["statistics"], schema=schema.outputs["schema"]
    )
    pretrained = Importer(
        source_uri=model, artifact_type=Model, custom_properties={**identity}
    ).with_id("pretrained-model")
    trainer = ElectraFinetuner(
        examples.outputs["examples"],
        pretrained.outputs["result"],
        config,
        num_trials=num_trials,
        num_epochs=num_epochs,
        learning_rate=learning_rate,
        anomalies=validator.outputs["anomalies"],
    )
    exporter = ServingExporter(trainer.outputs["model"])
    baseline = resolver(exporter.outputs["servable"], runner)
    evaluator = Evaluator(
        examples=examples.outputs["examples"],
        model=exporter.outputs["servable"],
        baseline_model=baseline.outputs["model"] if baseline else None,
        module_path=tfma.MODULE,
        eval_config=tfma.eval_config(texts_and_labels(config)[1], min_accuracy),
    )
    checker = BundleChecker(exporter.outputs["servable"], model=trainer.outputs["model"])
    pusher = Pusher(
        model=exporter.outputs["servable"],
        model_blessing=evaluator.outputs["blessing"],
        infra_blessing=checker.outputs["blessing"],
        push_destination=PushDestination(
            filesystem=PushDestination.Filesystem(base_directory=serving_dir)
        ),
    )
    return Pipeline(
        pipeline_name=name or _name(config),
        pipeline_root=os.path.join(root, "pipeline"),
        components=[
            examples,
            statistics,
            schema,
            validator,
            pretrained,
            trainer,
            exporter,
            *([baseline] if baseline else []),
            evaluator,
            checker,
            pusher,
        ],
        enable_cache=True,
        beam_pipeline_args=list(beam_args),
    )


def model_fingerprint(directory: str) -> str:
    """A cheap digest of a model directory: its config, and names, sizes and times of its files.

    Raises:
        UserError: it is no model directory; names the node.
    """
    config_file = os.path.join(directory, "config.json")
    if not os.path.isfile(config_file):
        raise UserError(
            "pretrained-model: The model must be a directory with config.json. "
            f"Received: {directory}"
        )
    digest = hashlib.sha256()
    checkpoints = os.path.join(directory, "checkpoints")
    names = sorted(os.listdir(checkpoints)) if os.path.isdir(checkpoints) else []
    for path in [config_file, *(os.path.join(checkpoints, name) for name in names)]:
        status = os.stat(path)
        digest.update(f"{path} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:32]


def _name(config: FinetuneConfig) -> str:
    """Such as electra-finetune-cola: what all runners take."""
    title = registry.kind_of(config.task).title(config.task)
    return f"{NAME}-{''.join(letter for letter in title.lower() if letter.isalnum())}"
