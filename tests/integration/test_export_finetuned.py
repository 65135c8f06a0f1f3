"""Export of fine-tuned models: what a server answers is what `electra_tf predict` answers."""

import json
import pickle
import subprocess
import sys

import numpy as np
import pytest

from tests.integration.random_finetuned import write_finetuned
from tests.integration.tiny_runs import ROOT, TIME_LIMIT

pytestmark = pytest.mark.slow  # one export of each kind, and a process that reads them all

LONG = "one two three. " * 25
TEXTS = [
    "",
    "the model",
    "Über naïve models, trained on 日本 texts!",
    "\x00\x07 \t",
    "(the)",
    LONG,
    "a",
    "[MASK] [SEP] unknownness",
    "the\u3000of\x85and\x1cto\u2028in\u00a0is\ufffd",
    "u" * 300 + " text " + "v" * 30,
    "\ufffd \ufffd model",
    "the\x00 model\x00\x00of text",
]
INVALID = b"the\xff mo\xc3del \xe4\xb8 \x00words of"  # predicted without its invalid bytes
LABELS = ("one", "two, or so", "drei|Straße", "0")
TAGS = {
    "BIO": ("O", "B-PER", "I-PER", "B-LOC", "I-LOC"),
    "IOB1": ("O", "I-PER", "B-PER", "I-LOC"),
    "BIOES": ("O", "B-PER", "I-PER", "E-PER", "S-PER", "S-LOC"),
    "plain": ("X", "NN", "B-?", "DT", "IN", "VB", "JJ"),
}
KINDS = {  # fields of config.task
    "classification": {
        "kind": "classification",
        "labels": json.dumps(LABELS),
        "text_field": "review",
        "hidden_layer": True,
    },
    "multi_label": {"kind": "multi_label", "labels": json.dumps(LABELS)},
    "regression": {"kind": "glue", "name": "sts-b"},
    "tagging": {"kind": "tagging", "scheme": "BIO", "labels": json.dumps(TAGS["BIO"])},
    "squad": {
        "kind": "squad",
        "version": 2,
        "doc_stride": 6,
        "max_query_length": 8,
        "null_threshold": -13.5,
    },
}
CONTEXTS = [
    LONG + "Über naïve models were trained. " + LONG,
    "the model",
    "",
    "日本 (texts)!",
    "token " * 17,
    "a b c d e f g h i j k l m n o",
    "\x07 \t",
    "the data of a network",
]
QUESTIONS = ["which models?", "", "what?", "日本?", LONG, "who", "who", "\u00e9"]
# What a server does: no Keras, nothing of this project.
READER = """
import pickle, sys
import tensorflow as tf, tensorflow_text
answers, signatures = [], {}
for bundle, signature, inputs, fields in pickle.load(open(sys.argv[1], "rb")):
    if fields:
        inputs = {"inputs": [tf.train.Example(features=tf.train.Features(feature={
            name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[text]))
            for name, text in zip(fields, texts)})).SerializeToString()
            for texts in zip(*inputs.values())]}
    if bundle not in signatures:
        signatures[bundle] = tf.saved_model.load(bundle).signatures
    outputs = signatures[bundle][signature](
        **{name: tf.constant(value, tf.string) for name, value in inputs.items()})
    answers.append({name: value.numpy() for name, value in outputs.items()})
pickle.dump(answers, open(sys.argv[2], "wb"))
assert not {name for name in sys.modules if name.split(".")[0] in ("electra_tf", "export")}
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory, tiny_vocab_file):
    """Directory of each kind's model; beside it, in KIND.serving, its bundle."""
    from electra_tf.serving.bundle import export_run

    folder = tmp_path_factory.mktemp("models")
    paths = {
        kind: write_finetuned(folder / kind, tiny_vocab_file, **task)
        for kind, task in KINDS.items()
    }
    for path in paths.values():
        export_run(path, f"{path}.serving")
    return paths


def _inputs(kind):
    """Inputs of serving_default, the invalid one as the last."""
    texts = [text.encode() for text in TEXTS] + [INVALID]
    if kind == "squad":
        return {
            "question": [text.encode() for text in QUESTIONS] + [INVALID],
            "context": [text.encode() for text in CONTEXTS] + [INVALID],
        }
    if kind == "regression":
        return {"text": texts, "text_pair": texts[3:] + texts[:3]}
    return {"text": texts}


@pytest.fixture(scope="module")
def answers(models, tmp_path_factory):
    """By kind: outputs of serving_default, of an empty batch, and of classify or regress."""
    fields = {
        "classification": ["review"],
        "regression": ["sentence1", "sentence2"],
        "multi_label": ["text"],
    }
    calls = []
    for kind, path in models.items():
        bundle, inputs = f"{path}.serving/1", _inputs(kind)
        calls.append((bundle, "serving_default", inputs, None))
        calls.append((bundle, "serving_default", {name: [] for name in inputs}, None))
        if kind in fields:
            signature = "regress" if kind == "regression" else "classify"
            calls.append((bundle, signature, inputs, fields[kind]))
    folder = tmp_path_factory.mktemp("answers")
    (folder / "calls").write_bytes(pickle.dumps(calls))
    subprocess.run(
        [sys.executable, "-c", READER, folder / "calls", folder / "answers"],
        check=True,
        cwd=folder,
        timeout=TIME_LIMIT,
    )
    results = {kind: [] for kind in models}
    for (bundle, *_), outputs in zip(calls, pickle.loads((folder / "answers").read_bytes())):
        results[next(kind for kind in models if f"/{kind}.serving/" in bundle)].append(outputs)
    return results


def _valid(text: bytes) -> str:
    return text.decode(errors="ignore")


def _predicted(models, kind, tmp_path, fields):
    """What electra_tf predict writes for the inputs: parsed JSON lines."""
    from electra_tf.runs import prediction

    columns = [[_valid(text) for text in texts] for texts in _inputs(kind).values()]
    lines = [json.dumps(dict(zip(fields, row))) + "\n" for row in zip(*columns)]
    (tmp_path / "in.jsonl").write_text("".join(lines))
    prediction.predict(models[kind], str(tmp_path / "in.jsonl"), str(tmp_path / "out.jsonl"))
    return [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]


def test_classes(models, answers, tmp_path):
    expected = _predicted(models, "classification", tmp_path, ["review"])
    names = list(expected[0]["probabilities"])
    probabilities = np.array([list(line["probabilities"].values()) for line in expected])
    served, _, classified = answers["classification"]
    assert [label.decode() for label in served["label"]] == [line["label"] for line in expected]
    assert len(set(served["label"])) > 1 and np.std(probabilities, axis=0).max() > 0.1
    np.testing.assert_allclose(served["probabilities"], probabilities, atol=1e-5)
    np.testing.assert_allclose(served["score"], probabilities.max(axis=1), atol=1e-5)
    np.testing.assert_allclose(classified["scores"], probabilities, atol=1e-5)
    for labels in (served["labels"], classified["classes"]):
        assert [[label.decode() for label in row] for row in labels] == [names] * len(expected)


def test_several_labels(models, answers, tmp_path):
    expected = _predicted(models, "multi_label", tmp_path, ["text"])
    probabilities = np.array([list(line["probabilities"].values()) for line in expected])
    served, _, classified = answers["multi_label"]
    np.testing.assert_allclose(served["probabilities"], probabilities, atol=1e-5)
    np.testing.assert_allclose(classified["scores"], probabilities, atol=1e-5)
    chosen = [
        [label.decode() for label, one in zip(*row) if one]
        for row in zip(served["labels"], served["chosen"])
    ]
    assert chosen == [line["labels"] for line in expected]
    assert 0 < served["chosen"].mean() < 1


def test_numbers(models, answers, tmp_path):
    expected = _predicted(models, "regression", tmp_path, ["sentence1", "sentence2"])
    scores = np.array([line["score"] for line in expected])
    served, _, regressed = answers["regression"]
    assert scores.std() > 0.1
    np.testing.assert_allclose(served["score"], scores, atol=1e-5)
    np.testing.assert_allclose(regressed["outputs"], scores[:, None], atol=1e-5)


def _assert_tagged(served, model, tmp_path):
    """Compares with the tags, probabilities and words of prediction from Python."""
    from electra_tf.saved.finetuned import load_network
    from electra_tf.tasks.finetuning import predict_outputs

    texts = [_valid(text) for text in _inputs("tagging")["text"]]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    task, network, tokenizer, _ = load_network(str(model))
    examples = task.read_file(str(tmp_path / "in.jsonl"))
    encoded = task.encode(examples, tokenizer, training=False)
    assert len(encoded.rows) > len(texts)  # long ones are several rows
    outputs = predict_outputs(task, network, encoded)
    tags = task.predict(examples, encoded, outputs)
    probability = iter(outputs["probability"][encoded.starts])
    for row, (text, words) in enumerate(zip(texts, examples.words)):
        number = len(words)
        assert served["mask"][row].tolist() == [1] * number + [0] * (
            served["mask"].shape[1] - number
        )
        assert tuple(word.decode() for word in served["words"][row, :number]) == words
        assert tuple(tag.decode() for tag in served["tags"][row, :number]) == tags[row]
        np.testing.assert_allclose(
            served["probability"][row, :number], [next(probability) for _ in words], atol=1e-5
        )
        places = zip(served["start_offset"][row, :number], served["end_offset"][row, :number])
        assert tuple(text.encode()[start:end].decode() for start, end in places) == words
        for name, nothing in (
            ("words", b""),
            ("tags", b""),
            ("probability", 0),
            ("start_offset", 0),
            ("end_offset", 0),
        ):
            assert (served[name][row, number:] == nothing).all()
    return {tag for row in tags for tag in row}


def test_tags(models, answers, tmp_path):
    assert len(_assert_tagged(answers["tagging"][0], models["tagging"], tmp_path)) > 2


@pytest.mark.parametrize("scheme", ["IOB1", "BIOES", "plain"])
def test_tags_of_other_schemes(tiny_vocab_file, tmp_path, scheme):
    from electra_tf.serving.graph.finetuned import load_finetuned

    model = write_finetuned(
        tmp_path / "model",
        tiny_vocab_file,
        kind="tagging",
        scheme=scheme,
        labels=json.dumps(TAGS[scheme]),
    )
    served = load_finetuned(model).tag(_inputs("tagging")["text"])
    assert (
        len(
            _assert_tagged({name: value.numpy() for name, value in served.items()}, model, tmp_path)
        )
        > 2
    )


def _assert_answered(served, model, tmp_path):
    from electra_tf.saved.finetuned import load_network
    from electra_tf.tasks.finetuning import predict_outputs

    inputs = [[_valid(text) for text in texts] for texts in _inputs("squad").values()]
    data = [
        {
            "title": "",
            "paragraphs": [
                {
                    "context": context,
                    "qas": [{"id": str(number), "question": question, "answers": []}],
                }
                for number, (question, context) in enumerate(zip(*inputs))
            ],
        }
    ]
    (tmp_path / "in.json").write_text(json.dumps({"version": "v2.0", "data": data}))
    task, network, tokenizer, config = load_network(str(model))
    examples = task.read_file(str(tmp_path / "in.json"))
    encoded = task.encode(examples, tokenizer, training=False)
    predictions = task.predict(examples, encoded, predict_outputs(task, network, encoded))
    task.write_file(examples, predictions, str(tmp_path / "out.json"))
    texts = json.loads((tmp_path / "out.json").read_text())
    spans = set()
    for row, context in enumerate(inputs[1]):
        assert served["answer"][row].decode() == texts[str(row)]
        best, start, end = (
            predictions.nbest[str(row)],
            *(served[name][row] for name in ("start_offset", "end_offset")),
        )
        assert context.encode()[start:end].decode() == (best[0]["text"] if best else "")
        score = best[0]["start_log_prob"] + best[0]["end_log_prob"] if best else -1e6
        np.testing.assert_allclose(served["score"][row], score, atol=1e-5)
        if config.task.version == 2:
            np.testing.assert_allclose(
                served["null_score"][row], predictions.null_odds[str(row)], atol=1e-5
            )
        spans.add((start, end))
    assert len(spans) > 4
    return set(texts.values())


def test_answers(models, answers, tmp_path):
    served = answers["squad"][0]
    assert _assert_answered(served, models["squad"], tmp_path) > {""}
    assert ((served["answer"] == b"") & (served["end_offset"] > 0)).any()  # by the threshold


def test_answers_where_there_always_is_one(tiny_vocab_file, tmp_path):
    from electra_tf.serving.graph.finetuned import load_finetuned

    model = write_finetuned(tmp_path / "model", tiny_vocab_file, **KINDS["squad"] | {"version": 1})
    servable = load_finetuned(model)
    served = servable.answer(**_inputs("squad"))
    assert "null_score" not in served
    _assert_answered({name: value.numpy() for name, value in served.items()}, model, tmp_path)
    # A batch without any token at all.
    assert servable.answer(["who?"], [""])["answer"].numpy().tolist() == [b""]


def test_an_empty_batch_has_empty_answers(answers):
    for served, empty, *_ in answers.values():
        assert {name: value.dtype for name, value in empty.items()} == {
            name: value.dtype for name, value in served.items()
        }
        assert all(
            value.shape[0] == 0 and value.ndim == served[name].ndim for name, value in empty.items()
        )


@pytest.mark.parametrize(
    ("kind", "signature", "method"),
    [
        ("classification", "classify", "classify"),
        ("multi_label", "classify", "classify"),
        ("regression", "regress", "regress"),
        ("classification", "serving_default", "predict"),
    ],
)
def test_methods_are_what_the_rpcs_ask_for(models, kind, signature, method):
    from tensorflow.core.protobuf import saved_model_pb2

    with open(f"{models[kind]}.serving/1/saved_model.pb", "rb") as file:
        (graph,) = saved_model_pb2.SavedModel.FromString(file.read()).meta_graphs
    definition = graph.signature_def[signature]
    assert definition.method_name == f"tensorflow/serving/{method}"
    if method != "predict":  # the names that the server looks for
        assert set(definition.inputs) == {"inputs"}
        assert (
            set(definition.outputs)
            == {"classify": {"classes", "scores"}, "regress": {"outputs"}}[method]
        )


@pytest.mark.parametrize("kind", KINDS)
def test_card_and_warmup_fit_the_bundle(models, answers, kind):
    from electra_tf.serving import warmup

    with open(f"{models[kind]}.serving/1/model_card.json") as file:
        card = json.load(file)
    assert card["task"].startswith(KINDS[kind]["kind"]) and card["max_seq_length"] == 24
    shown = card["signatures"]["serving_default"]["outputs"]
    assert {name: value.ndim for name, value in answers[kind][0].items()} == {
        name: len(tensor["shape"]) for name, tensor in shown.items()
    }
    asked = {}
    for log in warmup.read(f"{models[kind]}.serving/1"):
        request = getattr(log, log.WhichOneof("log_type")).request
        asked.setdefault(request.model_spec.signature_name, []).append((log, request))
    assert set(asked) == set(card["signatures"])
    for _, request in asked["serving_default"]:
        assert set(request.inputs) == set(card["signatures"]["serving_default"]["inputs"])
    fields = {
        "classification": {"review"},
        "multi_label": {"text"},
        "regression": {"sentence1", "sentence2"},
    }.get(kind)
    for log, request in asked.get("classify", []) + asked.get("regress", []):
        assert log.WhichOneof("log_type").removesuffix("_log") == request.model_spec.signature_name
        assert all(
            set(example.features.feature) == fields
            for example in request.input.example_list.examples
        )


@pytest.mark.parametrize("kind", KINDS)
def test_bfloat16_keeps_the_types(models, answers, kind):
    from electra_tf.serving.graph.finetuned import load_finetuned

    servable = load_finetuned(models[kind], precision="bfloat16")
    default = servable.signatures()["serving_default"]
    assert {name: value.dtype.name for name, value in default.structured_outputs.items()} == {
        name: {"object": "string"}.get(value.dtype.name, value.dtype.name)
        for name, value in answers[kind][0].items()
    }


def test_command_and_a_length_of_its_own(models, tmp_path):
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "electra_tf",
            "export",
            f"--model={models['regression']}",
            f"--output={tmp_path / 'out'}",
        ],
        text=True,
        capture_output=True,
        cwd=ROOT,
        timeout=TIME_LIMIT,
        check=True,
    )
    assert str(tmp_path / "out" / "1") in result.stdout
    assert "regress (inputs), serving_default (text, text_pair)" in result.stdout


def test_lengths(models, tmp_path):
    from electra_tf.serving.bundle import export_run
    from electra_tf.serving.graph.finetuned import load_finetuned

    def probabilities(length, words):
        tensor = load_finetuned(models["classification"], length).predict(["the of " * words])
        return tensor["probabilities"].numpy()

    np.testing.assert_allclose(probabilities(8, 20), probabilities(8, 3), atol=1e-6)
    assert np.abs(probabilities(None, 20) - probabilities(8, 20)).max() > 1e-3
    for length, kind, message in (
        (33, "squad", "at most the model's positions, 32"),
        (0, "squad", "at least max_query_length"),
        (2, "tagging", "max_seq_length must be at least 3"),
    ):
        with pytest.raises(ValueError, match=message):
            export_run(models[kind], str(tmp_path / "out"), max_seq_length=length)
    with pytest.raises(ValueError, match="include_generator must be off"):
        export_run(models["squad"], str(tmp_path / "out"), include_generator=True)
    assert not (tmp_path / "out").exists()
