"""Outputs to answers: against trying every span, with perfect outputs, and the files written."""

import json

import numpy as np
import pytest

from electra_tf import Tokenizer
from electra_tf.tasks.squad.answers import NO_WINDOW_ODDS, decode
from electra_tf.tasks.squad.files import Question, Questions
from electra_tf.tasks.squad.task import NULL_THRESHOLD, QuestionAnsweringTask
from electra_tf.tasks.squad.windows import encode_windows

SETTINGS = {"max_seq_length": 32, "max_query_length": 8, "doc_stride": 10}


@pytest.fixture(scope="module")
def tokenizer(tiny_vocab_file):
    return Tokenizer(tiny_vocab_file)


def random_outputs(encoded, k, seed=0):
    """Sorted log-probabilities at random positions, some in the question or in the padding."""
    random = np.random.default_rng(seed)
    rows, length = encoded.features["input_ids"].shape

    def pick(shape):
        ranks = random.random((*shape, length)).argsort(-1)[..., :k]
        return -np.sort(random.exponential(3, ranks.shape)).astype(np.float32), ranks.astype(
            np.int32
        )

    (start_values, starts), (end_values, ends) = pick((rows,)), pick((rows, k))
    return {
        "start_top_log_probs": start_values,
        "start_top_index": starts,
        "end_top_log_probs": end_values,
        "end_top_index": ends,
        "answerable_logit": random.normal(0, 3, rows).astype(np.float32),
    }


@pytest.mark.parametrize("seed, n_best_size", [(0, 5), (1, 1000)])
def test_decoding_against_every_span(tokenizer, seed, n_best_size):
    contexts = [
        "the model is trained on a large text, that is all we know of it: words and words "
        "of a network that was trained",
        "not a token",
    ]
    examples = Questions(
        "made",
        contexts,
        [
            Question("long", 0, "is it a large network not", (), None, True),
            Question("short", 1, "what", (), None, True),
            Question("again", 0, "of", (), None, True),
        ],
    )
    encoded, _ = encode_windows(examples, tokenizer, training=False, **SETTINGS)
    assert encoded.rows.tolist() == [0, 0, 1, 2, 2]
    outputs = random_outputs(encoded, 16, seed)
    answers = decode(examples, encoded, outputs, max_answer_length=7, n_best_size=n_best_size)
    for index, question in enumerate(examples.questions):
        rows = [row for row, example in enumerate(encoded.rows) if example == index]
        tokens = encoded.contexts.tokens_of(question.context)
        starts, ends = encoded.contexts.starts[tokens], encoded.contexts.ends[tokens]

        def place(row, position):
            """The context's token at a position, or None outside the window."""
            inside = position - encoded.offsets[row]
            fits = 0 <= inside < encoded.num_tokens[row]
            return inside + encoded.first_tokens[row] if fits else None

        def room(row, token):
            begin, number = encoded.first_tokens[row], encoded.num_tokens[row]
            if not begin <= token < begin + number:
                return -1.0
            return min(token - begin, begin + number - 1 - token) + 0.01 * number

        best = {}
        for row in rows:
            for i in range(16):
                for j in range(16):
                    first = place(row, outputs["start_top_index"][row, i])
                    last = place(row, outputs["end_top_index"][row, i, j])
                    if first is None or last is None or not 0 <= last - first < 7:
                        continue
                    if max(rows, key=lambda row: room(row, first)) != row:
                        continue
                    score = (
                        outputs["start_top_log_probs"][row, i]
                        + outputs["end_top_log_probs"][row, i, j]
                    )
                    text = contexts[question.context][starts[first] : ends[last]]
                    best[text] = max(best.get(text, -np.inf), score)
        expected = sorted(best.items(), key=lambda item: -item[1])[:n_best_size]
        found = answers.nbest[question.id]
        assert [entry["text"] for entry in found] == [text for text, _ in expected]
        scores = np.array([score for _, score in expected])
        np.testing.assert_allclose(
            [entry["start_log_prob"] + entry["end_log_prob"] for entry in found], scores, rtol=1e-6
        )
        np.testing.assert_allclose(
            [entry["probability"] for entry in found],
            np.exp(scores) / np.exp(scores).sum(),
            rtol=1e-5,
        )
        assert answers.texts[question.id] == expected[0][0]
        assert answers.null_odds[question.id] == outputs["answerable_logit"][rows].min()
    assert len(answers.nbest["long"]) == n_best_size or n_best_size == 1000


def test_no_window_and_no_span(tokenizer):
    examples = Questions(
        "made",
        ["", "the model"],
        [Question("empty", 0, "what", (), None, True), Question("none", 1, "what", (), None, True)],
    )
    encoded, _ = encode_windows(examples, tokenizer, training=False, **SETTINGS)
    outputs = random_outputs(encoded, k=2)
    outputs["start_top_index"][:] = 0  # [CLS]
    answers = decode(examples, encoded, outputs, max_answer_length=7, n_best_size=5)
    assert answers.texts == {"empty": "", "none": ""}
    assert answers.null_odds["empty"] == NO_WINDOW_ODDS > answers.null_odds["none"]
    assert answers.nbest == {"empty": [], "none": []}


def perfect_outputs(encoded, trained, examples, k=3):
    """What a model would say that knows the targets of `trained`, which has the same rows."""
    rows = len(encoded.rows)
    starts = np.tile(np.arange(k, dtype=np.int32), (rows, 1))
    ends = np.tile(starts[:, None], (1, k, 1))
    sure = np.log([0.98, 0.01, 0.01]).astype(np.float32)
    values = np.tile(sure, (rows, 1))
    starts[:, 0] = trained.features["start_positions"][:, 0]
    ends[:, :, 0] = trained.features["end_positions"]
    impossible = np.array([examples.questions[row].is_impossible for row in encoded.rows])
    return {
        "start_top_log_probs": values,
        "start_top_index": starts,
        "end_top_log_probs": np.tile(values[:, None], (1, k, 1)),
        "end_top_index": ends,
        "answerable_logit": np.where(impossible, 4.0, -4.0).astype(np.float32),
    }


@pytest.mark.parametrize("version, release", [(1, "v1.1"), (2, "v2.0")])
def test_a_perfect_model_on_real_data(
    squad_directory, uncased_vocab_file, version, release, tmp_path
):
    task = QuestionAnsweringTask(
        "squad",
        str(squad_directory),
        version=version,
        max_seq_length=256,
        **{f"{split}_file": f"dev-{release}.json" for split in ("train", "eval")},
    )
    tokenizer = Tokenizer(uncased_vocab_file)
    examples = task.read("dev")
    encoded = task.encode(examples, tokenizer, training=False)
    trained = task.encode(examples, tokenizer, training=True)
    np.testing.assert_array_equal(encoded.features["input_ids"], trained.features["input_ids"])
    assert len(encoded.rows) > len(examples)  # some contexts take several windows
    predictions = task.predict(examples, encoded, perfect_outputs(encoded, trained, examples))
    metrics = task.score(examples, predictions)
    assert next(iter(metrics)) == task.main_metric
    # Three answers are parts of words: 90 of 90° twice, 180 of 180°.
    for name, value in metrics.items():
        assert 1 - 3 / 768 <= value <= 1.0, name
    task.write("dev", examples, predictions, str(tmp_path))
    texts = json.loads((tmp_path / "predictions.json").read_text(encoding="utf-8"))
    assert list(texts) == [question.id for question in examples.questions]


def made_task(directory, version, labelled=True, **settings):
    def entry(name, **labels):
        return {"id": name, "question": "what"} | (labels if labelled else {})

    gold = [{"text": "model", "answer_start": 4}]
    qas = [entry("sure", answers=gold), entry("unsure", answers=gold)]
    if version == 2:
        qas.append(entry("none", answers=[], is_impossible=True))
    content = {"data": [{"paragraphs": [{"context": "the model of é", "qas": qas}]}]}
    for name in ("dev.json", "test.json"):
        (directory / name).write_text(json.dumps(content), encoding="utf-8")
    return QuestionAnsweringTask("made", str(directory), version=version, **settings)


def predictions_of(task, examples, tokenizer, odds=(-5.0, -2.0, -1.0)):
    encoded = task.encode(examples, tokenizer, training=False)
    outputs = random_outputs(encoded, k=1)
    outputs["start_top_index"][:] = encoded.offsets[:, None] + 1
    outputs["end_top_index"][:] = encoded.offsets[:, None, None] + 1
    outputs["answerable_logit"] = np.array(odds[: len(encoded.rows)], np.float32)
    if task.version == 1:
        del outputs["answerable_logit"]
    return task.predict(examples, encoded, outputs)


def written(directory):
    return {path.name: json.loads(path.read_text(encoding="utf-8")) for path in directory.iterdir()}


def test_files_of_version_1(tokenizer, tmp_path):
    task, results = made_task(tmp_path, 1), tmp_path / "results"
    examples = task.read("dev")
    predictions = predictions_of(task, examples, tokenizer)
    task.write("dev", examples, predictions, str(results))
    assert task.score(examples, predictions) == {"f1": 1.0, "exact_match": 1.0}
    assert set(written(results)) == {"predictions.json", "nbest_predictions.json"}
    assert written(results)["predictions.json"] == {"sure": "model", "unsure": "model"}
    task.write("test", examples, predictions, str(results))
    assert {"predictions-test.json", "nbest_predictions-test.json"} < set(written(results))


def test_files_of_version_2(tokenizer, tmp_path):
    """With gold answers as the official evaluation reads them; without, ready to be handed in."""
    for labelled in (True, False):
        folder = tmp_path / str(labelled)
        results = folder / "results"
        folder.mkdir()
        task = made_task(folder, 2, labelled)
        examples = task.read("dev" if labelled else "test")
        predictions = predictions_of(task, examples, tokenizer)
        task.write("dev", examples, predictions, str(results))
        files = written(results)
        assert files["null_odds.json"] == {"sure": -5.0, "unsure": -2.0, "none": -1.0}
        if labelled:
            assert set(files["predictions.json"].values()) == {"model"}
            assert files["best_thresholds.json"] == {"best_f1": -2.0, "best_exact_match": -2.0}
            metrics = task.score(examples, predictions)
            assert metrics["best_f1"] == 1.0 and metrics["f1"] == pytest.approx(2 / 3)
            assert metrics["has_answer_f1"] == 0.5 and metrics["no_answer_f1"] == 1.0
        else:
            assert -5 < NULL_THRESHOLD < -2
            assert files["predictions.json"] == {"sure": "model", "unsure": "", "none": ""}
            assert "best_thresholds.json" not in files
            with pytest.raises(ValueError, match="must hold answers to be scored"):
                task.score(examples, predictions)
            with pytest.raises(ValueError, match="must hold answers to train on"):
                task.encode(examples, tokenizer, training=True)


def test_the_threshold_can_be_set(tokenizer, tmp_path):
    task = made_task(tmp_path, 2, null_threshold=-1.5)
    examples = task.read("dev")
    assert task.score(examples, predictions_of(task, examples, tokenizer))["f1"] == 1.0
