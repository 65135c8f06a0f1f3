"""Times fine-tuning on MRPC against transformers on PyTorch: whole runs, with all that starts them.

    .venv/bin/python tests/integration/finetuning_speed.py --data=glue/MRPC --vocab=vocab.txt

It is no test and nothing collects it. Ours is the trial of docs/finetuning.md, `electra_tf finetune
--config=configs/glue.py:mrpc`; theirs is finetuning_speed_peer.py, in its own environment (`make
test-slow` makes it). Both start from one ELECTRA-Small with random weights, which `electra_tf
convert` has written for transformers, and do the same: three epochs of both orders of the pairs in
batches of 32, dropout 0.1, AdamW without weight decay, clipping, a rate that rises and falls
linearly; then dev is scored, test predicted and the model saved. All in float32; the rate is the
same in all layers. They run in turns, ours first, then theirs, and so on.

"steps" are those from one line of the training log to another, without what comes before the first.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import tensorflow as tf
from serving_speed import ROOT, write_models

from electra_tf.config import FinetuneConfig

LOG_STEPS = 20
SIDES = ("ours", "transformers")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="GLUE's MRPC: train.tsv, dev.tsv, test.tsv")
    parser.add_argument("--vocab", type=pathlib.Path, required=True, help="BERT's, a vocab.txt")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--epochs", type=float, default=3.0)
    parser.add_argument(
        "--group_by_length",
        action="store_true",
        help="rows of similar length share theirs, too: an option of the Trainer, off by default",
    )
    parser.add_argument(
        "--peer_python",
        default=str(ROOT / ".venv-interop/bin/python"),
        help="Python of the environment with transformers",
    )
    parser.add_argument("--output", type=pathlib.Path, help="also write the figures there, as JSON")
    options = parser.parse_args()
    results, load = {side: [] for side in SIDES}, os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        model, peer_model = write_models(options.vocab, folder)
        for number in range(options.rounds):
            for side, run in zip(SIDES, (run_ours, run_theirs)):
                source = model if side == "ours" else peer_model
                results[side].append(run(options, source, os.path.join(folder, f"{side}_{number}")))
    print(f"load {load:.1f} before, {os.getloadavg()[0]:.1f} at the end\n")
    print_table(results)
    if options.output:
        options.output.write_text(json.dumps(results, indent=2) + "\n")


def settings_of(options):
    """The config's own, of the size of the model."""
    config = FinetuneConfig.from_file(str(ROOT / "configs" / "glue.py:mrpc"))
    return {
        "epochs": options.epochs,
        "batch_size": config.train.batch_size,
        "length": config.task.max_seq_length,
        "learning_rate": 3e-4,
        "warmup_fraction": config.train.warmup_fraction,
        "log_steps": LOG_STEPS,
        "group_by_length": options.group_by_length,
    }


def timed(command):
    """Seconds of a command, from its start to its end."""
    start = time.perf_counter()
    result = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    if result.returncode:
        sys.exit(f"error: {' '.join(command)} ended with {result.returncode}:\n{result.stdout}")
    return time.perf_counter() - start


def run_ours(options, model, workdir):
    settings = settings_of(options)
    seconds = timed(
        [
            *(sys.executable, "-m", "electra_tf", "finetune"),
            f"--config={ROOT}/configs/glue.py:mrpc",
            f"--workdir={workdir}",
            f"--config.init_from={model}",
            f"--config.data.dir={options.data}",
            f"--config.train.num_epochs={options.epochs}",
            f"--config.train.log_steps={LOG_STEPS}",
            f"--config.optimizer.learning_rate={settings['learning_rate']}",
            "--config.optimizer.layer_decay=1.0",
        ]
    )
    (events,) = pathlib.Path(workdir, "trial_0", "tensorboard", "train").iterdir()
    log = [
        (event.step, event.wall_time)
        for event in tf.compat.v1.train.summary_iterator(str(events))
        if event.summary.value
    ]
    (trial,) = json.loads(pathlib.Path(workdir, "results.json").read_text())["trials"]
    return figures_of(seconds, log, trial["metrics"]["dev"]["accuracy"])


def run_theirs(options, model, workdir):
    settings = settings_of(options)
    program = pathlib.Path(__file__).with_name("finetuning_speed_peer.py")
    seconds = timed(
        [options.peer_python, str(program), model, options.data, workdir, json.dumps(settings)]
    )
    told = json.loads(pathlib.Path(workdir, "result.json").read_text())
    return figures_of(seconds, told["log"], told["accuracy"])


def figures_of(seconds, log, accuracy):
    """Of one run; the log is (step, wall time)."""
    (first, begin), (last, end) = log[0], log[-1]
    return {
        "seconds": seconds,
        "steps": last,
        "step_seconds": (end - begin) / (last - first),
        "dev_accuracy": accuracy,
    }


def print_table(results):
    median = {
        side: {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        for side, runs in results.items()
    }
    ours, theirs = (median[side] for side in SIDES)
    print("| MRPC | ours | transformers | ratio |\n| --- | ---: | ---: | ---: |")
    for title, key, unit, factor in (
        ("whole run", "seconds", "s", 1),
        ("a step", "step_seconds", "ms", 1000),
    ):
        print(
            f"| {title} | {factor * ours[key]:.1f} {unit} | {factor * theirs[key]:.1f} {unit} | "
            f"{theirs[key] / ours[key]:.2f} |"
        )
    print(f"| steps | {ours['steps']:.0f} | {theirs['steps']:.0f} | |")
    print(f"| accuracy, dev | {ours['dev_accuracy']:.3f} | {theirs['dev_accuracy']:.3f} | |")


if __name__ == "__main__":
    main()
