"""What executions have put out, and whether it is still there as they left it.

TFX takes a result from its cache if its folder exists, whatever is left in it, and takes as the
baseline whatever model its store names. People remove and move files, so before a run the store
is made to agree with the disk (`agree`):

    an output without all of its files   is marked as deleted, until they are back: TFX makes it
                                         again where it is asked for, and no resolver finds it
    a root that was moved                its outputs are known by their new places
    outputs that the store lacks         stay as they are: no new execution gets their numbers

What the files of an output are is noted when its execution ends (`note`).
"""

import contextlib
import glob
import json
import os
import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from absl import logging
from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2

from electra_tf.tfx.runners.executions import open_store

_COMPLETE = metadata_store_pb2.Execution.COMPLETE  # pyright: ignore[reportAttributeAccessIssue] generated
_OUTPUT = metadata_store_pb2.Event.OUTPUT  # pyright: ignore[reportAttributeAccessIssue] generated
_LIVE = metadata_store_pb2.Artifact.LIVE  # pyright: ignore[reportAttributeAccessIssue] generated
_DELETED = metadata_store_pb2.Artifact.DELETED  # pyright: ignore[reportAttributeAccessIssue] generated
# Custom property of an execution: {artifact: {path: size}} as JSON.
_FILES = "electra_tf_files"
_PUSHED_TO = "pushed_destination"  # custom property that Pusher gives to what it has pushed


def note(metadata_file: str) -> None:
    """Writes into the store which files the completed executions have put out, and their sizes."""
    store = open_store(metadata_file)
    new = {item.id: item for item in _complete(store) if _FILES not in item.custom_properties}
    files: dict[int, dict] = {number: {} for number in new}
    for output in _outputs(store):
        if output.number in new:
            files[output.number][output.artifact.id] = _files(output.artifact.uri)
    for number, execution in new.items():
        execution.custom_properties[_FILES].string_value = json.dumps(files[number])
    store.put_executions(list(new.values()))


def agree(metadata_file: str, pipeline_root: str) -> None:
    """Makes the store agree with the disk; says where it did not. Only while no pipeline runs.

    Args:
        metadata_file: sqlite metadata store; made if missing.
        pipeline_root: directory of the outputs.
    """
    store = open_store(metadata_file)
    _follow(store, pipeline_root)
    note(metadata_file)  # of executions whose process was killed before it could
    _forget(store)
    newest = max((item.id for item in store.get_executions()), default=0)
    _keep_numbers(metadata_file, pipeline_root, newest)


class _Output(NamedTuple):
    """An artifact in the place that TFX gave it, ROOT/NODE/KEY/NUMBER."""

    artifact: metadata_store_pb2.Artifact  # pyright: ignore[reportAttributeAccessIssue] generated
    root: str
    place: str
    files: dict[str, int]  # as noted; empty where nothing was

    @property
    def node(self) -> str:
        return self.place.split("/")[0]

    @property
    def number(self) -> int:
        return int(self.place.split("/")[2])


def _outputs(store: MetadataStore) -> Iterator[_Output]:
    """What executions have put out themselves: not what they imported or took from the cache."""
    executions = {item.id: item for item in _complete(store)}
    events = [
        event
        for event in store.get_events_by_execution_ids(list(executions))
        if event.type == _OUTPUT
    ]
    artifacts = {
        item.id: item for item in store.get_artifacts_by_id([event.artifact_id for event in events])
    }
    for event in events:
        artifact = artifacts[event.artifact_id]
        root, *place = artifact.uri.rsplit("/", 3)
        if place[1:] == [event.path.steps[0].key, str(event.execution_id)]:
            properties = executions[event.execution_id].custom_properties
            noted = json.loads(properties[_FILES].string_value) if _FILES in properties else {}
            yield _Output(artifact, root, "/".join(place), noted.get(str(artifact.id), {}))


def _complete(store):
    return [item for item in store.get_executions() if item.last_known_state == _COMPLETE]


def _files(folder: str) -> dict[str, int]:
    """Sizes of all files in a folder by their paths in it."""
    paths = [os.path.join(here, name) for here, _, names in os.walk(folder) for name in names]
    return {os.path.relpath(path, folder): os.path.getsize(path) for path in sorted(paths)}


def _follow(store: MetadataStore, pipeline_root: str) -> None:
    """Gives outputs their new places, where their root was moved or copied."""
    moved, former = [], ""
    for output in _outputs(store):
        path = os.path.join(pipeline_root, output.place)
        if not os.path.exists(path) or _is_same(path, output.artifact.uri):
            continue
        former = output.root
        output.artifact.uri = path
        if _PUSHED_TO in output.artifact.custom_properties:
            pushed = output.artifact.custom_properties[_PUSHED_TO]
            way = os.path.relpath(pushed.string_value, former)
            now = os.path.normpath(os.path.join(pipeline_root, way))
            pushed.string_value = now if os.path.exists(now) else pushed.string_value
        moved.append(output.artifact)
    if moved:
        store.put_artifacts(moved)
        logging.warning(
            "Outputs of %s were found in %s. What reads them runs again, because TFX's cache "
            "knows inputs by their places",
            former,
            pipeline_root,
        )


def _is_same(path: str, uri: str) -> bool:
    return path == uri or (os.path.exists(uri) and os.path.samefile(path, uri))


def _forget(store: MetadataStore) -> None:
    """Marks outputs as deleted that are not as their executions left them."""
    gone: dict[str, list[str]] = {}
    changed = []
    for output in _outputs(store):
        missing = _missing(output)
        before, now = (_LIVE, _DELETED) if missing else (_DELETED, _LIVE)
        if output.artifact.state == before:
            output.artifact.state = now
            changed.append(output.artifact)
            if missing:
                gone.setdefault(output.node, []).append(missing)
    store.put_artifacts(changed)
    for node, paths in gone.items():
        logging.warning(
            "%s: its output must be as it was left, to be used again. Received: %s, "
            "removed or changed%s",
            node,
            paths[-1],
            f" (and so in {len(paths) - 1} other outputs)" if paths[1:] else "",
        )


def _missing(output: _Output) -> str:
    """The first path of an output that is not there in its size; empty if all are."""
    folders = [output.artifact.uri]
    if _PUSHED_TO in output.artifact.custom_properties:  # the same files again, for a server
        folders.append(output.artifact.custom_properties[_PUSHED_TO].string_value)
    for folder in folders:
        if not os.path.exists(folder):
            return folder
        for name, size in output.files.items():
            path = os.path.join(folder, name)
            if not os.path.isfile(path) or os.path.getsize(path) != size:
                return path
    return ""


def _keep_numbers(metadata_file: str, pipeline_root: str, newest: int) -> None:
    """Lets new executions count on above the outputs of a store that was lost or put back.

    TFX would write into the folders that are there.
    """
    numbers = [
        int(os.path.basename(path))
        for pattern in ("*/*/*", "*/.system/*/*")
        for path in glob.glob(os.path.join(glob.escape(pipeline_root), pattern))
        if os.path.basename(path).isdecimal()
    ]
    highest = max(numbers, default=0)
    if highest <= newest:
        return
    with contextlib.closing(sqlite3.connect(metadata_file)) as connection, connection:
        # SQLite's own table of the last numbers given: AUTOINCREMENT goes on from there.
        connection.execute("DELETE FROM sqlite_sequence WHERE name = 'Execution'")
        connection.execute("INSERT INTO sqlite_sequence VALUES ('Execution', ?)", (highest,))
    logging.warning(
        "%s does not know the newest outputs in %s: they stay as they are, and what is asked for "
        "is made beside them",
        metadata_file,
        pipeline_root,
    )
