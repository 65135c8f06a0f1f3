"""Directories of models and bundles in which one file is damaged."""

import dataclasses
import json
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf
from damage import damaged, damaged_json, few, read
from hypothesis import given
from hypothesis import strategies as st

from electra_tf import config as configuration
from electra_tf import objectives
from electra_tf.config import Config
from electra_tf.config.finetuning import FinetuneConfig
from electra_tf.conversion import google, huggingface, huggingface_finetuned
from electra_tf.saved import model_directory
from electra_tf.saved.finetuned import config_of
from electra_tf.saved.model_directory import Pretrained
from electra_tf.serving import graph_file, model_card
from electra_tf.serving.checking import contents
from electra_tf.tasks import registry
from electra_tf.text.vocabulary import SPECIAL_TOKENS, Vocabulary

TOKENS = [*SPECIAL_TOKENS, "the", "##s", "network"]


def tiny() -> Pretrained:
    """A discriminator of one layer and 4 numbers per token."""
    config = Config()
    config.model = dataclasses.replace(
        config.model,
        vocab_size=len(TOKENS),
        hidden_size=4,
        num_layers=1,
        num_heads=1,
        intermediate_size=4,
        embedding_size=4,
        max_positions=8,
    )
    random = np.random.default_rng(0)
    weights = {
        path: random.normal(0.0, 0.3, shape).astype(np.float32)
        for path, shape in objectives.build_objective(config)
        .variable_shapes(("discriminator_head/",))
        .items()
    }
    return Pretrained(config, weights, Vocabulary(TOKENS)).check("the test")


class Damage:
    """A complete directory, of which one file at a time is another."""

    def __init__(self, complete: pathlib.Path):
        self.path = complete

    def content(self, name: str) -> bytes:
        return (self.path / name).read_bytes()

    def json(self, name: str):
        return json.loads(self.content(name))

    def reading(self, name: str, content: bytes, reader, *arguments, **settings):
        """What a reader makes of the directory with another content of a file."""
        path = self.path / name
        former = path.read_bytes() if path.exists() else None
        path.write_bytes(content)
        try:
            return read(reader, str(self.path), *arguments, **settings)
        finally:
            path.unlink()
            if former is not None:
                path.write_bytes(former)


def quiet(_: str) -> None:
    """In place of print."""


@pytest.fixture(scope="module")
def ours(folder) -> Damage:
    model_directory.write(tiny(), str(folder / "ours"))
    return Damage(folder / "ours")


@pytest.fixture(scope="module")
def theirs(folder) -> Damage:
    """Of Hugging Face."""
    huggingface.write(tiny(), str(folder / "theirs"))
    return Damage(folder / "theirs")


@pytest.fixture(scope="module")
def original(folder) -> Damage:
    """Of google-research/electra."""
    google.write(tiny(), str(folder / "original"))
    return Damage(folder / "original")


@pytest.fixture(scope="module")
def bundle(folder) -> Damage:
    """A SavedModel that is no model of ours, with a card like those of ours."""
    module = tf.Module()
    answer = tf.function(lambda text: {"length": tf.strings.length(text)})
    signature = answer.get_concrete_function(tf.TensorSpec([None], tf.string, name="text"))
    path = folder / "bundle"
    tf.saved_model.save(module, str(path), signatures={"serving_default": signature})
    card = {
        "task": "made up",
        "max_seq_length": 8,
        "vocabulary": {"size": 8, "name": "wordpiece", "lower_case": True},
    }
    (path / model_card.FILE).write_text(json.dumps(card))
    (path / "assets" / "vocab.txt").write_text("".join(f"{token}\n" for token in TOKENS))
    return Damage(path)


def test_complete_directories_are_read(ours, theirs, original, bundle):
    """Else nothing below would come further than a first check."""
    for pretrained in (
        model_directory.read(str(ours.path)),
        huggingface.read(str(theirs.path), say=quiet),
        google.read(str(original.path), say=quiet),
    ):
        assert pretrained.check("the test").vocabulary.tokens == tuple(TOKENS)
    assert contents.read_bundle(str(bundle.path)).max_seq_length == 8


@few
@given(data=st.data())
def test_config_of_a_pretraining(ours, data):
    def validated(directory):
        return objectives.validate(configuration.load(directory))

    content = data.draw(damaged_json(ours.json("config.json")))
    config = ours.reading("config.json", content, validated)
    if config is not None:
        assert Config.from_json(config.to_json()).to_json() == config.to_json()
    ours.reading("config.json", content, config_of)


@few
@given(data=st.data())
def test_config_of_a_model(ours, data):
    """Where weights must fit it."""
    content = data.draw(damaged_json(ours.json("config.json")))
    ours.reading("config.json", content, model_directory.open_directory)


@few
@given(content=damaged_json(dataclasses.asdict(FinetuneConfig())))
def test_config_of_a_finetuning(folder, content):
    directory = folder / "finetuned"
    directory.mkdir(exist_ok=True)
    (directory / "config.json").write_bytes(content)
    config = read(FinetuneConfig.load, str(directory))
    if config is not None:
        read(registry.task_of_model, config)


@pytest.mark.parametrize("name", ["checkpoint", "ckpt-0.index", "ckpt-0.data-00000-of-00001"])
@few
@given(data=st.data())
def test_checkpoint(ours, name, data):
    content = data.draw(damaged(ours.content(f"checkpoints/{name}")))
    ours.reading(f"checkpoints/{name}", content, model_directory.read)


@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer_config.json", "tokenizer.json", "special_tokens_map.json"]
)
@few
@given(data=st.data())
def test_json_of_hugging_face(theirs, name, data):
    def checked(directory):
        return huggingface.read(directory, say=quiet).check(directory)

    content = data.draw(damaged_json(theirs.json(name)))
    theirs.reading(name, content, checked)


@few
@given(data=st.data())
def test_tokenizer_of_hugging_face_without_vocab_txt(folder, theirs, data):
    directory = folder / "their_tokenizer"
    if not directory.exists():
        shutil.copytree(theirs.path, directory)
        (directory / "vocab.txt").unlink()

    def vocabulary(path):
        return huggingface.read(path, say=quiet).check(path).vocabulary

    content = data.draw(damaged_json(theirs.json("tokenizer.json")))
    Damage(directory).reading("tokenizer.json", content, vocabulary)


@few
@given(data=st.data())
def test_tensors_of_hugging_face(theirs, data):
    valid = theirs.content("model.safetensors")
    length = int.from_bytes(valid[:8], "little")
    header, numbers = json.loads(valid[8 : 8 + length]), valid[8 + length :]
    if data.draw(st.booleans()):
        content = data.draw(damaged(valid))
    else:
        changed = data.draw(damaged_json(header))
        content = len(changed).to_bytes(8, "little") + changed + numbers
    theirs.reading("model.safetensors", content, huggingface.read, say=quiet)


@few
@given(data=st.data())
def test_index_of_shards(theirs, folder, data):
    directory = folder / "shards"
    if not directory.exists():
        shutil.copytree(theirs.path, directory)
        (directory / "model.safetensors").rename(directory / "model-1.safetensors")
    length = int.from_bytes(theirs.content("model.safetensors")[:8], "little")
    names = json.loads(theirs.content("model.safetensors")[8 : 8 + length])
    index = {
        "metadata": {"total_size": 1},
        "weight_map": {name: "model-1.safetensors" for name in names if name != "__metadata__"},
    }
    content = data.draw(damaged_json(index))
    Damage(directory).reading("model.safetensors.index.json", content, huggingface.read, say=quiet)


@few
@given(data=st.data())
def test_config_of_a_finetuned_model_of_hugging_face(folder, theirs, data):
    directory = folder / "their_finetuned"
    valid = theirs.json("config.json") | {
        "id2label": {"0": "neg", "1": "pos"},
        "problem_type": "single_label_classification",
    }
    if not directory.exists():
        from safetensors.numpy import load_file, save_file

        shutil.copytree(theirs.path, directory)
        tensors = {
            name: value
            for name, value in load_file(directory / "model.safetensors").items()
            if name.startswith("electra.")
        }
        shapes = {
            "dense.weight": (4, 4),
            "dense.bias": (4,),
            "out_proj.weight": (2, 4),
            "out_proj.bias": (2,),
        }
        tensors |= {
            f"classifier.{name}": np.ones(shape, np.float32) for name, shape in shapes.items()
        }
        save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
        complete = Damage(directory).reading(
            "config.json", json.dumps(valid).encode(), huggingface_finetuned.read, say=quiet
        )
        assert complete is not None

    def checked(path):
        return huggingface_finetuned.read(path, say=quiet).check(path)

    Damage(directory).reading("config.json", data.draw(damaged_json(valid)), checked)


@few
@given(data=st.data())
def test_config_of_an_original_checkpoint(original, data):
    def checked(directory):
        return google.read(directory, say=quiet).check(directory)

    content = data.draw(damaged_json(original.json("config.json")))
    original.reading("config.json", content, checked)


@few
@given(data=st.data())
def test_graph_of_a_bundle(bundle, data):
    content = data.draw(damaged(bundle.content("saved_model.pb")))
    found = bundle.reading("saved_model.pb", content, contents.read_bundle)
    if found is not None:
        assert all(isinstance(each, str) for each in read(contents.structure_problems, found) or ())
        read(model_card.signatures_of, str(bundle.path))
    bundle.reading("saved_model.pb", content, graph_file.read_graph)


@few
@given(data=st.data())
def test_card_of_a_bundle(bundle, data):
    content = data.draw(damaged_json(bundle.json(model_card.FILE)))
    found = bundle.reading(model_card.FILE, content, contents.read_bundle)
    if found is not None:
        assert found.max_seq_length is None or isinstance(found.max_seq_length, int)
        read(contents.structure_problems, found)
        read(found.words)


@few
@given(content=damaged("".join(f"{token}\n" for token in TOKENS).encode()))
def test_vocabulary_of_a_bundle(bundle, content):
    found = contents.read_bundle(str(bundle.path))
    bundle.reading("assets/vocab.txt", content, lambda _: found.words())
