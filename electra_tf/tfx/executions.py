"""What the metadata store knows of the executions, and what to do with one that was killed."""

import contextlib
import glob
import os
import shutil
from collections.abc import Iterator
from typing import NamedTuple

from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2
from tfx.dsl.compiler import constants
from tfx.orchestration import metadata
from tfx.orchestration.portable.mlmd import execution_lib

_State = metadata_store_pb2.Execution.State


class Execution(NamedTuple):
    """One execution of one node of a pipeline.

    Attributes:
        run: identifier of the pipeline run, which is the time it began.
        node: id of the component, resolver or importer.
        state: COMPLETE, CACHED, FAILED or, where its process is at work or was killed, RUNNING.
        number: of the execution in its store; its outputs' directories are named after it.
        message: why it failed, where TFX has noted that.
    """

    run: str
    node: str
    state: str
    number: int
    message: str


def executions(metadata_file: str) -> list[Execution]:
    """All executions of an sqlite metadata store, oldest first.

    Raises:
        ValueError: there is no such file.
    """
    if not os.path.isfile(metadata_file):
        raise ValueError("A metadata store must be the sqlite file that a pipeline has written. "
                         f"Received: {metadata_file}")
    with _store(metadata_file) as store:
        runs = _by_execution(store, constants.PIPELINE_RUN_CONTEXT_TYPE_NAME)
        pipelines = _by_execution(store, constants.PIPELINE_CONTEXT_TYPE_NAME)
        nodes = _by_execution(store, constants.NODE_CONTEXT_TYPE_NAME)
        found = []
        for item in sorted(store.get_executions(), key=lambda item: item.id):
            result = execution_lib.get_execution_result(item, ignore_parse_errors=True)
            found.append(Execution(
                run=runs[item.id], node=nodes[item.id].removeprefix(f"{pipelines[item.id]}."),
                state=_State.Name(item.last_known_state), number=item.id,
                message=result.result_message if result else ""))
        return found


def summaries(metadata_file: str) -> list[dict[str, str]]:
    """The state of every node in every pipeline run: oldest run first, nodes in their order."""
    runs: dict[str, dict[str, str]] = {}
    for item in executions(metadata_file):
        runs.setdefault(item.run, {})[item.node] = item.state
    return list(runs.values())


def close_killed(metadata_file: str, pipeline_root: str) -> None:
    """Marks executions as failed that nobody works on, and removes what they began to write.

    A killed process leaves its execution RUNNING for ever. TFX never continues nor caches such an
    execution, but its half-written outputs would stay. Call it only while no pipeline runs.

    Args:
        metadata_file: sqlite metadata store; need not exist yet.
        pipeline_root: directory of the outputs.
    """
    if not os.path.isfile(metadata_file):
        return
    killed = {item.number: item.node for item in executions(metadata_file)
              if item.state in ("NEW", "RUNNING")}
    for number, node in killed.items():
        folder = os.path.join(glob.escape(pipeline_root), glob.escape(node))
        for output in (*glob.glob(os.path.join(folder, "*", str(number))),
                       *glob.glob(os.path.join(folder, ".system", "*", str(number)))):
            shutil.rmtree(output, ignore_errors=True)
    with _store(metadata_file) as store:
        items = store.get_executions_by_id(list(killed)) if killed else []
        for item in items:
            item.last_known_state = _State.FAILED
        store.put_executions(items)


@contextlib.contextmanager
def _store(metadata_file: str) -> Iterator[MetadataStore]:
    config = metadata.sqlite_metadata_connection_config(os.path.abspath(metadata_file))
    with metadata.Metadata(config) as handle:
        yield handle.store


def _by_execution(store, context_type):
    """The name of the context of a type that each execution belongs to."""
    return {item.id: context.name for context in store.get_contexts_by_type(context_type)
            for item in store.get_executions_by_context(context.id)}
