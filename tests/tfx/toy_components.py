"""Components that write, fail, wait or stop, for the tests of the local runner."""

import os
import signal
import time

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.dsl.components.common.resolver import Resolver
from tfx.dsl.input_resolution.strategies.latest_artifact_strategy import LatestArtifactStrategy
from tfx.orchestration.pipeline import Pipeline
from tfx.types import Channel
from tfx.types.standard_artifacts import Model

from electra_tf.config import Config
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
        raise RuntimeError("the worker said:\nTraceback (most recent call last):\n"
                           "pyarrow.lib.ArrowInvalid: no\nKeyError: 'missing' [while running 'x']")
    with open(os.path.join(model.uri, "text.txt"), encoding="utf-8") as source:
        text = source.read()
    with open(result, "w", encoding="utf-8") as file:
        file.write(text)


def pipeline(root: str, order: str, text: str = "whole") -> Pipeline:
    """A pipeline of both components.

    Args:
        root: of the outputs, in `pipeline`.
        order: file that tells the second component what to do.
        text: what the first one writes.
    """
    writer = Writer(text=text)
    copier = Copier(order=order, model=writer.outputs["model"])
    return Pipeline(pipeline_name="toy", pipeline_root=os.path.join(root, "pipeline"),
                    components=[writer, copier], enable_cache=True)


def pipeline_without_input(root: str, order: str) -> Pipeline:
    """A pipeline whose only component needs a model that no run has made."""
    latest = Resolver(strategy_class=LatestArtifactStrategy,
                      model=Channel(type=Model)).with_id("latest")
    return Pipeline(pipeline_name="toy", pipeline_root=os.path.join(root, "pipeline"),
                    components=[latest, Copier(order=order, model=latest.outputs["model"])])
