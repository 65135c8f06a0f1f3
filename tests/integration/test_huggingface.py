"""Conversion against Hugging Face's transformers on PyTorch, in an environment of its own."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from random_models import GENERATORS, random_electra
from scipy import special

from electra_tf import Tokenizer, conversion
from electra_tf.conversion import huggingface
from electra_tf.runs import prediction
from electra_tf.saved import model_directory
from electra_tf.saved.model_directory import Pretrained

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOLERANCE = 1e-4
# Directory below the fixture's, and what loads it there.
OURS = [(sharing, "AutoModelForPreTraining") for sharing in GENERATORS]
OURS += [(f"{sharing}/generator", "AutoModelForMaskedLM") for sharing in GENERATORS]
OURS += [("encoder", "AutoModel"), ("mlm", "AutoModelForMaskedLM")]
THEIR_SIZES = {
    "vocab_size": 99,
    "hidden_size": 40,
    "embedding_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 5,
    "intermediate_size": 72,
    "max_position_embeddings": 40,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-3,
}
THEIR_GENERATOR = THEIR_SIZES | {
    "hidden_size": 32,
    "embedding_size": 24,
    "intermediate_size": 128,
    "num_attention_heads": 4,
    "num_hidden_layers": 1,
}
FINE_TUNED = [
    "SequenceClassification",
    "TokenClassification",
    "QuestionAnswering",
    "MultipleChoice",
]
TEXTS = [
    "The models were trained, and trained again!",
    "",
    "naïve café: Ünïcödé Ἀθῆναι",
    "data\tin\u00a0the   network\u200b \ufffd(x)",
    "我们 trained 中文 models",
    "x" * 150,
    "x" * 201,
    "she'll pay $5 ^_^ `so` ~ it's 1/2",
]

WORDS = "the model was trained on words tokens small text of large data network he had not".split()
SENTENCES = [
    " ".join(np.random.default_rng(number).choice(WORDS, 1 + number % 9)) for number in range(40)
]
FINE_TUNED_HERE = [
    ("classes", "ElectraForSequenceClassification", ["yes, really", "no", "maybe", "[1]", "x"]),
    ("number", "ElectraForSequenceClassification", ["score"]),
    ("tags", "ElectraForTokenClassification", ["O", "B-X", "I-X"]),
]

pytestmark = pytest.mark.slow


def run_transformers(python, tasks, folder):
    (folder / "tasks.json").write_text(json.dumps(tasks, default=str))
    run(python, ROOT / "tests/integration/transformers_programs.py", folder / "tasks.json")


def run(*command, paths=()):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))}
    result = subprocess.run(
        [*map(str, command)], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def random_inputs(vocab_size):
    """Ids with padding at the end of three rows and two segments, by transformers' names."""
    random, lengths = np.random.default_rng(3), np.array([[23], [17], [5], [11]])
    positions = np.arange(23)[None]
    mask = positions < lengths
    return {
        "input_ids": random.integers(0, vocab_size, (4, 23)) * mask,
        "attention_mask": mask,
        "token_type_ids": (positions > lengths // 3) & mask,
    }


def our_outputs(pretrained: Pretrained, directory, inputs):
    """Hidden states and logits of every network of a model directory, by network."""
    model_directory.write(pretrained, str(directory))
    model = model_directory.load_network(str(directory))
    batch = {
        ours: tf.constant(inputs[theirs], tf.int32)
        for ours, theirs in (
            ("input_ids", "input_ids"),
            ("input_mask", "attention_mask"),
            ("segment_ids", "token_type_ids"),
        )
    }
    shape = batch["input_ids"].shape
    everywhere = tf.tile(tf.range(shape[1])[None], (shape[0], 1))

    def masked_lm(encoder, head):
        hidden = encoder(batch)
        return {"hidden": hidden, "logits": tf.reshape(head(hidden, everywhere), (*shape, -1))}

    if pretrained.config.objective.name == "mlm":
        return {"main": masked_lm(model.encoder, model.head)}
    outputs = {"main": {"hidden": model.discriminator(batch)}}
    if model.discriminator_head is not None:
        outputs["main"]["logits"] = model(batch)
    if model.generator is not None:
        outputs["generator"] = masked_lm(model.generator, model.generator_head)
    return outputs


def assert_agree(ours, theirs):
    for name, value in ours.items():
        value = np.asarray(value)
        assert value.std() > 0.3, f"{name} must be of a size at which an error is seen"
        np.testing.assert_allclose(theirs[name], value, atol=TOLERANCE, rtol=0, err_msg=name)


@pytest.fixture(scope="module")
def folder(interop_python, tmp_path_factory, tiny_vocab_file) -> pathlib.Path:
    """Models of both sides, with what transformers computes: all of it in one process."""
    folder = tmp_path_factory.mktemp("huggingface")
    models = {sharing: random_electra(tiny_vocab_file, sharing) for sharing in GENERATORS}
    models["encoder"] = random_electra(tiny_vocab_file, "all", parts=())
    models["mlm"] = random_electra(tiny_vocab_file, "embeddings", "mlm")
    models["mlm"].config.data.lower_case = models["mlm"].config.data.strip_accents = False
    for name, model in models.items():
        huggingface.write(model, folder / name)
    vocab_size = models["none"].config.model.vocab_size
    np.savez(folder / "our_inputs.npz", **random_inputs(vocab_size))
    np.savez(folder / "their_inputs.npz", **random_inputs(THEIR_SIZES["vocab_size"]))

    tasks = [
        [
            "make",
            {
                "directory": folder / "theirs",
                "architecture": "ElectraForPreTraining",
                "config": THEIR_SIZES,
            },
        ],
        [
            "make",
            {
                "directory": folder / "theirs/generator",
                "architecture": "ElectraForMaskedLM",
                "config": THEIR_GENERATOR,
            },
        ],
        [
            "make",
            {
                "directory": folder / "pickle",
                "architecture": "ElectraForMaskedLM",
                "config": THEIR_GENERATOR,
                "old_pickle": True,
            },
        ],
    ]
    tasks += [
        [
            "make",
            {
                "directory": folder / name,
                "architecture": f"ElectraFor{name}",
                "config": THEIR_SIZES,
            },
        ]
        for name in FINE_TUNED
    ]
    batch = Tokenizer(tiny_vocab_file).batch(SENTENCES)
    np.savez(
        folder / "sentences.npz",
        input_ids=batch["input_ids"],
        attention_mask=batch["input_mask"],
        token_type_ids=batch["segment_ids"],
    )
    for name, architecture, labels in FINE_TUNED_HERE:
        config = THEIR_SIZES | {
            "vocab_size": vocab_size,
            "id2label": dict(enumerate(labels)),
            "label2id": {label: number for number, label in enumerate(labels)},
        }
        tasks += [
            ["make", {"directory": folder / name, "architecture": architecture, "config": config}],
            [
                "compute",
                {
                    "directory": folder / name,
                    "loader": architecture,
                    "inputs": folder / "sentences.npz",
                    "output": folder / name / "outputs.npz",
                },
            ],
        ]
    loads = [
        *OURS,
        ("theirs", "ElectraForPreTraining"),
        ("pickle", "ElectraForMaskedLM"),
        ("theirs/generator", "ElectraForMaskedLM"),
        (FINE_TUNED[0], "ElectraModel"),
    ]
    tasks += [
        [
            "compute",
            {
                "directory": folder / name,
                "loader": loader,
                "inputs": folder / f"{'our' if (name, loader) in OURS else 'their'}_inputs.npz",
                "output": folder / name / "outputs.npz",
            },
        ]
        for name, loader in loads
    ]
    tasks += [
        [
            "tokenize",
            {
                "directory": folder / name,
                "texts": TEXTS,
                "pairs": TEXTS[::-1],
                "output": folder / name / "tokens.json",
            },
        ]
        for name in ("none", "mlm")
    ]
    tasks += [
        [
            "fill_mask",
            {
                "directory": folder / "none/generator",
                "output": folder / "mask.json",
                "text": "the [MASK] words",
            },
        ]
    ]
    run_transformers(interop_python, tasks, folder)
    return folder


@pytest.mark.parametrize("sharing", GENERATORS)
def test_ours_in_transformers(folder, tmp_path, tiny_vocab_file, sharing):
    ours = our_outputs(
        random_electra(tiny_vocab_file, sharing),
        tmp_path / "model",
        np.load(folder / "our_inputs.npz"),
    )
    for network, name, architecture in (
        ("main", sharing, "ElectraForPreTraining"),
        ("generator", f"{sharing}/generator", "ElectraForMaskedLM"),
    ):
        theirs = np.load(folder / name / "outputs.npz")
        assert not theirs["missing"].size and not theirs["unexpected"].size
        assert theirs["architecture"] == architecture
        assert_agree(ours[network], theirs)


@pytest.mark.parametrize(
    ("name", "arguments"), [("encoder", ("all", "electra", ())), ("mlm", ("embeddings", "mlm"))]
)
def test_our_single_networks_in_transformers(folder, tmp_path, tiny_vocab_file, name, arguments):
    ours = our_outputs(
        random_electra(tiny_vocab_file, *arguments),
        tmp_path / "model",
        np.load(folder / "our_inputs.npz"),
    )
    theirs = np.load(folder / name / "outputs.npz")
    assert not theirs["missing"].size and not theirs["unexpected"].size
    assert_agree(ours["main"], theirs)


def test_theirs_here(folder, tmp_path):
    pretrained = huggingface.read(str(folder / "theirs")).check("theirs")
    assert pretrained.config.model.sharing == "none"
    ours = our_outputs(pretrained, tmp_path / "model", np.load(folder / "their_inputs.npz"))
    assert_agree(ours["main"], np.load(folder / "theirs/outputs.npz"))
    assert_agree(ours["generator"], np.load(folder / "theirs/generator/outputs.npz"))


def test_the_encoder_of_a_fine_tuned_model(folder, tmp_path):
    said = []
    pretrained = huggingface.read(str(folder / FINE_TUNED[0]), encoder_only=True, say=said.append)
    assert "left out classifier.dense.bias" in said[0]
    ours = our_outputs(
        pretrained.check("theirs"), tmp_path / "model", np.load(folder / "their_inputs.npz")
    )
    assert_agree(ours["main"], np.load(folder / FINE_TUNED[0] / "outputs.npz"))


def predict(folder, tmp_path, vocab_file, name, records):
    """Answers of `electra_tf predict` with a converted model, for each record."""
    conversion.convert(
        str(folder / name),
        "huggingface",
        str(tmp_path / "model"),
        "electra_tf",
        vocab=str(vocab_file),
        lower_case=True,
        say=lambda line: None,
    )
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    assert prediction.predict(
        *(str(tmp_path / file) for file in ("model", "in.jsonl", "out.jsonl"))
    ) == len(records)
    return [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]


def test_a_fine_tuned_classifier_predicts_the_same_classes(folder, tmp_path, tiny_vocab_file):
    answers = predict(
        folder, tmp_path, tiny_vocab_file, "classes", [{"text": sentence} for sentence in SENTENCES]
    )
    logits = np.load(folder / "classes/outputs.npz")["logits"]
    labels = FINE_TUNED_HERE[0][2]
    assert [answer["label"] for answer in answers] == [labels[row.argmax()] for row in logits]
    assert len({answer["label"] for answer in answers}) > 1
    for answer, expected in zip(answers, special.softmax(logits, -1), strict=True):
        np.testing.assert_allclose(
            [answer["probabilities"][label] for label in labels], expected, atol=TOLERANCE
        )


def test_a_fine_tuned_regression_predicts_the_same_numbers(folder, tmp_path, tiny_vocab_file):
    answers = predict(
        folder, tmp_path, tiny_vocab_file, "number", [{"text": sentence} for sentence in SENTENCES]
    )
    np.testing.assert_allclose(
        [answer["score"] for answer in answers],
        np.load(folder / "number/outputs.npz")["logits"][:, 0],
        atol=TOLERANCE,
    )


def test_a_fine_tuned_tagger_predicts_the_same_tags(folder, tmp_path, tiny_vocab_file):
    answers = predict(
        folder,
        tmp_path,
        tiny_vocab_file,
        "tags",
        [{"words": sentence.split()} for sentence in SENTENCES],
    )
    best = np.load(folder / "tags/outputs.npz")["logits"].argmax(-1)
    tokenizer, labels = Tokenizer(tiny_vocab_file), FINE_TUNED_HERE[2][2]
    for answer, row, sentence in zip(answers, best, SENTENCES, strict=True):
        pieces = [len(ids) for ids in tokenizer.tokenize(sentence.split())]
        starts = 1 + np.cumsum([0, *pieces[:-1]])
        assert answer["tags"] == [labels[row[start]] for start in starts]
    assert len({tag for answer in answers for tag in answer["tags"]}) > 1


@pytest.mark.parametrize("name", FINE_TUNED)
def test_a_fine_tuned_head_is_refused_by_name(folder, name):
    with pytest.raises(ValueError, match=rf"--encoder_only .*ElectraFor{name} with \w+\..*weight"):
        huggingface.read(str(folder / name))


def test_a_pickle_of_an_older_version(folder, interop_python, tmp_path):
    libraries = run(
        interop_python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"
    ).strip()
    printed = run(
        sys.executable,
        "-m",
        "electra_tf",
        "convert",
        f"--input={folder / 'pickle'}",
        "--input_format=huggingface",
        "--allow_pickle",
        f"--output={tmp_path / 'out'}",
        paths=[libraries],
    )
    assert "masked language model" in printed
    ours = our_outputs(
        model_directory.read(str(tmp_path / "out")),
        tmp_path / "model",
        np.load(folder / "their_inputs.npz"),
    )
    assert_agree(ours["main"], np.load(folder / "pickle/outputs.npz"))


def assert_same_tokens(tokenizer, texts, pairs, theirs):
    for batch, second in zip(theirs["batches"], (None, pairs), strict=True):
        ours = tokenizer.batch(texts, second)
        for name, here in (
            ("input_ids", "input_ids"),
            ("attention_mask", "input_mask"),
            ("token_type_ids", "segment_ids"),
        ):
            different = [
                text
                for text, one, other in zip(
                    texts, ours[here].numpy().tolist(), batch[name], strict=True
                )
                if one != other
            ]
            assert not different, name


def test_auto_tokenizer(folder, tiny_vocab_file):
    theirs = json.loads((folder / "none/tokens.json").read_text())
    assert_same_tokens(Tokenizer(tiny_vocab_file), TEXTS, TEXTS[::-1], theirs)
    assert theirs["max_length"] == 40
    assert theirs["decoded"] == "the models were trained, and trained again!"
    cased = json.loads((folder / "mlm/tokens.json").read_text())
    assert_same_tokens(Tokenizer(tiny_vocab_file, lower_case=False), TEXTS, TEXTS[::-1], cased)
    assert cased["batches"] != theirs["batches"]


def test_fill_mask_pipeline(folder, tmp_path, tiny_vocab_file):
    model = random_electra(tiny_vocab_file, "none")
    ids = np.array(
        [[model.vocabulary[token] for token in ("[CLS]", "the", "[MASK]", "words", "[SEP]")]]
    )
    logits = our_outputs(
        model,
        tmp_path / "model",
        {"input_ids": ids, "attention_mask": ids >= 0, "token_type_ids": ids * 0},
    )
    assert json.loads((folder / "mask.json").read_text()) == np.argmax(
        logits["generator"]["logits"][0, 2]
    )


def test_auto_tokenizer_on_wikipedia(
    wikipedia_lines, uncased_vocab_file, interop_python, tmp_path, tiny_vocab_file
):
    lines = [line.strip()[:1000] for line in wikipedia_lines if line.strip()][:500]
    assert len(lines) == 500
    tokenizer = Tokenizer(uncased_vocab_file)
    model = random_electra(tiny_vocab_file, "embeddings", parts=())
    model.vocabulary = tokenizer.vocabulary
    model.config.model.vocab_size = len(model.vocabulary)
    model.weights["embeddings/tokens"] = np.zeros((len(model.vocabulary), 32), np.float32)
    huggingface.write(model, tmp_path / "model")
    run_transformers(
        interop_python,
        [
            [
                "tokenize",
                {
                    "directory": tmp_path / "model",
                    "texts": lines,
                    "pairs": lines[::-1],
                    "output": tmp_path / "tokens.json",
                },
            ]
        ],
        tmp_path,
    )
    theirs = json.loads((tmp_path / "tokens.json").read_text())
    # No line may be cut here: transformers' limit is a warning, ours is 512.
    assert max(map(len, theirs["batches"][1]["input_ids"])) <= 512
    assert_same_tokens(tokenizer, lines, lines[::-1], theirs)
