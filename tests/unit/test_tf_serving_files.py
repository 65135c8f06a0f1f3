"""The configuration files of TensorFlow Serving in export/tf_serving: they parse, and fit."""

import re

import pytest
import yaml
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from tests.conftest import ROOT

FOLDER = ROOT / "export" / "tf_serving"
# Fields of the server's BatchingParameters and MonitoringConfig, which the stubs of pip leave out.
FIELDS = {
    "batching_parameters.txt": {
        "max_batch_size",
        "batch_timeout_micros",
        "max_enqueued_batches",
        "num_batch_threads",
        "thread_pool_name",
        "allowed_batch_sizes",
        "pad_variable_length_inputs",
    },
    "monitoring.config": {"prometheus_config"},
}


def _models():
    text = (FOLDER / "models.config").read_text()
    return text_format.Parse(text, model_server_config_pb2.ModelServerConfig())


def test_models():
    (model,) = _models().model_config_list.config
    assert (model.name, model.model_platform) == ("electra", "tensorflow")
    assert model.model_version_policy.latest.num_versions == 2


def test_labels_as_the_comment_shows_them():
    lines = (FOLDER / "models.config").read_text().splitlines()
    labels = [line.strip("# ") for line in lines if line.strip("# ").startswith("version_labels")]
    config = text_format.Parse("\n".join(labels), model_server_config_pb2.ModelConfig())
    assert dict(config.version_labels) == {"stable": 1, "canary": 2}


@pytest.mark.parametrize("name", FIELDS)
def test_the_server_knows_every_setting(name):
    settings = re.findall(r"^([^\s#:{]+)", (FOLDER / name).read_text(), re.MULTILINE)
    assert settings and len(settings) == len(set(settings))
    assert set(settings) <= FIELDS[name]


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
