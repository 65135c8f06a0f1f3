"""Examples as compact arrays in one file. NumPy only: written by pack.py, read by train.py.

| member           | dtype    | content                                                           |
| ---------------- | -------- | ----------------------------------------------------------------- |
| SPLIT/low, high  | uint8    | low and high byte of the frequency rank of every token, no padding |
| SPLIT/lengths    | uint16   | tokens of each example                                            |
| SPLIT/second     | uint16   | where its second segment starts; its length if it has none        |
| SPLIT/starts     | uint8    | packed data only: bits over the tokens, 1 where a document starts |
| ids_by_rank      | int32    | token id of each rank                                             |
| about            | uint8    | JSON: seq_length, packed, examples, tokens, tokenizer, source     |

The members are LZMA-compressed blocks of a zip file, so that they are unpacked in parallel.
"""

import concurrent.futures
import io
import json
import lzma
import zipfile

import numpy as np

INPUT_IDS, INPUT_MASK, SEGMENT_IDS = "input_ids", "input_mask", "segment_ids"
DOCUMENT_IDS = "document_ids"
_BLOCK = 2 << 20  # bytes per block before compression
_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": 8 << 20, "lc": 4, "pb": 0}]


class Split:
    """Examples in memory.

    Attributes:
        ids: uint16 (int32 where the vocabulary is larger) [N, L], 0 in padding.
        lengths, second: int32 [N].
        documents: uint8 or uint16 [N, L], 1, 2, … per document, 0 in padding; None if not packed.
    """

    def __init__(self, ids, lengths, second, documents=None):
        self.ids, self.lengths, self.second, self.documents = ids, lengths, second, documents

    def __len__(self):
        return len(self.ids)

    def arrays(self) -> dict:
        """What `rows` needs, to be moved to a device."""
        arrays = {"ids": self.ids, "lengths": self.lengths, "second": self.second}
        return arrays if self.documents is None else arrays | {"documents": self.documents}


def rows(arrays: dict, index, xp=np) -> dict:
    """The features of some rows, int32 [len(index), L]; `xp` is numpy or jax.numpy."""
    ids = xp.take(arrays["ids"], index, axis=0).astype("int32")
    place = xp.arange(ids.shape[1], dtype="int32")[None, :]
    length = xp.take(arrays["lengths"], index)[:, None]
    second = xp.take(arrays["second"], index)[:, None]
    batch = {
        INPUT_IDS: ids,
        INPUT_MASK: (place < length).astype("int32"),
        SEGMENT_IDS: ((place >= second) & (place < length)).astype("int32"),
    }
    if "documents" in arrays:
        batch[DOCUMENT_IDS] = xp.take(arrays["documents"], index, axis=0).astype("int32")
    return batch


def split_of(features: dict) -> Split:
    """The compact form of int [N, L] features; raises ValueError where it cannot hold them."""
    ids, mask, segments = (features[name] for name in (INPUT_IDS, INPUT_MASK, SEGMENT_IDS))
    lengths = mask.sum(1).astype(np.int32)
    second = np.where(segments.any(1), segments.argmax(1), lengths).astype(np.int32)
    documents = features.get(DOCUMENT_IDS)
    if documents is not None:
        documents = documents.astype(np.uint8 if documents.max(initial=0) < 256 else np.uint16)
    split = Split(
        ids.astype(np.uint16 if ids.max(initial=0) < 1 << 16 else np.int32),
        lengths,
        second,
        documents,
    )
    again = rows(split.arrays(), np.arange(len(split)))
    for name, value in again.items():
        if not np.array_equal(value, features[name]):
            raise ValueError(
                f"Examples must have the layout of electra_tf's data sets: padding "
                f"last and 0, segments 0…0 1…1. Received: another {name}"
            )
    if documents is not None and not np.array_equal(_documents(_starts(split), split), documents):
        raise ValueError("document_ids must be 1, 2, … in the order of the tokens.")
    return split


def save(path: str, splits: dict, about: dict) -> None:
    """Writes splits by name; slow, because it compresses as hard as it can."""
    num_tokens = 1 + max(int(split.ids.max(initial=0)) for split in splits.values())
    frequency = sum(np.bincount(_flat(split), minlength=num_tokens) for split in splits.values())
    by_rank = np.argsort(-frequency, kind="stable").astype(np.int32)
    rank_of = np.empty_like(by_rank)
    rank_of[by_rank] = np.arange(len(by_rank), dtype=np.int32)
    members = {"ids_by_rank": by_rank}
    for name, split in splits.items():
        ranks = rank_of[_flat(split)]
        members[f"{name}/low"] = (ranks & 255).astype(np.uint8)
        members[f"{name}/high"] = ((ranks >> 8) & 255).astype(np.uint8)
        if num_tokens > 1 << 16:
            members[f"{name}/top"] = (ranks >> 16).astype(np.uint8)
        members[f"{name}/lengths"] = split.lengths.astype(np.uint16)
        members[f"{name}/second"] = split.second.astype(np.uint16)
        if split.documents is not None:
            members[f"{name}/starts"] = np.packbits(_starts(split))
    text = json.dumps(
        about
        | {
            "seq_length": int(next(iter(splits.values())).ids.shape[1]),
            "splits": {
                name: {
                    "examples": len(split),
                    "tokens": int(split.lengths.sum()),
                    "packed": split.documents is not None,
                }
                for name, split in splits.items()
            },
        }
    )
    members["about"] = np.frombuffer(text.encode(), np.uint8)
    blocks = {}
    for name, array in members.items():
        data = np.ascontiguousarray(array).tobytes()
        for number, start in enumerate(range(0, max(len(data), 1), _BLOCK)):
            blocks[f"{name}@{array.dtype.str[1:]}/{number:04d}"] = data[start : start + _BLOCK]
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as file,
        concurrent.futures.ThreadPoolExecutor(2) as threads,
    ):
        for name, data in zip(blocks, threads.map(_compress, blocks.values()), strict=True):
            file.writestr(zipfile.ZipInfo(name), data)


def load(path: str, threads: int = 16) -> tuple[dict, dict]:
    """Returns ({name: Split}, about)."""
    with zipfile.ZipFile(path) as file:
        blocks = {name: file.read(name) for name in sorted(file.namelist())}
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        parts = dict(zip(blocks, pool.map(_decompress, blocks.values()), strict=True))
    members = {}
    for name in {block.rsplit("/", 1)[0] for block in parts}:
        key, dtype = name.rsplit("@", 1)
        data = io.BytesIO()
        for block, part in parts.items():
            if block.rsplit("/", 1)[0] == name:
                data.write(part)
        members[key] = np.frombuffer(data.getvalue(), dtype)
    about = json.loads(members["about"].tobytes())
    return {name: _split(members, name, about) for name in about["splits"]}, about


def _split(members, name, about):
    ranks = members[f"{name}/low"].astype(np.int32) | (
        members[f"{name}/high"].astype(np.int32) << 8
    )
    if f"{name}/top" in members:
        ranks |= members[f"{name}/top"].astype(np.int32) << 16
    by_rank = members["ids_by_rank"]
    lengths = members[f"{name}/lengths"].astype(np.int32)
    ids = np.zeros(
        (len(lengths), about["seq_length"]), np.uint16 if len(by_rank) <= 1 << 16 else np.int32
    )
    ids[np.arange(about["seq_length"]) < lengths[:, None]] = by_rank[ranks]
    split = Split(ids, lengths, members[f"{name}/second"].astype(np.int32))
    if about["splits"][name]["packed"]:
        starts = np.unpackbits(members[f"{name}/starts"], count=len(ranks))
        split.documents = _documents(starts, split)
    return split


def _flat(split):
    return split.ids[np.arange(split.ids.shape[1]) < split.lengths[:, None]].astype(np.int32)


def _starts(split):
    """1 for every token that begins a document within its example, uint8 over all tokens."""
    before = np.pad(split.documents[:, :-1], ((0, 0), (1, 0)))
    filled = np.arange(split.ids.shape[1]) < split.lengths[:, None]
    return (split.documents != before)[filled].astype(np.uint8)


def _documents(starts, split):
    filled = np.arange(split.ids.shape[1]) < split.lengths[:, None]
    placed = np.zeros(split.ids.shape, np.int32)
    placed[filled] = starts
    documents = np.cumsum(placed, axis=1) * filled
    return documents.astype(np.uint8 if documents.max(initial=0) < 256 else np.uint16)


def _compress(data):
    return lzma.compress(data, lzma.FORMAT_RAW, filters=_FILTERS)


def _decompress(data):
    return lzma.decompress(data, lzma.FORMAT_RAW, filters=_FILTERS)
