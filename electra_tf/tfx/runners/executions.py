"""What the metadata store knows of the executions, and what to do with one that was killed."""

import contextlib
import glob
import json
import os
import shutil
import sqlite3
from typing import NamedTuple

from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2
from tfx.dsl.compiler import constants
from tfx.orchestration import metadata
from tfx.orchestration.portable.mlmd import execution_lib

from electra_tf.errors import UserError, one_line

_DESTINATION = "push_destination"  # property of Pusher's executions
_State = metadata_store_pb2.Execution.State  # pyright: ignore[reportAttributeAccessIssue] generated


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
        UserError: there is no such file, or it is damaged.
    """
    if not os.path.isfile(metadata_file):
        raise UserError(
            "A metadata store must be the sqlite file that a pipeline has written. "
            f"Received: {metadata_file}"
        )
    store = open_store(metadata_file)
    runs = _by_execution(store, constants.PIPELINE_RUN_CONTEXT_TYPE_NAME)
    pipelines = _by_execution(store, constants.PIPELINE_CONTEXT_TYPE_NAME)
    nodes = _by_execution(store, constants.NODE_CONTEXT_TYPE_NAME)
    found = []
    for item in sorted(store.get_executions(), key=lambda item: item.id):
        result = execution_lib.get_execution_result(item, ignore_parse_errors=True)
        found.append(
            Execution(
                run=runs[item.id],
                node=nodes[item.id].removeprefix(f"{pipelines[item.id]}."),
                state=_State.Name(item.last_known_state),
                number=item.id,
                message=result.result_message if result else "",
            )
        )
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
    killed = {
        item.number: item.node
        for item in executions(metadata_file)
        if item.state in ("NEW", "RUNNING")
    }
    for number, node in killed.items():
        folder = os.path.join(glob.escape(pipeline_root), glob.escape(node))
        # Of a component's own temporary folders the names begin with its output's: `.NUMBER.`
        for place in (("*", f"{number}"), ("*", f".{number}.*"), (".system", "*", f"{number}")):
            for output in glob.glob(os.path.join(folder, *place)):
                shutil.rmtree(output, ignore_errors=True)
    store = open_store(metadata_file)
    items = store.get_executions_by_id(list(killed)) if killed else []
    for item in items:
        for version in _half_pushed(item):
            shutil.rmtree(version, ignore_errors=True)
        item.last_known_state = _State.FAILED
    store.put_executions(items)


def check(metadata_file: str) -> None:
    """Raises UserError if a sqlite metadata store is damaged; it need not exist yet."""
    if not os.path.exists(metadata_file):
        return
    try:
        with contextlib.closing(sqlite3.connect(metadata_file)) as connection:
            ((found, *_),) = connection.execute("PRAGMA quick_check(1)")
    except sqlite3.OperationalError as error:  # in use, or no file: not damaged
        raise UserError(
            f"A metadata store must be a readable file. Received: {metadata_file} ({error})"
        ) from error
    except sqlite3.DatabaseError as error:
        found = error
    if str(found) != "ok":
        raise _damaged(metadata_file, found)


def open_store(metadata_file: str) -> MetadataStore:
    """An sqlite metadata store, made if missing; raises UserError if it cannot be opened."""
    config = metadata.sqlite_metadata_connection_config(os.path.abspath(metadata_file))
    try:
        return MetadataStore(config)
    except RuntimeError as error:  # also where a killed process began to make it
        raise _damaged(metadata_file, error) from error


def _damaged(metadata_file, error):
    return UserError(
        f"A metadata store must be whole. Received: {metadata_file} ({one_line(str(error))}); put "
        "a copy of it back, or remove it: then all components run anew, beside their old outputs"
    )


def _half_pushed(execution) -> list[str]:
    """Versions that a killed Pusher was copying: it copies saved_model.pb last."""
    if _DESTINATION not in execution.custom_properties:
        return []
    destination = json.loads(execution.custom_properties[_DESTINATION].string_value)
    folder = destination["filesystem"]["base_directory"]
    began = execution.create_time_since_epoch // 1000  # a version is the time of its push
    return [
        os.path.join(folder, name)
        for name in (os.listdir(folder) if os.path.isdir(folder) else [])
        if name.isdecimal()
        and int(name) >= began
        and not os.path.exists(os.path.join(folder, name, "saved_model.pb"))
    ]


def _by_execution(store, context_type):
    """The name of the context of a type that each execution belongs to."""
    return {
        item.id: context.name
        for context in store.get_contexts_by_type(context_type)
        for item in store.get_executions_by_context(context.id)
    }
