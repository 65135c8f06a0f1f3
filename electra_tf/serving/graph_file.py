"""saved_model.pb of a bundle: its graph and signatures, read without loading the model."""

import os

from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from electra_tf import file_systems
from electra_tf.errors import UserError


def read_graph(bundle: str) -> meta_graph_pb2.MetaGraphDef:
    """The only graph of a bundle.

    Raises:
        UserError: the directory holds no saved_model.pb, or one without exactly one graph.
    """
    path = os.path.join(bundle, "saved_model.pb")
    if not file_systems.is_file(path):
        raise UserError(
            "A bundle must be a directory with saved_model.pb, such as "
            f"SERVING_DIR/1. Received: {bundle}"
        )
    try:
        graphs = saved_model_pb2.SavedModel.FromString(file_systems.read_bytes(path)).meta_graphs
    except DecodeError as error:
        raise UserError(
            f"saved_model.pb must be a whole SavedModel. Received: {path} ({error})"
        ) from None
    if len(graphs) != 1:
        raise UserError(f"saved_model.pb must hold one graph. Received: {len(graphs)} in {path}")
    return graphs[0]


def signatures_of(graph: meta_graph_pb2.MetaGraphDef) -> dict[str, meta_graph_pb2.SignatureDef]:
    """Signatures by name, sorted, without TensorFlow's own."""
    return {
        name: signature
        for name, signature in sorted(graph.signature_def.items())
        if not name.startswith("__")
    }
