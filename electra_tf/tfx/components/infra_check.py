"""The TFX component that checks a bundle as a server would meet it, before it is pushed.

It stands where TFX's InfraValidator stands and gives the same artifact. InfraValidator asks a
real server, so it needs Docker or Kubernetes; this one needs neither.
"""

import json
import os
from typing import Any

from absl import logging
from tfx import types
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec
from tfx.types.system_executions import Evaluate
from tfx.utils import path_utils

from electra_tf.files import write_text
from electra_tf.tfx import parameters
from electra_tf.tfx.components.working_directory import local_path
from electra_tf.tfx.parameters import Property

PROPERTIES = {
    "without_python": Property(bool, "Also ask a C program."),
}
BLESSED, NOT_BLESSED = "INFRA_BLESSED", "INFRA_NOT_BLESSED"  # as InfraValidator's files
REPORT = "report.json"


class BundleCheckerSpec(ComponentSpec):
    """Inputs, outputs and parameters of `BundleChecker`."""

    PARAMETERS = parameters.specification(PROPERTIES)
    INPUTS = {
        "servable": ChannelParameter(type=standard_artifacts.Model),
        "model": ChannelParameter(type=standard_artifacts.Model, optional=True),
    }
    OUTPUTS = {"blessing": ChannelParameter(type=standard_artifacts.InfraBlessing)}
    TYPE_ANNOTATION = Evaluate


class BundleCheckerExecutor(base_executor.BaseExecutor):
    """Calls `electra_tf.serving.checking.check.check_bundle`."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        from electra_tf.serving.checking.check import check_bundle  # TensorFlow

        self._log_startup(input_dict, output_dict, exec_properties)
        given = parameters.read(PROPERTIES, exec_properties)
        servable = artifact_utils.get_single_instance(input_dict["servable"])
        blessing = artifact_utils.get_single_instance(output_dict["blessing"])
        models = input_dict.get("model")
        report = check_bundle(
            path_utils.serving_model_path(local_path(servable.uri)),
            local_path(artifact_utils.get_single_uri(models)) if models else None,
            without_python=given.without_python,
        )
        if not report.passed:
            logging.error("%s", report.verdict)
        directory = local_path(blessing.uri)
        write_text(os.path.join(directory, REPORT), json.dumps(report.as_dict(), indent=2) + "\n")
        write_text(os.path.join(directory, BLESSED if report.passed else NOT_BLESSED), "")
        blessing.set_int_custom_property("blessed", int(report.passed))
        blessing.set_string_custom_property("verdict", report.verdict)


class BundleChecker(base_component.BaseComponent):
    """Verifies a bundle as `electra_tf check` does; Pusher leaves what fails where it is.

    Args:
        servable: channel of `ServingExporter`'s output.
        model: channel of the Model it was exported from, to compare answers with; None for no
            comparison.
        without_python: also ask a C program on TensorFlow's C API, which takes some ten seconds.

    Outputs:
        blessing: InfraBlessing with uri/report.json, and the verdict as a custom property.
    """

    SPEC_CLASS = BundleCheckerSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(BundleCheckerExecutor)

    def __init__(
        self,
        servable: types.BaseChannel,
        model: types.BaseChannel | None = None,
        without_python: bool = True,
    ):
        super().__init__(
            spec=BundleCheckerSpec(
                servable=servable,
                model=model,
                blessing=types.Channel(type=standard_artifacts.InfraBlessing),
                **parameters.checked(
                    type(self).__name__, PROPERTIES, {"without_python": without_python}
                ),
            )
        )
