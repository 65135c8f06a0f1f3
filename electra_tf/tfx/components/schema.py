"""The TFX component that says what pre-training examples must look like.

TFX's SchemaGen infers a schema from the very data that is then checked against it. What these
examples are is known before: features, length and the range of every number.
"""

import os
from typing import Any

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx import types
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec
from tfx.types.system_executions import Process

from electra_tf import features
from electra_tf.config.checks import at_least, one_of
from electra_tf.data.manifest import MIN_SEQ_LENGTH, PACKINGS
from electra_tf.files import write_text
from electra_tf.tfx import parameters
from electra_tf.tfx.components.working_directory import local_path
from electra_tf.tfx.parameters import Property

PROPERTIES = {
    "seq_length": Property(
        int, "Tokens per example.", lambda name, value: at_least(name, value, MIN_SEQ_LENGTH)
    ),
    "vocab_size": Property(
        int, "Token ids are below it.", lambda name, value: at_least(name, value, 6)
    ),
    "packing": Property(
        str, "How examples are filled.", lambda name, value: one_of(name, value, PACKINGS)
    ),
}


class PretrainingSchemaGenSpec(ComponentSpec):
    """Output and parameters of `PretrainingSchemaGen`."""

    PARAMETERS = parameters.specification(PROPERTIES)
    INPUTS = {}
    OUTPUTS = {"schema": ChannelParameter(type=standard_artifacts.Schema)}
    TYPE_ANNOTATION = Process


class PretrainingSchemaGenExecutor(base_executor.BaseExecutor):
    """Writes the schema."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        self._log_startup(input_dict, output_dict, exec_properties)
        given = parameters.read(PROPERTIES, exec_properties)
        schema = schema_of(given.seq_length, given.vocab_size, given.packing)
        uri = artifact_utils.get_single_uri(output_dict["schema"])
        write_text(
            os.path.join(local_path(uri), "schema.pbtxt"), text_format.MessageToString(schema)
        )


class PretrainingSchemaGen(base_component.BaseComponent):
    """Writes the schema of pre-training examples for ExampleValidator.

    Args:
        seq_length: tokens per example.
        vocab_size: token ids are below it.
        packing: "none" or "documents", as the examples were made.

    Outputs:
        schema: Schema.

    Raises:
        UserError: an impossible parameter.
    """

    SPEC_CLASS = PretrainingSchemaGenSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(PretrainingSchemaGenExecutor)

    def __init__(self, seq_length: int, vocab_size: int, packing: str = "none"):
        super().__init__(
            spec=PretrainingSchemaGenSpec(
                schema=types.Channel(type=standard_artifacts.Schema),
                **parameters.checked(
                    type(self).__name__,
                    PROPERTIES,
                    {"seq_length": seq_length, "vocab_size": vocab_size, "packing": packing},
                ),
            )
        )


def schema_of(seq_length: int, vocab_size: int, packing: str) -> schema_pb2.Schema:
    """Every feature is in every example, `seq_length` integers from 0 to its largest."""
    largest = {features.INPUT_IDS: vocab_size - 1, features.DOCUMENT_IDS: seq_length}
    schema = schema_pb2.Schema()
    for name in features.data_features(packed=packing == "documents"):
        feature = schema.feature.add(name=name, type=schema_pb2.INT)
        feature.presence.min_fraction = feature.presence.min_count = 1
        feature.shape.dim.add(size=seq_length)
        feature.int_domain.min, feature.int_domain.max = 0, largest.get(name, 1)
    return schema
