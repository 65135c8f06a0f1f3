"""The Apache Beam pipeline of a build, in which only descriptors travel.

    sources ─ cut into chunks ─▶ chunks ─ one shard each ─▶ counts

A worker gets the path and byte range of a chunk, reads it, writes its shard and a small JSON file
of counts. Nothing of the text goes through Beam, whose local runner keeps what it groups in
memory. All workers must see the same file system.
"""

import dataclasses
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from electra_tf.data.manifest import Settings
from electra_tf.data.progress import progress_line, read_results, write_result
from electra_tf.data.runner import local_runner, worker_environment
from electra_tf.text.chunks import Chunk, chunk_bytes, make_chunks
from electra_tf.text.corpus import Source, fingerprint

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
        """Makes all shards; returns the results of the chunks in the order of the corpus."""
        cut = _CutSource(chunk_bytes(sources), self.spool_dir, self.sources_dir, self.errors_dir)
        with progress_line(self.sources_dir, self.parts_dir, len(sources)):
            self._run(
                "sources" >> beam.Create(sources)
                | "spread sources" >> beam.Reshuffle()
                | "cut" >> beam.ParDo(cut)
            )
        return self._parts()

    def run_again(self, parts: Sequence[dict]) -> list[dict]:
        """Makes some of the shards anew."""
        if parts:
            self._run("chunks" >> beam.Create([Chunk(**part["chunk"]) for part in parts]))
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
        except Exception:
            if os.path.exists(log_file):
                with open(log_file, encoding="utf-8", errors="replace") as file:
                    sys.stderr.write("".join(file.readlines()[-_LOG_LINES_SHOWN:]))
            raise
        for error in read_results(self.errors_dir).values():
            raise ValueError(error["message"])

    def _parts(self) -> list[dict]:
        return list(read_results(self.parts_dir).values())


class _CutSource(beam.DoFn):
    """Source to its chunks."""

    def __init__(self, size: int, spool_dir: str, sources_dir: str, errors_dir: str):
        self._size = size
        self._errors_dir = errors_dir
        self._spool_dir = spool_dir
        self._sources_dir = sources_dir

    def process(self, source: Source) -> Iterator[Chunk]:
        problems: Counter = Counter()
        num_bytes = 0
        try:
            for chunk in make_chunks(source, self._size, self._spool_dir, problems):
                num_bytes += chunk.end - chunk.start
                yield chunk
        except ValueError as error:
            # Reported as a result: Beam would wrap an exception in pages of its own.
            write_result(self._errors_dir, f"{source.index:05d}", {"message": str(error)})
            return
        problems["empty_files"] += not num_bytes
        entry = {
            "name": os.path.basename(source.name) if source.is_file else source.name,
            "bytes": source.size if source.is_file else num_bytes,
            "fingerprint": fingerprint(source),
        }
        result = {"input": entry, "bytes": num_bytes, "skipped": problems}
        write_result(self._sources_dir, f"{source.index:05d}", result)


class _BuildShard(beam.DoFn):
    """Chunk to shard."""

    def __init__(self, settings: Settings, errors_dir: str, parts_dir: str):
        self._settings = settings
        self._errors_dir = errors_dir
        self._parts_dir = parts_dir

    def setup(self):
        settings = self._settings
        # Imported here because only workers need TensorFlow.
        from electra_tf.text.wordpiece import Tokenizer

        self._tokenizer = Tokenizer(
            settings.vocab_file, settings.lower_case, settings.strip_accents
        )

    def process(self, chunk: Chunk) -> Iterator[None]:
        from electra_tf.data.shards import build_shard

        if not os.listdir(self._errors_dir):
            result = build_shard(chunk, self._settings, self._tokenizer, self._parts_dir)
            write_result(self._parts_dir, chunk.name, result)
        return iter(())
