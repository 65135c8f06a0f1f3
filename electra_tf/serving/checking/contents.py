"""A bundle's files and signatures, read without loading the model."""

import dataclasses
import json
import os
import re

from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from electra_tf import file_systems
from electra_tf.errors import UserError
from electra_tf.serving import model_card
from electra_tf.serving.graph_file import read_graph, signatures_of
from electra_tf.text import tokenization

DEFAULT = "serving_default"
_ASSETS = "assets"
_TAGS = {"serve"}
_DTYPES = {types_pb2.DT_STRING, types_pb2.DT_INT32, types_pb2.DT_INT64, types_pb2.DT_FLOAT}
# What the RPCs of these methods look for: the only input, and the outputs.
_METHODS = {
    "tensorflow/serving/predict": None,
    "tensorflow/serving/classify": {"classes", "scores"},
    "tensorflow/serving/regress": {"outputs"},
}


@dataclasses.dataclass(frozen=True)
class Bundle:
    """What saved_model.pb says.

    Attributes:
        path: directory of the version.
        graph: its only meta graph.
        signatures: by name, TensorFlow's own left out.
        max_seq_length: tokens of the longest row, of model_card.json; None without one.
        tokenizer: its settings, of model_card.json.
        fingerprint: of tokenizer and vocabulary, of model_card.json; None of older bundles.
    """

    path: str
    graph: meta_graph_pb2.MetaGraphDef
    signatures: dict[str, meta_graph_pb2.SignatureDef]
    max_seq_length: int | None = None
    tokenizer: dict = dataclasses.field(default_factory=lambda: model_card.tokenizer_of({})[0])
    fingerprint: str | None = None

    def takes_examples(self, signature: str) -> bool:
        """Whether its RPC turns tf.Examples into its only input."""
        return not self.signatures[signature].method_name.endswith("/predict")

    def computes_in(self, dtype: int) -> bool:
        """Whether a matrix product of the graph has this dtype of types_pb2."""
        return any(
            node.op == "MatMul" and node.attr["T"].type == dtype
            for function in self.graph.graph_def.library.function
            for node in function.node_def
        )

    def words(self) -> list[str]:
        """Tokens of the vocabulary that are a word of a text by themselves; [] without one."""
        path = tokenization.find(self.tokenizer, os.path.join(self.path, _ASSETS))
        return [] if path is None else tokenization.read_vocabulary(path, self.tokenizer).words()


def read_bundle(path: str) -> Bundle:
    """Reads saved_model.pb.

    Raises:
        UserError: the directory holds none, or not one graph.
    """
    graph = read_graph(path)
    return Bundle(path, graph, signatures_of(graph), *_of_card(path))


def _of_card(path: str) -> tuple[int | None, dict, str | None]:
    """What model_card.json says of the longest row, of the tokenizer, and its fingerprint."""
    file_name = os.path.join(path, model_card.FILE)
    if not file_systems.exists(file_name):
        return None, *model_card.tokenizer_of({})
    try:
        card = json.loads(file_systems.read_bytes(file_name))
        length = card["max_seq_length"]
        settings, fingerprint = model_card.tokenizer_of(card)
        is_card = isinstance(length, int) and length > 0
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        is_card = False
    if not is_card:
        raise UserError(
            f"{model_card.FILE} must be what `electra_tf export` writes, JSON with max_seq_length. "
            f"Received: {file_name}, which is another"
        )
    return length, settings, fingerprint


def structure_problems(bundle: Bundle) -> list[str]:
    """What a server or its clients would miss, in words; [] if all is there."""
    problems = []
    if set(bundle.graph.meta_info_def.tags) != _TAGS:
        problems.append(
            f"tags must be serve (received: {', '.join(bundle.graph.meta_info_def.tags) or 'none'})"
        )
    problems += _missing_files(bundle)
    if DEFAULT not in bundle.signatures:
        problems.append(
            f"there must be a signature {DEFAULT} (received: "
            f"{', '.join(bundle.signatures) or 'none'})"
        )
    for name, signature in bundle.signatures.items():
        problems += [f"signature {name}: {problem}" for problem in _signature_problems(signature)]
    return problems


def _missing_files(bundle: Bundle) -> list[str]:
    assets = [
        *tokenization.file_names(bundle.tokenizer),
        *(asset.filename for asset in bundle.graph.asset_file_def),
    ]
    wanted = [
        os.path.join("variables", "variables.index"),
        *(os.path.join(_ASSETS, name) for name in assets),
    ]
    problems = [
        f"{name} is missing"
        for name in dict.fromkeys(wanted)
        if not file_systems.is_file(os.path.join(bundle.path, name))
    ]
    data = file_systems.matching(os.path.join(bundle.path, "variables"), "variables.data-*")
    shards = {
        int(name.rpartition("-of-")[2]) for name in data if re.search(r"-of-[0-9]{1,9}$", name)
    }
    if shards != {len(data)}:
        problems.append(
            f"variables/variables.data-* must be complete (received: {len(data)} "
            f"file{'s' * (len(data) != 1)})"
        )
    place = tokenization.find(bundle.tokenizer, os.path.join(bundle.path, _ASSETS))
    if place is not None:
        try:
            vocabulary = tokenization.read_vocabulary(place, bundle.tokenizer)
            tokenization.require_same(
                bundle.fingerprint,
                vocabulary.fingerprint(bundle.tokenizer),
                f"A bundle must keep its vocabulary. Received: {place}, which was changed since",
            )
        except UserError as error:
            problems.append(str(error))
    return problems


def _signature_problems(signature: meta_graph_pb2.SignatureDef) -> list[str]:
    problems = []
    if signature.method_name not in _METHODS:
        problems.append(
            f"its method must be one of {', '.join(_METHODS)} (received: {signature.method_name!r})"
        )
    outputs = _METHODS.get(signature.method_name)
    if outputs and (set(signature.inputs) != {"inputs"} or set(signature.outputs) != outputs):
        problems.append(
            f"{signature.method_name} has the input inputs and the outputs "
            f"{', '.join(sorted(outputs))} (received: "
            f"{', '.join(sorted(signature.inputs))} and "
            f"{', '.join(sorted(signature.outputs))})"
        )
    if not signature.inputs or not signature.outputs:
        problems.append("it must have inputs and outputs")
    for name, info in [*signature.inputs.items(), *signature.outputs.items()]:
        if info.WhichOneof("encoding") != "name":
            problems.append(
                f"{name} must be a dense tensor (received: {info.WhichOneof('encoding')})"
            )
        elif info.dtype not in _DTYPES:
            problems.append(
                f"{name} must be string, int32, int64 or float32 (received: "
                f"{types_pb2.DataType.Name(info.dtype)})"
            )
        elif (
            info.tensor_shape.unknown_rank
            or not info.tensor_shape.dim
            or (info.tensor_shape.dim[0].size != -1)
        ):
            problems.append(
                f"{name} must have a free batch dimension (received: {_shape(info.tensor_shape)})"
            )
    return problems


def _shape(shape) -> str:
    return "any shape" if shape.unknown_rank else str([axis.size for axis in shape.dim])
