"""The other side of training_speed.py: the step of tests/device/torch_step.py on the CPU.

Usage, in the environment of transformers: training_speed_peer.py SETTINGS.json FOLDER

FOLDER is what training_speed_ours.py has written; requests and answers are as there. Each batch is
as long as its longest row; without padding the network gets no attention mask.
"""

import json
import os
import pathlib
import resource
import sys
import time

os.environ["HF_HUB_OFFLINE"] = "1"
sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "device"))

import numpy as np  # noqa: E402  only after the variable above is set
import torch  # noqa: E402
import torch_step  # noqa: E402
import transformers  # noqa: E402


def main(settings_file, folder):
    settings = json.loads(pathlib.Path(settings_file).read_text())
    if settings["threads"]:
        torch.set_num_threads(settings["threads"])
    bfloat16 = settings["precision"] == "bfloat16"
    networks = [
        json.loads(pathlib.Path(folder, name, "config.json").read_text())
        for name in ("discriminator", "generator")
    ]
    step = torch_step.JointStep(
        *networks,
        "cpu",
        bfloat16,
        compiled=settings["mode"] == "compiled",
        shared=settings["shared"],
        mask_id=settings["mask_id"],
        special=settings["special"],
        varying=settings["rows"],
    )
    batches = batches_of(os.path.join(folder, "examples.npz"), settings["batch"])
    say(
        versions={module.__name__: module.__version__ for module in (torch, transformers)},
        threads=torch.get_num_threads(),
        parameters=sum(weight.numel() for weight in step.weights),
    )
    clock, done = getattr(time, settings["clock"]), 0
    for line in sys.stdin:
        request = json.loads(line)
        if "peak" in request:
            say(peak=torch_step.matmul_peak("cpu", torch.bfloat16 if bfloat16 else torch.float32))
            continue
        start, losses = clock(), []
        for _ in range(request["steps"]):
            losses.append(step(*batches[done % len(batches)]))
            done += 1
        loss = torch.stack(losses).mean().item()
        say(
            seconds=clock() - start,
            loss=loss,
            memory=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        )


def batches_of(path, size):
    """Ids, mask and segments of each batch, or only ids where all rows are full."""
    with np.load(path) as file:
        ids, mask, segments = (
            torch.from_numpy(file[name].astype(np.int64)).split(size)
            for name in ("input_ids", "input_mask", "segment_ids")
        )
    batches = []
    for rows in zip(ids, mask, segments, strict=True):
        longest = int(rows[1].sum(-1).max())
        full = bool(rows[1].all())
        batches.append(rows[:1] if full else [value[:, :longest].contiguous() for value in rows])
    return batches


def say(**answer):
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
