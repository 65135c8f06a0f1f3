"""ModernBERT's files, without transformers; and runs with its block."""

import json

import numpy as np
import pytest
import tiny_runs
from random_models import assert_same, random_electra
from safetensors.numpy import load_file, save_file

from electra_tf import conversion
from electra_tf.config import Config
from electra_tf.conversion import google, huggingface
from electra_tf.errors import UserError
from electra_tf.runs.pretraining import pretrain
from electra_tf.saved import model_directory

MODERN = {"block": "modern", "embedding_size": 48, "local_window": 16, "global_every": 2}


def read(directory, **options):
    said = []
    return huggingface.read(str(directory), say=said.append, **options).check("the test"), said


def change_config(directory, **values):
    path = directory / "config.json"
    content = json.loads(path.read_text()) | values
    path.write_text(json.dumps({key: value for key, value in content.items() if value != "none"}))


@pytest.fixture
def masked_lm(tiny_vocab_file):
    return random_electra(tiny_vocab_file, "embeddings", "mlm", **MODERN)


@pytest.fixture
def written(masked_lm, tmp_path):
    huggingface.write(masked_lm, tmp_path / "written")
    return tmp_path / "written"


def test_round_trip(written, masked_lm, tmp_path):
    assert json.loads((written / "config.json").read_text())["model_type"] == "modernbert"
    names = json.loads((written / "tokenizer_config.json").read_text())["model_input_names"]
    assert names == ["input_ids", "attention_mask"]
    back, said = read(written)
    assert_same(back, masked_lm)
    assert not said
    encoder, said = read(written, encoder_only=True)
    assert_same(encoder, masked_lm.encoder_only())
    assert "left out decoder.bias, head.dense.weight" in said[0]
    huggingface.write(encoder, tmp_path / "encoder")
    assert_same(read(tmp_path / "encoder")[0], encoder)
    assert "layers.1.attn_norm.weight" in load_file(tmp_path / "encoder" / "model.safetensors")


def test_the_older_form_of_config_json(written, masked_lm):
    change_config(written, layer_types="none", rope_parameters="none", architectures="none")
    assert_same(read(written)[0], masked_lm)
    change_config(written, global_rope_theta="none", local_rope_theta="none")
    model = read(written)[0].config.model
    assert (model.rope_theta, model.local_rope_theta) == (160_000.0, 10_000.0)


def test_weights_come_without_a_tokenizer_that_is_none_of_ours(written, tmp_path):
    (written / "vocab.txt").unlink()
    content = json.loads((written / "tokenizer.json").read_text())
    content["model"] = {"type": "BPE", "vocab": {}, "merges": []}
    (written / "tokenizer.json").write_text(json.dumps(content))
    said = []
    conversion.convert(
        str(written), "huggingface", str(tmp_path / "out"), "electra_tf", say=said.append
    )
    assert "is no WordPiece tokenizer" in said[0] and "has no vocabulary" in said[1]
    assert model_directory.read(str(tmp_path / "out")).vocabulary is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model_type": "deberta-v2"}, "A DeBERTa cannot be converted: .*deberta-v2"),
        ({"model_type": "deberta"}, "A DeBERTa cannot be converted: .*deberta"),
        ({"hidden_activation": "silu"}, 'hidden_activation.*"gelu"'),
        ({"attention_bias": True}, "all true or all false"),
        ({"tie_word_embeddings": False}, "tie_word_embeddings"),
        ({"layer_types": ["sliding_attention"] * 3}, "full_attention at regular distances"),
        ({"rope_parameters": {"full_attention": {"rope_type": "yarn"}}}, "rope_type.*yarn"),
        ({"local_attention": 1}, "local_attention in .* must be at least 2"),
        ({"vocab_size": "many"}, "a number as vocab_size"),
        ({"num_attention_heads": 5}, "num_attention_heads in .* must divide hidden_size"),
    ],
)
def test_other_networks_are_refused(written, values, message):
    change_config(written, **values)
    with pytest.raises(UserError, match=message):
        read(written)


def test_heads_that_are_not_ours_are_refused(written):
    path = written / "model.safetensors"
    tensors = load_file(path)
    tensors["decoder.weight"] = tensors["model.embeddings.tok_embeddings.weight"] + 1
    save_file(tensors, path)
    with pytest.raises(UserError, match=r"decoder.weight must be the token table once more"):
        read(written)
    del tensors["decoder.weight"], tensors["decoder.bias"]
    tensors["classifier.weight"] = np.zeros((2, 48), np.float32)
    save_file(tensors, path)
    with pytest.raises(UserError, match=r"give --encoder_only .*classifier.weight"):
        conversion.convert(str(written), "huggingface", str(written) + "2", "electra_tf")
    assert read(written, encoder_only=True)[1]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"norm": "after"},
            "transformers has no such mixture. Received: block=modern .*norm=after",
        ),
        ({"block": "bert", "positions": "rotary"}, "block=bert with positions=rotary"),
        ({"token_types": "true"}, "token_types=true"),
        ({"embedding_size": 32}, "embedding_size equal to hidden_size.* Received: 32 and 48"),
    ],
)
def test_mixtures_are_refused(tiny_vocab_file, tmp_path, fields, message):
    model = random_electra(tiny_vocab_file, "embeddings", parts=(), **MODERN | fields)
    with pytest.raises(UserError, match=message):
        huggingface.write(model, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_only_other_formats_have_is_refused(tiny_vocab_file, tmp_path):
    model = random_electra(tiny_vocab_file, "embeddings", **MODERN)
    with pytest.raises(UserError, match="no class for replaced-token detection; --encoder_only"):
        huggingface.write(model, tmp_path / "out")
    with pytest.raises(UserError, match="must be bert with all its elements. .*positions=rotary"):
        google.write(model, str(tmp_path / "out"))


def test_longer_rows_may_be_allowed_where_no_table_ends(written, tiny_vocab_file, tmp_path):
    options = {"max_positions": 4096, "say": lambda line: None}
    conversion.convert(str(written), "huggingface", str(tmp_path / "out"), "electra_tf", **options)
    assert model_directory.read(str(tmp_path / "out")).config.model.max_positions == 4096
    model = random_electra(tiny_vocab_file, "embeddings")
    model_directory.write(model, str(tmp_path / "bert"))
    with pytest.raises(UserError, match="others have a table of 40. Received: 4096"):
        conversion.convert(
            str(tmp_path / "bert"), "electra_tf", str(tmp_path / "no"), "electra_tf", **options
        )


def config_of(data, steps, **fields) -> Config:
    config = Config()
    changes = tiny_runs.TINY | {
        "data.dir": data,
        "model.block": "modern",
        "model.num_layers": 2,
        "model.local_window": 4,
        "optimizer.schedule": "constant",
        "train.num_steps": steps,
        "train.checkpoint_steps": 15,
        "train.log_steps": 15,
        **fields,
    }
    for name, value in changes.items():
        section, field = name.split(".")
        setattr(getattr(config, section), field, value)
    return config


@pytest.mark.slow
def test_a_run_trains_and_resumes_exactly(data, tmp_path):
    pretrain(config_of(data, 30), str(tmp_path / "whole"))
    lines = tiny_runs.metrics(tmp_path / "whole", "train")
    assert lines[-1]["loss"] < lines[0]["loss"]
    pretrain(config_of(data, 15), str(tmp_path / "parts"))
    pretrain(config_of(data, 30), str(tmp_path / "parts"))
    one, other = (model_directory.read(str(tmp_path / name)) for name in ("whole", "parts"))
    assert one.step == other.step == 30
    for path, value in one.weights.items():
        assert value.tobytes() == other.weights[path].tobytes(), path


@pytest.mark.slow
def test_detection_goes_on_from_a_masked_lms_encoder(data, tmp_path):
    """As from published weights: its files come in, and a generator starts fresh beside it."""
    fields = {"objective.name": "mlm", "model.embedding_size": 32, "train.checkpoint_steps": 1}
    pretrain(config_of(data, 1, **fields), str(tmp_path / "mlm"))
    conversion.convert(str(tmp_path / "mlm"), "electra_tf", str(tmp_path / "hf"), "huggingface")
    conversion.convert(
        str(tmp_path / "hf"), "huggingface", str(tmp_path / "back"), "electra_tf", encoder_only=True
    )
    encoder = model_directory.read(str(tmp_path / "back"))
    config = config_of(data, 1, **{"optimizer.learning_rate": 1e-12})
    config.init_from = str(tmp_path / "back")
    pretrain(config, str(tmp_path / "run"))
    run = model_directory.read(str(tmp_path / "run"))
    assert run.config.model.elements() == encoder.config.model.elements()
    assert any(path.startswith("generator/") for path in run.weights)
    for path, value in encoder.weights.items():
        np.testing.assert_allclose(run.weights[path], value, atol=1e-6, err_msg=path)
