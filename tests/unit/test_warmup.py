"""Warm-up requests: whole PredictionLogs of every signature, in TensorFlow Serving's file."""

import numpy as np
import pytest
import tensorflow as tf

from electra_tf.serving import warmup


class Asked:
    """Stands in for a model; remembers the texts that it was to make inputs of."""

    max_seq_length = 24

    def __init__(self):
        self.texts = []

    def warmup_inputs(self, texts):
        self.texts.append(texts)
        examples = [
            tf.train.Example(
                features=tf.train.Features(
                    feature={
                        "text": tf.train.Feature(
                            bytes_list=tf.train.BytesList(value=[text.encode()])
                        )
                    }
                )
            )
            for text in texts
        ]
        return {
            "serving_default": {"text": texts},
            "ids": {"input_ids": np.ones((2, 3), np.int32)},
            "classify": examples,
            "regress": examples,
        }


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    bundle, servable = str(tmp_path_factory.mktemp("bundle")), Asked()
    number = warmup.write(servable, bundle)
    logs = warmup.read(bundle)
    assert number == len(logs)
    return bundle, servable.texts, logs


def test_every_signature_is_asked_in_its_own_way(written):
    _, texts, logs = written
    asked = {}
    for log in logs:
        kind = log.WhichOneof("log_type")
        request = getattr(log, kind).request
        assert request.model_spec.name
        asked.setdefault((kind, request.model_spec.signature_name), []).append(request)
    assert set(asked) == {
        ("predict_log", "serving_default"),
        ("predict_log", "ids"),
        ("classify_log", "classify"),
        ("regress_log", "regress"),
    }
    assert {len(requests) for requests in asked.values()} == {len(texts)}
    for given, request, classified in zip(
        texts, asked["predict_log", "serving_default"], asked["classify_log", "classify"]
    ):
        sent = tf.make_ndarray(request.inputs["text"]).tolist()
        assert [text.decode() for text in sent] == given
        examples = classified.input.example_list.examples
        assert [example.features.feature["text"].bytes_list.value[0] for example in examples] == (
            sent
        )
    ids = tf.make_ndarray(asked["predict_log", "ids"][0].inputs["input_ids"])
    assert ids.dtype == np.int32 and ids.tolist() == [[1] * 3] * 2


def test_lengths_and_batches_differ_and_stay_within_the_servers_limit(written):
    _, texts, logs = written
    shapes = {(len(batch), len(batch[0].split())) for batch in texts}
    assert shapes == {(1, 8), (8, 8), (1, 24), (8, 24)}  # no more words than the model has tokens
    assert all(len(set(batch)) == len(batch) for batch in texts)
    assert len(logs) <= 1000  # TensorFlow Serving refuses more


def test_a_missing_or_broken_file_is_told(written, tmp_path):
    bundle, *_ = written
    with pytest.raises(ValueError, match="without it"):
        warmup.read(str(tmp_path))
    path = tmp_path / warmup.FILE
    path.parent.mkdir()
    with open(f"{bundle}/{warmup.FILE}", "rb") as file:
        path.write_bytes(file.read()[:-5])
    with pytest.raises(ValueError, match="must hold whole PredictionLogs"):
        warmup.read(str(tmp_path))
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(b"\xff no message")
    with pytest.raises(ValueError, match="must hold whole PredictionLogs"):
        warmup.read(str(tmp_path))
