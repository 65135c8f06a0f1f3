"""What one worker does: read chunks of the corpus, write their shard and report the counts.

Everything is a function of the chunks and the settings, so it does not matter which worker does it,
or when.
"""

import dataclasses
import hashlib
import os
import random
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from electra_tf.data.manifest import SPLITS, Settings
from electra_tf.data.records import ShardWriter
from electra_tf.text.chunks import Chunk, read_chunk
from electra_tf.text.corpus import Document
from electra_tf.text.dropped import Reading
from electra_tf.text.examples import DocumentPacker, Example, PairBuilder, pad_examples
from electra_tf.text.tokenizer import Tokenizer

# Many lines per tokenizer call, and many examples per array, take the time off Python.
_BATCH_BYTES = 1 << 20
_BATCH_EXAMPLES = 1024


def document_hash(document: Document, seed: int) -> int:
    """A number below manifest.HASH_RANGE that decides the document's split.

    It depends on the text and the seed alone, so equal documents are never on both sides.
    """
    digest = hashlib.blake2b(f"{seed}\n".encode(), digest_size=8)
    digest.update(b"\n".join(document))
    return int.from_bytes(digest.digest(), "big")


def build_shard(
    chunks: Sequence[Chunk], settings: Settings, tokenizer: Tokenizer, output_dir: str
) -> dict[str, Any]:
    """Writes the TFRecord files `NAME.train` and `NAME.eval`, of which one may be empty.

    Args:
      chunks: what to read; NAME is the first one's.
      settings: how to make examples.
      tokenizer: made of these settings, shared by the shards of a worker.
      output_dir: where to write.

    Returns:
      Counts, and what `manifest.assemble` needs.
    """
    name = chunks[0].name
    splits = {
        split: _SplitWriter(
            os.path.join(output_dir, f"{name}.{split}"), split, name, settings, tokenizer
        )
        for split in SPLITS
    }
    reading = Reading()
    hashes: list[tuple[int, int]] = []  # and the document's number of tokens
    held_out: list[int] = []
    num_words = 0
    for batch in _batches(_documents(chunks, reading)):
        lines, counts = tokenizer.ids_and_counts_of_lines(
            [line for _, document in batch for line in document]
        )
        ids, ends = lines.values.numpy(), iter(lines.row_splits.numpy()[1:].tolist())
        reading.amounts.update({key: int(count) for key, count in counts.items()})
        reading.amounts["tokens"] += len(ids)
        reading.amounts["unknown_tokens"] += int((ids == tokenizer.vocabulary.unk_id).sum())
        start = 0
        for source, document in batch:
            first_token, rows = start, []
            for _ in document:
                end = next(ends)
                rows.append(ids[start:end])
                start = end
            num_words += sum(line.count(b" ") + 1 for line in document)
            if start == first_token:
                reading.problems[source]["documents_without_tokens_skipped"] += 1
                continue
            value = document_hash(document, settings.seed)
            hashes.append((value, start - first_token))
            if value < settings.eval_threshold:
                held_out.append(start - first_token)
                beginning, rows = _cut(rows, settings.most_held_out)
                splits["train"].add_text(beginning)
                splits["eval"].add_document(rows)
            else:
                splits["train"].add_document(rows)
    results = {split: writer.finish() for split, writer in splits.items()}
    reading.amounts["tokens_in_examples"] = sum(each["text_tokens"] for each in results.values())
    return {
        "name": name,
        "chunks": [dataclasses.asdict(chunk) for chunk in chunks],
        "splits": results,
        "words": num_words,
        "bytes": sum(chunk.end - chunk.start for chunk in chunks),
        "smallest_hash": min(hashes, default=None),
        "largest_hash": max(hashes, default=None),
        "held_out": held_out,
        "reading": reading.as_json(),
    }


def _documents(chunks: Sequence[Chunk], reading: Reading) -> Iterator[tuple[int, Document]]:
    """The documents, and the index of the source of each."""
    for chunk in chunks:
        for document in read_chunk(chunk, reading.problems[chunk.source]):
            reading.add(document, chunk.kind)
            yield chunk.source, document


def _cut(rows: list[np.ndarray], most: int | None) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """A document, as ids of its lines, without its last `most` tokens, and these; None: all."""
    ends = np.cumsum([len(row) for row in rows])
    start = 0 if most is None else max(0, ends[-1] - most)
    if not start:
        return [], rows
    line = int(np.searchsorted(ends, start, side="right"))
    place = start - int(ends[line]) + len(rows[line])
    return [*rows[:line], rows[line][:place]], [rows[line][place:], *rows[line + 1 :]]


def _batches(
    documents: Iterator[tuple[int, Document]],
) -> Iterator[list[tuple[int, Document]]]:
    """Groups documents, with their sources, to about `_BATCH_BYTES` of text."""
    batch: list[tuple[int, Document]] = []
    size = 0
    for source, document in documents:
        batch.append((source, document))
        size += sum(map(len, document))
        if size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


class _SplitWriter:
    """The train or the eval examples of a shard on their way to a file."""

    def __init__(self, path: str, split: str, name: str, settings: Settings, tokenizer: Tokenizer):
        vocabulary = tokenizer.vocabulary
        self._is_packed = settings.packing == "documents"
        if self._is_packed:
            self._builder = DocumentPacker(vocabulary, settings.seq_length)
        else:
            # Seeded by text: unlike a hash of a tuple, that is the same in every process.
            rng = random.Random(f"{settings.seed}/{split}/{name}")
            self._builder = PairBuilder(
                vocabulary, settings.seq_length, rng, settings.keep_leftovers
            )
        self._seq_length = settings.seq_length
        self._pad_id = vocabulary.pad_id
        self._frame = (vocabulary.cls_id, vocabulary.sep_id)
        self._writer = ShardWriter(path)
        self._pending: list[Example] = []
        self._num_documents = self._num_text_tokens = 0

    def add_document(self, rows: list[np.ndarray]) -> None:
        self._num_documents += 1
        self.add_text(rows)

    def add_text(self, rows: list[np.ndarray]) -> None:
        """Adds the rest of a document that counts on the other side."""
        self._pending.extend(self._builder.add_document(rows))
        if len(self._pending) >= _BATCH_EXAMPLES:
            self._flush()

    def finish(self) -> dict[str, Any]:
        """Closes the file and returns its counts."""
        self._pending.extend(self._builder.finish())
        self._flush()
        digest = self._writer.close()
        return {
            "documents": self._num_documents,
            "examples": self._writer.num_examples,
            "tokens": self._writer.num_tokens,
            "text_tokens": self._num_text_tokens,
            "digest": digest,
        }

    def _flush(self) -> None:
        if self._pending:
            examples = pad_examples(self._pending, self._seq_length, self._pad_id, self._is_packed)
            self._writer.write(examples)
            is_frame = np.isin(examples["input_ids"], self._frame)
            self._num_text_tokens += int(examples["input_mask"][~is_frame].sum())
        self._pending = []
