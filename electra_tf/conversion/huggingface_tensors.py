"""The tensor files of a Hugging Face model: model.safetensors, its shards, pytorch_model.bin."""

import copy
import os
import pickle

import ml_dtypes  # noqa: F401  makes bfloat16 known to numpy, which safetensors relies on
import numpy as np

from electra_tf import extras
from electra_tf.config import directories
from electra_tf.errors import UserError
from electra_tf.json_files import read_json

SAFETENSORS = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_PICKLE = "pytorch_model.bin"
_DTYPES = ("F32", "F16", "BF16")  # float32 holds every one of their numbers


class Tensors:
    """Named tensors, read one at a time.

    Attributes:
        path: what to call them in messages.
        shapes: by name; nothing else has been read yet.

    Args:
        path: see above.
        files: open safetensors file by tensor name.
    """

    def __init__(self, path: str, files: dict):
        self.path, self._files = path, files
        self._names: dict[str, str] = {}  # those in the file, where they are others
        self.shapes = {
            name: tuple(file.get_slice(name).get_shape()) for name, file in files.items()
        }

    def renamed(self, names: dict[str, str]) -> "Tensors":
        """The same file with only these tensors: new names to those here."""
        result = copy.copy(self)
        result._names = {new: self._names.get(old, old) for new, old in names.items()}
        result.shapes = {new: self.shapes[old] for new, old in names.items()}
        return result

    def read(self, name: str) -> np.ndarray:
        """One tensor, as float32."""
        name = self._names.get(name, name)
        dtype = self._files[name].get_slice(name).get_dtype()
        if dtype not in _DTYPES:
            raise UserError(
                f"A weight must be of one of the types {', '.join(_DTYPES)}. "
                f"Received: {name} of type {dtype} in {self.path}"
            )
        return self._files[name].get_tensor(name).astype(np.float32)


class PickledTensors(Tensors):
    """As `Tensors`, from a PyTorch pickle, which torch can only read as a whole."""

    def __init__(self, path: str):
        try:
            import torch  # pyright: ignore[reportMissingImports] an extra
        except ImportError:
            raise UserError(
                f"{_PICKLE} can only be read where torch is installed: "
                f"`pip install torch`, or save the model as {SAFETENSORS} elsewhere. "
                f"Received: {path}"
            ) from None
        try:
            tensors = torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError:  # its text advises to read the file unsafely
            raise UserError(
                f"A PyTorch file must hold nothing but tensors: other objects are not "
                f"made. Received: {path}"
            ) from None
        except (OSError, EOFError, RuntimeError) as error:
            raise UserError(_unreadable(path, error)) from None
        if not (isinstance(tensors, dict) and all(map(torch.is_tensor, tensors.values()))):
            raise UserError(f"A PyTorch file must hold tensors by name. Received: {path}")
        self.path, self._tensors = path, tensors
        self._names = {}
        self._allowed = torch.float32, torch.float16, torch.bfloat16
        self.shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}

    def read(self, name: str) -> np.ndarray:
        """One tensor, as float32."""
        name = self._names.get(name, name)
        tensor = self._tensors[name]
        if tensor.dtype not in self._allowed:
            raise UserError(
                f"A weight must be of one of the types {', '.join(_DTYPES)}. "
                f"Received: {name} of type {tensor.dtype} in {self.path}"
            )
        return tensor.float().numpy()


def open_tensors(directory: str, allow_pickle: bool) -> Tensors:
    """The tensors of a model.

    Args:
        directory: holds model.safetensors, or its shards with their index, or pytorch_model.bin.
        allow_pickle: permits the last one.

    Raises:
        UserError: there is none of them, or it cannot be read.
    """
    path = os.path.join(directory, SAFETENSORS)
    if os.path.exists(path):
        file = _open(path)
        return Tensors(path, dict.fromkeys(file.keys(), file))
    path = os.path.join(directory, _INDEX)
    if os.path.exists(path):
        return Tensors(path, _shards(path))
    path = os.path.join(directory, _PICKLE)
    if not os.path.exists(path):
        raise UserError(
            f"A Hugging Face model must contain {SAFETENSORS}, {_INDEX} or {_PICKLE}. "
            f"Received: {directories.describe(directory)}"
        )
    if not allow_pickle:
        raise UserError(
            f"{_PICKLE} is a pickle, which can run any code: give --allow_pickle if "
            f"you trust it, or save the model as {SAFETENSORS}. Received: {path}"
        )
    return PickledTensors(path)


def _shards(index):
    """Open file by tensor name, for all tensors of an index."""
    places = read_json(index).get("weight_map")
    if not (
        isinstance(places, dict)
        and all(
            isinstance(place, str) and place == os.path.basename(place) for place in places.values()
        )
    ):
        raise UserError(
            "The index must have a weight_map from names to files of its directory. "
            f"Received: {index}"
        )
    files = {
        place: _open(os.path.join(os.path.dirname(index), place))
        for place in sorted(set(places.values()))
    }
    absent = [
        f"{name} in {place}"
        for name, place in places.items()
        if name not in files[place].keys()  # noqa: SIM118  no mapping
    ]
    if absent:
        raise UserError(
            f"Tensors must be in the files that the index says. Received: {index}, "
            f"but there is no {', '.join(absent)}"
        )
    return {name: files[place] for name, place in places.items()}


def _open(path):
    with extras.needed("interop"):
        import safetensors
    try:
        return safetensors.safe_open(path, framework="np")
    except (OSError, ValueError, safetensors.SafetensorError) as error:  # ValueError: no file name
        raise UserError(_unreadable(path, error)) from None


def _unreadable(path, error):
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return f"The file must be complete and readable. Received: {path} ({reason})"


def save(tensors: dict[str, np.ndarray], directory: str) -> None:
    """Writes `directory`/model.safetensors."""
    with extras.needed("interop"):
        from safetensors.numpy import save_file
    save_file(tensors, os.path.join(directory, SAFETENSORS), metadata={"format": "pt"})
