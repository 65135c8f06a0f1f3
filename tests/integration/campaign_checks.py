"""What the kill campaign looks at: half files, leftovers, and two trees that must be the same."""

import json
import math
import os
import pathlib
import re
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2

from electra_tf.text.vocabulary import Vocabulary
from electra_tf.train.checkpoint import UNREADABLE

# Names that nobody takes for a result: what is being written, or removed.
_TEMPORARY = re.compile(r"(\..*\.tmp|.*\.tmp[0-9a-z_]*|.*_temp|.*\.part|.*\.done|unfinished)")
# Not the same in two runs, and nothing that a run is made for.
_VOLATILE = re.compile(r"(.*/)?(tensorboard|\.system|metadata\.sqlite.*|fingerprint\.pb)(/.*)?")
_NUMBERED = re.compile(r"(root/pipeline/[^/]+/[^/]+|root/serving)/(\d+)")
_CHECKPOINT = re.compile(r"ckpt-\d+\.(index|data-\d+-of-\d+)")


def is_temporary(path: pathlib.PurePath) -> bool:
    """Whether a name on the way to a file says that it is not finished."""
    return any(_TEMPORARY.fullmatch(part) for part in path.parts)


def leftovers(folder: pathlib.Path) -> list[str]:
    """What the last run should have removed."""
    found = [path for path in map(pathlib.PurePath, _walk(folder)) if is_temporary(path)]
    return [f"left over: {path}" for path in found if not is_temporary(path.parent)]


def half_files(folder: pathlib.Path) -> list[str]:
    """Files that are there under their name and are not whole, with what is wrong."""
    problems = []
    for name in _walk(folder):
        path = folder / name
        # What a killed execution of a pipeline leaves is no artifact of it yet.
        is_unpublished = name.startswith("root/") and not name.startswith("root/serving/")
        if is_temporary(pathlib.PurePath(name)) or path.is_dir() or is_unpublished:
            continue
        try:
            _read_whole(path)
        except FileNotFoundError:
            continue  # gone meanwhile
        except (ValueError, EOFError, DecodeError, *UNREADABLE) as error:
            problems.append(f"half a file: {name} ({type(error).__name__}: {str(error)[:200]})")
    return problems


def differences(one: pathlib.Path, other: pathlib.Path) -> list[str]:
    """What is not the same in the folders of an undisturbed and of a killed command."""
    trees, problems = [], []
    for folder in (one, other):
        tree: dict[str, pathlib.Path] = {}
        for name in _walk(folder):
            known = _NUMBERED.sub(r"\1/#", name)
            if (folder / name).is_dir() or _VOLATILE.fullmatch(known) or _is_older(folder / name):
                continue
            if is_temporary(pathlib.PurePath(name)):  # is told as left over
                continue
            if known in tree and folder is other:
                problems.append(f"more than one execution left: {name}")
            tree[known] = folder / name
        trees.append(tree)
    expected, found = trees
    problems += [f"missing: {name}" for name in sorted(expected.keys() - found.keys())]
    problems += [f"extra: {name}" for name in sorted(found.keys() - expected.keys())]
    problems += [
        f"other content: {name}"
        for name in sorted(expected.keys() & found.keys())
        if not _same(expected[name], found[name], one, other)
    ]
    return problems


def _walk(folder: pathlib.Path) -> Iterator[str]:
    """Relative names of all there is in a folder."""
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            yield os.path.relpath(os.path.join(parent, name), folder)


def _read_whole(path: pathlib.Path) -> None:
    """Raises what a reader raises for a file that is cut off."""
    if path.suffix == ".json":
        json.loads(path.read_bytes())
    elif path.name == "metrics.jsonl":
        for line in path.read_bytes().splitlines(keepends=True):
            if line.endswith(b"\n"):  # readers know that the last line may be unfinished
                json.loads(line)
    elif path.suffix == ".jsonl":
        content = path.read_bytes()
        for line in content.splitlines():
            json.loads(line)
        if not content.endswith(b"\n"):
            raise ValueError("the last line is cut off")
    elif path.suffix == ".tfrecord":
        for _ in tf.data.TFRecordDataset(str(path)):
            pass
    elif path.name == "checkpoint":
        state = tf.train.get_checkpoint_state(str(path.parent))
        if state is None:
            raise ValueError("names no checkpoint")
        _tensors(state.model_checkpoint_path)
    elif path.name == "saved_model.pb":  # the last file of a bundle: servers wait for it
        saved_model_pb2.SavedModel.FromString(path.read_bytes())
        _tensors(str(path.with_name("variables") / "variables"))
    elif path.name == "vocab.txt":
        if not path.read_bytes().endswith(b"\n"):
            raise ValueError("the last line is cut off")
        Vocabulary.from_file(path)
    elif path.suffix == ".safetensors":
        from safetensors.numpy import load_file

        load_file(path)


def _is_older(path: pathlib.Path) -> bool:
    """Whether it belongs to a checkpoint that is not the newest of its directory."""
    if not _CHECKPOINT.fullmatch(path.name):
        return False
    return not path.name.startswith(f"{os.path.basename(_latest(path))}.")


def _latest(path: pathlib.Path) -> str:
    return tf.train.latest_checkpoint(str(path.parent)) or ""


def _same(
    one: pathlib.Path, other: pathlib.Path, folder: pathlib.Path, other_folder: pathlib.Path
) -> bool:
    """Byte by byte, or where a file also tells time and place, by what else it says."""
    contents = one.read_bytes(), other.read_bytes()
    if contents[0] == contents[1]:
        return True
    if one.name == "metrics.jsonl":
        return _equal(*map(_untimed_lines, contents))
    if one.name == "checkpoint":
        return os.path.basename(_latest(one)) == os.path.basename(_latest(other))
    if _CHECKPOINT.fullmatch(one.name):
        return _equal_tensors(_latest(one), _latest(other))
    if one.name.startswith("variables."):
        return _equal_tensors(*(str(path.with_name("variables")) for path in (one, other)))
    if one.name == "saved_model.pb":
        return _nodes(contents[0]) == _nodes(contents[1])
    if one.suffix == ".gz":
        return _examples(one) == _examples(other)
    if one.suffix == ".json":
        return _equal(_placeless(contents[0], folder), _placeless(contents[1], other_folder))
    return False


def _untimed_lines(content: bytes) -> list[dict]:
    lines = [json.loads(line) for line in content.splitlines()]
    return [{key: line[key] for key in line.keys() - {"tokens_per_second"}} for line in lines]


def _equal(value, other) -> bool:
    """Whether JSON values are the same to rounding: threads do not always sum in one order."""
    if isinstance(value, dict) and isinstance(other, dict):
        return value.keys() == other.keys() and all(_equal(value[key], other[key]) for key in value)
    if isinstance(value, list) and isinstance(other, list):
        return len(value) == len(other) and all(map(_equal, value, other))
    if isinstance(value, float) and isinstance(other, float):
        return math.isclose(value, other, rel_tol=1e-6)
    return value == other


def _placeless(content: bytes, folder: pathlib.Path) -> dict:
    """A JSON object without paths, dates, and how long a check took."""
    text = content.decode().replace(f"{folder}/", "")
    value = json.loads(_NUMBERED.sub(r"\1/#", text))
    for key in ("created", "export_command"):  # of a model card
        value.pop(key, None)
    for check in value.get("checks", ()):  # of `electra_tf check`
        check.pop("detail", None)
    return value


def _examples(path: pathlib.Path) -> list[bytes]:
    """The examples of a TFX file, whose maps are in no order."""
    records = tf.data.TFRecordDataset(str(path), compression_type="GZIP").as_numpy_iterator()
    return [
        tf.train.Example.FromString(record).SerializeToString(deterministic=True)
        for record in records
    ]


def _tensors(prefix: str) -> dict[str, np.ndarray]:
    reader = tf.train.load_checkpoint(prefix)
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def _equal_tensors(one: str, other: str) -> bool:
    """Bit for bit, but for the objects' graph, whose order is that of a hash table."""
    values, others = _tensors(one), _tensors(other)
    return values.keys() == others.keys() and all(
        name == "_CHECKPOINTABLE_OBJECT_GRAPH" or np.array_equal(value, others[name], True)
        if value.dtype.kind == "f"
        else name == "_CHECKPOINTABLE_OBJECT_GRAPH" or np.array_equal(value, others[name])
        for name, value in values.items()
    )


def _nodes(content: bytes) -> tuple:
    """What a SavedModel computes, without the names that its functions are given anew."""
    try:
        (graph,) = saved_model_pb2.SavedModel.FromString(content).meta_graphs
    except (DecodeError, ValueError):
        return ()
    functions = [
        sorted(node.op for node in function.node_def)
        for function in graph.graph_def.library.function
    ]
    signatures = {
        name: (signature.method_name, sorted(signature.inputs), sorted(signature.outputs))
        for name, signature in graph.signature_def.items()
    }
    return sorted(functions), signatures
