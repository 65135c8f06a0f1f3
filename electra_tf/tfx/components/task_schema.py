"""The TFX component that says what a classification task's examples must look like.

TFX's SchemaGen infers a schema from the very data that is then checked against it. What is known
before, from the config alone: the texts' fields and, of GLUE and where the config names them, the
labels.
"""

import os
from collections.abc import Sequence
from typing import Any

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx import types
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec
from tfx.types.system_executions import Process

from electra_tf.config.finetuning import FinetuneConfig
from electra_tf.files import write_text
from electra_tf.tfx import parameters
from electra_tf.tfx.components.task_examples import ID, LABEL, check_config, what_is_read
from electra_tf.tfx.components.working_directory import local_path
from electra_tf.tfx.parameters import Property

PROPERTIES = {
    "config": Property(FinetuneConfig, "The fine-tuning, whose task is used.", check_config)
}


class TaskSchemaGenSpec(ComponentSpec):
    """Output and parameters of `TaskSchemaGen`."""

    PARAMETERS = parameters.specification(PROPERTIES)
    INPUTS = {}
    OUTPUTS = {"schema": ChannelParameter(type=standard_artifacts.Schema)}
    TYPE_ANNOTATION = Process


class TaskSchemaGenExecutor(base_executor.BaseExecutor):
    """Writes the schema."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        self._log_startup(input_dict, output_dict, exec_properties)
        config = parameters.read(PROPERTIES, exec_properties).config
        uri = artifact_utils.get_single_uri(output_dict["schema"])
        write_text(
            os.path.join(local_path(uri), "schema.pbtxt"),
            text_format.MessageToString(schema_of(*texts_and_labels(config))),
        )


class TaskSchemaGen(base_component.BaseComponent):
    """Writes the schema of a task's examples for ExampleValidator.

    Args:
        config: of `TaskExampleGen`.

    Outputs:
        schema: Schema.

    Raises:
        UserError: an impossible config.
    """

    SPEC_CLASS = TaskSchemaGenSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(TaskSchemaGenExecutor)

    def __init__(self, config: FinetuneConfig | str):
        super().__init__(
            spec=TaskSchemaGenSpec(
                schema=types.Channel(type=standard_artifacts.Schema),
                **parameters.checked(
                    type(self).__name__,
                    PROPERTIES,
                    {"config": what_is_read(type(self).__name__, config)},
                ),
            )
        )


def texts_and_labels(config: FinetuneConfig) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the text fields and of the labels; no labels where only the files know them."""
    from electra_tf.tasks import registry  # TensorFlow: not to build a pipeline
    from electra_tf.tasks.sentence.task import SentenceTask

    task = registry.task_of_model(config)
    assert isinstance(task, SentenceTask), "only these have classes"
    return task.text_fields, task.known_labels


def schema_of(text_fields: Sequence[str], labels: Sequence[str]) -> schema_pb2.Schema:
    """Every feature is in every example, one string each, and a label is one of `labels`."""
    schema = schema_pb2.Schema()
    for name in (*text_fields, LABEL, ID):
        feature = schema.feature.add(name=name, type=schema_pb2.BYTES)
        feature.presence.min_fraction = feature.presence.min_count = 1
        feature.shape.dim.add(size=1)
        if name == LABEL and labels:
            feature.string_domain.value.extend(labels)
    return schema
