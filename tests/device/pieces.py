"""Weights in few files, the newest set always whole. NumPy only.

A set is weights-STEP-K-of-N.npz: float16 arrays by variable path (float32 where float16 would
overflow), and in every piece `about`, JSON with the config, the step and the number of weights.
"""

import glob
import json
import os
import re
import shutil
import tempfile

import numpy as np

PIECE_BYTES = 14_500_000  # of arrays; a file stays below 16 MiB
MAX_PIECES = 4
_NAME = re.compile(r"weights-(\d+)-(\d+)-of-(\d+)\.npz")


def plan(sizes: dict) -> list[list[str]]:
    """Deals paths to pieces, largest first. `sizes`: bytes by path."""
    number = max(1, -(-sum(sizes.values()) // PIECE_BYTES))
    while True:
        pieces, filled = [[] for _ in range(number)], [0] * number
        for path in sorted(sizes, key=lambda path: (-sizes[path], path)):
            least = filled.index(min(filled))
            pieces[least].append(path)
            filled[least] += sizes[path]
        if max(filled) <= PIECE_BYTES or number > MAX_PIECES:
            return pieces
        number += 1


def fits(shapes: dict) -> bool:
    """Whether float16 weights of these shapes by path are few enough for the files of a result."""
    pieces = plan({path: 2 * int(np.prod(shape)) for path, shape in shapes.items()})
    return len(pieces) <= MAX_PIECES and not any(
        sum(2 * int(np.prod(shapes[path])) for path in piece) > PIECE_BYTES for piece in pieces
    )


def write(folder: str, weights: dict, step: int, about: dict) -> list[str]:
    """Writes a set, then removes older ones. Killed at any point, a whole set is left.

    (With three or more pieces older ones go first, since both sets would be too many files to bring
    back: then there are some milliseconds without a whole set.)
    """
    stored = {}
    for path, value in weights.items():
        value = np.asarray(value, np.float32)
        with np.errstate(over="ignore"):
            half = value.astype(np.float16)
        stored[path] = half if np.isfinite(half).all() or not np.isfinite(value).all() else value
    pieces = plan({path: value.nbytes for path, value in stored.items()})
    text = json.dumps(about | {"step": step, "num_variables": len(weights)})
    with tempfile.TemporaryDirectory(dir=_staging(folder)) as staging:
        made = []
        for number, paths in enumerate(pieces, 1):
            name = f"weights-{step}-{number}-of-{len(pieces)}.npz"
            np.savez(
                os.path.join(staging, name),
                about=np.frombuffer(text.encode(), np.uint8),
                **{path: stored[path] for path in paths},
            )
            made.append(name)
        old = [
            path
            for path in glob.glob(os.path.join(folder, "weights-*.npz"))
            if os.path.basename(path) not in made
        ]
        if len(pieces) > 2:
            _remove(old)
        for name in made:
            os.replace(os.path.join(staging, name), os.path.join(folder, name))
        _remove(old)
    return made


def read(folder: str) -> tuple[dict, dict]:
    """(float32 weights by path, about) of the newest whole set in a folder.

    Raises:
        ValueError: there is none.
    """
    sets = {}
    for path in glob.glob(os.path.join(folder, "weights-*.npz")):
        match = _NAME.fullmatch(os.path.basename(path))
        if match:
            step, _, number = map(int, match.groups())
            sets.setdefault((step, number), []).append(path)
    whole = [key for key, paths in sets.items() if len(paths) == key[1]]
    if not whole:
        raise ValueError(
            f"There must be all of weights-STEP-1-of-N.npz … N-of-N. Received: "
            f"{folder} with {sorted(os.listdir(folder))}"
        )
    weights, about = {}, {}
    for path in sorted(sets[max(whole)]):
        with np.load(path) as file:
            for name in file.files:
                if name == "about":
                    about = json.loads(file[name].tobytes())
                else:
                    weights[name] = file[name].astype(np.float32)
    if len(weights) != about["num_variables"]:
        raise ValueError(
            f"A set must have {about['num_variables']} variables. Received: "
            f"{len(weights)} in {folder}"
        )
    return weights, about


def _staging(folder):
    """A folder on the same file system, outside of the results."""
    parent = os.path.dirname(os.path.abspath(folder))
    for place in (tempfile.gettempdir(), parent):
        try:
            if os.access(place, os.W_OK) and os.stat(place).st_dev == os.stat(folder).st_dev:
                return place
        except OSError:
            pass
    place = os.path.join(folder, "staging", "not", "whole")
    os.makedirs(place, exist_ok=True)
    return place


def _remove(paths):
    for path in paths:
        if os.path.exists(path):
            os.remove(path)


def clean(folder: str) -> None:
    """Removes the staging folder, if there is one."""
    shutil.rmtree(os.path.join(folder, "staging"), ignore_errors=True)
