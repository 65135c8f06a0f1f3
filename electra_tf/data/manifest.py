"""What a data set directory holds: settings, shard names and `dataset.json`."""

import dataclasses
import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Sequence
from typing import Any

FORMAT_VERSION = 1
SPLITS = ("train", "eval")
PACKINGS = ("none", "documents")
MIN_SEQ_LENGTH = 8
HASH_RANGE = 1 << 64


@dataclasses.dataclass(frozen=True)
class Settings:
    """What shapes a data set, besides its input.

    Attributes:
      vocab_file: the vocabulary.
      seq_length: tokens per example.
      lower_case, strip_accents: see `text.wordpiece.Tokenizer`.
      packing: "none" or "documents".
      keep_leftovers: see `text.examples.PairBuilder`.
      seed: of all that is drawn.
      eval_threshold: documents whose hash (below HASH_RANGE) is below it are for evaluation.
    """

    vocab_file: str
    seq_length: int
    lower_case: bool
    strip_accents: bool
    packing: str
    keep_leftovers: bool
    seed: int
    eval_threshold: int

    def with_both_splits(self, parts: Sequence[dict]) -> "Settings":
        """Settings that leave no split empty, if any can.

        With few documents the hashes may put all of them on one side. Then the threshold moves
        just beyond the smallest (or largest) hash of all.

        Args:
          parts: results of all chunks with these settings.
        """
        smallest = [part["smallest_hash"] for part in parts if part["smallest_hash"] is not None]
        largest = [part["largest_hash"] for part in parts if part["largest_hash"] is not None]
        if not self.eval_threshold or not smallest or min(smallest) == max(largest):
            return self  # nothing to divide: no documents, or copies of a single one
        threshold = max(self.eval_threshold, min(smallest) + 1)
        return dataclasses.replace(self, eval_threshold=min(threshold, max(largest)))

    def changes(self, part: dict, new: "Settings") -> bool:
        """Whether a chunk's documents are divided differently under new settings."""
        low, high = sorted((self.eval_threshold, new.eval_threshold))
        hashes = (part["smallest_hash"], part["largest_hash"])
        return any(value is not None and low <= value < high for value in hashes)


def assemble(
    parts: Sequence[dict],
    parts_dir: str,
    dataset_dir: str,
    settings: Settings,
    eval_fraction: float,
    vocab_size: int,
    inputs: Sequence[dict[str, Any]],
    skipped: Counter,
) -> dict[str, Any]:
    """Gives the shards their final names and writes `vocab.txt` and `dataset.json`.

    Each chunk with training examples becomes a file. The few evaluation examples of all chunks
    become one.

    Args:
      parts: results of `shards.build_shard` in the order of the corpus.
      parts_dir: where the shards are.
      dataset_dir: an empty directory.
      settings: what the parts were made with.
      eval_fraction: as the user gave it.
      vocab_size: number of tokens.
      inputs: one entry per source.
      skipped: counts from the cutting into chunks.

    Returns:
      The content of `dataset.json`.
    """
    splits: dict[str, dict[str, Any]] = {}
    for split in SPLITS:
        counts = {
            key: sum(part["splits"][split][key] for part in parts)
            for key in ("documents", "examples", "tokens")
        }
        splits[split] = counts | {"files": []}
    train = [part for part in parts if part["splits"]["train"]["examples"]]
    for index, part in enumerate(train):
        name = f"train-{index:05d}-of-{len(train):05d}.tfrecord"
        os.rename(_part_path(parts_dir, part, "train"), os.path.join(dataset_dir, name))
        examples = part["splits"]["train"]["examples"]
        splits["train"]["files"].append({"name": name, "examples": examples})
    if splits["eval"]["examples"]:
        name = "eval-00000-of-00001.tfrecord"
        with open(os.path.join(dataset_dir, name), "wb") as target:
            for part in parts:
                with open(_part_path(parts_dir, part, "eval"), "rb") as source:
                    shutil.copyfileobj(source, target)
        splits["eval"]["files"].append({"name": name, "examples": splits["eval"]["examples"]})

    shutil.copyfile(settings.vocab_file, os.path.join(dataset_dir, "vocab.txt"))
    skipped = sum((Counter(part["skipped"]) for part in parts), skipped)
    manifest = {
        "format_version": FORMAT_VERSION,
        "seq_length": settings.seq_length,
        "packing": settings.packing,
        "keep_leftovers": settings.keep_leftovers,
        "tokenizer": {
            "lower_case": settings.lower_case,
            "strip_accents": settings.strip_accents,
        },
        "vocab_size": vocab_size,
        "seed": settings.seed,
        "eval_fraction": eval_fraction,
        "words": sum(part["words"] for part in parts),
        "splits": splits,
        "skipped": {reason: skipped[reason] for reason in sorted(skipped) if skipped[reason]},
        "inputs": list(inputs),
    }
    with open(settings.vocab_file, "rb") as file:
        vocab_digest = hashlib.sha256(file.read()).hexdigest()
    digests = [part["splits"][split]["digest"] for split in SPLITS for part in parts]
    content = json.dumps([manifest, vocab_digest, digests], sort_keys=True)
    manifest["fingerprint"] = hashlib.sha256(content.encode()).hexdigest()[:32]
    with open(os.path.join(dataset_dir, "dataset.json"), "w", encoding="utf-8") as file:
        json.dump(manifest, file, indent=2)
        file.write("\n")
    return manifest


def _part_path(parts_dir: str, part: dict, split: str) -> str:
    return os.path.join(parts_dir, f"{part['name']}.{split}")
