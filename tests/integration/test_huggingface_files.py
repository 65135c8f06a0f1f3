"""The files of Hugging Face's models, without transformers: round trips and errors."""

import json
import os
import pathlib
import sys

import ml_dtypes
import numpy as np
import pytest
from random_models import GENERATORS, assert_same, random_electra
from safetensors.numpy import load_file, save_file

from electra_tf import conversion
from electra_tf.conversion import huggingface
from electra_tf.objectives import build_objective

LAYER = "electra.encoder.layer.1."


@pytest.fixture
def model(tiny_vocab_file):
    return random_electra(tiny_vocab_file, "embeddings")


@pytest.fixture
def written(model, tmp_path) -> pathlib.Path:
    huggingface.write(model, tmp_path / "written")
    return tmp_path / "written"


def read(directory, *arguments, **options):
    said = []
    pretrained = huggingface.read(str(directory), *arguments, say=said.append, **options)
    return pretrained.check(str(directory)), said


def change_tensors(directory, change):
    """Rewrites model.safetensors with what `change` makes of its tensors, a dict."""
    path = directory / "model.safetensors"
    tensors = load_file(path)
    save_file(change(tensors) or tensors, path, metadata={"format": "pt"})


def change_json(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def tensors_below(directory):
    return {
        path.relative_to(directory).as_posix(): load_file(path)
        for path in directory.rglob("*.safetensors")
    }


@pytest.mark.parametrize("sharing", GENERATORS)
def test_round_trip_of_generator_and_discriminator(tiny_vocab_file, tmp_path, sharing):
    model = random_electra(tiny_vocab_file, sharing)
    huggingface.write(model, tmp_path / "one")
    back, said = read(tmp_path / "one")
    assert_same(back, model)
    assert back.config.data == model.config.data and not said
    huggingface.write(back, tmp_path / "two")
    first, second = tensors_below(tmp_path / "one"), tensors_below(tmp_path / "two")
    assert sorted(first) == ["generator/model.safetensors", "model.safetensors"] == sorted(second)
    for name, tensors in first.items():
        assert tensors.keys() == second[name].keys()
        for key, tensor in tensors.items():
            assert tensor.tobytes() == second[name][key].tobytes(), key


@pytest.mark.parametrize(
    ("objective", "parts", "architecture"),
    [
        ("electra", ("discriminator_head/",), "ElectraForPreTraining"),
        ("electra", (), "ElectraModel"),
        ("mlm", (), "ElectraForMaskedLM"),
    ],
)
def test_round_trip_of_one_network(tiny_vocab_file, tmp_path, objective, parts, architecture):
    model = random_electra(tiny_vocab_file, "embeddings", objective, parts)
    huggingface.write(model, tmp_path / "written")
    config = tmp_path / "written" / "config.json"
    assert json.loads(config.read_text())["architectures"] == [architecture]
    change_json(config, architectures=None)  # the tensors tell
    assert_same(read(tmp_path / "written")[0], model)
    encoder, said = read(tmp_path / "written", encoder_only=True)
    assert_same(encoder, model.encoder_only())
    assert bool(said) == (architecture != "ElectraModel")


def test_a_discriminator_of_any_size_needs_no_generator(tmp_path, tiny_vocab_file):
    model = random_electra(tiny_vocab_file, "embeddings", parts=())
    # A quarter of it, 129, is no multiple of the 2 heads that the original would take.
    model.config.model.hidden_size = 516
    model.config.generator.num_heads, model.config.generator.hidden_fraction = 1, 0.25
    model.weights = {
        path: np.zeros(shape, np.float32)
        for path, shape in build_objective(model.config).variable_shapes(()).items()
    }
    huggingface.write(model, tmp_path / "written")
    assert read(tmp_path / "written")[0].config.model.hidden_size == 516


def test_case_and_accents(written, model):
    for lower_case, strip_accents in ((True, False), (False, False), (False, True)):
        change_json(
            written / "tokenizer_config.json", do_lower_case=lower_case, strip_accents=strip_accents
        )
        data = read(written)[0].config.data
        assert (data.lower_case, data.strip_accents) == (lower_case, strip_accents)
    change_json(written / "tokenizer_config.json", do_lower_case=False, strip_accents=None)
    data = read(written)[0].config.data
    assert not data.lower_case and not data.strip_accents
    (written / "tokenizer_config.json").unlink()
    assert read(written)[0].config.data.lower_case  # of tokenizer.json
    change_json(written / "tokenizer.json", normalizer={"lowercase": False})
    assert not read(written)[0].config.data.strip_accents
    (written / "tokenizer.json").unlink()
    pretrained, said = read(written)
    assert pretrained.config.data.lower_case and "lower-cased" in said[0]


def test_vocabulary_of_tokenizer_json(written, model):
    (written / "vocab.txt").unlink()
    assert read(written)[0].vocabulary.tokens == model.vocabulary.tokens
    change_json(written / "tokenizer.json", model={"type": "BPE", "vocab": {}})
    pretrained, said = read(written)
    assert pretrained.vocabulary is None and "no WordPiece" in said[0]
    (written / "tokenizer.json").unlink()
    assert read(written)[0].vocabulary is None


def test_shards(written, model):
    path = written / "model.safetensors"
    tensors = load_file(path)
    path.unlink()
    shards = {"a.safetensors": sorted(tensors)[::2], "b.safetensors": sorted(tensors)[1::2]}
    for name, keys in shards.items():
        save_file({key: tensors[key] for key in keys}, written / name)
    index = {key: name for name, keys in shards.items() for key in keys}
    (written / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    assert_same(read(written)[0], model)
    (written / "b.safetensors").unlink()
    with pytest.raises(ValueError, match="Received: .*b.safetensors"):
        read(written)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_half_precision_becomes_float32(written, model, dtype):
    for directory in (written, written / "generator"):
        change_tensors(
            directory,
            lambda tensors: {name: tensor.astype(dtype) for name, tensor in tensors.items()},
        )
    model.weights = {
        path: value.astype(dtype).astype(np.float32) for path, value in model.weights.items()
    }
    assert_same(read(written)[0], model)


def test_old_names_buffers_and_the_tied_matrix(written, model):
    def as_older_versions_wrote(tensors):
        old = {
            name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
                "LayerNorm.bias", "LayerNorm.beta"
            ): value
            for name, value in tensors.items()
        }
        return old | {"electra.embeddings.position_ids": np.arange(40)[None]}

    change_tensors(written, as_older_versions_wrote)
    change_tensors(
        written / "generator",
        lambda tensors: (
            tensors
            | {"generator_lm_head.weight": tensors["electra.embeddings.word_embeddings.weight"]}
        ),
    )
    assert_same(read(written)[0], model)
    change_tensors(
        written / "generator",
        lambda tensors: (
            tensors | {"generator_lm_head.weight": tensors["generator_lm_head.weight"] + 1}
        ),
    )
    with pytest.raises(ValueError, match="generator_lm_head.weight must be the token table"):
        read(written)


def test_tensors_that_do_not_fit_are_named_and_nothing_is_written(written, tmp_path):
    def spoil(tensors):
        del tensors[LAYER + "attention.self.key.bias"]
        tensors["electra.pooler.weight"] = np.zeros((2, 3), np.float32)
        name = LAYER + "intermediate.dense.weight"
        tensors[name] = np.ascontiguousarray(tensors[name].T)

    change_tensors(written, spoil)
    with pytest.raises(ValueError) as error:
        conversion.convert(str(written), "huggingface", str(tmp_path / "out"), "electra_tf")
    message = str(error.value)
    assert f"1 missing: {LAYER}attention.self.key.bias [48]" in message
    assert "1 extra: electra.pooler.weight [2, 3]" in message
    assert f"{LAYER}intermediate.dense.weight [48, 80] instead of [80, 48]" in message
    assert "model.safetensors" in message and os.listdir(tmp_path) == ["written"]


def test_config_must_agree_with_the_tensors(written):
    change_json(written / "config.json", num_hidden_layers=2)
    with pytest.raises(ValueError, match=r"16 extra: electra.encoder.layer.2.*\[48, 48\]"):
        read(written)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"hidden_act": "relu"}, 'hidden_act="gelu".*Received: "relu"'),
        ({"model_type": "bert"}, 'model_type="electra".*Received: "bert"'),
        ({"position_embedding_type": "relative_key"}, 'position_embedding_type="absolute"'),
        ({"is_decoder": True}, "is_decoder=false.*Received: true"),
        ({"hidden_size": "48"}, 'a number as hidden_size. Received: "48"'),
    ],
)
def test_config_of_another_network(written, values, message):
    change_json(written / "config.json", **values)
    with pytest.raises(ValueError, match=message):
        read(written)


@pytest.mark.parametrize("kept", [0, 5, 2000, -1])
def test_truncated_file(written, kept):
    path = written / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match="complete and readable. Received: .*model.safetensors"):
        read(written)


def test_a_pickle_needs_the_flag_and_torch(written, monkeypatch):
    (written / "model.safetensors").rename(written / "pytorch_model.bin")
    with pytest.raises(ValueError, match="--allow_pickle"):
        read(written)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ValueError, match="torch is installed: `pip install torch`"):
        read(written, allow_pickle=True)
    (written / "pytorch_model.bin").unlink()
    with pytest.raises(ValueError, match="must contain model.safetensors"):
        read(written)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"layer_norm_eps": 1e-12}, "the same layer_norm_epsilon. Received: 0.001 and 1e-12"),
        ({"hidden_act": "relu"}, "generator/config.json"),
    ],
)
def test_a_generator_that_does_not_fit(written, values, message):
    change_json(written / "generator" / "config.json", **values)
    with pytest.raises(ValueError, match=message):
        read(written)
    assert read(written, encoder_only=True)


def test_generator_and_discriminator_swapped(written):
    with pytest.raises(ValueError, match="its generator an ElectraForMaskedLM"):
        read(written / "generator", str(written))


def test_a_generator_elsewhere(written, model, tmp_path):
    (written / "generator").rename(tmp_path / "elsewhere")
    assert "generator_head/output_bias" not in read(written)[0].weights
    assert_same(read(written, str(tmp_path / "elsewhere"))[0], model)
