"""The Apache Beam pipeline of a build, in which only descriptors travel.

    groups of sources ─ cut into chunks ─▶ the chunks of a shard ─ written ─▶ counts

A worker gets the paths and byte ranges of a shard's chunks, reads them, writes the shard and a
small JSON file of counts. Nothing of the text goes through Beam, whose local runner keeps what it
groups in memory. All workers must see the same file system.
"""

import dataclasses
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence

from electra_tf import extras, stderr
from electra_tf.data.manifest import Settings
from electra_tf.data.progress import progress_line, read_results, write_result
from electra_tf.data.runner import local_runner, worker_environment
from electra_tf.errors import UserError, lack_of_room
from electra_tf.text import tokenization
from electra_tf.text.chunks import Chunk, chunk_bytes, chunks_of_shards, group_sources
from electra_tf.text.corpus import Source, fingerprint
from electra_tf.text.dropped import Reading

with extras.needed("data"):
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

_LOG_LINES_SHOWN = 40


@dataclasses.dataclass(frozen=True)
class Job:
    """Runs the pipeline in a directory for temporary files."""

    work_dir: str
    settings: Settings
    options: PipelineOptions

    def __post_init__(self):
        for folder in (self.sources_dir, self.spool_dir, self.parts_dir, self.errors_dir):
            os.makedirs(folder, exist_ok=True)

    @property
    def sources_dir(self) -> str:
        return os.path.join(self.work_dir, "sources")

    @property
    def spool_dir(self) -> str:
        return os.path.join(self.work_dir, "spool")

    @property
    def parts_dir(self) -> str:
        return os.path.join(self.work_dir, "parts")

    @property
    def errors_dir(self) -> str:
        return os.path.join(self.work_dir, "errors")

    def run(self, sources: Sequence[Source]) -> list[dict]:
        """Makes all shards; returns their results in the order of the corpus."""
        size = chunk_bytes(sources)
        groups = group_sources(sources, size)
        cut = _CutSources(size, self.spool_dir, self.sources_dir, self.errors_dir)
        with progress_line(self.sources_dir, self.parts_dir, len(groups)):
            self._run(
                "sources" >> beam.Create(groups)
                | "spread sources" >> beam.Reshuffle()
                | "cut" >> beam.ParDo(cut)
            )
        return self._parts()

    def run_again(self, parts: Sequence[dict]) -> list[dict]:
        """Makes some of the shards anew."""
        if parts:
            shards = [tuple(Chunk(**chunk) for chunk in part["chunks"]) for part in parts]
            self._run("chunks" >> beam.Create(shards))
        return self._parts()

    def _run(self, chunks: beam.PTransform) -> None:
        log_file = os.path.join(self.work_dir, "workers.log")
        build = _BuildShard(self.settings, self.errors_dir, self.parts_dir)
        try:
            with worker_environment(self.options):
                pipeline = beam.Pipeline(local_runner(self.options, log_file), self.options)
                _ = (
                    pipeline
                    | chunks
                    | "spread chunks" >> beam.Reshuffle()
                    | "build" >> beam.ParDo(build)
                )
                pipeline.run().wait_until_finish()
        except Exception as error:
            if os.path.exists(log_file) and not lack_of_room(error):
                with open(log_file, encoding="utf-8", errors="replace") as file:
                    lines = list(filter(stderr.is_news, file))
                    sys.stderr.write("".join(lines[-_LOG_LINES_SHOWN:]))
            raise
        for error in read_results(self.errors_dir).values():
            raise UserError(error["message"])

    def _parts(self) -> list[dict]:
        return list(read_results(self.parts_dir).values())


class _CutSources(beam.DoFn):
    """A group of sources to the chunks of shards."""

    def __init__(self, size: int, spool_dir: str, sources_dir: str, errors_dir: str):
        self._size = size
        self._errors_dir = errors_dir
        self._spool_dir = spool_dir
        self._sources_dir = sources_dir

    def process(self, group: list[Source]) -> Iterator[tuple[Chunk, ...]]:
        reading = Reading()
        num_bytes: Counter = Counter()
        name = f"{group[0].index:05d}"
        try:
            for chunks in chunks_of_shards(group, self._size, self._spool_dir, reading.problems):
                for chunk in chunks:
                    num_bytes[chunk.source] += chunk.end - chunk.start
                yield chunks
        except UserError as error:
            # Reported as a result: Beam would wrap an exception in pages of its own.
            write_result(self._errors_dir, name, {"message": str(error)})
            return
        inputs = {}
        for source in group:
            reading.problems[source.index]["empty_files"] += not num_bytes[source.index]
            inputs[source.index] = {
                "name": os.path.basename(source.name) if source.is_file else source.name,
                "bytes": source.size if source.is_file else num_bytes[source.index],
                "fingerprint": fingerprint(source),
            }
        result = {"inputs": inputs, "bytes": num_bytes.total(), "reading": reading.as_json()}
        write_result(self._sources_dir, name, result)


class _BuildShard(beam.DoFn):
    """Chunks to their shard."""

    def __init__(self, settings: Settings, errors_dir: str, parts_dir: str):
        self._settings = settings
        self._errors_dir = errors_dir
        self._parts_dir = parts_dir

    def setup(self):
        stderr.import_tensorflow()  # here: only workers need it
        self._tokenizer = tokenization.load(self._settings.vocab_file, self._settings.tokenizer)

    def process(self, chunks: tuple[Chunk, ...]) -> Iterator[None]:
        from electra_tf.data.shards import build_shard

        if not os.listdir(self._errors_dir):
            result = build_shard(chunks, self._settings, self._tokenizer, self._parts_dir)
            write_result(self._parts_dir, result["name"], result)
        return iter(())
