"""ModernBERT against Hugging Face's transformers on PyTorch, in an environment of its own."""

import json
import os
import pathlib
import subprocess

import numpy as np
import pytest
import tensorflow as tf
from random_models import assert_same, random_electra
from safetensors.numpy import load_file

from electra_tf import conversion
from electra_tf.conversion import huggingface
from electra_tf.saved import model_directory

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOLERANCE = 1e-4
SCALE = 0.15  # of weights: scores of about 1, as in trained models; larger ones blow rounding up
OURS = {
    "block": "modern",
    "embedding_size": 48,
    "num_layers": 5,
    "max_positions": 2048,
    "local_window": 128,
}
THEIRS = {
    "vocab_size": 99,
    "hidden_size": 48,
    "num_hidden_layers": 5,
    "num_attention_heads": 4,
    "intermediate_size": 72,
    "max_position_embeddings": 2048,
    "norm_eps": 1e-3,
    "pad_token_id": 0,
    **dict.fromkeys([f"{name}_token_id" for name in ("bos", "eos", "cls", "sep")]),
}
OTHERS = {
    "every layer is global": {"layer_types": ["full_attention"] * 5},
    "every second is": {"global_attn_every_n_layers": 2, "local_attention": 21},
    "biases": dict.fromkeys(["attention_bias", "mlp_bias", "norm_bias", "classifier_bias"], True),
}
LENGTHS = {128: [128, 77, 5], 1024: [1024, 700]}

pytestmark = pytest.mark.slow


def inputs_of(vocab_size, length):
    mask = np.arange(length) < np.array(LENGTHS[length])[:, None]
    ids = np.random.default_rng(length).integers(0, vocab_size, mask.shape) * mask
    return {"input_ids": ids, "attention_mask": mask}


def our_outputs(pretrained, inputs):
    """Last hidden states and, of a masked LM, logits."""
    model = pretrained.network()
    batch = {
        "input_ids": tf.constant(inputs["input_ids"], tf.int32),
        "input_mask": tf.constant(inputs["attention_mask"], tf.int32),
        "segment_ids": tf.zeros(inputs["input_ids"].shape, tf.int32),
    }
    if pretrained.config.objective.name != "mlm":
        return {"hidden": model.discriminator(batch).numpy()}
    hidden, shape = model.encoder(batch), inputs["input_ids"].shape
    everywhere = tf.tile(tf.range(shape[1])[None], (shape[0], 1))
    logits = tf.reshape(model.head(hidden, everywhere), (*shape, -1))
    return {"hidden": hidden.numpy(), "logits": logits.numpy()}


@pytest.fixture(scope="module")
def folder(interop_python, tmp_path_factory, tiny_vocab_file):
    """Models of both sides, with what transformers computes: all of it in one process."""
    folder = tmp_path_factory.mktemp("modernbert")
    parts = {"mlm": (), "electra": ()}
    sizes = {}
    for objective in parts:
        model = random_electra(tiny_vocab_file, "embeddings", objective, (), **OURS)
        for path, value in model.weights.items():
            value *= 1.0 if path.endswith("/gamma") else np.float32(SCALE / 0.3)
        huggingface.write(model, folder / f"our {objective}")
        model_directory.write(model, str(folder / f"kept {objective}"))
        sizes[f"our {objective}"] = model.config.model.vocab_size
    tasks = [
        ("their mlm", "ModernBertForMaskedLM", {}),
        ("their encoder", "ModernBertModel", {}),
        *((name, "ModernBertForMaskedLM", changes) for name, changes in OTHERS.items()),
    ]
    tasks = [
        [
            "make",
            {
                "directory": folder / name,
                "architecture": architecture,
                "config": THEIRS | changes,
                "config_class": "ModernBertConfig",
                "scale": SCALE,
            },
        ]
        for name, architecture, changes in tasks
    ]
    sizes |= {task[1]["directory"].name: THEIRS["vocab_size"] for task in tasks}
    for name, vocab_size in sizes.items():
        loaders = {"hidden": "AutoModel", "logits": "AutoModelForMaskedLM"}
        if "encoder" in name or "electra" in name:
            del loaders["logits"]
        for length in LENGTHS:
            inputs = folder / f"inputs {vocab_size} {length}.npz"
            np.savez(inputs, **inputs_of(vocab_size, length))
            tasks += [
                [
                    "compute",
                    {
                        "directory": folder / name,
                        "loader": loader,
                        "inputs": inputs,
                        "output": folder / f"{name} {length} {output}.npz",
                    },
                ]
                for output, loader in loaders.items()
            ]
    (folder / "tasks.json").write_text(json.dumps(tasks, default=str))
    result = subprocess.run(
        [interop_python, "tests/integration/transformers_programs.py", folder / "tasks.json"],
        cwd=ROOT,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert result.returncode == 0, result.stderr
    return folder


def assert_agree(folder, name, pretrained, length):
    inputs = inputs_of(pretrained.config.model.vocab_size, length)
    mask = inputs["attention_mask"]
    for output, ours in our_outputs(pretrained, inputs).items():
        theirs = np.load(folder / f"{name} {length} {output}.npz")
        assert not theirs["missing"].size
        assert ours[mask].std() > 0.3, "of a size at which an error is seen"
        difference = np.abs(ours - theirs[output])[mask].max()
        print(f"{name}, {length} tokens, {output}: {difference:.1e}")
        assert difference < TOLERANCE


def read(directory, **options):
    return huggingface.read(str(directory), say=lambda line: None, **options).check("the test")


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("objective", ["mlm", "electra"])
def test_what_we_write_computes_the_same_there(folder, objective, length):
    kept = model_directory.read(str(folder / f"kept {objective}"))
    assert_agree(folder, f"our {objective}", kept, length)
    assert_same(read(folder / f"our {objective}"), kept)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("name", ["their mlm", "their encoder", *OTHERS])
def test_what_they_write_computes_the_same_here(folder, name, length):
    assert_agree(folder, name, read(folder / name), length)


@pytest.mark.parametrize("name", ["their mlm", "their encoder", *OTHERS])
def test_their_tensors_come_back_bit_by_bit(folder, name, tmp_path):
    conversion.convert(str(folder / name), "huggingface", str(tmp_path / "ours"), "electra_tf")
    conversion.convert(str(tmp_path / "ours"), "electra_tf", str(tmp_path / "back"), "huggingface")
    first, second = (
        load_file(path / "model.safetensors") for path in (folder / name, tmp_path / "back")
    )
    first.pop("decoder.weight", None)  # tied
    assert first.keys() == second.keys()
    for key, tensor in first.items():
        assert tensor.dtype == second[key].dtype and tensor.tobytes() == second[key].tobytes(), key
    configs = [
        json.loads((path / "config.json").read_text())
        for path in (folder / name, tmp_path / "back")
    ]
    for key in ("layer_types", "rope_parameters", "norm_eps", "attention_bias", "architectures"):
        assert configs[0][key] == configs[1][key]


def test_documents_packed_into_a_row_are_what_transformers_computes_of_each(folder):
    """Rows of 128 tokens, one after the other, with padding between and behind them."""
    pretrained = read(folder / "their mlm")
    inputs, lengths = inputs_of(THEIRS["vocab_size"], 128), LENGTHS[128]
    ids = np.concatenate([row[:length] for row, length in zip(inputs["input_ids"], lengths)])
    documents = np.repeat([1, 2, 3], lengths)
    batch = {
        "input_ids": np.append(ids, [0] * 9)[None],
        "input_mask": np.append(documents > 0, [0] * 9)[None],
        "document_ids": np.append(documents, [0] * 9)[None],
    }
    batch["segment_ids"] = np.zeros_like(batch["input_ids"])
    batch = {name: tf.constant(value, tf.int32) for name, value in batch.items()}
    hidden = pretrained.network().encoder(batch)[0].numpy()
    theirs = np.load(folder / "their mlm 128 hidden.npz")["hidden"]
    for number, (row, length) in enumerate(zip(theirs, lengths)):
        packed = hidden[: len(documents)][documents == number + 1]
        np.testing.assert_allclose(packed, row[:length], atol=TOLERANCE)
