"""Compiles a pipeline for a cluster; no cluster is needed for that.

    cluster_runner.compile(pipeline, "vertex", "pipeline.json", image="REGISTRY/electra_tf")

Both files hold a Kubeflow pipeline specification of schema 2.1:

    kubeflow  YAML, the specification alone, as `kfp` and the Kubeflow interface upload it.
    vertex    JSON, a PipelineJob: the specification and the values of a first run, as
              google.cloud.aiplatform.PipelineJob(template_path=…) takes it.

The steps run `python -m tfx…kubeflow_v2_run_executor` in the given image, which must have
electra_tf[tfx] installed. Runtime parameters become inputs of the pipeline with their defaults.
"""

import json
import re

import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2
from tfx.dsl.components.common.resolver import Resolver
from tfx.orchestration.data_types import RuntimeParameter
from tfx.orchestration.kubeflow.v2.kubeflow_v2_dag_runner import (
    KubeflowV2DagRunner,
    KubeflowV2DagRunnerConfig,
)
from tfx.orchestration.pipeline import Pipeline

from electra_tf import files
from electra_tf.config.checks import one_of
from electra_tf.errors import UserError

RUNNERS = ("kubeflow", "vertex")
_ENDINGS = {"kubeflow": (".yaml", ".yml"), "vertex": (".json",)}
_BUCKET = "gs://"
_PIPELINE_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,127}")
_TASK_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")  # of Argo Workflows, which Kubeflow runs on


def compile(
    pipeline: Pipeline, runner: str, output: str, image: str, overwrite: bool = False
) -> dict:
    """Writes the specification of a pipeline.

    Args:
        pipeline: its root is a bucket that the cluster can write to.
        runner: one of RUNNERS.
        output: file to write: .yaml for kubeflow, .json for vertex.
        image: container image of all steps.
        overwrite: replace an existing file.

    Returns:
        What was written: a PipelineSpec for kubeflow, a PipelineJob for vertex.

    Raises:
        UserError: a parameter is wrong, or the pipeline has what the runner cannot do.
    """
    _check(pipeline, runner, output, image)
    output = files.output(output, overwrite=overwrite)
    config = KubeflowV2DagRunnerConfig(default_image=image, use_pipeline_spec_2_1=True)
    job = KubeflowV2DagRunner(config).run(pipeline, write_out=False)
    specification = job["pipelineSpec"]
    specification["defaultPipelineRoot"] = pipeline.pipeline_info.pipeline_root
    inputs = specification["root"].get("inputDefinitions", {}).get("parameters", {})
    for name, parameter in _runtime_parameters(pipeline).items():
        if parameter.default is not None:  # which TFX leaves out
            inputs[name]["defaultValue"] = parameter.default
        if parameter.description:
            inputs[name]["description"] = parameter.description
    if runner == "vertex":
        job["runtimeConfig"]["parameterValues"] = {
            name: item["defaultValue"] for name, item in inputs.items() if "defaultValue" in item
        }
    _parse(job)
    written = specification if runner == "kubeflow" else job
    files.write_text(
        output,
        yaml.safe_dump(written, sort_keys=True)
        if runner == "kubeflow"
        else json.dumps(written, indent=2, sort_keys=True) + "\n",
    )
    return written


def _check(pipeline, runner, output, image):
    """Raises UserError for what the compiler would not see or would not explain."""
    one_of("--runner", runner, RUNNERS)
    if not output.endswith(_ENDINGS[runner]):
        raise UserError(
            f"--output must end in {_ENDINGS[runner][0]} for {runner}. "
            f"Received: {output or 'nothing'}"
        )
    if not image:
        raise UserError(
            "--image must name a container image with electra_tf[tfx] in it. Received: nothing"
        )
    root, name = pipeline.pipeline_info.pipeline_root, pipeline.pipeline_info.pipeline_name
    if not root.startswith(_BUCKET):
        raise UserError(
            f"--root must be a bucket, {_BUCKET}NAME/FOLDER, on a cluster. Received: {root}"
        )
    if not _PIPELINE_NAME.fullmatch(name):
        raise UserError(
            "The name of a pipeline must be of lower-case letters, digits and dashes. "
            f"Received: {name}"
        )
    if runner == "kubeflow":
        resolvers = [node.id for node in pipeline.components if isinstance(node, Resolver)]
        if resolvers:
            raise UserError(
                "A pipeline for Kubeflow must have no resolver, which its backend "
                f"refuses. Received: {', '.join(resolvers)}"
            )
        names = [node.id for node in pipeline.components if not _TASK_NAME.fullmatch(node.id)]
        if names:
            raise UserError(
                "Names of components must be of letters, digits and dashes for "
                f"Kubeflow. Received: {', '.join(names)}"
            )


def _runtime_parameters(pipeline):
    """The runtime parameters of all components by name."""
    found = {}
    for node in pipeline.components:
        for value in node.exec_properties.values():
            if isinstance(value, RuntimeParameter):
                known = found.setdefault(value.name, value)
                if known.default != value.default:
                    raise UserError(
                        f"{node.id}: a runtime parameter must have one default in all components. "
                        f"Received: {value.name}={value.default!r} and {known.default!r}"
                    )
    return found


def _parse(job):
    """Raises an error unless the job is one by the protocol buffers of Kubeflow's own SDK."""
    specification = job["pipelineSpec"]
    json_format.ParseDict(job, pipeline_spec_pb2.PipelineJob())
    json_format.ParseDict(specification, pipeline_spec_pb2.PipelineSpec())
    json_format.ParseDict(
        specification["deploymentSpec"], pipeline_spec_pb2.PipelineDeploymentConfig()
    )
