"""Turns a data set of electra_tf into one compact file.

Also writes the held-out examples it took as a small data set of TFRecords, so that
`electra_tf evaluate --data_dir=HELDOUT` measures on the same ones.
"""

import argparse
import json
import os
import sys

import numpy as np

sys.path.insert(0, os.getcwd())
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import packed  # noqa: E402

from electra_tf.data import dataset, records  # noqa: E402
from electra_tf.data.manifest import FORMAT_VERSION  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data_dir", required=True, help="what `electra_tf build_dataset` wrote")
    parser.add_argument("--output", default=".gpu/data.zip")
    parser.add_argument("--heldout", required=True, help="folder for the held-out TFRecords")
    parser.add_argument("--eval_examples", type=int, default=2000)
    parser.add_argument(
        "--max_mib",
        type=float,
        default=1e9,
        help="leave out training examples until the file is no larger",
    )
    args = parser.parse_args()

    train = _features(dataset.open_split(args.data_dir, "train"))
    held_out = _features(dataset.open_split(args.data_dir, "eval"))
    number = min(args.eval_examples, len(held_out["input_ids"]))
    chosen = np.linspace(0, len(held_out["input_ids"]) - 1, number).astype(int)
    held_out = {name: value[chosen] for name, value in held_out.items()}
    _write_heldout(args, held_out)
    about = {
        "source": os.path.basename(os.path.abspath(args.data_dir)),
        "tokenizer": _tokenizer(args.data_dir),
    }
    while True:
        splits = {"train": packed.split_of(train), "eval": packed.split_of(held_out)}
        packed.save(args.output + ".tmp", splits, about)
        size = os.path.getsize(args.output + ".tmp") / 2**20
        if size <= args.max_mib:
            break
        keep = int(len(train["input_ids"]) * args.max_mib / size * 0.99)
        print(
            f"note: {size:.1f} MiB is more than {args.max_mib:.1f}: keeping {keep:,} of "
            f"{len(train['input_ids']):,} training examples, evenly spaced"
        )
        even = np.linspace(0, len(train["input_ids"]) - 1, keep).astype(int)
        train = {name: value[even] for name, value in train.items()}
    os.replace(args.output + ".tmp", args.output)
    again, about = packed.load(args.output, threads=2)
    for name, split in splits.items():
        for key, value in split.arrays().items():
            assert np.array_equal(again[name].arrays()[key], value), (name, key)
    for name, split in about["splits"].items():
        filled = split["tokens"] / (split["examples"] * about["seq_length"])
        print(
            f"{name}: {split['examples']:,} examples, {split['tokens']:,} tokens, "
            f"{filled:.1%} of the slots filled"
        )
    print(f"{args.output}: {os.path.getsize(args.output) / 2**20:.1f} MiB")


def _features(split):
    parts = list(dataset.eval_batches(split, batch_size=4096).as_numpy_iterator())
    return {
        name: np.concatenate([part[name] for part in parts])[: split.num_examples]
        for name in parts[0]
    }


def _tokenizer(data_dir):
    path = os.path.join(data_dir, "dataset.json")
    if not os.path.exists(path):
        return {"lower_case": True, "strip_accents": True}
    with open(path, encoding="utf-8") as file:
        return json.load(file)["tokenizer"]


def _write_heldout(args, features):
    """A data set whose two splits are both these examples."""
    os.makedirs(args.heldout, exist_ok=True)
    name = "eval-00000-of-00001.tfrecord"
    writer = records.ShardWriter(os.path.join(args.heldout, name))
    writer.write(features)
    writer.close()
    part = {"files": [{"name": name, "examples": len(features["input_ids"])}]}
    about = {
        "format_version": FORMAT_VERSION,
        "tokenizer": _tokenizer(args.data_dir),
        "seq_length": int(features["input_ids"].shape[1]),
        "packing": "documents" if "document_ids" in features else "none",
        "splits": {"train": part, "eval": part},
    }
    with open(os.path.join(args.heldout, "dataset.json"), "w", encoding="utf-8") as file:
        json.dump(about, file, indent=2)


if __name__ == "__main__":
    main()
