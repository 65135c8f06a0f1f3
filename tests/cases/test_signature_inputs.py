"""Inputs of a signature that do not fit each other are an error by their names, in the graph."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from electra_tf.serving.graph.finetuned import load_finetuned
from electra_tf.serving.graph.input_checks import fitting
from electra_tf.serving.graph.pretrained import load_pretrained
from tests.integration.random_finetuned import write_finetuned
from tests.integration.test_export_finetuned import KINDS
from tests.unit.test_pretrained_serving import LENGTH, write

IDS = ("input_ids", "input_mask", "segment_ids")


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory, tiny_vocab_file):
    _, path = write(tmp_path_factory.mktemp("pretrained") / "m", tiny_vocab_file)
    return load_pretrained(path)


@pytest.fixture(scope="module", params=["regression", "squad"])
def of_two_texts(request, tmp_path_factory, tiny_vocab_file):
    """Signature and names of the inputs of a model of two texts."""
    folder = tmp_path_factory.mktemp(request.param)
    path = write_finetuned(folder / "m", tiny_vocab_file, **KINDS[request.param])
    signature = load_finetuned(path).signatures()["serving_default"]
    names = ("question", "context") if request.param == "squad" else ("text", "text_pair")
    return signature, names


def rows(*shape) -> tf.Tensor:
    return tf.ones(shape, tf.int32)


def refused(call, *shapes) -> str:
    """What is said of inputs of these shapes."""
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        call()
    said = error.value.message
    assert all(f"[{' '.join(map(str, shape))}]" in said for shape in shapes)
    return said


def test_ids_and_their_masks_have_one_shape(pretrained):
    right = pretrained.detect_replaced_ids(*[rows(2, 5)] * 3)["logits"]
    assert right.shape == (2, 5) and np.ptp(right) > 0
    for shapes in (
        [(2, 5), (1, 5), (2, 5)],
        [(2, 5), (2, 5), (1, 5)],
        [(1, 5), (2, 5), (2, 5)],
        [(2, 5), (2, 3), (2, 5)],
        [(2, 5), (2, 1), (2, 5)],
        [(0, 5), (1, 5), (1, 5)],
    ):
        inputs = [rows(*shape) for shape in shapes]
        said = refused(lambda inputs=inputs: pretrained.detect_replaced_ids(*inputs), *shapes)
        assert f"{', '.join(IDS)} must have rank 2 and the same shape" in said


def test_rows_are_no_longer_than_the_positions(pretrained):
    assert pretrained.detect_replaced_ids(*[rows(1, LENGTH)] * 3)["logits"].shape == (1, LENGTH)
    longer = [rows(1, LENGTH + 1)] * 3
    said = refused(lambda: pretrained.detect_replaced_ids(*longer), (1, LENGTH + 1))
    assert f"with rows of at most {LENGTH}" in said


def test_no_rows_and_empty_rows_are_answered(pretrained):
    for shape in ((0, 4), (0, 0), (2, 0)):
        assert pretrained.detect_replaced_ids(*[rows(*shape)] * 3)["logits"].shape == shape


@pytest.mark.parametrize("numbers", [(2, 1), (1, 2), (0, 1), (3, 2)])
def test_two_texts_are_as_many(of_two_texts, numbers):
    signature, names = of_two_texts
    inputs = {
        name: tf.constant(["the model"] * count, tf.string) for name, count in zip(names, numbers)
    }
    said = refused(lambda: signature(**inputs), *[(count,) for count in numbers])
    assert f"{', '.join(names)} must have rank 1 and the same shape" in said


@pytest.mark.parametrize(
    ("rank", "shapes", "fits"),
    [
        (1, [()], False),
        (1, [(3,)], True),
        (1, [(0,)], True),
        (1, [(1, 1)], False),
        (2, [(2, 3), (2, 3)], True),
        (2, [(2, 3), (2, 3, 1)], False),
        (2, [(2, 3), (3,)], False),
        (2, [(2, 2), (2,)], False),
        (2, [(2, 9), (2, 9)], False),  # longer than 8
    ],
)
def test_the_check_looks_at_what_comes_whatever_is_said_of_it(rank, shapes, fits):
    """A server feeds any shape."""

    @tf.function(input_signature=[tf.TensorSpec(None, tf.int32)] * len(shapes), autograph=False)
    def call(*values):
        return fitting(rank=rank, longest=8, **dict(zip("abc", values)))

    values = [tf.reshape(tf.range(int(np.prod(shape))), shape) for shape in shapes]
    if fits:
        for value, returned in zip(values, call(*values)):
            np.testing.assert_array_equal(value, returned)
    else:
        refused(lambda: call(*values), *shapes)


@pytest.mark.slow  # a bundle of each kind
@pytest.mark.parametrize("kind", ["pretrained", *KINDS])
def test_a_server_answers_what_fits_and_nothing_else(kind, tmp_path, tiny_vocab_file):
    """Through a session, as a server does it."""
    import tensorflow_text  # noqa: F401 (registers the tokenizer's ops)

    from electra_tf.serving.bundle import export_run

    if kind == "pretrained":
        _, model = write(tmp_path / "m", tiny_vocab_file)
    else:
        model = write_finetuned(tmp_path / "m", tiny_vocab_file, **KINDS[kind])
    bundle = export_run(model, str(tmp_path / "s"), include_generator=kind == "pretrained")
    with tf.Graph().as_default() as graph, tf.compat.v1.Session() as session:
        loaded = tf.compat.v1.saved_model.load(session, ["serve"], bundle)
        for name, signature in loaded.signature_def.items():
            if not name.startswith("__"):
                _try_shapes(graph, session, name, signature)


def _try_shapes(graph, session, name, signature):
    def tensor(info):
        return graph.get_tensor_by_name(info.name)._as_tf_output()

    names = sorted(signature.inputs)
    of_text = all(info.dtype == tf.string.as_datatype_enum for info in signature.inputs.values())
    rank = 1 if of_text else 2
    shapes = [(), (0,), (2,), (1, 1), (2, 2), (0, 3), (1, 2, 2)] if of_text else [(), (2,), (1, 2)]
    shapes += [] if of_text else [(2, 2), (2, 2, 1), (1, 999)]
    outputs = [tensor(info) for info in signature.outputs.values()]
    for given in itertools.product(shapes, repeat=len(names)):
        arrays = [_array(shape, names, of_text) for shape in given]
        inputs = {tensor(signature.inputs[each]): value for each, value in zip(names, arrays)}
        fits = len(set(given)) == 1 and len(given[0]) == rank and 999 not in given[0]
        try:
            # The public way looks at shapes itself; a server does not.
            answers = session._call_tf_sessionrun(None, inputs, outputs, [], None)
        except tf.errors.InvalidArgumentError as error:
            said = error.message
            assert not fits, f"{name} of {given}: {said}"
            assert f"must have rank {rank}" in said and all(each in said for each in names)
        else:
            assert fits, f"{name} of {given}"
            assert {len(answer) for answer in answers} == {given[0][0]}


def _array(shape, names, of_text) -> np.ndarray:
    if not of_text:
        return np.ones(shape, np.int32)
    text = b"the model"
    if names == ["inputs"]:
        feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[text]))
        fields = ("review", "text", "sentence1", "sentence2")
        features = tf.train.Features(feature=dict.fromkeys(fields, feature))
        text = tf.train.Example(features=features).SerializeToString()
    array = np.empty(shape, object)
    array[...] = text
    return array
