"""The report of a tiny run that has trained: its curves, the ROC of its detector, its examples."""

import json
import pathlib
import re

import pytest
import tiny_runs
from tensorboard.util import tensor_util

from electra_tf.config import Config
from electra_tf.runs import evaluation
from electra_tf.runs.pretraining import pretrain
from electra_tf.runs.report import detector, pretraining, pretraining_page
from electra_tf.tasks import samples

STEPS = 4


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    """A run of few steps, stopped by its caller and continued, evaluated."""
    config = Config.from_file("configs/electra_small.py")
    fields = tiny_runs.TINY | {"data.dir": data, "train.num_steps": STEPS, "train.log_steps": 2}
    for name, value in (fields | {"optimizer.warmup_steps": 2, "train.eval_steps": 2}).items():
        section, field = name.split(".")
        setattr(getattr(config, section), field, value)
    workdir = str(tmp_path_factory.mktemp("report") / "run")
    assert pretrain(config, workdir, goes_on=lambda step: step < 2) == 2
    assert pretrain(config, workdir) == STEPS
    evaluation.evaluate(workdir, random_words=True)
    return workdir


@pytest.fixture(scope="module")
def found(run):
    return pretraining.collect(run)


def test_the_detector_is_that_of_the_evaluation(run, found):
    measured = json.loads(pathlib.Path(run, "eval.json").read_text())
    seen = found.detector
    assert (seen.step, seen.num_examples, seen.of_examples) == (STEPS, 37, 37)
    assert seen.auc == pytest.approx(measured["disc_auc"], abs=1e-6)
    area = sum(
        (x - former_x) * (y + former_y) / 2
        for (former_x, former_y), (x, y) in zip(seen.roc, seen.roc[1:])
    )
    assert area == pytest.approx(seen.auc, abs=5e-3)
    assert sum(each.number for each in seen.intervals) == _tokens(found)
    assert 0 <= seen.calibration_error <= 1


def _tokens(found) -> int:
    (data,) = found.data.values()
    return data["splits"]["eval"]["tokens"]


def test_examples_are_the_first_texts(found):
    examples = found.detector.examples
    assert len(examples) == detector.NUM_EXAMPLES
    words = [word for example in examples for word in example]
    assert all(re.fullmatch(r"word\d+", word.original) for word in words)
    assert {word.shown for word in words if word.shown != word.original} == {"[MASK]"}
    assert all(word.put == word.shown == word.original for word in words if not word.is_masked)
    assert any(word.put != word.original for word in words)
    assert all(0 < word.probability < 1 for word in words)
    assert all(any(word.is_masked for word in example) for example in examples)


def test_tensorboard_shows_the_same(run, found):
    shown = tiny_runs.board(run)
    texts, original, replaced = (
        [(each.step, tensor_util.make_ndarray(each.tensor_proto)) for each in shown.Tensors(tag)]
        for tag in ("samples", "probability/original_tokens", "probability/replaced_tokens")
    )
    assert [step for step, _ in texts] == [2, STEPS]
    assert texts[-1][1].item().decode() == samples.markdown(found.detector.examples[:4])
    tokens = [each[-1][1][:, 2].sum() for each in (original, replaced)]
    assert sum(tokens) == _tokens(found)
    [last] = [line for line in tiny_runs.metrics(run, "eval") if line["step"] == STEPS]
    # What is taken for replaced has a probability above a half.
    above = [each[-1][1][10:, 2].sum() for each in (original, replaced)]
    assert above[1] / tokens[1] == pytest.approx(last["disc_recall"], abs=1e-6)
    assert "samples" not in tiny_runs.board(run, "train").Tags()["tensors"]


def test_the_page(found):
    assert found.weights["discriminator"] > 0 and found.baselines["auc"] > 0.5
    content = pretraining_page.render(found)
    assert f"electra: {STEPS} of {STEPS} steps" in content
    for title in (
        "generator loss",
        "AUC, tokens the generator replaced",
        "accuracy of the discriminator",
        "learning rate",
        f"ROC: AUC {found.detector.auc:.3f}",
        "Calibration: error",
        "the generator puts, the discriminator suspects",
        "Data",
        "config.<wbr/>model.<wbr/>hidden_<wbr/>size",
    ):
        assert title in content, title
    assert "left out" not in content
    assert content.count('class="example"') == detector.NUM_EXAMPLES
    assert not re.search(r'\b(src|href)="|https?://|url\(', content)
