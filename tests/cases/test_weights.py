"""Models of other programs and broken ones: what transformers loads is loaded, the rest told."""

import json
import os
import re
import shutil
import types

import numpy as np
import pytest
import tensorflow as tf
import tiny_tasks
from random_finetuned import write_finetuned
from safetensors.numpy import load_file, save_file

import electra_tf
from electra_tf import conversion
from electra_tf.config import FinetuneConfig
from electra_tf.conversion import google
from electra_tf.errors import UserError
from electra_tf.files import write_text
from electra_tf.json_files import read_json
from electra_tf.runs.finetuning import finetune
from electra_tf.saved import finetuned, model_directory
from electra_tf.saved.weights import SavedWeights
from electra_tf.serving.bundle import export_run
from electra_tf.serving.client.local_bundle import LocalBundle
from electra_tf.train.checkpoint import Checkpoints

TABLE = "electra.embeddings.word_embeddings.weight"
VOCAB = 200


def network(hidden=32, embedding=16, layers=2, **heads):
    """Tensors of an Electra in PyTorch's layout, random, and those of heads by their shapes."""
    shapes = {
        "embeddings.word_embeddings.weight": (VOCAB, embedding),
        "embeddings.position_embeddings.weight": (24, embedding),
        "embeddings.token_type_embeddings.weight": (2, embedding),
        "embeddings.LayerNorm.weight": (embedding,),
        "embeddings.LayerNorm.bias": (embedding,),
    }
    if embedding != hidden:
        shapes |= {
            "embeddings_project.weight": (hidden, embedding),
            "embeddings_project.bias": (hidden,),
        }
    for layer in range(layers):
        inside = {
            "attention.self.query": (hidden, hidden),
            "attention.self.key": (hidden, hidden),
            "attention.self.value": (hidden, hidden),
            "attention.output.dense": (hidden, hidden),
            "attention.output.LayerNorm": (hidden,),
            "intermediate.dense": (64, hidden),
            "output.dense": (hidden, 64),
            "output.LayerNorm": (hidden,),
        }
        for name, shape in inside.items():
            shapes[f"encoder.layer.{layer}.{name}.weight"] = shape
            shapes[f"encoder.layer.{layer}.{name}.bias"] = shape[:1]
    shapes = {f"electra.{name}": shape for name, shape in shapes.items()} | heads
    random = np.random.default_rng(4)
    return {name: random.normal(0, 0.3, shape).astype(np.float32) for name, shape in shapes.items()}


DETECTOR = {
    "discriminator_predictions.dense.weight": (32, 32),
    "discriminator_predictions.dense.bias": (32,),
    "discriminator_predictions.dense_prediction.weight": (1, 32),
    "discriminator_predictions.dense_prediction.bias": (1,),
}
MASKED_LM = {
    "generator_predictions.LayerNorm.weight": (16,),
    "generator_predictions.LayerNorm.bias": (16,),
    "generator_predictions.dense.weight": (16, 32),
    "generator_predictions.dense.bias": (16,),
    "generator_lm_head.bias": (VOCAB,),
}
CLASSIFIER = {
    "classifier.dense.weight": (32, 32),
    "classifier.dense.bias": (32,),
    "classifier.out_proj.weight": (3, 32),
    "classifier.out_proj.bias": (3,),
}


@pytest.fixture
def write(tmp_path, tiny_vocab_file):
    """Writes a Hugging Face directory of tensors and of fields of config.json; returns its path."""

    def write(tensors, name="theirs", **fields):
        (tmp_path / name).mkdir()
        config = {
            "model_type": "electra",
            "vocab_size": VOCAB,
            "hidden_size": 32,
            "embedding_size": tensors[TABLE].shape[1] if TABLE in tensors else 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 64,
            "max_position_embeddings": 24,
        }
        (tmp_path / name / "config.json").write_text(json.dumps(config | fields))
        save_file(tensors, tmp_path / name / "model.safetensors", metadata={"format": "pt"})
        shutil.copy(tiny_vocab_file, tmp_path / name / "vocab.txt")
        (tmp_path / name / "tokenizer_config.json").write_text('{"do_lower_case": true}')
        return str(tmp_path / name)

    return write


def converted(directory, **arguments):
    """The converted model, where it is and what was said."""
    said, output = [], f"{directory}_converted"
    model = conversion.convert(
        directory, "huggingface", output, "electra_tf", say=said.append, **arguments
    )
    return model, output, said


def assert_equal(one, other):
    assert one.weights.keys() == other.weights.keys()
    for path, value in one.weights.items():
        np.testing.assert_array_equal(value, other.weights[path], err_msg=path)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_prefixes_of_wrappers(write, prefix):
    tensors = network(**DETECTOR)
    plain, _, _ = converted(write(tensors))
    wrapped = {prefix + name: tensor for name, tensor in tensors.items()}
    model, _, said = converted(write(wrapped, "wrapped", embedding_size=16))
    assert_equal(model, plain)
    np.testing.assert_array_equal(model.weights["embeddings/tokens"], tensors[TABLE])
    assert not said


def test_poolers_and_projections_that_nothing_reads(write):
    tensors = network(embedding=32, **DETECTOR)
    plain, _, _ = converted(write(tensors))
    more = {"electra.pooler.dense": (32, 32), "electra.embeddings_project": (32, 32)}
    for name, shape in more.items():
        tensors[f"{name}.weight"] = np.ones(shape, np.float32)
        tensors[f"{name}.bias"] = np.ones(shape[:1], np.float32)
    model, _, said = converted(write(tensors, "more"))
    assert_equal(model, plain)
    assert len(said) == 1 and all(f"{name}.weight" in said[0] for name in more)


@pytest.mark.parametrize("encoder_only", [False, True])
def test_a_tied_table_under_its_other_name(write, encoder_only):
    tensors = network(**MASKED_LM)
    plain, _, _ = converted(write(tensors), encoder_only=encoder_only)
    tensors["generator_lm_head.weight"] = tensors.pop(TABLE)
    model, _, _ = converted(write(tensors, "alias"), encoder_only=encoder_only)
    assert_equal(model, plain)
    with pytest.raises(UserError, match=f"1 missing: {TABLE}"):
        converted(write(tensors, "untied", tie_word_embeddings=False))


@pytest.mark.parametrize(
    ("fields", "labels"),
    [
        ({"num_labels": 3}, ("LABEL_0", "LABEL_1", "LABEL_2")),
        ({"id2label": {"2": "z", "0": "x", "1": "y"}, "num_labels": 9}, ("x", "y", "z")),
    ],
)
def test_labels_of_a_classifier(write, fields, labels):
    tensors = network(**CLASSIFIER, **DETECTOR)  # with the head of its pre-training
    model, output, said = converted(write(tensors, **fields))
    assert model.config.task.label_names() == labels
    np.testing.assert_array_equal(
        model.weights["task/logit/kernel"], tensors["classifier.out_proj.weight"].T
    )
    assert "left out discriminator_predictions.dense.bias" in said[0]
    assert electra_tf.load(output).predict(["the model"])[0]["label"] in labels


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"id2label": {"a": "x", "b": "y", "c": "z"}}, 'id2label must be an object.*"a": "x"'),
        ({"id2label": {"1": "x", "2": "y", "3": "z"}}, "id2label must be an object.*from 0"),
        ({"id2label": ["x", "y", "z"]}, r"id2label must be an object.*\[.x., "),
        ({"id2label": {}}, "id2label must be an object"),
        ({"id2label": -1}, "id2label must be an object.*Received: -1"),
        ({"num_labels": "3"}, "num_labels must be the number of the classes. Received: '3'"),
        ({"num_labels": 0}, "num_labels must be the number of the classes"),
        ({}, r"classifier.out_proj.weight \[3, 32\] instead of \[2, 32\]"),
        ({"num_labels": 3, "problem_type": ["x"]}, "problem_type must be one of"),
    ],
)
def test_labels_that_are_none(write, fields, message):
    with pytest.raises(UserError, match=message):
        converted(write(network(**CLASSIFIER), **fields))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_attention_heads": 0}, "num_attention_heads in .* must be at least 1. Received: 0"),
        ({"num_attention_heads": -2}, "num_attention_heads in .* at least 1. Received: -2"),
        ({"num_attention_heads": 5}, "must divide hidden_size. Received: 5"),
        ({"num_attention_heads": [2]}, r"a number as num_attention_heads. Received: \[2\]"),
        ({"num_attention_heads": True}, "a number as num_attention_heads. Received: true"),
        ({"num_attention_heads": float("nan")}, "a number as num_attention_heads. Received: NaN"),
        ({"hidden_size": 10**400}, "a number as hidden_size"),
        ({"hidden_size": {}}, "a number as hidden_size. Received: {}"),
        ({"vocab_size": 2**31 - 1}, "of another shape: electra.embeddings.word_embeddings"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers of the tensors, 2. Received: 1000000000"),
        ({"layer_norm_eps": float("nan")}, "a number as layer_norm_eps. Received: NaN"),
        ({"layer_norm_eps": "1e-12"}, 'a number as layer_norm_eps. Received: "1e-12"'),
        ({"layer_norm_eps": 0}, "layer_norm_eps in .* must be in"),
        ({"hidden_dropout_prob": 1.5}, "hidden_dropout_prob in .* must be in"),
        ({"initializer_range": float("inf")}, "a number as initializer_range. Received: Infinity"),
        ({"model_type": "bert"}, 'model_type="electra".*"bert"'),
        ({"model_type": ["electra"]}, "model_type"),
    ],
)
def test_impossible_sizes(write, fields, message):
    directory = write(network(**DETECTOR), **fields)
    with pytest.raises(UserError, match=message) as error:
        converted(directory)
    assert directory in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("content", ["5", "[]", '{"model_type": "elec', "", "\xff", "[" * 100_000])
def test_config_json_that_is_none(write, content):
    directory = write(network(**DETECTOR))
    path = os.path.join(directory, "config.json")
    with open(path, "w", encoding="latin-1") as file:
        file.write(content)
    for call in (lambda: converted(directory), lambda: electra_tf.load(directory)):
        with pytest.raises(UserError, match=re.escape(path)):
            call()


def test_tensors_of_another_type(write):
    tensors = network(**DETECTOR)
    tensors[TABLE] = tensors[TABLE].astype(np.int64)
    with pytest.raises(UserError, match=f"one of the types.*{TABLE} of type I64"):
        converted(write(tensors))


@pytest.mark.parametrize("name", ["\ud83d", "a\x00b", "none.safetensors"])
def test_an_index_of_files_that_cannot_be(write, name):
    tensors = network(**DETECTOR)
    directory = write(tensors)
    os.remove(os.path.join(directory, "model.safetensors"))
    with open(os.path.join(directory, "model.safetensors.index.json"), "w") as file:
        json.dump({"weight_map": dict.fromkeys(tensors, name)}, file)
    with pytest.raises(UserError, match="The file must be complete and readable"):
        converted(directory)


def started_from(directory):
    config = FinetuneConfig(init_from=directory)
    return finetune(config, f"{directory}_run")


def exported(directory):
    return export_run(directory, f"{directory}_serving")


@pytest.mark.parametrize("use", [electra_tf.load, exported, started_from])
def test_directories_of_other_kinds(write, tmp_path, tiny_vocab_file, use):
    """What takes a model says what it was given and what to do."""
    theirs = write(network(**DETECTOR))
    mine = tiny_tasks.write_model(tmp_path / "models" / "mine", tiny_vocab_file)
    original = str(tmp_path / "original")
    google.write(model_directory.read(mine), original)
    files = ("bundle/1/saved_model.pb", "lite/electra_int8.tflite", "onnx/model.onnx")
    for path in (*files, "data/dataset.json"):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text("{}")
    for path, found in {
        theirs: f"a Hugging Face model; .electra_tf convert --input={theirs} "
        "--input_format=huggingface --output=NEW",
        original: f"a checkpoint of the original; .electra_tf convert --input={original} "
        "--input_format=google --output=NEW",
        "bundle": "a bundle for servers",
        "bundle/1": "a bundle for servers",
        "lite": "a directory of files for TFLite",
        "lite/electra_int8.tflite": "a file for TFLite",
        "onnx": "a directory of files for ONNX Runtime",
        "data": "a data set",
        "models": f"a directory of others; give one of them, such as {tmp_path}/models/mine",
        "models/mine/checkpoints": f"checkpoints alone.*{tmp_path}/models/mine$",
        "nowhere": "which is not there",
    }.items():
        path = str(tmp_path / path)
        with pytest.raises(UserError, match=rf"{path}, {found}"):
            use(path)


def test_a_lost_file_checkpoint(tmp_path, tiny_vocab_file, caplog):
    directory = tiny_tasks.write_model(tmp_path / "model", tiny_vocab_file)
    weights = model_directory.read(directory).weights
    folder = tmp_path / "model" / "checkpoints"
    for path in folder.glob("ckpt-0.*"):
        shutil.copy(path, str(path).replace("ckpt-0", "ckpt-10"))
        shutil.copy(path, str(path).replace("ckpt-0", "ckpt-9"))
    (folder / "checkpoint").unlink()
    read = model_directory.read(directory)
    assert read.step == 0
    for path, value in weights.items():
        np.testing.assert_array_equal(value, read.weights[path])
    assert "lacks the file `checkpoint`, which names the newest: ckpt-10 is read" in caplog.text
    for path in folder.glob("ckpt-*"):
        path.unlink()
    with pytest.raises(UserError, match="There must be a checkpoint.*which has none"):
        SavedWeights(str(folder))


def test_the_encoder_of_our_own_fine_tuned_model(tmp_path, tiny_vocab_file):
    tuned = write_finetuned(tmp_path / "tuned", tiny_vocab_file, labels="a,b")
    with pytest.raises(
        UserError,
        match=f"a fine-tuned one.*convert --input={tuned} --input_format=electra_tf --enc",
    ):
        model_directory.load_network(tuned)
    for output_format in conversion.FORMATS:
        output = str(tmp_path / output_format)
        conversion.convert(tuned, "electra_tf", output, output_format, encoder_only=True)
    encoder = model_directory.load_network(str(tmp_path / "electra_tf"))
    _, network, _, _ = finetuned.load_network(tuned)
    batch = encoder.tokenizer.batch(["the model was trained"])
    np.testing.assert_array_equal(encoder.discriminator(batch), network(batch))


def test_a_word_more_in_the_vocabulary(tmp_path, tiny_vocab_file):
    """Every way to a tokenizer finds that it has more tokens than the model."""
    tuned = write_finetuned(tmp_path / "tuned", tiny_vocab_file, labels="a,b")
    pretrained = tiny_tasks.write_model(tmp_path / "pretrained", tiny_vocab_file)
    for directory, uses in (
        (tuned, [finetuned.load_network, finetuned.read_encoder, exported]),
        (pretrained, [model_directory.load_network, model_directory.read, exported]),
    ):
        config = os.path.join(directory, "config.json")
        fields = read_json(config)
        fields["data"]["tokenizer_fingerprint"] = ""  # as of older models
        write_text(config, json.dumps(fields))
        path = os.path.join(directory, "vocab.txt")
        with open(path, "a", encoding="utf-8") as file:
            file.write("one_more\n")
        with open(path, encoding="utf-8") as file:
            number = len(file.readlines())
        for use in uses:
            with pytest.raises(
                UserError, match=rf"model, {number - 1}. Received: {number} in {directory}"
            ):
                use(directory)


def test_a_bundle_with_variables_cut_off(tmp_path):
    module = tf.Module()
    module.weight = tf.Variable(tf.zeros([1000]))
    module.add = tf.function(lambda x: x + module.weight[0], [tf.TensorSpec([None], tf.float32)])
    path = str(tmp_path / "bundle")
    tf.saved_model.save(module, path, signatures={"serving_default": module.add})
    assert LocalBundle(path).signatures == ["serving_default"]
    for name in ("variables.data-00000-of-00001", "variables.index"):
        file = tmp_path / "bundle" / "variables" / name
        file.write_bytes(file.read_bytes()[:20])
        with pytest.raises(UserError, match=f"A bundle must be whole.*{path}, which"):
            LocalBundle(path)


def test_files_cut_off(write):
    directory = write(network(**DETECTOR))
    path = os.path.join(directory, "model.safetensors")
    tensors = load_file(path)
    with open(path, "rb") as file:
        content = file.read()
    for kept in (0, 4, len(content) // 2):
        with open(path, "wb") as file:
            file.write(content[:kept])
        with pytest.raises(UserError, match=f"complete and readable. Received: {path}"):
            converted(directory)
    del tensors[TABLE]
    save_file(tensors, path)
    with pytest.raises(UserError, match=f"1 missing: {TABLE}"):
        converted(directory)


@pytest.mark.parametrize("content", [b"", b"\x80"])
def test_a_damaged_file_checkpoint_is_named_when_training_goes_on(tmp_path, content):
    (tmp_path / "checkpoint").write_bytes(content)
    state = types.SimpleNamespace(variables=lambda: {"step": tf.Variable(0)})
    with pytest.raises(UserError, match=f"must be text. Received: {tmp_path}/checkpoint, which is"):
        Checkpoints(str(tmp_path), state, keep=1)
