"""Checkpoints of google-research/electra of other sizes, against a forward pass in NumPy."""

import dataclasses
import json
import re

import numpy as np
import pytest
import tensorflow as tf

import electra_tf
from electra_tf.config import ModelConfig
from electra_tf.conversion import google, huggingface
from electra_tf.conversion.known import require_known
from electra_tf.errors import UserError
from electra_tf.saved import model_directory
from tests.unit.original_forward import (
    Original,
    encode,
    random_weights,
    replaced_logits,
    save,
    token_logits,
    variables,
)

SIZES = {
    "a third": Original(),
    "heads by JSON": Original(
        hidden=96,
        embedding=48,
        intermediate=100,
        generator_hidden=32,
        generator_heads=2,
        layers=3,
        generator_layers=1,
        segments=3,
    ),
    "tied": Original(hidden=64, embedding=32, intermediate=256, heads=1, untied_generator=False),
    "untied embeddings": Original(
        hidden=128,
        embedding=128,
        intermediate=512,
        heads=2,
        generator_hidden=48,
        untied_generator_embeddings=True,
    ),
    "bert": Original(hidden=128, embedding=32, intermediate=512, heads=2, electra_objective=False),
}
JSON = {"num_attention_heads": 3, "generator_num_attention_heads": 2}


def with_optimizer(weights):
    slots = {
        f"{name}/{slot}": value + 1
        for name, value in weights.items()
        for slot in ("adam_m", "adam_v")
    }
    return weights | slots | {"global_step": np.array(700, np.int64)}


def write_json(folder, values, name="settings.json"):
    path = folder / name
    path.write_text(json.dumps(values), encoding="utf-8")
    return str(path)


def loaded(pretrained, folder):
    model_directory.write(pretrained.check("the checkpoint"), str(folder))
    return electra_tf.load(str(folder))


def some_batch(sizes):
    random = np.random.default_rng(3)
    shape = (2, sizes.positions - 1)
    mask = np.ones(shape, np.int32)
    mask[1, 9:] = 0
    return {
        "input_ids": random.integers(0, sizes.vocab, shape, np.int32),
        "input_mask": mask,
        "segment_ids": random.integers(0, sizes.segments, shape, np.int32),
    }


@pytest.mark.parametrize("case", SIZES)
def test_other_sizes_compute_what_the_original_computes(case, tmp_path):
    sizes = SIZES[case]
    weights = random_weights(variables(sizes))
    prefix = save(tmp_path / "model.ckpt-700", with_optimizer(weights))
    settings = write_json(tmp_path, JSON) if case == "heads by JSON" else None
    pretrained = google.read(prefix, settings)
    assert pretrained.step == 700 and pretrained.vocabulary is None
    model, batch = loaded(pretrained, tmp_path / "model"), some_batch(sizes)
    inputs = {key: tf.constant(value) for key, value in batch.items()}
    positions = np.tile(np.arange(batch["input_ids"].shape[1], dtype=np.int32), (2, 1))

    tied = sizes.generator == "electra"
    hidden = encode(
        weights,
        sizes.generator,
        sizes.generator_tables,
        sizes.heads if tied else sizes.generator_heads,
        batch,
    )
    generator, head = (
        (model.generator, model.generator_head)
        if sizes.electra_objective
        else (model.encoder, model.head)
    )
    ours = generator(inputs)
    np.testing.assert_allclose(ours, hidden, atol=1e-4)
    logits = token_logits(weights, sizes.generator_tables, hidden)
    np.testing.assert_allclose(tf.reshape(head(ours, positions), logits.shape), logits, atol=1e-4)
    if sizes.electra_objective:
        hidden = encode(weights, "electra", "electra", sizes.heads, batch)
        np.testing.assert_allclose(model(inputs), replaced_logits(weights, hidden), atol=1e-4)


@pytest.mark.parametrize("case", SIZES)
def test_written_is_what_was_read(case, tmp_path):
    weights = random_weights(variables(SIZES[case]))
    prefix = save(tmp_path / "model.ckpt-700", with_optimizer(weights))
    settings = write_json(tmp_path, JSON) if case == "heads by JSON" else None
    pretrained = google.read(prefix, settings)
    google.write(pretrained, str(tmp_path / "written"))
    written = tf.train.load_checkpoint(str(tmp_path / "written"))
    assert set(written.get_variable_to_shape_map()) == {*weights, "global_step"}
    for name, value in weights.items():
        np.testing.assert_array_equal(written.get_tensor(name), value, strict=True)
    assert written.get_tensor("global_step") == 700
    assert written.get_variable_to_dtype_map()["global_step"] == tf.int64
    again = google.read(str(tmp_path / "written"))
    assert again.config == pretrained.config and again.step == 700


def test_the_generators_size_survives_any_ratio(tmp_path):
    for hidden, generator_hidden in ((300, 100), (23, 7), (96, 95)):
        sizes = Original(
            hidden=hidden,
            embedding=8,
            heads=1,
            intermediate=8,
            layers=12,
            vocab=9,
            generator_hidden=generator_hidden,
            generator_layers=5,
        )
        prefix = save(tmp_path / f"{hidden}", random_weights(variables(sizes)))
        settings = write_json(tmp_path, {"num_attention_heads": 1})
        generator = google.read(prefix, settings).config.generator_model()
        assert (generator.hidden_size, generator.num_layers) == (generator_hidden, 5)


def test_parts_of_a_model(tmp_path):
    weights = random_weights(variables(Original()))
    discriminator = {
        name: value for name, value in weights.items() if not name.startswith("generator")
    }
    pretrained = google.read(save(tmp_path / "discriminator", discriminator))
    model, batch = loaded(pretrained, tmp_path / "model"), some_batch(Original())
    assert model.generator is None
    expected = replaced_logits(weights, encode(weights, "electra", "electra", 3, batch))
    np.testing.assert_allclose(
        model({key: tf.constant(value) for key, value in batch.items()}), expected, atol=1e-4
    )

    tuned = {name: value for name, value in weights.items() if name.startswith("electra/")}
    tuned["task_specific/mnli/dense/kernel"] = np.ones((192, 3), np.float32)
    prefix, said = save(tmp_path / "tuned", with_optimizer(tuned)), []
    with pytest.raises(ValueError, match="task_specific/mnli, .*--encoder_only"):
        google.read(prefix)
    encoder = google.read(prefix, encoder_only=True, say=said.append)
    assert "left out task_specific/mnli." in said[0]
    assert {path.split("/")[0] for path in encoder.weights} == {"embeddings", "discriminator"}
    google.write(encoder, str(tmp_path / "encoder"))
    names = tf.train.load_checkpoint(str(tmp_path / "encoder")).get_variable_to_shape_map()
    assert set(names) == {name for name in weights if name.startswith("electra/")} | {"global_step"}


def test_a_discriminator_whose_default_generator_would_not_divide(tmp_path):
    sizes = Original(hidden=772, embedding=8, heads=4, layers=1, intermediate=8)
    weights = {
        name: value
        for name, value in random_weights(variables(sizes)).items()
        if not name.startswith("generator")
    }
    pretrained = google.read(
        save(tmp_path / "model", weights), write_json(tmp_path, {"num_attention_heads": 4})
    )
    assert loaded(pretrained, tmp_path / "written").generator is None


def test_numbers_are_never_rounded(tmp_path):
    weights = random_weights(variables(Original(layers=1, generator_layers=1)))
    bias = "discriminator_predictions/dense/bias"
    short = weights | {bias: weights[bias].astype(np.float16)}
    read = google.read(save(tmp_path / "short", short)).weights["discriminator_head/dense/bias"]
    np.testing.assert_array_equal(read, short[bias].astype(np.float32), strict=True)
    long = weights | {bias: weights[bias].astype(np.float64)}
    with pytest.raises(ValueError, match=f"{bias} of float64"):
        google.read(save(tmp_path / "long", long))


def test_heads_and_what_is_said(tmp_path):
    sizes, said = Original(hidden=256, embedding=8, heads=4, generator_hidden=128), []
    prefix = save(tmp_path / "model", random_weights(variables(sizes)))
    config = google.read(prefix, say=said.append).config
    assert (config.model.num_heads, config.generator_model().num_heads) == (4, 2)
    assert len(said) == 1 and "num_attention_heads=4, generator_num_attention_heads=2" in said[0]
    assert "--config_json" in said[0] and config.data.lower_case

    overrides = {
        "num_attention_heads": 8,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.0,
        "intermediate_size": 768,
        "num_hidden_layers": 2,
        "hidden_size": 256,
    }
    hparams = {
        "model_size": "small",
        "model_hparam_overrides": overrides,
        "embedding_size": 8,
        "vocab_size": 61,
        "generator_hidden_size": 0.5,
        "do_lower_case": False,
        "generator_num_attention_heads": 1,
        "disc_weight": 50,
        "max_seq_length": 128,
    }
    said.clear()
    config = google.read(prefix, write_json(tmp_path, hparams), say=said.append).config
    assert (config.model.num_heads, config.generator_model().num_heads) == (8, 1)
    assert config.model.hidden_dropout == 0.0 and not said
    assert not config.data.lower_case and not config.data.strip_accents
    hparams["num_attention_heads"] = 16
    config = google.read(prefix, write_json(tmp_path, hparams)).config
    assert config.model.num_heads == 16

    write_json(tmp_path, {"num_attention_heads": 2}, "config.json")
    config = google.read(prefix, say=said.append).config
    assert config.model.num_heads == 2 and "config.json" in said[0]


@pytest.mark.parametrize(("values", "message"), [
    ({"num_attention_heads": 5}, "must be a whole number that divides the hidden size 96.* 5 in"),
    ({"generator_num_attention_heads": 3}, "divides the hidden size 32.*Received: 3 in"),
    ({"hidden_act": "relu"}, '"gelu".*Received: \'relu\''),
    ({"vocab_size": 62}, "vocab_size 62 instead of 61"),
    ({"model_hparam_overrides": {"hidden_size": 97}}, "hidden_size 97 instead of 96"),
    ({"generator_hidden_size": 0.25}, "generator_hidden_size 0.25 of 96 instead of 32"),
    ({"num_hidden_layers": 12, "embedding_size": 128},
     "embedding_size 128 instead of 48, num_hidden_layers 12 instead of 3"),
    ({"untied_generator": False}, "untied_generator False instead of True"),
    ({"do_lower_case": "false"}, "do_lower_case must be true or false"),
    ([], "one JSON object"),
])  # fmt: skip
def test_contradicting_json_is_refused(values, message, tmp_path):
    prefix = save(tmp_path / "model", random_weights(variables(SIZES["heads by JSON"])))
    settings = write_json(tmp_path, JSON | values if values else values)
    with pytest.raises(ValueError, match=message) as error:
        google.read(prefix, settings)
    assert "settings.json" in str(error.value) and "\n" not in str(error.value)


def test_tensors_must_fit(tmp_path):
    weights = random_weights(variables(Original()))
    lost, wrong = (
        "generator/encoder/layer_1/attention/self/key/bias",
        "electra/encoder/layer_0/intermediate/dense/kernel",
    )
    del weights[lost]
    weights[wrong] = weights[wrong][:, 1:]
    weights["electra/encoder/pooler"] = np.zeros(3, np.float32)
    prefix = save(tmp_path / "model", weights)
    with pytest.raises(ValueError) as error:
        google.read(prefix)
    for part in (
        f"1 missing: {lost} [64]",
        "1 extra: electra/encoder/pooler [3]",
        f"1 of another shape: {wrong} [192, 767] instead of [192, 768]",
        prefix,
    ):
        assert part in str(error.value)

    for name in ("electra/embeddings/word_embeddings", "generator_predictions/output_bias"):
        rest = {
            key: value
            for key, value in random_weights(variables(Original())).items()
            if key != name
        }
        with pytest.raises(ValueError, match=name):
            google.read(save(tmp_path / "rest", rest))


def test_a_damaged_file_is_told_by_name(tmp_path):
    prefix = save(tmp_path / "model.ckpt-1", random_weights(variables(Original())))
    data = tmp_path / "model.ckpt-1.data-00000-of-00001"
    index = tmp_path / "model.ckpt-1.index"
    whole, whole_index = data.read_bytes(), index.read_bytes()
    half = len(whole) // 2
    flipped = whole[:half] + bytes([whole[half] ^ 1]) + whole[half + 1 :]
    flipped_index = whole_index[:40] + bytes([whole_index[40] ^ 1]) + whole_index[41:]
    for now, now_index in (
        (whole[:half], whole_index),
        (b"", whole_index),
        (flipped, whole_index),
        (whole, whole_index[:-30]),
        (whole, b""),
        (whole, flipped_index),
    ):
        data.write_bytes(now)
        index.write_bytes(now_index)
        with pytest.raises(ValueError, match=re.escape(prefix)) as error:
            google.read(prefix)
        assert "\n" not in str(error.value)
    index.write_bytes(whole_index)
    data.unlink()
    with pytest.raises(ValueError, match=re.escape(prefix)):
        google.read(prefix)


def test_which_checkpoint_of_a_directory(tmp_path):
    weights = random_weights(variables(Original(vocab=10)))
    later = random_weights(variables(Original(vocab=10)), seed=1)
    bias = "generator_predictions/output_bias"
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a"]
    (tmp_path / "vocab.txt").write_text("\n".join(tokens), encoding="utf-8")
    save(tmp_path / "model.ckpt-1", weights)
    (tmp_path / "checkpoint").unlink()
    pretrained = google.read(str(tmp_path))
    np.testing.assert_array_equal(pretrained.weights["generator_head/output_bias"], weights[bias])
    assert pretrained.vocabulary.tokens == tuple(tokens)
    save(tmp_path / "model.ckpt-2", later)
    (tmp_path / "checkpoint").unlink()
    with pytest.raises(ValueError, match="with model.ckpt-1, model.ckpt-2"):
        google.read(str(tmp_path))
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "/elsewhere/model.ckpt-2"\n')
    pretrained = google.read(str(tmp_path))
    np.testing.assert_array_equal(pretrained.weights["generator_head/output_bias"], later[bias])
    with pytest.raises(ValueError, match="prefix of one"):
        google.read(str(tmp_path / "model.ckpt-3"))
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match="with none"):
        google.read(str(tmp_path / "none"))


def test_other_kinds_of_checkpoints_are_refused(tmp_path):
    electric = random_weights(variables(Original()))
    electric = {
        name.replace("generator/", "generator_ltr/"): value for name, value in electric.items()
    }
    with pytest.raises(ValueError, match="generator_ltr, the towers of an Electric"):
        google.read(save(tmp_path / "electric", electric))
    objects = tf.train.Checkpoint(variables={"a": tf.Variable(1.0)}).write(str(tmp_path / "own"))
    with pytest.raises(ValueError, match="--input_format=electra_tf"):
        google.read(objects)
    with pytest.raises(ValueError, match="electra/embeddings/word_embeddings"):
        google.read(save(tmp_path / "other", {"a": np.zeros(3, np.float32)}))


@pytest.mark.parametrize(("section", "field", "value", "message"), [
    ("model", "sharing", "token_embeddings", "config.model.sharing must be all, embeddings or"),
    ("model", "sharing", "halves", "must be all, embeddings, token_embeddings, none.*: halves"),
    ("model", "layer_norm_epsilon", 1e-5, "layer_norm_epsilon must be 1e-12.*Received: 1e-05"),
    ("generator", "intermediate_size", 100, "must be 4 x hidden = 64.*Received: 100"),
    ("data", "strip_accents", False, "--nolower_case"),
    ("generator", "embedding_size", 8, "generator's hidden size 16.*Received: 8"),
])  # fmt: skip
def test_what_the_original_cannot_build_is_refused(section, field, value, message, tmp_path):
    sizes = Original(
        hidden=64,
        embedding=32,
        heads=1,
        generator_hidden=16,
        intermediate=256,
        untied_generator_embeddings=field == "embedding_size",
    )
    pretrained = google.read(save(tmp_path / "model", random_weights(variables(sizes))))
    part = dataclasses.replace(getattr(pretrained.config, section), **{field: value})
    setattr(pretrained.config, section, part)
    with pytest.raises(ValueError, match=message):
        google.write(pretrained, str(tmp_path / "written"))
    assert not (tmp_path / "written").exists()


@pytest.mark.parametrize("writer", [google, huggingface])
def test_a_new_field_of_the_network_is_refused_unless_it_has_its_default(writer, tmp_path):
    @dataclasses.dataclass
    class LaterModel(ModelConfig):
        attention: str = "softmax"

    pretrained = google.read(save(tmp_path / "model", random_weights(variables(Original()))))
    pretrained.config.model = LaterModel(**dataclasses.asdict(pretrained.config.model))
    require_known(pretrained.config.model, "any")
    pretrained.config.model.attention = "linear"
    with pytest.raises(UserError, match="config.model.attention must be softmax.*: linear"):
        writer.write(pretrained, str(tmp_path / "other"))
    assert not (tmp_path / "other").exists()
