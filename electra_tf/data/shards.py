"""What one worker does: read a chunk of the corpus, write its shard and report the counts.

Everything is a function of the chunk and the settings, so it does not matter which worker does it,
or when.
"""

import dataclasses
import hashlib
import os
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

from electra_tf.data.manifest import SPLITS, Settings
from electra_tf.data.records import ShardWriter
from electra_tf.text.chunks import Chunk, read_chunk
from electra_tf.text.corpus import Document
from electra_tf.text.examples import DocumentPacker, Example, PairBuilder, pad_examples
from electra_tf.text.wordpiece import Tokenizer

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
    chunk: Chunk, settings: Settings, tokenizer: Tokenizer, output_dir: str
) -> dict[str, Any]:
    """Writes the TFRecord files `NAME.train` and `NAME.eval`, of which one may be empty.

    Args:
      chunk: what to read.
      settings: how to make examples.
      tokenizer: made of these settings, shared by the chunks of a worker.
      output_dir: where to write; NAME is `chunk.name`.

    Returns:
      Counts, and what `manifest.assemble` needs.
    """
    path = os.path.join(output_dir, chunk.name)
    splits = {
        split: _SplitWriter(f"{path}.{split}", split, chunk, settings, tokenizer)
        for split in SPLITS
    }
    problems: Counter = Counter()
    hashes: list[int] = []
    num_words = 0
    for batch in _batches(read_chunk(chunk, problems)):
        lines = tokenizer.ids_of_lines([line for document in batch for line in document])
        ids, ends = lines.values.numpy(), iter(lines.row_splits.numpy()[1:].tolist())
        start = 0
        for document in batch:
            first_token, rows = start, []
            for _ in document:
                end = next(ends)
                rows.append(ids[start:end])
                start = end
            num_words += sum(line.count(b" ") + 1 for line in document)
            if start == first_token:
                problems["documents_without_tokens_skipped"] += 1
                continue
            value = document_hash(document, settings.seed)
            hashes.append(value)
            splits["eval" if value < settings.eval_threshold else "train"].add_document(rows)
    return {
        "name": chunk.name,
        "chunk": dataclasses.asdict(chunk),
        "splits": {split: writer.finish() for split, writer in splits.items()},
        "words": num_words,
        "bytes": chunk.end - chunk.start,
        "smallest_hash": min(hashes, default=None),
        "largest_hash": max(hashes, default=None),
        "skipped": problems,
    }


def _batches(documents: Iterator[Document]) -> Iterator[list[Document]]:
    """Groups documents to about `_BATCH_BYTES` of text."""
    batch: list[Document] = []
    size = 0
    for document in documents:
        batch.append(document)
        size += sum(map(len, document))
        if size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


class _SplitWriter:
    """The train or the eval examples of a chunk on their way to a file."""

    def __init__(
        self, path: str, split: str, chunk: Chunk, settings: Settings, tokenizer: Tokenizer
    ):
        vocabulary = tokenizer.vocabulary
        self._is_packed = settings.packing == "documents"
        if self._is_packed:
            self._builder = DocumentPacker(vocabulary, settings.seq_length)
        else:
            # Seeded by text: unlike a hash of a tuple, that is the same in every process.
            rng = random.Random(f"{settings.seed}/{split}/{chunk.name}")
            self._builder = PairBuilder(
                vocabulary, settings.seq_length, rng, settings.keep_leftovers
            )
        self._seq_length = settings.seq_length
        self._pad_id = vocabulary.pad_id
        self._writer = ShardWriter(path)
        self._pending: list[Example] = []
        self._num_documents = 0

    def add_document(self, rows: list) -> None:
        self._num_documents += 1
        self._pending.extend(self._builder.add_document(rows))
        if len(self._pending) >= _BATCH_EXAMPLES:
            self._flush()

    def finish(self) -> dict[str, int | str]:
        """Closes the file and returns its counts."""
        self._pending.extend(self._builder.finish())
        self._flush()
        digest = self._writer.close()
        return {
            "documents": self._num_documents,
            "examples": self._writer.num_examples,
            "tokens": self._writer.num_tokens,
            "digest": digest,
        }

    def _flush(self) -> None:
        if self._pending:
            self._writer.write(
                pad_examples(self._pending, self._seq_length, self._pad_id, self._is_packed)
            )
        self._pending = []
