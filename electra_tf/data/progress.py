"""Progress of work that other processes do: one live line in a terminal; elsewhere a plain one now
and then, and at the end.

Workers leave a small JSON file for each piece of work they finish. Counting those is all that is
needed, whatever runs the workers.
"""

import contextlib
import glob
import json
import os
import sys
import threading
import time
from collections.abc import Iterator

from tqdm import tqdm

_POLL_SECONDS = 0.5
_LINE_SECONDS = 60.0  # between plain lines


def read_results(folder: str) -> dict[str, dict]:
    """The finished results of a folder, by file name in sorted order."""
    results = {}
    for path in sorted(glob.glob(os.path.join(glob.escape(folder), "*.json"))):
        with open(path, encoding="utf-8") as file:
            results[os.path.basename(path)] = json.load(file)
    return results


def write_result(folder: str, name: str, result: dict) -> None:
    """Leaves a result, which is there in full or not at all."""
    path = os.path.join(folder, f"{name}.json")
    with open(f"{path}.part", "w", encoding="utf-8") as file:
        json.dump(result, file)
    os.replace(f"{path}.part", path)


@contextlib.contextmanager
def progress_line(sources_dir: str, parts_dir: str, num_sources: int) -> Iterator[None]:
    """Shows bytes of text done, words/s and the time left while the body runs.

    Args:
      sources_dir: gets one result per source, with its `bytes` of text, when it has been cut.
      parts_dir: gets one result per chunk, with `bytes` and `words`.
      num_sources: how many sources there are.
    """
    stop = threading.Event()
    is_live = sys.stderr.isatty()

    def poll(bar: tqdm) -> None:
        finished: dict[str, dict] = {}
        next_line = time.monotonic() + _LINE_SECONDS
        while True:
            is_last = stop.wait(_POLL_SECONDS)
            for name in sorted(set(os.listdir(parts_dir)) - set(finished)):
                if name.endswith(".json"):
                    with open(os.path.join(parts_dir, name), encoding="utf-8") as file:
                        finished[name] = json.load(file)
            sources = [name for name in os.listdir(sources_dir) if name.endswith(".json")]
            if bar.total is None and len(sources) == num_sources:
                bar.total = sum(r["bytes"] for r in read_results(sources_dir).values())
                bar.set_description("making examples")
                bar.unpause()
            seconds = bar.format_dict["elapsed"]
            words = sum(result["words"] for result in finished.values())
            bar.set_postfix_str(f"{words / max(seconds, 1e-9):,.0f} words/s", refresh=False)
            bar.n = sum(result["bytes"] for result in finished.values())
            bar.refresh()
            if not is_live and (is_last or time.monotonic() >= next_line):
                print(bar, file=sys.stderr, flush=True)
                next_line += _LINE_SECONDS
            if is_last:
                return

    with (
        open(os.devnull, "w") as nowhere,
        tqdm(
            file=sys.stderr if is_live else nowhere,
            unit="B",
            unit_scale=True,
            desc="reading inputs",
            dynamic_ncols=is_live,
        ) as bar,
    ):
        thread = threading.Thread(target=poll, args=(bar,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
