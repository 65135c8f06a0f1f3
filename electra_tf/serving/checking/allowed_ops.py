"""Which ops a bundle may hold: those that TensorFlow Serving's builds 2.16 to 2.20 know."""

import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

# Serving links tensorflow-text, 2.12.1 until its 2.19 and 2.20 from then on. Both have these;
# others, such as RoundRobinTrimmer, came in between. Add one only after a look at both.
TEXT_OPS = frozenset(
    {
        "CaseFoldUTF8",
        "FastBertNormalize",
        "FastWordpieceDetokenize",
        "FastWordpieceTokenizeWithOffsets",
        "FindSourceOffsets",
        "NormalizeUTF8",
        "NormalizeUTF8WithOffsetsMap",
        "RegexSplitWithOffsets",
        "SentencepieceOp",
        "SentencepieceTokenizeOp",
        "SentencepieceTokenizeWithOffsetsOp",
        "WordpieceTokenizeWithOffsets",
    }
)
# Of TensorFlow's own ops those that call back into the Python that made the graph,
PYTHON_OPS = frozenset({"EagerPyFunc", "PyFunc", "PyFuncStateless"})
# and those that came after 2.16, other than a TPU's.
NEW_OPS = frozenset(
    {
        "CheckPinned",
        "DecodeJxl",
        "DecodeWebP",
        "GlobalShuffleDataset",
        "IndexFlatMapDataset",
        "IteratorGetModelProto",
        "WeightedFlatMapDataset",
    }
)


def refused_ops(graph: meta_graph_pb2.MetaGraphDef) -> list[str]:
    """What a server would not know or could not run, in words, one for each op and place.

    Args:
        graph: of a bundle; its functions are looked at, too, whether they are called or not.
    """
    library = graph.graph_def.library.function
    functions = {function.signature.name for function in library}
    places = {"the graph": graph.graph_def.node}
    places |= {f"function {function.signature.name}": function.node_def for function in library}
    found = {
        (node.op, place): _why_refused(node.op)
        for place, nodes in places.items()
        for node in nodes
        if node.op not in functions
    }
    return [f"{op} in {place} ({why})" for (op, place), why in found.items() if why]


def count_ops(graph: meta_graph_pb2.MetaGraphDef) -> int:
    """Number of nodes in the graph and its functions."""
    return len(graph.graph_def.node) + sum(
        len(function.node_def) for function in graph.graph_def.library.function
    )


def _why_refused(op: str) -> str | None:
    if op in PYTHON_OPS:
        return "it needs Python"
    if op in NEW_OPS:
        return "TensorFlow Serving 2.16 does not have it"
    # raw_ops are TensorFlow's own alone, whatever libraries of ops have been loaded.
    if op in TEXT_OPS or hasattr(tf.raw_ops, op):
        return None
    return "unknown to TensorFlow Serving"
