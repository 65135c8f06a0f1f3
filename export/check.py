"""Tests an exported bundle as a server would use it, before a server gets it.

    electra_tf check SERVING_DIR/1 [--model=RUN]

Prints a line for each check: files and signatures, ops against those that TensorFlow Serving
has, loading, the warm-up requests, difficult texts, the same without Python (a C program on
TensorFlow's C API, compiled on the spot), the Keras model's answers if --model is given, and a
table of latency by batch size and length. Exit code 1 if anything fails.
"""

import json
import sys

from absl import flags

from electra_tf import command, files
from electra_tf.errors import UserError

_BUNDLE = command.define_path(
    "bundle", None, "Directory of one version, such as SERVING_DIR/1; --bundle= may be left out."
)
_MODEL = command.define_path(
    "model", None, "Run or model directory it was exported from, to compare answers with."
)
_BATCH_SIZES = flags.DEFINE_list("batch_sizes", ["1", "8", "32"], "Rows of the calls to time.")
_LENGTHS = flags.DEFINE_list(
    "lengths", ["16", "128"], "Tokens of their rows, [CLS] and [SEP] included."
)
_SECONDS = flags.DEFINE_float("seconds", 20.0, "Time for the table of latency; 0 for no table.")
_SIGNATURE = flags.DEFINE_string("signature", "serving_default", "The signature to time.")
_NATIVE = flags.DEFINE_bool("native", True, "Also send the requests from the C program.")
_JSON = command.define_path("json", None, "File for the report, complete or not at all.")
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace the file of --json if it exists.")


def main(argv: list[str]) -> None:
    paths = [*argv[1:], *([_BUNDLE.value] if _BUNDLE.value else [])]
    if len(paths) != 1:
        raise UserError(
            f"Give exactly one bundle, such as SERVING_DIR/1. Received: {' '.join(paths) or 'none'}"
        )
    from tqdm import tqdm  # with TensorFlow only now: --help stays quick

    from electra_tf.serving.checking import latency
    from electra_tf.serving.checking.check import check_bundle

    paths = [files.expand(path) for path in filter(None, (paths[0], _MODEL.value))]
    report_file = _JSON.value and files.output(
        _JSON.value, inputs=paths, overwrite=_OVERWRITE.value
    )
    plan = None
    if _SECONDS.value:
        plan = latency.LatencyPlan(
            _numbers(_BATCH_SIZES), _numbers(_LENGTHS), _SECONDS.value, _SIGNATURE.value
        )
    with tqdm(
        unit=" kinds", desc="timing", leave=False, disable=plan is None or not sys.stderr.isatty()
    ) as bar:

        def show(done, number):
            bar.total, bar.n = number, done
            bar.refresh()

        report = check_bundle(
            paths[0],
            paths[1] if _MODEL.value else None,
            plan,
            without_python=_NATIVE.value,
            on_check=lambda check: print(check, flush=True),
            on_progress=show,
        )
    for line in latency.describe(report.latency) if report.latency else []:
        print(line)
    if report_file:
        files.write_text(report_file, json.dumps(report.as_dict(), indent=2) + "\n")
    if not report.passed:
        raise UserError(report.verdict)
    print(report.verdict)


def _numbers(flag: flags.FlagHolder) -> tuple[int, ...]:
    try:
        return tuple(map(int, flag.value))
    except ValueError:
        raise UserError(
            f"--{flag.name} must be whole numbers with commas between. "
            f"Received: {','.join(flag.value)}"
        ) from None


if __name__ == "__main__":
    command.run(main)
