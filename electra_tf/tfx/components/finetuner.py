"""The TFX component that fine-tunes a pre-trained model."""

import os
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.orchestration.data_types import RuntimeParameter
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec
from tfx.types.system_executions import Train

from electra_tf.config.finetuning import FinetuneConfig
from electra_tf.tfx import parameters
from electra_tf.tfx.components.pretrainer import require_normal
from electra_tf.tfx.components.task_examples import FILES, check_config
from electra_tf.tfx.components.working_directory import (
    local_path,
    publish,
    what_is_trained,
    working_directory,
)
from electra_tf.tfx.parameters import Property

PROPERTIES = {
    "config": Property(
        FinetuneConfig, "The fine-tuning, without its data and its start.", check_config
    ),
    "num_trials": Property(
        int,
        "In place of config.num_trials.",
        parameters.field_of(FinetuneConfig, "num_trials"),
        optional=True,
    ),
    "num_epochs": Property(
        float,
        "In place of config.train.num_epochs.",
        parameters.field_of(FinetuneConfig, "train.num_epochs"),
        optional=True,
    ),
    "learning_rate": Property(
        float,
        "In place of config.optimizer.learning_rate; 0: by size.",
        parameters.field_of(FinetuneConfig, "optimizer.learning_rate"),
        optional=True,
    ),
}


class ElectraFinetunerSpec(ComponentSpec):
    """Inputs, outputs and parameters of `ElectraFinetuner`."""

    PARAMETERS = parameters.specification(PROPERTIES)
    INPUTS = {
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "pretrained_model": ChannelParameter(type=standard_artifacts.Model),
        "anomalies": ChannelParameter(type=standard_artifacts.ExampleAnomalies, optional=True),
    }
    OUTPUTS = {
        "model": ChannelParameter(type=standard_artifacts.Model),
        "model_run": ChannelParameter(type=standard_artifacts.ModelRun),
    }
    TYPE_ANNOTATION = Train


class ElectraFinetunerExecutor(base_executor.BaseExecutor):
    """Calls `electra_tf.runs.finetuning.finetune`, in a directory that outlives this execution."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        from electra_tf.runs.finetuning import finetune  # TensorFlow: not to build a pipeline
        from electra_tf.saved.model_directory import entries

        self._log_startup(input_dict, output_dict, exec_properties)
        given = parameters.read(PROPERTIES, exec_properties)
        config = given.config
        config.num_trials = given.num_trials or config.num_trials
        config.train.num_epochs = given.num_epochs or config.train.num_epochs
        if given.learning_rate is not None:
            config.optimizer.learning_rate = given.learning_rate
        for anomalies in input_dict.get("anomalies") or []:
            require_normal(anomalies)
        examples = artifact_utils.get_single_instance(input_dict["examples"])
        source = artifact_utils.get_single_instance(input_dict["pretrained_model"])
        model = artifact_utils.get_single_instance(output_dict["model"])
        model_run = artifact_utils.get_single_instance(output_dict["model_run"])
        identity = {
            "config": what_is_trained(config),
            "examples": examples.uri,
            "pretrained_model": str(source.id),
        }
        config.data.dir = os.path.join(local_path(examples.uri), FILES)
        config.init_from = local_path(source.uri)
        with working_directory("ElectraFinetuner", model.uri, identity) as workdir:
            summary = finetune(config, workdir)
            publish(workdir, (*entries(config), "predictions", "results.json"), model.uri)
            publish(
                workdir, [f"trial_{number}" for number in range(config.num_trials)], model_run.uri
            )
        best = summary["trials"][summary["best"]]
        model.set_int_custom_property("seed", best["seed"])
        for split, metrics in best["metrics"].items():
            for name, value in metrics.items():
                model.set_float_custom_property(f"{split}_{name}", float(value))


class ElectraFinetuner(base_component.BaseComponent):
    """Fine-tunes as `electra_tf finetune` does.

    An execution that was killed is continued by the next one with the same inputs and config (but
    for config.runtime, which may differ); see `working_directory.py`.

    Args:
        examples: channel of `TaskExampleGen`'s output.
        pretrained_model: channel of a Model whose uri is a model directory.
        config: an electra_tf.config.finetuning.FinetuneConfig, or its JSON; data.dir and init_from
            are empty.
        num_trials, num_epochs, learning_rate: in place of the config's; may be RuntimeParameters.
        anomalies: channel of ExampleValidator's output: any anomaly is an error.

    Outputs:
        model: Model whose uri is the best trial's model directory: config.json, vocab.txt,
            checkpoints/, results.json, predictions/. Its metrics are custom properties, such as
            dev_accuracy.
        model_run: ModelRun with metrics.jsonl, tensorboard/ and result.json of each trial.

    Raises:
        UserError: an impossible parameter.
    """

    SPEC_CLASS = ElectraFinetunerSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(ElectraFinetunerExecutor)

    def __init__(
        self,
        examples: types.BaseChannel,
        pretrained_model: types.BaseChannel,
        config: FinetuneConfig | str,
        num_trials: int | RuntimeParameter | None = None,
        num_epochs: float | RuntimeParameter | None = None,
        learning_rate: float | RuntimeParameter | None = None,
        anomalies: types.BaseChannel | None = None,
    ):
        super().__init__(
            spec=ElectraFinetunerSpec(
                examples=examples,
                pretrained_model=pretrained_model,
                anomalies=anomalies,
                model=types.Channel(type=standard_artifacts.Model),
                model_run=types.Channel(type=standard_artifacts.ModelRun),
                **parameters.checked(
                    type(self).__name__,
                    PROPERTIES,
                    {
                        "config": config,
                        "num_trials": num_trials,
                        "num_epochs": num_epochs,
                        "learning_rate": learning_rate,
                    },
                ),
            )
        )
