"""A bundle's answers without Python: from a C program on TensorFlow's C API, compiled here."""

import glob
import os
import re
import shutil
import struct
import subprocess
import tempfile
from typing import BinaryIO

import numpy as np
import tensorflow as tf
import tensorflow_text

from electra_tf.errors import UserError
from electra_tf.serving.checking.contents import Bundle
from electra_tf.serving.checking.requests import Request

SOURCE = os.path.join(os.path.dirname(__file__), "run_saved_model.c")
COMPILERS = ("cc", "gcc", "clang")
_LIBRARIES = ("libtensorflow_cc.so.2", "libtensorflow_framework.so.2")
_SECONDS = 600
# Lines of TensorFlow's log, which are no error message.
_LOG = re.compile(r"[IWEF]0000 |WARNING: All log messages|To enable the following instructions")


def why_not() -> str | None:
    """What is missing to compile the program, in words."""
    if _compiler() is None:
        return f"no C compiler ({', '.join(COMPILERS)}, or the one that $CC names)"
    missing = [name for name in _LIBRARIES if not os.path.exists(_library(name))]
    return f"this TensorFlow comes without {' and '.join(missing)}" if missing else None


def answers(bundle: Bundle, requests: list[Request]) -> list[dict[str, np.ndarray]]:
    """Compiles the program and lets it answer, in a process of its own.

    Args:
        bundle: to load.
        requests: as a `ServingSession` takes them.

    Returns:
        Outputs by name for each request.

    Raises:
        UserError: the program cannot be compiled, or it failed; says why in one line.
    """
    compiler = _compiler()
    assert compiler, "the caller asks `why_not` first"
    with tempfile.TemporaryDirectory() as folder:
        program, asked, answered = (
            os.path.join(folder, name) for name in ("run_saved_model", "requests", "results")
        )
        _run(
            "cannot be compiled",
            [
                compiler,
                "-std=c11",
                "-O1",
                f"-I{tf.sysconfig.get_include()}",
                SOURCE,
                "-o",
                program,
                *map(_library, _LIBRARIES),
                f"-Wl,-rpath,{tf.sysconfig.get_lib()}",
            ],
        )
        with open(asked, "wb") as file:
            _write_requests(file, bundle, requests)
        op_libraries = os.path.join(
            glob.escape(os.path.dirname(str(tensorflow_text.__file__))), "python", "ops", "_*.so"
        )
        _run("failed", [program, bundle.path, asked, answered, *sorted(glob.glob(op_libraries))])
        with open(answered, "rb") as file:
            return [
                {name: _read_tensor(file) for name in _outputs(bundle, request)}
                for request in requests
            ]


def _compiler() -> str | None:
    chosen = os.environ.get("CC")
    return next(filter(None, map(shutil.which, [chosen] if chosen else COMPILERS)), None)


def _library(name: str) -> str:
    return os.path.join(tf.sysconfig.get_lib(), name)


def _run(what: str, command: list[str]) -> None:
    try:
        result = subprocess.run(
            command,
            capture_output=True,
            timeout=_SECONDS,
            env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        )
    except subprocess.TimeoutExpired:
        raise UserError(f"the C program {what}: no end after {_SECONDS} seconds") from None
    if result.returncode:
        lines = [
            line
            for line in result.stderr.decode(errors="replace").splitlines()
            if line.strip() and not _LOG.match(line)
        ]
        raise UserError(
            f"the C program {what}: {lines[0][:300] if lines else 'without a word'} "
            f"(exit code {result.returncode})"
        )


def _outputs(bundle: Bundle, request: Request) -> list[str]:
    return sorted(bundle.signatures[request.signature].outputs)


def _write_requests(file: BinaryIO, bundle: Bundle, requests: list[Request]) -> None:
    """Writes what the head of the C program describes."""

    def number(value):
        file.write(struct.pack("=I", value))

    def string(value: bytes):
        number(len(value))
        file.write(value)

    number(len(requests))
    for request in requests:
        signature = bundle.signatures[request.signature]
        number(len(signature.inputs))
        for name, info in signature.inputs.items():
            values = np.asarray(request.inputs[name])
            string(info.name.encode())
            number(info.dtype)
            number(values.ndim)
            file.write(struct.pack(f"={values.ndim}q", *values.shape))
            if values.dtype == object:
                for text in values.ravel():
                    string(text)
            else:
                file.write(np.ascontiguousarray(values).tobytes())
        number(len(signature.outputs))
        for name in _outputs(bundle, request):
            string(signature.outputs[name].name.encode())


def _read_tensor(file: BinaryIO) -> np.ndarray:
    def number():
        return struct.unpack("=I", file.read(4))[0]

    dtype, rank = tf.dtypes.as_dtype(number()), number()
    shape = struct.unpack(f"={rank}q", file.read(8 * rank))
    count = int(np.prod(shape))
    if dtype == tf.string:
        values = np.empty(count, object)
        values[:] = [file.read(number()) for _ in range(count)]
    else:
        kind = np.dtype(dtype.as_numpy_dtype)
        values = np.frombuffer(file.read(count * kind.itemsize), kind)
    return values.reshape(shape)
