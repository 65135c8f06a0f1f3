"""`electra_tf convert`: every way between the formats, and what is refused."""

import sys

import numpy as np
import pytest
import tiny_runs

from electra_tf.config import Config
from electra_tf.conversion import FORMATS, convert
from electra_tf.objectives import build_objective
from electra_tf.saved import model_directory
from electra_tf.saved.model_directory import Pretrained
from electra_tf.text.vocabulary import Vocabulary

COMMAND = [sys.executable, "-m", "electra_tf", "convert"]


def quiet(*args, **kwargs):
    return convert(*args, say=lambda line: None, **kwargs)


@pytest.fixture(scope="module")
def models(tmp_path_factory, tiny_vocab_file):
    """Model directories of an Electra and a MaskedLM with random weights."""
    root = tmp_path_factory.mktemp("models")
    vocabulary = Vocabulary.from_file(tiny_vocab_file)
    for name in ("electra", "mlm"):
        config = Config()
        config.objective.name = name
        config.data.lower_case = config.data.strip_accents = False
        config.model.vocab_size, config.model.num_layers = len(vocabulary) + 3, 2
        config.model.hidden_size, config.model.embedding_size, config.model.num_heads = 48, 24, 3
        config.model.intermediate_size, config.generator.hidden_fraction = 80, 1 / 3
        weights = {
            variable.path: np.asarray(variable.value)
            for variable in build_objective(config).new_model(seed=3).trainable_variables
        }
        model_directory.write(Pretrained(config, weights, vocabulary, step=40), str(root / name))
    return root


@pytest.mark.parametrize("name", ["electra", "mlm"])
def test_around_through_all_formats_is_bitwise_the_same(models, tmp_path, name):
    place, its_format = str(models / name), "electra_tf"
    for number, other in enumerate(
        ["google", "electra_tf", "huggingface", "google", "huggingface", "electra_tf"]
    ):
        output = str(tmp_path / f"{number}_{other}")
        quiet(place, its_format, output, other)
        place, its_format = output, other
    before, after = model_directory.read(str(models / name)), model_directory.read(place)
    assert after.weights.keys() == before.weights.keys()
    for path, value in before.weights.items():
        np.testing.assert_array_equal(after.weights[path], value, err_msg=path)
    assert after.vocabulary.tokens == before.vocabulary.tokens
    if name == "electra":
        assert after.config.generator_model() == before.config.generator_model()
    assert (after.config.model, after.config.data) == (before.config.model, before.config.data)


@pytest.mark.parametrize("output_format", FORMATS)
def test_the_encoder_of_any_model(models, tmp_path, output_format):
    for name in ("electra", "mlm"):
        output = str(tmp_path / name)
        quiet(str(models / name), "electra_tf", output, output_format, encoder_only=True)
        read = quiet(output, output_format, str(tmp_path / f"{name}_back"), "electra_tf")
        former = model_directory.read(str(models / name)).encoder_only()
        assert {path.split("/")[0] for path in read.weights} == {"embeddings", "discriminator"}
        for path, value in former.weights.items():
            np.testing.assert_array_equal(read.weights[path], value, err_msg=path)


def test_the_command(models, tmp_path):
    output = tmp_path / "out"
    printed = tiny_runs.run(
        [
            *COMMAND,
            f"--input={models / 'electra'}",
            "--input_format=electra_tf",
            f"--output={output}",
            "--output_format=google",
        ]
    ).stdout
    assert "discriminator and generator; 2 layers, hidden 48, 3 heads" in printed
    assert "step 40" in printed
    refused = tiny_runs.run(
        [*COMMAND, f"--input={output}", "--input_format=google", f"--output={output}"], code=1
    ).stderr
    assert refused.splitlines()[-1] == (
        "error: The output must leave the inputs alone. "
        f"Received: {output}; it is the input {output}"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda weights: weights.pop("discriminator_head/logit/bias"),
            r"1 missing: discriminator_head/logit/bias \[1\]",
        ),
        (lambda weights: weights.update(more=np.zeros(3, np.float32)), r"1 extra: more \[3\]"),
        (
            lambda weights: weights.update({"embeddings/segments": np.zeros((2, 23), np.float32)}),
            r"1 of another shape: embeddings/segments \[2, 23\] instead of \[2, 24\]",
        ),
    ],
)
def test_tensors_that_do_not_fit_are_listed(models, tmp_path, change, message):
    pretrained = model_directory.read(str(models / "electra"))
    change(pretrained.weights)
    source = str(tmp_path / "source")
    model_directory.write(pretrained, source)
    for output_format in FORMATS:
        with pytest.raises(ValueError, match=message):
            quiet(source, "electra_tf", str(tmp_path / "output"), output_format)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]


def test_a_damaged_checkpoint_writes_nothing(models, tmp_path):
    quiet(str(models / "electra"), "electra_tf", str(tmp_path / "source"), "electra_tf")
    (data,) = (tmp_path / "source" / "checkpoints").glob("*.data-*")
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 4
    for damaged in (bytes(content), bytes(content[:1000])):
        data.write_bytes(damaged)
        with pytest.raises(ValueError, match="A checkpoint must be complete and readable"):
            quiet(str(tmp_path / "source"), "electra_tf", str(tmp_path / "output"), "google")
    assert not (tmp_path / "output").exists()


def test_another_vocabulary(models, tmp_path, tiny_vocab_file):
    larger = tmp_path / "vocab.txt"
    text = tiny_vocab_file.read_text(encoding="utf-8")
    larger.write_text(text + "uno\ndue\ntre\nquattro\n", encoding="utf-8")
    with pytest.raises(ValueError, match="at most as many tokens as the model"):
        quiet(
            str(models / "electra"),
            "electra_tf",
            str(tmp_path / "out"),
            "google",
            vocab=str(larger),
        )
    larger.write_text(text + "uno\ndue\ntre\n", encoding="utf-8")
    read = quiet(
        str(models / "electra"),
        "electra_tf",
        str(tmp_path / "out"),
        "huggingface",
        vocab=str(larger),
        lower_case=True,
    )
    assert read.vocabulary.tokens[-1] == "tre" and read.config.data.strip_accents
