"""The other side of finetuning_speed.py: MRPC with transformers on PyTorch.

Usage, in their environment: finetuning_speed_peer.py MODEL_DIRECTORY DATA WORKDIR SETTINGS

The Trainer needs the package accelerate, which that environment does without, so this is the loop
that it runs: a DataLoader that pads each batch to its longest row, AdamW (the fused one, the
Trainer's default), the linear schedule, gradients clipped to norm 1, the loss logged; then dev is
evaluated, test predicted, and the model saved. It does less than the Trainer around that: no
callbacks and no checkpoint on the way.
"""

import json
import os
import pathlib
import sys
import time

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np  # noqa: E402  only after the variable above is set
import torch  # noqa: E402
import transformers  # noqa: E402
from transformers.trainer_pt_utils import LengthGroupedSampler  # noqa: E402


def main(model_directory, data, workdir, settings):
    settings, workdir = json.loads(settings), pathlib.Path(workdir)
    transformers.set_seed(0)
    transformers.logging.set_verbosity_error()
    tokenizer = transformers.AutoTokenizer.from_pretrained(model_directory)
    model = transformers.ElectraForSequenceClassification.from_pretrained(model_directory)
    splits = {}
    for split in ("train", "dev", "test"):
        labels, first, second = read(pathlib.Path(data, f"{split}.tsv"), split != "test")
        if split == "train":  # both orders of each pair
            labels, first, second = labels * 2, first + second, second + first
        encoded = tokenizer(first, second, truncation=True, max_length=settings["length"])
        splits[split] = [
            {**{name: encoded[name][index] for name in encoded}, "labels": label}
            for index, label in enumerate(labels)
        ]
    collate = transformers.DataCollatorWithPadding(tokenizer)
    log = train(model, splits["train"], collate, settings)
    size = settings["batch_size"]
    predicted = predict(model, splits["dev"], collate, size)
    accuracy = np.mean(predicted == [example["labels"] for example in splits["dev"]])
    workdir.mkdir()
    np.savetxt(workdir / "MRPC.tsv", predict(model, splits["test"], collate, size), "%d")
    model.save_pretrained(workdir)
    (workdir / "result.json").write_text(json.dumps({"accuracy": float(accuracy), "log": log}))


def read(path, has_labels):
    """Labels (0 where there are none), first and second texts, of GLUE's own file."""
    lines = path.read_text(encoding="utf-8-sig").rstrip("\n").split("\n")[1:]
    rows = [line.split("\t") for line in lines]
    labels = [int(row[0]) if has_labels else 0 for row in rows]
    return labels, [row[3] for row in rows], [row[4] for row in rows]


def train(model, examples, collate, settings):
    """Returns the log: [step, wall time] every `log_steps`, and of the last step."""
    size = settings["batch_size"]
    sampler = None
    if settings["group_by_length"]:
        lengths = [len(example["input_ids"]) for example in examples]
        sampler = LengthGroupedSampler(size, lengths=lengths)
    loader = torch.utils.data.DataLoader(
        examples, size, shuffle=sampler is None, sampler=sampler, collate_fn=collate
    )
    number = max(1, round(len(examples) * settings["epochs"] / size))
    optimizer = torch.optim.AdamW(
        model.parameters(), settings["learning_rate"], weight_decay=0.0, fused=True
    )
    schedule = transformers.get_linear_schedule_with_warmup(
        optimizer, round(settings["warmup_fraction"] * number), number
    )
    model.train()
    log, step, total = [], 0, torch.tensor(0.0)
    while step < number:
        for batch in loader:
            loss = model(**batch).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            total += loss.detach()
            step += 1
            if step % settings["log_steps"] == 0 or step == number:
                print(step, total.item(), flush=True)
                total.zero_()
                log.append([step, time.time()])
            if step == number:
                break
    return log


def predict(model, examples, collate, size):
    model.eval()
    with torch.inference_mode():
        return np.concatenate(
            [
                model(**collate(examples[begin : begin + size])).logits.argmax(-1).numpy()
                for begin in range(0, len(examples), size)
            ]
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
