"""Which ops a bundle may hold: what a server lacks is refused, by name and place."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_text as tf_text
from tensorflow.core.protobuf import meta_graph_pb2

from electra_tf import Tokenizer
from electra_tf.serving.checking.allowed_ops import refused_ops


def graph_of(function, *specs) -> meta_graph_pb2.MetaGraphDef:
    """Graph and functions of a traced function, without saving them."""
    concrete = tf.function(function, autograph=False).get_concrete_function(*specs)
    return meta_graph_pb2.MetaGraphDef(graph_def=concrete.graph.as_graph_def())


TEXT = tf.TensorSpec([None], tf.string)
NUMBERS = tf.TensorSpec([None], tf.float32)


def test_the_tokenizers_graph_is_fine(tiny_vocab_file):
    tokenizer = Tokenizer(tiny_vocab_file)
    graph = graph_of(lambda text: [part.values for part in tokenizer.ids_with_offsets(text)], TEXT)
    ops = {node.op for node in graph.graph_def.node}
    assert {"FastWordpieceTokenizeWithOffsets", "NormalizeUTF8", "UnicodeTranscode"} <= ops
    assert refused_ops(graph) == []


@pytest.mark.parametrize(
    ("call", "op"),
    [
        (lambda x: tf.numpy_function(np.sin, [x], tf.float32), "PyFunc"),
        (lambda x: tf.numpy_function(np.sin, [x], tf.float32, stateful=False), "PyFuncStateless"),
        (lambda x: tf.py_function(np.sin, [x], tf.float32), "EagerPyFunc"),
    ],
)
def test_python_is_refused(call, op):
    (problem,) = refused_ops(graph_of(call, NUMBERS))
    assert problem.startswith(f"{op} in the graph") and "Python" in problem


def test_an_op_is_found_in_the_function_that_holds_it():
    @tf.function(autograph=False)
    def innermost(x):
        return tf.numpy_function(np.sin, [x], tf.float32)

    graph = graph_of(
        lambda x: tf.function(lambda y: innermost(y) + 1.0, autograph=False)(x), NUMBERS
    )
    (problem,) = refused_ops(graph)
    assert problem.startswith("PyFunc in function __inference_innermost_")


def test_text_ops_that_not_all_servers_link_are_refused():
    trimmer = tf_text.RoundRobinTrimmer(max_seq_length=3)

    def trim(text):
        return [part.values for part in trimmer.trim([tf.strings.split(text)] * 2)]

    problems = refused_ops(graph_of(trim, TEXT))
    assert problems and all(
        "RoundRobin" in problem and "unknown" in problem for problem in problems
    )


@pytest.mark.parametrize(
    ("op", "reason"), [("DecodeWebP", "2.16"), ("MadeUpOp", "unknown to TensorFlow Serving")]
)
def test_other_ops_are_refused_wherever_they_are(op, reason):
    graph = graph_of(lambda x: tf.function(lambda y: y + 1.0, autograph=False)(x), NUMBERS)
    assert refused_ops(graph) == []
    (function,) = graph.graph_def.library.function
    for nodes, place in (
        (graph.graph_def.node, "the graph"),
        (function.node_def, f"function {function.signature.name}"),
    ):
        node = nodes.add(name="new", op=op)
        (problem,) = refused_ops(graph)
        assert problem.startswith(f"{op} in {place} (") and reason in problem
        nodes.remove(node)


def test_a_function_is_no_op():
    """Functions may be called like ops, by a name that no server knows beforehand."""
    graph = graph_of(lambda x: tf.function(lambda y: y + 1.0, autograph=False)(x), NUMBERS)
    (function,) = graph.graph_def.library.function
    graph.graph_def.node.add(name="call", op=function.signature.name)
    assert refused_ops(graph) == []
