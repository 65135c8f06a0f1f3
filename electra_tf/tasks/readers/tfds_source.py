"""A data set of TensorFlow Datasets: its features, and its examples as plain Python values."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from tqdm import tqdm

from electra_tf import extras
from electra_tf.errors import UserError

PREFIX = "tfds:"
CLASS, TEXT, NUMBER, TRUTH = "class", "text", "number", "truth value"  # types of features


class DataSet:
    """A data set as TFDS has it.

    Attributes:
        name: as configured.
        builder_name, config_name: such as glue and rte; the latter may be empty.
        full_name: with config and version.
        features: by name.
        types: of the features, in words.
    """

    def __init__(self, name: str):
        with extras.needed("tfds"):
            import tensorflow_datasets as tfds  # slow to import, seldom needed

        self.name, self._tfds = name, tfds
        try:
            self._builder = tfds.builder(name.removeprefix(PREFIX))
        except Exception as error:  # of many kinds, each with a page of advice
            raise UserError(
                f"config.data.dir must be a folder or {PREFIX}NAME of a data set "
                f"that the installed TFDS knows, such as {PREFIX}glue/rte. "
                f"Received: {name} ({_first_line(error)})"
            ) from None
        info = self._builder.info
        self.full_name, self.builder_name = info.full_name, self._builder.name
        self.config_name = getattr(self._builder.builder_config, "name", "")
        is_named = isinstance(info.features, tfds.features.FeaturesDict)
        self.features = dict(info.features) if is_named else {}
        self.types = {field: self._type(feature) for field, feature in self.features.items()}

    @property
    def sizes(self) -> dict[str, int]:
        """Number of examples by split; of a data set that is prepared."""
        return {split: info.num_examples for split, info in self._builder.info.splits.items()}

    def require(self, field: str, what: str, types: Iterable[str]) -> str:
        """The field itself; raises UserError if there is none of these types."""
        if self.types.get(field) not in tuple(types):
            raise UserError(
                f"{what} must be a feature of the data set, of the type "
                f"{' or '.join(types)}. Received: {field!r}, but {self}"
            )
        return field

    def prepare(self) -> None:
        """Downloads and converts what TFDS does not have yet."""
        try:
            self._builder.download_and_prepare()
        except Exception as error:  # of many kinds, each with a page of advice
            raise UserError(
                f"config.data.dir must be a data set that TFDS has prepared or can download: "
                f"`tfds build {self.name.removeprefix(PREFIX)}` where there is a network, then "
                f"set TFDS_DATA_DIR to its directory. Received: {self.name} "
                f"({_first_line(error)})"
            ) from None

    def examples(self, split: str, fields: Iterable[str], bar: tqdm) -> Iterator[dict[str, Any]]:
        """Examples of a split, as JSON could hold them; a label that is not there is None."""
        dataset = self._builder.as_dataset(split=split, shuffle_files=False)
        for example in self._tfds.as_numpy(dataset):
            yield {field: self._value(self.features[field], example[field]) for field in fields}
            bar.update()

    def _type(self, feature) -> str:
        kinds = self._tfds.features
        if isinstance(feature, kinds.ClassLabel):
            return CLASS
        if isinstance(feature, kinds.FeaturesDict):
            parts = (f"{field}: {self._type(feature[field])}" for field in sorted(feature))
            return f"{{{', '.join(parts)}}}"
        if isinstance(feature, kinds.Sequence):
            return f"list of {self._type(feature.feature)}"
        if isinstance(feature, kinds.Tensor) and feature.shape == ():
            return {"O": TEXT, "b": TRUTH}.get(np.dtype(feature.np_dtype).kind, NUMBER)
        return type(feature).__name__

    def _value(self, feature, value):
        kinds = self._tfds.features
        if isinstance(feature, kinds.ClassLabel):
            return feature.int2str(int(value)) if value >= 0 else None
        if isinstance(feature, kinds.Sequence) and isinstance(value, dict):
            columns = {
                field: [self._value(feature.feature[field], item) for item in items]
                for field, items in value.items()
            }
            return [dict(zip(columns, items)) for items in zip(*columns.values())]
        if isinstance(feature, kinds.Sequence):
            values = [self._value(feature.feature, item) for item in value]
            return None if None in values else values
        if isinstance(value, bytes):
            return value.decode("utf-8", "replace")
        # By its digits: 3.8 in float32 is 3.799999952316284 as a Python number.
        return float(str(value)) if value.dtype.kind == "f" else value.item()

    def __str__(self) -> str:
        found = (f"{field} ({type})" for field, type in self.types.items())
        return f"{self.name} has {', '.join(found) or 'no features with names'}"


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
