"""The TFX component that makes a servable bundle of a pre-trained or fine-tuned model."""

import os
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec
from tfx.types.system_executions import Deploy
from tfx.utils import path_utils

from electra_tf.config.checks import at_least, one_of
from electra_tf.saved.precision import PRECISIONS
from electra_tf.tfx import parameters
from electra_tf.tfx.components.working_directory import local_path
from electra_tf.tfx.parameters import Property

PROPERTIES = {
    "max_seq_length": Property(
        int,
        "Tokens of the longest text.",
        lambda name, value: at_least(name, value, 1),
        optional=True,
    ),
    "precision": Property(
        str, "What the network computes in.", lambda name, value: one_of(name, value, PRECISIONS)
    ),
    "include_generator": Property(bool, "Also export the generator of a pre-trained model."),
}


class ServingExporterSpec(ComponentSpec):
    """Inputs, outputs and parameters of `ServingExporter`."""

    PARAMETERS = parameters.specification(PROPERTIES)
    INPUTS = {"model": ChannelParameter(type=standard_artifacts.Model)}
    OUTPUTS = {"servable": ChannelParameter(type=standard_artifacts.Model)}
    TYPE_ANNOTATION = Deploy


class ServingExporterExecutor(base_executor.BaseExecutor):
    """Calls `electra_tf.serving.bundle.export_run`."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        self._log_startup(input_dict, output_dict, exec_properties)
        given = parameters.read(PROPERTIES, exec_properties)
        model = artifact_utils.get_single_instance(input_dict["model"])
        servable = artifact_utils.get_single_instance(output_dict["servable"])
        export(
            local_path(model.uri),
            path_utils.serving_model_dir(local_path(servable.uri)),
            max_seq_length=given.max_seq_length,
            precision=given.precision,
            include_generator=given.include_generator,
        )


class ServingExporter(base_component.BaseComponent):
    """Exports a model as `electra_tf export` does, in TFX's layout.

    Args:
        model: channel of a Model whose uri is a model directory, such as `ElectraPretrainer` and
            `ElectraFinetuner` write.
        max_seq_length: tokens of the longest text; None: as many as the model has positions, or
            as in fine-tuning.
        precision: float32, or bfloat16 for matrix products in bfloat16.
        include_generator: of a pre-trained model, for the signature `fill_mask`.

    Outputs:
        servable: Model whose uri/Format-Serving is the bundle, with warm-up requests and
            model_card.json: what Evaluator, `BundleChecker` and Pusher take.

    Raises:
        UserError: an impossible parameter.
    """

    SPEC_CLASS = ServingExporterSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(ServingExporterExecutor)

    def __init__(
        self,
        model: types.BaseChannel,
        max_seq_length: int | None = None,
        precision: str = "float32",
        include_generator: bool = False,
    ):
        super().__init__(
            spec=ServingExporterSpec(
                model=model,
                servable=types.Channel(type=standard_artifacts.Model),
                **parameters.checked(
                    type(self).__name__,
                    PROPERTIES,
                    {
                        "max_seq_length": max_seq_length,
                        "precision": precision,
                        "include_generator": include_generator,
                    },
                ),
            )
        )


def export(model: str, serving_model_dir: str, **settings: Any) -> None:
    """Writes the bundle of a model directory as a folder that TFX has named.

    Args:
        model: model directory.
        serving_model_dir: folder to make.
        **settings: of `electra_tf.serving.bundle.export_run`.
    """
    from electra_tf.serving import bundle  # TensorFlow: not to build a pipeline

    # A version of its own, only to be renamed: numbers are given by Pusher.
    version = bundle.export_run(model, os.path.dirname(serving_model_dir), version=1, **settings)
    os.rename(version, serving_model_dir)
