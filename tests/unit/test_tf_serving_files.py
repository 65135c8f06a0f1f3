"""The configuration files of TensorFlow Serving in export/tf_serving: they parse, and fit."""

import re

import pytest
import yaml
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
    wrappers_pb2,
)
from tensorflow_serving.config import model_server_config_pb2

from tests.conftest import ROOT

FOLDER = ROOT / "export" / "tf_serving"
# As the server's session_bundle_config.proto and monitoring_config.proto have them, which the
# stubs of pip leave out: messages with the type and number of each field.
MESSAGES = {
    "BatchingParameters": {
        "max_batch_size": (".google.protobuf.Int64Value", 1),
        "batch_timeout_micros": (".google.protobuf.Int64Value", 2),
        "max_enqueued_batches": (".google.protobuf.Int64Value", 3),
        "num_batch_threads": (".google.protobuf.Int64Value", 4),
        "thread_pool_name": (".google.protobuf.StringValue", 5),
        "allowed_batch_sizes": ("repeated", 6), "pad_variable_length_inputs": ("bool", 7)},
    "PrometheusConfig": {"enable": ("bool", 1), "path": ("string", 2)},
    "MonitoringConfig": {"prometheus_config": (".PrometheusConfig", 1)},
}


@pytest.fixture(scope="module")
def messages():
    """Classes of MESSAGES."""
    field_types = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="serving.proto", syntax="proto3", dependency=["google/protobuf/wrappers.proto"])
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (kind, number) in fields.items():
            added = message.field.add(name=field, number=number, label=field_types.LABEL_OPTIONAL)
            if kind.startswith("."):
                added.type, added.type_name = field_types.TYPE_MESSAGE, kind
            else:
                added.type = {"bool": field_types.TYPE_BOOL, "string": field_types.TYPE_STRING,
                              "repeated": field_types.TYPE_INT64}[kind]
                if kind == "repeated":
                    added.label = field_types.LABEL_REPEATED
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(name))
            for name in MESSAGES}


def _parse(name: str, message):
    return text_format.Parse((FOLDER / name).read_text(), message)


def _models():
    return _parse("models.config", model_server_config_pb2.ModelServerConfig())


def test_models():
    (model,) = _models().model_config_list.config
    assert (model.name, model.model_platform) == ("electra", "tensorflow")
    assert model.model_version_policy.latest.num_versions == 2


def test_labels_as_the_comment_shows_them():
    lines = (FOLDER / "models.config").read_text().splitlines()
    labels = [line.strip("# ") for line in lines if line.strip("# ").startswith("version_labels")]
    config = text_format.Parse("\n".join(labels), model_server_config_pb2.ModelConfig())
    assert dict(config.version_labels) == {"stable": 1, "canary": 2}


def test_batching_and_monitoring(messages):
    batching = _parse("batching_parameters.txt", messages["BatchingParameters"]())
    assert batching.max_batch_size.value == 32 and batching.pad_variable_length_inputs
    assert batching.num_batch_threads.value >= 1
    monitoring = _parse("monitoring.config", messages["MonitoringConfig"]())
    assert monitoring.prometheus_config.enable


def test_a_wrong_name_would_be_found(messages):
    with pytest.raises(text_format.ParseError, match="max_batch"):
        text_format.Parse("max_batch { value: 1 }", messages["BatchingParameters"]())


def test_compose_mounts_what_the_files_name():
    compose = yaml.safe_load((FOLDER / "docker-compose.yaml").read_text())
    (service,) = compose["services"].values()
    targets = [volume.rsplit(":", 2)[1] for volume in service["volumes"]]
    (model,) = _models().model_config_list.config
    assert model.base_path in targets and "/etc/tf_serving" in targets
    for flag in service["command"]:
        found = re.fullmatch(r"--\w+=/etc/tf_serving/(.+)", flag)
        assert not found or (FOLDER / found[1]).is_file()
    assert sum("/etc/tf_serving/" in flag for flag in service["command"]) == 3
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
