"""Objectives as whole runs: the loss falls, a resume is exact, models go where models go.

Those of ELECTRA, the masked LM and two stages have tests of their own; here ELECTRA masks runs.
"""

import json

import numpy as np
import pytest
import tiny_runs

import electra_tf
from electra_tf.conversion import convert
from electra_tf.objectives import OBJECTIVES, build_objective, objective_class
from electra_tf.runs.evaluation import evaluate
from electra_tf.saved import model_directory
from electra_tf.serving.bundle import export_run
from electra_tf.serving.checking.check import check_bundle

pytestmark = pytest.mark.slow
STEPS, FEW = 200, 20
CASES = {
    name: {"objective.name": name}
    for name in OBJECTIVES
    if name not in ("electra", "mlm", "two_stage")
} | {
    "all_options": {
        "model.sharing": "gdes",
        "objective.span": "ngram",
        "objective.random_token_fraction": 0.1,
        "objective.contrastive_weight": 1.0,
        "objective.contrastive_rows": 6,
        "objective.corrective_weight": 1.0,
        "objective.selection_weight": 1.0,
    }
}
LONG = {
    "optimizer.schedule": "constant",  # so that short runs begin as long ones do
    "runtime.deterministic": True,
    "train.num_steps": STEPS,
    "train.log_steps": FEW // 2,
    "train.checkpoint_steps": FEW,
    "train.keep_checkpoints": STEPS // FEW,
    "train.eval_steps": STEPS,
}
SHORT = LONG | {"train.num_steps": FEW, "train.eval_steps": 0}
SHORT_RUNS = {
    "two": {"runtime.strategy": "mirrored"},
    "accumulated": {"train.accumulation_steps": 2},
    "bfloat16": {"runtime.precision": "mixed_bfloat16"},
}


@pytest.fixture(scope="module")
def worker(data):
    with tiny_runs.Worker(data) as worker:
        yield worker


@pytest.fixture(scope="module", params=CASES)
def runs(request, worker, tmp_path_factory):
    """A long run, the same killed and continued, and short ones; with the errors of all."""
    root = tmp_path_factory.mktemp(request.param)
    fields = CASES[request.param]
    done = worker(*((root / name, fields, SHORT, changes) for name, changes in SHORT_RUNS.items()))
    killed = root / "killed", fields, LONG, {"train.eval_steps": 0}
    worker.kill_in(killed, lambda: tiny_runs.last_step(killed[0]) >= 2 * FEW)
    assert tiny_runs.last_step(killed[0]) < STEPS
    done += worker(killed, (root / "whole", fields, LONG))
    _forget_devices(root / "whole")
    return root, [each["error"] for each in done]


def _forget_devices(workdir):
    """What the tests of this process ask of the run shall not split its CPU."""
    path = workdir / "config.json"
    config = json.loads(path.read_text())
    config["runtime"] |= {"num_virtual_devices": 0, "deterministic": False}
    path.write_text(json.dumps(config))


def numbers_of(workdir, step):
    return tiny_runs.saved(str(workdir / "checkpoints" / f"ckpt-{step}"))


def test_the_loss_falls(runs):
    """So few steps teach a softmax which tokens there are, and little more."""
    root, errors = runs
    assert not any(errors), errors
    losses = [line["loss"] for line in tiny_runs.metrics(root / "whole", "train")]
    assert np.mean(losses[-5:]) < 0.99 * losses[0], losses


def test_a_resume_is_exact(runs):
    whole = numbers_of(runs[0] / "whole", STEPS)
    for name, value in numbers_of(runs[0] / "killed", STEPS).items():
        np.testing.assert_array_equal(value, whole[name], err_msg=name)


@pytest.mark.parametrize("name", ["two", "accumulated"])
def test_equal_to_rounding(runs, name):
    expected = numbers_of(runs[0] / "whole", FEW)
    for variable, value in numbers_of(runs[0] / name, FEW).items():
        # The keys' bias has rounding alone for a gradient, which Adam makes larger.
        np.testing.assert_allclose(
            value, expected[variable], rtol=1e-5, atol=1e-5, err_msg=variable
        )


def test_bfloat16_computes_about_the_same(runs):
    whole, rounded = (
        {line["step"]: line["loss"] for line in tiny_runs.metrics(runs[0] / name, "train")}
        for name in ("whole", "bfloat16")
    )
    first = FEW // 2  # soon after it, rounding changes a sampled token and the losses diverge
    assert rounded[first] != whole[first]
    assert rounded[first] == pytest.approx(whole[first], rel=0.05)


def test_the_evaluation_is_that_of_the_loop(runs):
    workdir = runs[0] / "whole"
    metrics = evaluate(str(workdir), random_words=True)
    [last] = tiny_runs.metrics(workdir, "eval")
    objective = build_objective(model_directory.open_directory(str(workdir))[0])
    shown = {metric.name for metric in objective.headline}
    assert shown <= metrics.keys()
    for name in shown & last.keys():
        assert metrics[name] == pytest.approx(last[name], rel=1e-4), name


def test_it_is_served(runs):
    workdir = str(runs[0] / "whole")
    served = objective_class(model_directory.open_directory(workdir)[0]).served
    fills = any(each.signature == "fill_mask" for each in served)
    bundle = export_run(workdir, str(runs[0] / "serving"), include_generator=fills)
    report = check_bundle(bundle, workdir, without_python=False)
    assert report.passed, report.checks
    model = electra_tf.load(workdir)
    assert len(model.predict(["word1 word2", "word3 [MASK]"])) == 2
    [hidden] = model.encode(["word1 word2"])
    assert hidden.shape == (4, 32)


@pytest.mark.parametrize("output_format", ["google", "huggingface"])
def test_it_is_converted_or_refused(runs, output_format):
    workdir, output = str(runs[0] / "whole"), runs[0] / output_format
    arguments = (workdir, "electra_tf", str(output), output_format)
    config = model_directory.open_directory(workdir)[0]
    if objective_class(config).model_class.__name__ in ("Electra", "MaskedLM"):
        convert(*arguments, say=lambda line: None)
        assert output.is_dir()
    else:
        with pytest.raises(ValueError, match="--encoder_only writes the encoder alone"):
            convert(*arguments, say=lambda line: None)
        assert not output.exists()


def test_its_encoder_goes_everywhere(runs, tmp_path):
    workdir = str(runs[0] / "whole")
    former = model_directory.read(workdir).encoder_only()
    assert {path.split("/")[0] for path in former.weights} == {"embeddings", "discriminator"}
    for output_format in ("huggingface", "electra_tf"):
        output = str(tmp_path / output_format)
        convert(
            workdir, "electra_tf", output, output_format, encoder_only=True, say=lambda line: None
        )
    read = model_directory.read(output)
    for path, value in former.weights.items():
        np.testing.assert_array_equal(read.weights[path], value, err_msg=path)
