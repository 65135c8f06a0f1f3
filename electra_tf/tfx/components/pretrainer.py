"""The TFX component that pre-trains a model on Examples."""

import os
from typing import Any

from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx import types
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.orchestration.data_types import RuntimeParameter
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec
from tfx.types.system_executions import Train

from electra_tf import objectives
from electra_tf.config import Config
from electra_tf.errors import UserError
from electra_tf.json_files import read_json
from electra_tf.tfx import parameters
from electra_tf.tfx.components.working_directory import (
    local_path,
    publish,
    what_is_trained,
    working_directory,
)
from electra_tf.tfx.parameters import Property

_ANOMALIES = "SchemaDiff.pb"  # ExampleValidator's file in each split


def _check_config(name: str, config: Config) -> None:
    objectives.validate(config)
    for field in ("dir", "mixture", "vocab_file"):
        if getattr(config.data, field):
            raise UserError(
                f"{name}.data.{field} must be empty: data and vocabulary are those of "
                f"the Examples. Received: {getattr(config.data, field)}"
            )


PROPERTIES = {
    "config": Property(Config, "The experiment, without its data.", _check_config),
    "num_steps": Property(
        int,
        "In place of config.train.num_steps.",
        parameters.field_of(Config, "train.num_steps"),
        optional=True,
    ),
    "learning_rate": Property(
        float,
        "In place of config.optimizer.learning_rate.",
        parameters.field_of(Config, "optimizer.learning_rate"),
        optional=True,
    ),
}


class ElectraPretrainerSpec(ComponentSpec):
    """Inputs, outputs and parameters of `ElectraPretrainer`."""

    PARAMETERS = parameters.specification(PROPERTIES)
    INPUTS = {
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "anomalies": ChannelParameter(type=standard_artifacts.ExampleAnomalies, optional=True),
    }
    OUTPUTS = {
        "model": ChannelParameter(type=standard_artifacts.Model),
        "model_run": ChannelParameter(type=standard_artifacts.ModelRun),
    }
    TYPE_ANNOTATION = Train


class ElectraPretrainerExecutor(base_executor.BaseExecutor):
    """Calls `electra_tf.runs.pretraining.pretrain`, in a directory that outlives this execution."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        from electra_tf.runs.pretraining import pretrain  # TensorFlow: not to build a pipeline
        from electra_tf.saved.model_directory import entries

        self._log_startup(input_dict, output_dict, exec_properties)
        given = parameters.read(PROPERTIES, exec_properties)
        config = given.config
        if given.num_steps is not None:
            config.train.num_steps = given.num_steps
        if given.learning_rate is not None:
            config.optimizer.learning_rate = given.learning_rate
        for anomalies in input_dict.get("anomalies") or []:
            require_normal(anomalies)
        examples = artifact_utils.get_single_instance(input_dict["examples"])
        model = artifact_utils.get_single_instance(output_dict["model"])
        model_run = artifact_utils.get_single_instance(output_dict["model_run"])
        identity = {"config": what_is_trained(config), "data": _fingerprint(examples)}
        config.data.dir = local_path(examples.uri)
        with working_directory("ElectraPretrainer", model.uri, identity) as workdir:
            step = pretrain(config, workdir)
            publish(workdir, entries(config), model.uri)
            publish(workdir, ("metrics.jsonl", "tensorboard"), model_run.uri)
            metrics = _last_metrics(os.path.join(workdir, "metrics.jsonl"))
        model.set_int_custom_property("step", step)
        for name, value in metrics.items():
            model.set_float_custom_property(name, value)


class ElectraPretrainer(base_component.BaseComponent):
    """Pre-trains as `electra_tf pretrain` does.

    An execution that was killed is continued from its newest checkpoint by the next one with the
    same examples and config (but for config.runtime, which may differ); see
    `working_directory.py`. Devices are those of config.runtime.

    Args:
        examples: channel of `ElectraExampleGen`'s output.
        config: an electra_tf.config.Config, or its JSON; data.dir, data.mixture and
            data.vocab_file are empty.
        num_steps: in place of config.train.num_steps; may be a RuntimeParameter.
        learning_rate: in place of config.optimizer.learning_rate; may be a RuntimeParameter.
        anomalies: channel of ExampleValidator's output: any anomaly is an error.

    Outputs:
        model: Model whose uri is a model directory: config.json, vocab.txt, checkpoints/. The step
            and the last metrics of both splits are custom properties.
        model_run: ModelRun with tensorboard/ and metrics.jsonl.

    Raises:
        UserError: an impossible parameter.
    """

    SPEC_CLASS = ElectraPretrainerSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(ElectraPretrainerExecutor)

    def __init__(
        self,
        examples: types.BaseChannel,
        config: Config | str,
        num_steps: int | RuntimeParameter | None = None,
        learning_rate: float | RuntimeParameter | None = None,
        anomalies: types.BaseChannel | None = None,
    ):
        super().__init__(
            spec=ElectraPretrainerSpec(
                examples=examples,
                anomalies=anomalies,
                model=types.Channel(type=standard_artifacts.Model),
                model_run=types.Channel(type=standard_artifacts.ModelRun),
                **parameters.checked(
                    type(self).__name__,
                    PROPERTIES,
                    {"config": config, "num_steps": num_steps, "learning_rate": learning_rate},
                ),
            )
        )


def require_normal(anomalies: types.Artifact) -> None:
    """Raises UserError if an ExampleAnomalies artifact holds an anomaly, and names it.

    ExampleValidator only writes down what it finds.
    """
    for split in artifact_utils.decode_split_names(anomalies.split_names):
        path = os.path.join(local_path(anomalies.uri), f"Split-{split}", _ANOMALIES)
        with open(path, "rb") as file:
            found = anomalies_pb2.Anomalies.FromString(file.read())
        told = [f"{name}: {info.description}" for name, info in sorted(found.anomaly_info.items())]
        if found.HasField("dataset_anomaly_info"):
            told.append(found.dataset_anomaly_info.description)
        if told:
            raise UserError(
                f"Examples must be as their schema says. Received: in split {split} "
                f"{'; '.join(told)} ({path})"
            )


def _fingerprint(examples: types.Artifact) -> str:
    """Of the content where it is known; the original's files come without one."""
    path = os.path.join(local_path(examples.uri), "dataset.json")
    if not os.path.exists(path):
        return examples.uri
    return read_json(path).get("fingerprint", examples.uri)


def _last_metrics(path: str) -> dict[str, float]:
    """Newest metrics of both splits, such as eval_disc_auc."""
    from electra_tf.train import log  # TensorFlow

    last = {line["split"]: line for line in log.read(path)}
    return {
        f"{split}_{name}": float(value)
        for split, line in last.items()
        for name, value in line.items()
        if name not in ("step", "split") and value is not None
    }
