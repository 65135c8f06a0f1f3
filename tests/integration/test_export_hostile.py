"""Texts that nobody means well with, through exported bundles: defined answers, bounded memory."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
import tiny_tasks

from tests.integration import hostile_texts
from tests.integration.random_finetuned import write_finetuned
from tests.integration.tiny_runs import TIME_LIMIT

pytestmark = pytest.mark.slow  # two exports, and thousands of texts

NUM_TEXTS, BATCH_SIZE = 5000, 250
PRETRAINED_LENGTH, CLASSIFIER_LENGTH = 48, 24
MOST_MEGABYTES = 600  # that a process may grow by, for lines of a megabyte one at a time
# What a server does: no Keras, nothing of this project. Also prints the growth of its memory.
READER = """
import pickle, resource, sys
import tensorflow as tf, tensorflow_text
calls, results = pickle.load(open(sys.argv[1], "rb")), []
loaded = {bundle: tf.saved_model.load(bundle).signatures
          for bundle in {bundle for bundle, *_ in calls}}
def megabytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
for bundle, signature, texts in calls:
    if signature == "classify":
        inputs = {"inputs": [tf.train.Example(features=tf.train.Features(feature={
            "text": tf.train.Feature(bytes_list=tf.train.BytesList(value=[text]))
            })).SerializeToString() for text in texts]}
    else:
        inputs = {"text": texts}
    before = megabytes()
    outputs = loaded[bundle][signature](
        **{name: tf.constant(value, tf.string) for name, value in inputs.items()})
    results.append(({name: value.numpy() for name, value in outputs.items()},
                    megabytes() - before))
pickle.dump(results, open(sys.argv[2], "wb"))
assert not {name for name in sys.modules if name.split(".")[0] in ("electra_tf", "export")}
"""


@pytest.fixture(scope="module")
def bundles(tmp_path_factory, tiny_vocab_file):
    from electra_tf.serving.bundle import export_run

    folder = tmp_path_factory.mktemp("bundles")
    models = [
        tiny_tasks.write_model(folder / "pretrained", tiny_vocab_file),
        write_finetuned(
            folder / "classifier", tiny_vocab_file, kind="classification", labels="one,two"
        ),
    ]
    return [export_run(model, f"{model}.serving") for model in models]


@pytest.fixture(scope="module")
def texts():
    return hostile_texts.texts(NUM_TEXTS)


@pytest.fixture(scope="module")
def answers(bundles, texts, tmp_path_factory):
    """By bundle (0: pre-trained) and signature: answers to batches, to huge lines, and growth."""
    pretrained, classifier = bundles
    batches = [texts[first : first + BATCH_SIZE] for first in range(0, len(texts), BATCH_SIZE)]
    huge = [[line] for line in hostile_texts.huge()]
    asked = [
        (pretrained, "serving_default"),
        (pretrained, "encode"),
        (classifier, "serving_default"),
        (classifier, "classify"),
    ]
    folder = tmp_path_factory.mktemp("answers")
    (folder / "calls").write_bytes(
        pickle.dumps([(*where, part) for part in batches + huge for where in asked])
    )
    subprocess.run(
        [sys.executable, "-c", READER, folder / "calls", folder / "answers"],
        check=True,
        cwd=folder,
        timeout=TIME_LIMIT,
    )
    outputs, growth = zip(*pickle.loads((folder / "answers").read_bytes()))
    number = len(asked) * len(batches)
    return {
        (bundles.index(bundle), signature): (
            outputs[first : number : len(asked)],
            outputs[number + first :: len(asked)],
        )
        for first, (bundle, signature) in enumerate(asked)
    }, sum(growth[number:])


@pytest.fixture(scope="module")
def expected(texts, tiny_vocab_file):
    """Ids of the build's tokenizer for each text, of which Python drops the invalid bytes."""
    import electra_tf

    tokenizer = electra_tf.Tokenizer(tiny_vocab_file)
    ids = tokenizer.tokenize([text.decode(errors="ignore") for text in texts])
    assert sum(len(row) > PRETRAINED_LENGTH for row in ids) > 100  # some are cut
    return ids, tokenizer.vocabulary


def test_all_answers_are_finite(answers):
    for batches, lines in answers[0].values():
        for outputs in (*batches, *lines):
            assert all(
                np.isfinite(value).all() for value in outputs.values() if value.dtype.kind == "f"
            )


def test_ids_are_the_builds(answers, texts, expected):
    ids, vocabulary = expected
    detected, encoded = (answers[0][0, name][0] for name in ("serving_default", "encode"))
    for number, (text, whole) in enumerate(zip(texts, ids)):
        batch, row = divmod(number, BATCH_SIZE)
        served = {name: value[row] for name, value in detected[batch].items()}
        framed = [vocabulary.cls_id, *whole[: PRETRAINED_LENGTH - 2], vocabulary.sep_id]
        length = len(framed)
        assert served["mask"].sum() == encoded[batch]["mask"][row].sum() == length
        assert served["token_ids"][:length].tolist() == framed
        assert (served["replaced_probability"][:length] > 0).all()
        assert not served["replaced_probability"][length:].any()
        valid = text.decode(errors="ignore").encode()
        for start, end in zip(
            served["start_offset"][1 : length - 1], served["end_offset"][1 : length - 1]
        ):
            assert start < end and valid[start:end].decode().strip()  # whole characters


def test_classes_depend_on_the_ids_alone(answers, expected):
    ids, _ = expected
    probabilities = np.concatenate(
        [outputs["probabilities"] for outputs in answers[0][1, "serving_default"][0]]
    )
    scores = np.concatenate([outputs["scores"] for outputs in answers[0][1, "classify"][0]])
    assert probabilities.shape == (NUM_TEXTS, 2)
    np.testing.assert_allclose(probabilities, scores, atol=1e-6)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    seen = {}
    for whole, probability in zip(ids, probabilities[:, 0]):
        first = seen.setdefault(tuple(whole[: CLASSIFIER_LENGTH - 2]), probability)
        assert abs(first - probability) < 1e-5
    assert np.std(list(seen.values())) > 0.01


def test_lines_of_a_megabyte(answers, expected, tiny_vocab_file):
    import electra_tf

    _, vocabulary = expected
    by_signature, growth = answers
    lines = hostile_texts.huge()
    tokenizer = electra_tf.Tokenizer(tiny_vocab_file)
    for line, outputs in zip(lines, by_signature[0, "serving_default"][1]):
        (ids,) = tokenizer.tokenize([line.decode(errors="ignore")])
        assert outputs["token_ids"][0].tolist() == [
            vocabulary.cls_id,
            *ids[: PRETRAINED_LENGTH - 2],
            vocabulary.sep_id,
        ]
    assert growth < MOST_MEGABYTES
