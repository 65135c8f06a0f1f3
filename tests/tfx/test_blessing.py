"""Which model is blessed, and which one it is compared with."""

import json
import os
import shutil

import pytest

pytest.importorskip("tfx", reason="the TFX tests run in .venv-tfx")

import tiny_pipelines
from tfx.components.util import model_utils
from tfx.types.standard_artifacts import Examples, Model, ModelBlessing, ModelEvaluation
from tiny_pipelines import LENGTH, artifact

from electra_tf.tfx.components.baseline import LatestBlessedBefore
from electra_tf.tfx.components.evaluator import HeldOutEvaluatorExecutor

NAN = float("nan")


def model(folder, number: int, metrics: dict, tokens="abc", **changes) -> Model:
    """A model directory as far as it is looked at, with the metrics it will be found to have."""
    path = folder / f"model_{number}"
    path.mkdir()
    special = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n"
    (path / "vocab.txt").write_text(special + "".join(f"{token}\n" for token in tokens))
    (path / "config.json").write_text(tiny_pipelines.config(**changes).to_json())
    (path / "metrics.json").write_text(json.dumps(metrics))
    return artifact(Model, path, number)


@pytest.fixture
def judge(tmp_path, monkeypatch):
    """Runs HeldOutEvaluator with given metrics; returns the blessing and the evaluation's files."""

    def evaluate(workdir, *, data_dir, output):
        assert data_dir == str(tmp_path)
        shutil.copy(f"{workdir}/metrics.json", output)
        with open(output) as file:
            return json.load(file)

    def run(current, baselines=(), min_auc=0.5):
        evaluation, blessing = (
            artifact(ModelEvaluation, tmp_path / "e"),
            artifact(ModelBlessing, tmp_path / "b"),
        )
        os.mkdir(evaluation.uri)
        HeldOutEvaluatorExecutor().Do(
            {
                "examples": [artifact(Examples, tmp_path)],
                "model": [current],
                "baseline_model": list(baselines),
            },
            {"evaluation": [evaluation], "blessing": [blessing]},
            {"min_auc": min_auc},
        )
        return blessing, sorted(os.listdir(evaluation.uri))

    monkeypatch.setattr("electra_tf.runs.evaluation.evaluate", evaluate)
    (tmp_path / "dataset.json").write_text(json.dumps({"seq_length": LENGTH}))
    return run


@pytest.mark.parametrize(
    ("auc", "former", "blessed"),
    [
        (0.8, 0.7, True),
        (0.7, 0.7, False),
        (0.6, 0.7, False),
        (NAN, 0.7, False),
        (0.8, None, True),
        (0.75, None, False),
        (NAN, None, False),
    ],
)
def test_the_discriminator_must_be_better(judge, tmp_path, auc, former, blessed):
    baselines = [] if former is None else [model(tmp_path, 3, {"disc_auc": former})]
    blessing, files = judge(model(tmp_path, 7, {"disc_auc": auc}), baselines, min_auc=0.75)
    assert model_utils.is_model_blessed(blessing) == blessed  # what Pusher asks
    assert os.listdir(blessing.uri) == ["BLESSED" if blessed else "NOT_BLESSED"]
    assert blessing.get_int_custom_property("current_model_id") == 7
    assert blessing.get_int_custom_property("baseline_model_id") == (3 if baselines else 0)
    assert files == (["baseline_eval.json", "eval.json"] if baselines else ["eval.json"])


@pytest.mark.parametrize(
    ("loss", "former", "blessed"),
    [(3.0, 3.5, True), (3.5, 3.5, False), (4.0, 3.5, False), (9.0, None, True), (NAN, None, False)],
)
def test_a_masked_language_model_must_have_a_lower_loss(judge, tmp_path, loss, former, blessed):
    baselines = (
        []
        if former is None
        else [model(tmp_path, 3, {"masked_lm_loss": former}, objective__name="mlm")]
    )
    current = model(tmp_path, 7, {"masked_lm_loss": loss}, objective__name="mlm")
    assert model_utils.is_model_blessed(judge(current, baselines)[0]) == blessed


@pytest.mark.parametrize(
    ("difference", "reason"),
    [
        ({"tokens": "abd"}, "another vocabulary"),
        ({"objective__name": "mlm"}, "another objective"),
        ({"model__max_positions": LENGTH - 1}, f"no {LENGTH} positions"),
    ],
)
def test_a_baseline_that_cannot_be_compared(judge, tmp_path, difference, reason):
    baseline = model(tmp_path, 3, {"disc_auc": 0.99}, **difference)
    blessing, files = judge(model(tmp_path, 7, {"disc_auc": 0.6}), [baseline])
    assert model_utils.is_model_blessed(blessing) and files == ["eval.json"]
    assert reason in blessing.get_string_custom_property("blessing_message")


def test_the_baseline_is_the_last_blessed_model_before():
    models = {number: artifact(Model, f"m{number}", number) for number in (10, 20, 30, 40, 50)}
    blessings = []
    for number, (of_model, blessed) in enumerate(
        [(10, 1), (20, 1), (30, 0), (40, 1), (50, 1), (20, 1)], start=100
    ):
        blessing = artifact(ModelBlessing, f"b{number}", number)
        blessing.set_int_custom_property("current_model_id", of_model)
        blessing.set_int_custom_property("blessed", blessed)
        blessings.append(blessing)

    def resolve(current, blessings=tuple(blessings), gone=()):
        found = LatestBlessedBefore().resolve_artifacts(
            None,
            {
                "model": [model for number, model in models.items() if number not in gone],
                "model_blessing": list(blessings),
                "current_model": current,
            },
        )
        assert found["current_model"] == current
        return [[item.id for item in found[key]] for key in ("model", "model_blessing")]

    assert resolve([models[50]]) == [[40], [103]]
    assert resolve([models[40]]) == [[20], [105]]  # 30 was not blessed; the later one of two
    assert resolve([models[10]]) == [[], []]
    assert resolve([models[50]], blessings=()) == [[], []]
    assert resolve([]) == [[], []]
    assert resolve([models[50]], gone=[40]) == [[20], [105]]
    assert resolve([models[50]], gone=[10, 20, 40]) == [[], []]
