"""`electra_tf.load`: models of every kind in Python, and that they say what the commands write."""

import json
import pathlib

import numpy as np
import pytest

import electra_tf
from tests.integration.random_finetuned import write_finetuned
from tests.integration.random_models import random_electra

TEXTS = ["the model", "", "Ünï \ud83d日 words, trained on small texts", "one two three. " * 30]
PAIRS = [("the model", "a text"), ("", "of data"), ("small " * 20, "large " * 20)]
LABELS = json.dumps(["one", "two, or so"])
# By name: fields of config.task, inputs, and the same as a line of JSON each.
TASKS = {
    "classification": (
        {"kind": "classification", "labels": LABELS, "text_field": "review"},
        ["the model", "", "small texts " * 20, {"review": "a word"}],
        lambda text: text if isinstance(text, dict) else {"review": text},
    ),
    "pairs": (
        {"kind": "glue", "name": "rte"},
        PAIRS,
        lambda pair: {"sentence1": pair[0], "sentence2": pair[1]},
    ),
    "multi_label": (
        {"kind": "multi_label", "labels": LABELS},
        ["the model", "words"],
        lambda text: {"text": text},
    ),
    "regression": (
        {"kind": "regression", "low": -1.0, "high": 3.0, "pair_field": "pair"},
        PAIRS,
        lambda pair: {"text": pair[0], "pair": pair[1]},
    ),
    "tagging": (
        {"kind": "tagging", "labels": "B-X,I-X,O"},
        ["the small model", ["words", "in", "New York"], "text " * 40],
        lambda given: {"text" if isinstance(given, str) else "words": given},
    ),
}


@pytest.mark.parametrize("name", TASKS)
def test_predict_gives_what_the_command_writes(name, tmp_path, tiny_vocab_file):
    from electra_tf.runs import prediction

    task, inputs, line_of = TASKS[name]
    model = write_finetuned(tmp_path / "model", tiny_vocab_file, **task)
    source, output = tmp_path / "source.jsonl", tmp_path / "output.jsonl"
    source.write_text("".join(json.dumps(line_of(given)) + "\n" for given in inputs))
    assert prediction.predict(model, str(source), str(output)) == len(inputs)
    written = [json.loads(line) for line in output.read_text().splitlines()]
    loaded = electra_tf.load(pathlib.Path(model))
    assert loaded.predict(inputs) == written
    assert loaded.predict([]) == []
    assert loaded.config.task.kind == task["kind"]
    with pytest.raises(ValueError, match="must be a list"):
        loaded.predict("the model")


@pytest.mark.parametrize("version", [1, 2])
def test_answers_are_those_the_command_writes(version, tmp_path, tiny_vocab_file):
    from electra_tf.runs import prediction

    task = {"kind": "squad", "version": version, "max_query_length": 8, "doc_stride": 4}
    model = write_finetuned(tmp_path / "model", tiny_vocab_file, **task)
    questions = [
        {"id": f"q{number}", "question": "which text?", "context": context}
        for number, context in enumerate(["the small model has words", "one two " * 30])
    ]
    paragraphs = [
        {"context": row["context"], "qas": [{"id": row["id"], "question": row["question"]}]}
        for row in questions
    ]
    source, output = tmp_path / "source.json", tmp_path / "output.json"
    source.write_text(
        json.dumps({"version": "v2.0", "data": [{"title": "", "paragraphs": paragraphs}]})
    )
    prediction.predict(model, str(source), str(output))
    answers = electra_tf.load(model).predict(questions)
    assert {row["id"]: row["answer"] for row in answers} == json.loads(output.read_text())


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory, tiny_vocab_file):
    return write(tmp_path_factory.mktemp("mine"), tiny_vocab_file, "electra")


def write(folder, vocab_file, objective, **parts) -> str:
    from electra_tf.saved import model_directory

    model = random_electra(vocab_file, "embeddings", objective, **parts)
    model_directory.write(model, str(folder / "model"))
    return str(folder / "model")


def test_replaced_tokens_have_the_networks_probabilities(pretrained):
    model = electra_tf.load(pretrained)
    answers = model.predict(TEXTS * 17)  # more than one batch
    assert len(answers) == len(TEXTS) * 17
    longest = model.config.model.max_positions
    assert len(answers[0]) == 2 and answers[1] == [] and len(answers[3]) == longest - 2
    vocabulary = model.tokenizer.vocabulary
    for text, tokens in zip(TEXTS * 2, answers[:4] + answers[-4:], strict=True):
        batch = model.tokenizer.batch([text.encode(errors="ignore")], max_seq_length=longest)
        ids = batch["input_ids"][0, 1:-1].numpy()
        assert [token["token"] for token in tokens] == [vocabulary.tokens[id] for id in ids]
        expected = 1 / (1 + np.exp(-np.asarray(model(batch))[0, 1:-1]))
        np.testing.assert_allclose(
            [token["replaced_probability"] for token in tokens], expected, atol=1e-5
        )
    words = dict.fromkeys(TEXTS[2][token["start"] : token["end"]] for token in answers[2])
    assert list(words) == ["Ünï", "日", "words", ",", "trained", "on", "small", "texts"]


def test_networks_are_attributes(pretrained):
    model = electra_tf.load(pretrained)
    batch = model.tokenizer.batch(["the small model"])
    hidden = model.discriminator(batch)
    np.testing.assert_array_equal(model.discriminator_head(hidden), model(batch))
    assert model.generator(batch).shape[:2] == hidden.shape[:2]
    with pytest.raises(AttributeError):
        model.nothing  # noqa: B018


def test_masks_are_filled_in(pretrained, tmp_path, tiny_vocab_file):
    masked = electra_tf.load(write(tmp_path, tiny_vocab_file, "mlm"))
    texts = ["the [MASK] of[MASK]", "no mask", "[MASK] text"]
    for model, filled in (
        (masked, masked.predict(texts)),
        (electra_tf.load(pretrained), electra_tf.load(pretrained).fill_mask(texts)),
    ):
        assert [len(of_text) for of_text in filled] == [2, 0, 1]
        for candidates in (*filled[0], *filled[2]):
            values = list(candidates.values())
            assert len(values) == 5 and values == sorted(values, reverse=True) and sum(values) < 1
            assert all(token in model.tokenizer.vocabulary for token in candidates)
    with pytest.raises(ValueError, match="For detect_replaced a model.* must be one of electra, "):
        masked.detect_replaced(texts)


def test_what_cannot_be_predicted_is_told(tmp_path, tiny_vocab_file, pretrained):
    alone = electra_tf.load(write(tmp_path, tiny_vocab_file, "electra", parts=()))
    for call, lacking in (
        (alone.predict, "a discriminator with its head for detect_replaced"),
        (alone.score, "a discriminator with its head for score"),
        (alone.fill_mask, "its generator for fill_mask"),
    ):
        with pytest.raises(electra_tf.UserError, match=f"must have {lacking}. Received: .* with"):
            call(["text"])
    model = electra_tf.load(pretrained)
    for given, message in (("text", "must be a list"), ([3], "must be a string. Received: 3")):
        with pytest.raises(electra_tf.UserError, match=message):
            model.predict(given)


def test_a_loaded_model_is_exported(pretrained, tmp_path):
    path = electra_tf.export(electra_tf.load(pretrained), tmp_path / "serving")
    assert (tmp_path / "serving" / "1" / "saved_model.pb").exists()
    assert path == str(tmp_path / "serving" / "1")
