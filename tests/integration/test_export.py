"""Export of a tiny discriminator, loaded where there is only TensorFlow and tensorflow_text."""

import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest

from tests.integration.tiny_runs import ROOT, TIME_LIMIT

TEXTS = [
    "",
    "the model",
    "Über naïve models, trained on 日本 texts!",
    "\x00\x07 \t",
    "(the)",
    "one two three. " * 30,
    "a",
    "[MASK] [SEP] unknownness",
]
# What a server does: no Keras, nothing of this project.
READER = """
import json, sys
import numpy as np, tensorflow as tf, tensorflow_text
texts = json.load(open(sys.argv[2]))
signatures = tf.saved_model.load(sys.argv[1]).signatures
outputs = signatures["serving_default"](text=tf.constant(texts, tf.string))
arrays = {name: value.numpy() for name, value in outputs.items()}
ids = signatures["detect_replaced_ids"](
    input_ids=outputs["token_ids"], input_mask=outputs["mask"],
    segment_ids=tf.zeros_like(outputs["mask"]))
arrays["logits"] = ids["logits"].numpy()
empty = signatures["detect_replaced"](text=tf.constant([], tf.string))
arrays["empty"] = np.array([value.shape[0] for value in empty.values()])
invalid = signatures["detect_replaced"](text=tf.constant([b"the\\xff mo\\xc3del", "the model"]))
arrays["invalid"] = invalid["token_ids"].numpy()
encoded = signatures["encode"](text=tf.constant(texts, tf.string))
arrays |= {f"encode/{name}": value.numpy() for name, value in encoded.items()}
filled = signatures["fill_mask"](text=tf.constant(["the [MASK]", "[MASK] [MASK]"]))
arrays |= {f"fill_mask/{name}": value.numpy() for name, value in filled.items()}
np.savez(sys.argv[3], **arrays)
assert not {name for name in sys.modules if name.split(".")[0] in ("electra_tf", "export")}
"""


@pytest.fixture(scope="module")
def workdir(tmp_path_factory, tiny_vocab_file):
    """A run with random weights, larger than a run's first ones, so that outputs differ."""
    import tensorflow as tf

    from electra_tf.config import Config, GeneratorConfig, ModelConfig
    from electra_tf.objectives import build_objective

    directory = tmp_path_factory.mktemp("run")
    vocab = tiny_vocab_file.read_text(encoding="utf-8")
    (directory / "vocab.txt").write_text(vocab, encoding="utf-8")
    config = Config(
        model=ModelConfig(
            vocab_size=len(vocab.splitlines()),
            hidden_size=32,
            num_layers=2,
            num_heads=2,
            intermediate_size=64,
            embedding_size=16,
            max_positions=24,
            initializer_range=0.5,
        ),
        generator=GeneratorConfig(hidden_fraction=0.5),
    )
    config.validate()
    (directory / "config.json").write_text(config.to_json())
    model = build_objective(config).new_model(seed=1)
    weights = {f"weights/{variable.path}": variable.value for variable in model.trainable_variables}
    checkpoint = tf.train.Checkpoint(variables=weights | {"step": tf.Variable(7, dtype=tf.int64)})
    tf.train.CheckpointManager(checkpoint, str(directory / "checkpoints"), 1).save(7)
    return directory


@pytest.fixture(scope="module")
def serving(workdir):
    from electra_tf.serving.bundle import export_run

    directory = workdir / "serving"
    assert export_run(
        str(workdir), str(directory), include_generator=True, command="as a test does"
    ) == str(directory / "1")
    return directory


@pytest.fixture(scope="module")
def answers(serving, tmp_path_factory):
    """Outputs by name of both signatures for TEXTS, from a process of its own."""
    folder = tmp_path_factory.mktemp("answers")
    (folder / "texts.json").write_text(json.dumps(TEXTS))
    subprocess.run(
        [
            sys.executable,
            "-c",
            READER,
            serving / "1",
            folder / "texts.json",
            folder / "answers.npz",
        ],
        check=True,
        cwd=folder,
        timeout=TIME_LIMIT,
    )
    with np.load(folder / "answers.npz", allow_pickle=True) as arrays:
        return dict(arrays)


def test_probabilities_are_the_keras_models(workdir, answers):
    import electra_tf

    model = electra_tf.load(str(workdir))
    vocabulary, longest = model.tokenizer.vocabulary, model.config.model.max_positions
    seen = []
    for row, ids in enumerate(model.tokenizer.tokenize(TEXTS)):
        ids = [vocabulary.cls_id, *ids[: longest - 2], vocabulary.sep_id]
        one = np.array([ids], np.int32)
        logits = np.asarray(
            model(
                {
                    "input_ids": one,
                    "input_mask": np.ones_like(one),
                    "segment_ids": np.zeros_like(one),
                }
            )
        )[0]
        length = len(ids)
        assert answers["token_ids"][row, :length].tolist() == ids
        assert answers["mask"][row].tolist() == [1] * length + [0] * (
            answers["mask"].shape[1] - length
        )
        expected = 1 / (1 + np.exp(-logits))
        np.testing.assert_allclose(
            answers["replaced_probability"][row, :length], expected, atol=1e-5
        )
        np.testing.assert_allclose(answers["logits"][row, :length], logits, atol=1e-4)
        hidden = np.asarray(
            model.discriminator(
                {
                    "input_ids": one,
                    "input_mask": np.ones_like(one),
                    "segment_ids": np.zeros_like(one),
                }
            )
        )[0]
        np.testing.assert_allclose(
            answers["encode/sequence_output"][row, :length], hidden, atol=1e-4
        )
        np.testing.assert_allclose(answers["encode/pooled_output"][row], hidden[0], atol=1e-4)
        assert not answers["replaced_probability"][row, length:].any()
        seen.extend(expected)
    assert np.std(seen) > 0.01  # the comparison means something
    assert answers["mask"].shape[1] == longest  # the longest text was cut


def test_tokens_and_offsets_name_words_of_the_text(answers):
    row = 2
    text = TEXTS[row].encode()
    words, tokens = [], []
    for token, start, end in zip(
        answers["tokens"][row], answers["start_offset"][row], answers["end_offset"][row]
    ):
        tokens.append(token.decode())
        if end and (start, end) not in words:
            words.append((start, end))
    assert tokens[0] == "[CLS]" and tokens[answers["mask"][row].sum() - 1] == "[SEP]"
    assert [text[start:end].decode() for start, end in words] == [
        "Über",
        "naïve",
        "models",
        ",",
        "trained",
        "on",
        "日",
        "本",
        "texts",
        "!",
    ]
    outside = (answers["mask"] == 0) | np.isin(answers["tokens"], [b"[CLS]", b"[SEP]"])
    assert not answers["start_offset"][outside].any() and not answers["end_offset"][outside].any()


def test_empty_batch_and_invalid_bytes_have_answers(answers):
    assert answers["empty"].tolist() == [0] * 6
    assert answers["invalid"][0].tolist() == answers["invalid"][1].tolist()


def test_fill_mask_is_served(answers):
    assert answers["fill_mask/mask"].tolist() == [[1, 0], [1, 1]]
    assert answers["fill_mask/positions"].tolist() == [[2, 0], [1, 2]]
    probabilities = answers["fill_mask/probabilities"]
    assert (np.diff(probabilities) <= 0).all() and 0 < probabilities[0, 0].sum() <= 1
    assert len(set(answers["fill_mask/tokens"][0, 0])) == 5


def test_model_card_says_what_was_exported(workdir, serving):
    card = json.loads((serving / "1" / "model_card.json").read_text())
    vocabulary = (workdir / "vocab.txt").read_bytes()
    assert card["vocabulary"]["sha256"] == hashlib.sha256(vocabulary).hexdigest()
    assert card["vocabulary"]["size"] == len(vocabulary.splitlines())
    assert (serving / "1" / "assets" / "vocab.txt").read_bytes() == vocabulary
    assert card["config"] == json.loads((workdir / "config.json").read_text())
    assert (card["step"], card["max_seq_length"], card["precision"]) == (7, 24, "float32")
    assert card["export_command"] == "as a test does" and card["metrics"] is None
    assert set(card["signatures"]) == {
        "serving_default",
        "detect_replaced",
        "detect_replaced_ids",
        "encode",
        "fill_mask",
        "score",
    }
    assert card["signatures"]["fill_mask"]["outputs"]["tokens"] == {
        "dtype": "string",
        "shape": [None, None, 5],
    }
    assert card["signatures"]["encode"] == {
        "method": "predict",
        "inputs": {"text": {"dtype": "string", "shape": [None]}},
        "outputs": {
            "sequence_output": {"dtype": "float32", "shape": [None, None, 32]},
            "pooled_output": {"dtype": "float32", "shape": [None, 32]},
            "mask": {"dtype": "int32", "shape": [None, None]},
        },
    }


def test_warmup_asks_every_signature(serving):
    import tensorflow as tf

    from electra_tf.serving import warmup

    requests = [log.predict_log.request for log in warmup.read(str(serving / "1"))]
    served = tf.saved_model.load(str(serving / "1")).signatures
    assert {request.model_spec.signature_name for request in requests} == set(served)
    for request in requests:
        outputs = served[request.model_spec.signature_name](
            **{
                name: tf.constant(tf.make_ndarray(tensor))
                for name, tensor in request.inputs.items()
            }
        )
        assert all(
            np.isfinite(value.numpy()).all()
            for value in outputs.values()
            if value.dtype == tf.float32
        )
        if request.model_spec.signature_name == "fill_mask":
            assert outputs["mask"].numpy().all()


def _export(*flags):
    result = subprocess.run(
        [sys.executable, "-m", "electra_tf", "export", *flags],
        text=True,
        capture_output=True,
        cwd=ROOT,
        timeout=TIME_LIMIT,
    )
    return result.returncode, result.stdout, result.stderr.strip()


def test_commands_and_their_errors(workdir, serving, tmp_path):
    code, out, _ = _export(
        f"--model={workdir}",
        f"--output={tmp_path / 'out'}",
        "--max_seq_length=8",
        "--precision=bfloat16",
    )
    assert code == 0 and str(tmp_path / "out" / "1") in out
    assert "encode (text), score (text), serving_default (text)" in out and "fill_mask" not in out
    card = json.loads((tmp_path / "out" / "1" / "model_card.json").read_text())
    assert (card["max_seq_length"], card["precision"]) == (8, "bfloat16")
    assert card["export_command"].startswith(f"electra_tf export --model={workdir} ")
    code, _, error = _export(f"--model={tmp_path}", f"--output={tmp_path / 'none'}")
    assert code == 1 and "config.json" in error and "\n" not in error
    assert not (tmp_path / "none").exists()


def test_show_replaced_is_plain_outside_of_a_terminal(serving):
    code = (
        "import sys; from absl import flags; from export import show_replaced; "
        "show_replaced.main(flags.FLAGS(sys.argv)); "
        "assert not {'electra_tf.models', 'electra_tf.text'} & sys.modules.keys()"
    )
    result = subprocess.run(
        [
            sys.executable,
            "-c",
            code,
            str(serving / "1"),
            "the model has words",
            "the model => the data",
            "--threshold=0.01",
        ],
        text=True,
        capture_output=True,
        cwd=ROOT,
        timeout=TIME_LIMIT,
        check=True,
    )
    lines = result.stdout.splitlines()
    assert "\x1b" not in result.stdout
    assert lines[0].startswith("the[0.") and lines[0].count("[0.") + lines[0].count("[1.") == 4
    assert "model (" in lines[2] and "-> data (" in lines[2] and "of 2" in lines[2]
    assert "swapped words" in lines[3]
