"""What a data set directory holds: settings, shard names and `dataset.json`."""

import dataclasses
import hashlib
import json
import os
import re
import shutil
from collections.abc import Sequence
from typing import Any

from electra_tf.files import Kind
from electra_tf.text import tokenization
from electra_tf.text.dropped import Reading
from electra_tf.text.vocabulary import Vocabulary

FORMAT_VERSION = 1
SPLITS = ("train", "eval")
PACKINGS = ("none", "documents")
MIN_SEQ_LENGTH = 8
HASH_RANGE = 1 << 64
DATA_SET = Kind(
    "a data set",
    "dataset.json",
    (r"(train|eval)-\d+-of-\d+\.tfrecord", *map(re.escape, tokenization.ALL_FILES)),
)
# Up to so many times what was asked for, whole documents are held out.
MOST_TIMES_HELD_OUT = 2


@dataclasses.dataclass(frozen=True)
class Settings:
    """What shapes a data set, besides its input.

    Attributes:
      vocab_file: the tokenizer's file, or the directory of its files.
      seq_length: tokens per example.
      tokenizer: its settings, see `text.tokenization`.
      packing: "none" or "documents".
      keep_leftovers: see `text.examples.PairBuilder`.
      seed: of all that is drawn.
      eval_threshold: documents whose hash (below HASH_RANGE) is below it are for evaluation.
      most_held_out: of a longer one so many tokens, its last; None: all.
    """

    vocab_file: str
    seq_length: int
    tokenizer: dict[str, Any]
    packing: str
    keep_leftovers: bool
    seed: int
    eval_threshold: int
    most_held_out: int | None = None

    def with_both_splits(self, parts: Sequence[dict]) -> "Settings":
        """Settings that leave no split empty, if any can.

        With few documents the hashes may put all of them on one side. Then the threshold moves
        just beyond the smallest (or largest) hash of all.

        Args:
          parts: results of all chunks with these settings.
        """
        smallest, largest = _extremes(parts)
        if not self.eval_threshold or smallest is None or smallest[0] == largest[0]:
            return self  # nothing to divide: no documents, or copies of a single one
        threshold = min(max(self.eval_threshold, smallest[0] + 1), largest[0])
        return dataclasses.replace(self, eval_threshold=threshold)

    def with_share(self, parts: Sequence[dict], eval_fraction: float) -> "Settings":
        """Settings that hold out the ends of documents, if whole ones would be far too much.

        Args:
          parts: results of all shards before `with_both_splits`.
          eval_fraction: the share that is asked for.
        """
        lengths = sorted(length for part in parts for length in part["held_out"])
        if not lengths and (smallest := _extremes(parts)[0]):
            lengths = [smallest[1]]
        wanted = eval_fraction * sum(
            part["splits"][split]["text_tokens"] for part in parts for split in SPLITS
        )
        if sum(lengths) <= MOST_TIMES_HELD_OUT * wanted:
            return self
        for number, length in enumerate(lengths):
            most = wanted / (len(lengths) - number)
            if length > most:
                break
            wanted -= length
        return dataclasses.replace(self, most_held_out=max(int(most), self.seq_length))

    def changes(self, part: dict, new: "Settings") -> bool:
        """Whether a shard's documents are divided differently under new settings."""
        low, high = sorted((self.eval_threshold, new.eval_threshold))
        extremes = filter(None, (part["smallest_hash"], part["largest_hash"]))
        return any(low <= value < high for value, _ in extremes) or (
            new.most_held_out != self.most_held_out and any(part["held_out"])
        )


def _extremes(parts: Sequence[dict]) -> tuple:
    """Smallest and largest [hash, number of tokens] of all documents, or None."""
    smallest = (part["smallest_hash"] for part in parts if part["smallest_hash"])
    largest = (part["largest_hash"] for part in parts if part["largest_hash"])
    return min(smallest, default=None), max(largest, default=None)


def assemble(
    parts: Sequence[dict],
    parts_dir: str,
    dataset_dir: str,
    settings: Settings,
    eval_fraction: float,
    vocabulary: Vocabulary,
    inputs: Sequence[dict[str, Any]],
    reading: Reading,
) -> dict[str, Any]:
    """Gives the shards their final names and writes the tokenizer and `dataset.json`.

    Each shard with training examples becomes a file. The few evaluation examples of all shards
    become one.

    Args:
      parts: results of `shards.build_shard` in the order of the corpus.
      parts_dir: where the shards are.
      dataset_dir: an empty directory.
      settings: what the parts were made with.
      eval_fraction: as the user gave it.
      vocabulary: the tokenizer's.
      inputs: one entry per source.
      reading: of all sources.

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

    tokenization.copy(settings.vocab_file, dataset_dir, settings.tokenizer)
    text_tokens = {
        split: sum(part["splits"][split]["text_tokens"] for part in parts) for split in SPLITS
    }
    manifest = {
        "format_version": FORMAT_VERSION,
        "seq_length": settings.seq_length,
        "packing": settings.packing,
        "keep_leftovers": settings.keep_leftovers,
        "tokenizer": settings.tokenizer,
        "vocab_size": len(vocabulary),
        "seed": settings.seed,
        "eval_fraction": eval_fraction,
        "eval_share": round(text_tokens["eval"] / max(1, sum(text_tokens.values())), 6),
        "words": sum(part["words"] for part in parts),
        "splits": splits,
        "skipped": reading.skipped(),
        "dropped": reading.shares(),
        "inputs": list(inputs),
    }
    vocab_digest = tokenization.digest(settings.vocab_file, settings.tokenizer)
    digests = [part["splits"][split]["digest"] for split in SPLITS for part in parts]
    content = json.dumps([manifest, vocab_digest, digests], sort_keys=True)
    manifest["tokenizer_fingerprint"] = vocabulary.fingerprint(settings.tokenizer)
    manifest["fingerprint"] = hashlib.sha256(content.encode()).hexdigest()[:32]
    with open(os.path.join(dataset_dir, "dataset.json"), "w", encoding="utf-8") as file:
        json.dump(manifest, file, indent=2)
        file.write("\n")
    return manifest


def _part_path(parts_dir: str, part: dict, split: str) -> str:
    return os.path.join(parts_dir, f"{part['name']}.{split}")
