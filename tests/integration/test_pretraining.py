"""Text to held-out metrics with the commands of docs/pretraining.md."""

import json
import signal
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
def test_a_run_that_is_as_long_as_its_minutes(packed, tmp_path):
    """Its steps and its warm-up become fewer alike, and it goes on with that number."""
    workdir, numbers = tmp_path / "run", []
    settings = fields(**{"train.num_steps": 100_000_000, "optimizer.warmup_steps": 10_000_000})
    settings |= {"train.max_minutes": 60, "train.eval_steps": 0, "train.checkpoint_steps": 10}
    for _ in range(2):
        begin = tiny_runs.last_step(workdir)
        with tiny_runs.start(tiny_runs.command(str(packed), workdir, settings)) as process:
            tiny_runs.wait_for(lambda: tiny_runs.last_step(workdir) > begin, process)  # noqa: B023
            process.send_signal(signal.SIGTERM)
            stderr = tiny_runs.finish(process, 128 + signal.SIGTERM).stderr
        config = json.loads((workdir / "config.json").read_text())
        numbers.append((config["train"]["num_steps"], config["optimizer"]["warmup_steps"]))
    assert numbers[0] == numbers[1]
    num_steps, warmup_steps = numbers[0]
    assert f"of {num_steps}" in stderr  # Continuing at step ... of it
    assert 10 <= num_steps < 100_000_000
    assert warmup_steps == max(1, round(num_steps / 10))


def test_the_baseline_trains(packed, tmp_path):
    workdir = tmp_path / "run"
    tiny_runs.run(tiny_runs.command(str(packed), workdir, fields(), {"objective.name": "mlm"}))
    losses = [line["masked_lm_loss"] for line in tiny_runs.metrics(workdir, "train")]
    assert losses[-1] < losses[0] - 0.2
    assert "disc_loss" not in tiny_runs.metrics(workdir, "train")[0]
