"""Components that write, fail, wait or stop, for the tests of the local runner."""

import os
import pathlib
import signal
import time

from tfx.components import Pusher
from tfx.components.evaluator import constants
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.dsl.components.common.resolver import Resolver
from tfx.dsl.input_resolution.strategies.latest_artifact_strategy import LatestArtifactStrategy
from tfx.orchestration.pipeline import Pipeline
from tfx.proto.pusher_pb2 import PushDestination
from tfx.types import Channel
from tfx.types.standard_artifacts import Model, ModelBlessing

from electra_tf.config import Config
from electra_tf.tfx.components.baseline import resolver
from electra_tf.tfx.runners import local as local_runner
from electra_tf.tfx.runners.executions import executions
from electra_tf.train.signals import Interrupted


@component
def Writer(text: Parameter[str], model: OutputArtifact[Model]):
    """Writes a file."""
    with open(os.path.join(model.uri, "text.txt"), "w", encoding="utf-8") as file:
        file.write(text)


@component
def Copier(order: Parameter[str], model: InputArtifact[Model], copy: OutputArtifact[Model]):
    """Begins to write, then does what the file `order` says, and writes the rest."""
    result = os.path.join(copy.uri, "text.txt")
    with open(result, "w", encoding="utf-8") as file:
        file.write("half")
    with open(order, encoding="utf-8") as file:
        wanted = file.read()
    if wanted == "wait":
        time.sleep(600)
    elif wanted == "stop":
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(600)
    elif wanted == "interrupt":  # as a training loop does when it has saved its state
        raise Interrupted(signal.SIGTERM)
    elif wanted == "refuse":
        config = Config()
        config.train.num_steps = 0
        config.validate()
    elif wanted == "break":
        raise RuntimeError(
            "the worker said:\nTraceback (most recent call last):\n"
            "pyarrow.lib.ArrowInvalid: no\nKeyError: 'missing' [while running 'x']"
        )
    with open(os.path.join(model.uri, "text.txt"), encoding="utf-8") as source:
        text = source.read()
    with open(result, "w", encoding="utf-8") as file:
        file.write(text)


@component
def Exporter(text: Parameter[str], servable: OutputArtifact[Model]):
    """Writes what looks like a bundle."""
    bundle = pathlib.Path(servable.uri, "Format-Serving")
    (bundle / "assets").mkdir(parents=True)
    for name in ("saved_model.pb", "assets/vocab.txt"):
        (bundle / name).write_text(text, encoding="utf-8")


@component
def Judge(
    model: InputArtifact[Model],
    blessing: OutputArtifact[ModelBlessing],
    baseline: InputArtifact[Model] = None,
):
    """Blesses every model, and notes which one it was compared with."""
    compared = ""
    if baseline:
        compared = pathlib.Path(baseline.uri, "Format-Serving", "saved_model.pb").read_text()
    pathlib.Path(blessing.uri, "BLESSED").write_text(compared, encoding="utf-8")
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY, 1)
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY, model.id)
    blessing.set_string_custom_property(
        constants.ARTIFACT_PROPERTY_CURRENT_MODEL_URI_KEY, model.uri
    )


def pipeline(root: str, order: str, text: str = "whole") -> Pipeline:
    """A pipeline of both components.

    Args:
        root: of the outputs, in `pipeline`.
        order: file that tells the second component what to do.
        text: what the first one writes.
    """
    writer = Writer(text=text)
    copier = Copier(order=order, model=writer.outputs["model"])
    return Pipeline(
        pipeline_name="toy",
        pipeline_root=os.path.join(root, "pipeline"),
        components=[writer, copier],
        enable_cache=True,
    )


def pipeline_without_input(root: str, order: str) -> Pipeline:
    """A pipeline whose only component needs a model that no run has made."""
    latest = Resolver(strategy_class=LatestArtifactStrategy, model=Channel(type=Model)).with_id(
        "latest"
    )
    return Pipeline(
        pipeline_name="toy",
        pipeline_root=os.path.join(root, "pipeline"),
        components=[latest, Copier(order=order, model=latest.outputs["model"])],
    )


def pushing_pipeline(root: str, text: str) -> Pipeline:
    """A pipeline that judges a bundle against the last blessed one and pushes it."""
    exporter = Exporter(text=text)
    baseline = resolver(exporter.outputs["servable"], "local")
    judge = Judge(model=exporter.outputs["servable"], baseline=baseline.outputs["model"])
    pusher = Pusher(
        model=exporter.outputs["servable"],
        model_blessing=judge.outputs["blessing"],
        push_destination=PushDestination(
            filesystem=PushDestination.Filesystem(base_directory=os.path.join(root, "serving"))
        ),
    )
    return Pipeline(
        pipeline_name="toy",
        pipeline_root=os.path.join(root, "pipeline"),
        components=[exporter, baseline, judge, pusher],
        enable_cache=True,
    )


class Toy:
    """A pipeline in a folder of its own, whose second component obeys a file."""

    def __init__(self, root: pathlib.Path):
        self.root, self.order = root, root.with_name("order.txt")
        self.store = local_runner.metadata_file(str(root))

    def run(self, order: str = "go on", **settings):
        self.order.write_text(order, encoding="utf-8")
        return local_runner.run(
            pipeline(str(self.root), str(self.order), **settings), str(self.root)
        )

    def copies(self) -> dict[str, str]:
        """What the second component wrote, by number of the execution."""
        return {
            path.parent.name: path.read_text(encoding="utf-8")
            for path in self.root.glob("pipeline/Copier/copy/*/text.txt")
        }

    def states(self) -> list[tuple[str, str]]:
        return [(item.node, item.state) for item in executions(self.store)]
