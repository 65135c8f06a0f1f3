"""A share of a corpus, to learn a vocabulary from: always the same documents."""

import hashlib
import sys
from collections.abc import Iterator, Sequence

from tqdm import tqdm

from electra_tf.text.chunks import estimated_bytes
from electra_tf.text.corpus import Document, Source
from electra_tf.text.dropped import Reading


def sample(sources: Sequence[Source], max_bytes: int, reading: Reading) -> Iterator[Document]:
    """About `max_bytes` of documents, spread over the files."""
    share = min(1.0, max_bytes / max(1, estimated_bytes(sources)))
    threshold = int(share * (1 << 64))
    num_bytes = 0
    with tqdm(
        unit="B",
        unit_scale=True,
        desc="reading words",
        dynamic_ncols=True,
        disable=not sys.stderr.isatty(),
    ) as bar:
        for source in sources:
            for document in reading.documents(source):
                digest = hashlib.blake2b(b"\n".join(document), digest_size=8).digest()
                if int.from_bytes(digest, "big") >= threshold:
                    continue
                size = sum(map(len, document))
                num_bytes += size
                bar.update(size)
                yield document
                if num_bytes >= max_bytes:
                    return
