"""Text to held-out metrics with the commands of docs/pretraining.md."""

import json
import sys

import pytest
import tiny_runs

NAMES = {
    "masked_lm_loss",
    "masked_lm_accuracy",
    "sampled_masked_lm_accuracy",
    "disc_loss",
    "disc_accuracy",
    "disc_precision",
    "disc_recall",
    "disc_auc",
}


@pytest.fixture(scope="module")
def packed(tmp_path_factory, tiny_vocab_file):
    """Packed shards of short documents, built by the command."""
    folder = tmp_path_factory.mktemp("packed")
    documents = [
        f"the model {number} of the network\nis trained on words and tokens {number}"
        for number in range(300)
    ]
    (folder / "corpus.txt").write_text("\n\n".join(documents) + "\n")
    tiny_runs.run(
        [
            sys.executable,
            "-m",
            "electra_tf",
            "build_dataset",
            f"--input={folder}/corpus.txt",
            f"--vocab={tiny_vocab_file}",
            f"--output_dir={folder}/shards",
            "--seq_length=48",
            "--eval_fraction=0.1",
            "--packing=documents",
            "--num_workers=1",
        ]
    )
    return folder / "shards"


def fields(**more):
    return (
        tiny_runs.TINY
        | {"model.max_positions": 48, "train.num_steps": 30, "train.eval_steps": 15}
        | more
    )


def test_packed_shards_train_and_evaluate(packed, tmp_path):
    workdir = tmp_path / "run"
    tiny_runs.run(tiny_runs.command(str(packed), workdir, fields()))
    lines = tiny_runs.metrics(workdir)
    assert [line["step"] for line in lines if line["split"] == "eval"] == [15, 30]
    losses = [line["masked_lm_loss"] for line in lines if line["split"] == "train"]
    assert losses[-1] < losses[0] - 0.2  # it learns

    printed = tiny_runs.run(
        [sys.executable, "-m", "electra_tf", "evaluate", f"--workdir={workdir}", "--random_words"]
    ).stdout
    metrics = json.loads((workdir / "eval.json").read_text())
    held_out = json.loads((packed / "dataset.json").read_text())["splits"]["eval"]
    assert metrics["examples"] == held_out["examples"] and metrics["step"] == 30
    assert NAMES | {"disc_auc_corpus", "disc_auc_uniform"} <= set(metrics)
    assert 0 < metrics["most_frequent_token_share"] < 0.5
    assert all(f"{name} " in printed for name in NAMES)
    # The command after training computes what the loop computed at its last step.
    last = [line for line in lines if line["split"] == "eval"][-1]
    for name in NAMES:
        assert metrics[name] == pytest.approx(last[name], rel=1e-5), name


@pytest.mark.slow
def test_a_run_ends_with_its_minutes(packed, tmp_path):
    """It trains for a share of the steps, warm-up and all, and goes on with that number."""
    workdir = tmp_path / "run"
    settings = fields(**{"train.num_steps": 100_000_000, "optimizer.warmup_steps": 10_000_000})
    settings |= {"train.max_minutes": 0.5, "train.eval_steps": 0, "train.checkpoint_steps": 10}
    command = tiny_runs.command(str(packed), workdir, settings)
    tiny_runs.run(command)
    config = json.loads((workdir / "config.json").read_text())
    num_steps = config["train"]["num_steps"]
    assert 1 <= num_steps < 1_000_000
    assert config["optimizer"]["warmup_steps"] == max(1, round(num_steps / 10))
    again = tiny_runs.run(command)
    assert f"Nothing to train: the run is at step {num_steps} of {num_steps}" in again.stderr
    assert json.loads((workdir / "config.json").read_text()) == config


def test_the_baseline_trains(packed, tmp_path):
    workdir = tmp_path / "run"
    tiny_runs.run(tiny_runs.command(str(packed), workdir, fields(), {"objective.name": "mlm"}))
    losses = [line["masked_lm_loss"] for line in tiny_runs.metrics(workdir, "train")]
    assert losses[-1] < losses[0] - 0.2
    assert "disc_loss" not in tiny_runs.metrics(workdir, "train")[0]
