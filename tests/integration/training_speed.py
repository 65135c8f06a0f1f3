"""Times the pre-training step on the CPU against transformers on PyTorch.

    .venv/bin/python tests/integration/training_speed.py
    .venv/bin/python tests/integration/training_speed.py --rows --data_dir=SHARDS --shapes small

It is no test and nothing collects it: times are no facts that a test could hold. Ours is the step
of `electra_tf benchmark`, theirs that of tests/device/torch_step.py, which runs in its own
environment (`make test-slow` makes it): plain, and with torch.compile. All have the same networks,
dropout and batches, mask and sample anew in each step, clip, and update with AdamW; the number of
weights and the first loss are compared before the clock counts.

Each side has a process of its own. They take turns of some steps, in another order every round, so
whatever else the machine does meets all of them. The ratio is the median of those of the rounds,
above 1 where ours is faster. A share of peak is the matrix products that the tokens need (without
padding), over the best rate of matrix products that the same side has reached in the same rounds.

Shapes, NAME or NAME:BATCHxLENGTH:

  quickstart  the tiny model of `electra_tf quickstart`, which has no dropout, 64 x 16
  small       ELECTRA-Small, 32 x 128
  base        ELECTRA-Base, 8 x 128

With --rows the rows are pairs of segments as the original makes them, some shorter than others: of
--data_dir, or of tests/reference's Wikipedia, each paragraph a document. Then tokens are those
without padding.

On a machine that is busy with other work `--threads=1 --clock=process_time` compares processor
time instead, which waits for nobody; shares of peak are left out then.
"""

import argparse
import contextlib
import json
import math
import os
import pathlib
import platform
import re
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHAPES = {  # config, batch size, length
    "quickstart": ("quickstart.py", 64, 16),
    "small": ("electra_small.py", 32, 128),
    "base": ("electra_base.py", 8, 128),
}
PRECISIONS = ("float32", "bfloat16")
MODES = ("plain", "compiled")
OURS = "ours"
FEATURES = ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_bf16")
HAS_BFLOAT16 = ("avx512_bf16", "amx_bf16")
# What decides how TensorFlow runs; printed as it is in our process.
ENVIRONMENT = (
    "TF_CPU_ALLOCATOR_USE_BFC",
    "TF_ENABLE_ONEDNN_OPTS",
    "TF_NUM_INTEROP_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "MALLOC_MMAP_THRESHOLD_",
    "MALLOC_TRIM_THRESHOLD_",
)
TIME_LIMIT = 3600.0  # seconds until a side is ready, against a hang
PAUSE = 0.05  # seconds between turns, for threads of the one before to go to sleep
LOSS_TOLERANCE = 0.1  # of the first losses: of untrained networks, they differ in their draws alone


def main():
    options = parse()
    processor, has = describe_processor()
    print(f"{processor}: {', '.join(has) or 'none of ' + ', '.join(FEATURES)}")
    precisions = options.precisions or [
        name for name in PRECISIONS if name == "float32" or set(has) & set(HAS_BFLOAT16)
    ]
    load, results = os.getloadavg()[0], []
    for name in options.shapes:
        for precision in precisions:
            result = measure(shape_of(name, options), precision, options)
            if not results:
                print_setting(result, options, load)
            results.append(result)
            print_row(result)
    for result in results:
        print_details(result)
    if len(precisions) > 1:
        print_best(results)
    print(f"load {load:.1f} before, {os.getloadavg()[0]:.1f} at the end")
    if options.output:
        figures = {"processor": processor, "features": has, "load": load, "results": results}
        options.output.write_text(json.dumps(figures, indent=2) + "\n")


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shapes", nargs="+", default=list(SHAPES))
    parser.add_argument(
        "--precisions",
        nargs="+",
        choices=PRECISIONS,
        help="default: float32, and bfloat16 where the processor has it",
    )
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES), help="PyTorch's")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument(
        "--seconds", type=float, default=2.0, help="of a turn; it has two steps at least"
    )
    parser.add_argument("--layers", type=int, default=0, help="for quick trials; 0: the model's")
    parser.add_argument("--threads", type=int, default=0, help="of each side; 0: as it comes")
    parser.add_argument("--xla", default="auto", help="ours: config.runtime.xla")
    parser.add_argument("--rows", action="store_true", help="rows of several lengths; see above")
    parser.add_argument("--data_dir", default="", help="with --rows: a data set of --packing=none")
    parser.add_argument(
        "--compile_seconds",
        type=float,
        default=600.0,
        help="longest time until the first step is done; what takes longer is left out",
    )
    parser.add_argument(
        "--clock",
        choices=["perf_counter", "process_time"],
        default="perf_counter",
        help="of Python's time; see above",
    )
    parser.add_argument(
        "--peer_python",
        default=str(ROOT / ".venv-interop/bin/python"),
        help="Python of the environment with transformers",
    )
    parser.add_argument("--output", type=pathlib.Path, help="also write the figures there, as JSON")
    options = parser.parse_args()
    for name in options.shapes:
        if not re.fullmatch(rf"({'|'.join(SHAPES)})(:\d+x\d+)?", name):
            parser.error(f"a shape must be one of those below, or NAME:BATCHxLENGTH: {name}")
    if options.data_dir and not options.rows:
        parser.error("--data_dir must come with --rows")
    return options


def shape_of(name, options):
    """What both sides must know of a shape."""
    name, _, size = name.partition(":")
    config, batch, length = SHAPES[name]
    if size:
        batch, length = map(int, size.split("x"))
    return {
        "shape": name,
        "config": config,
        "batch": batch,
        "length": length,
        "layers": options.layers,
        "threads": options.threads,
        "xla": options.xla,
        "clock": options.clock,
        "rows": options.rows,
        "data_dir": options.data_dir,
        "environment": ENVIRONMENT,
    }


def describe_processor():
    """Its name and those of FEATURES that it has; cloud machines hide the name, not the model."""
    try:
        text = pathlib.Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine(), []
    found = dict(re.findall(r"^(.*?)\s*: (.*)$", text, re.MULTILINE))
    name = (
        f"{found.get('model name', platform.machine())}, family {found.get('cpu family', '?')} "
        f"model {found.get('model', '?')}, {len(os.sched_getaffinity(0))} processors"
    )
    return name, [name for name in FEATURES if name in found.get("flags", "").split()]


class Side:
    """A process that does training steps; a context manager.

    Args:
        name: of the side.
        python: its interpreter.
        program: beside this file; without ".py".
        settings: for the program.
        folder: what the sides share.
    """

    def __init__(self, name, python, program, settings, folder):
        self.name, self.took, self.peak, self.memory = name, [], 0.0, 0
        settings_file = os.path.join(folder, f"{name}.json")
        pathlib.Path(settings_file).write_text(json.dumps(settings))
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed by __exit__)
        self._process = subprocess.Popen(
            [python, str(ROOT / f"tests/integration/{program}.py"), settings_file, folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            start_new_session=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # it keeps nothing; compilers, too
        self._process.communicate()
        self._errors.close()

    def start(self, seconds):
        """Gets all ready, with one step, in so much time; raises Ended."""
        begin = time.monotonic()
        self.about = self._read(seconds)
        self._ask(steps=1)
        self.loss = self._read(seconds - (time.monotonic() - begin))["loss"]
        self.ready_seconds = time.monotonic() - begin

    def turn(self, steps):
        """Seconds of a step."""
        self._ask(steps=steps)
        answer = self._read()
        self.memory = answer["memory"]
        return answer["seconds"] / steps

    def measure_peak(self):
        self._ask(peak=1)
        self.peak = max(self.peak, self._read()["peak"])

    def _ask(self, **request):
        with contextlib.suppress(BrokenPipeError):  # _read tells why
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()

    def _read(self, seconds=None):
        # A side writes nothing before it is asked, so the buffer between holds no line.
        if not select.select([self._process.stdout], [], [], seconds and max(0.0, seconds))[0]:
            raise Ended(f"not ready within {seconds:.0f} s")
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            raise Ended(self._errors.read())
        return json.loads(line)


class Ended(Exception):
    """A side is not ready in time, or has ended; with all it has said."""


def measure(settings, precision, options):
    """Figures of one shape and precision."""
    settings = settings | {"precision": precision}
    left_out = {}
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        ours = Side(OURS, sys.executable, "training_speed_ours", settings, folder)
        stack.enter_context(ours)
        try:
            ours.start(TIME_LIMIT)
        except Ended as error:
            sys.exit(f"error: our process has ended:\n{error}")
        sides = [ours]
        for mode in options.modes:
            more = {name: ours.about[name] for name in ("shared", "mask_id", "special")}
            side = Side(
                mode,
                options.peer_python,
                "training_speed_peer",
                settings | more | {"mode": mode},
                folder,
            )
            stack.enter_context(side)
            try:
                side.start(options.compile_seconds if mode == "compiled" else TIME_LIMIT)
            except Ended as error:
                if mode == "plain" or not str(error).strip():
                    sys.exit(f"error: PyTorch's process has ended:\n{error}")
                left_out[mode] = str(error)
                side.__exit__()
                continue
            require_same_work(ours, side)
            sides.append(side)
        tokens = take_turns(sides, options)
    return {
        **{name: settings[name] for name in ("shape", "batch", "rows", "layers", "clock")},
        "length": ours.about["seq_length"],
        "precision": precision,
        "parameters": ours.about["parameters"],
        "threads": {side.name: side.about["threads"] for side in sides},
        "versions": {
            name: value for side in sides for name, value in side.about["versions"].items()
        },
        "environment": ours.about["environment"],
        "padding": 1
        - sum(ours.about["tokens"])
        / (len(ours.about["tokens"]) * settings["batch"] * ours.about["seq_length"]),
        "sides": {side.name: figures_of(side, tokens, options) for side in sides},
        "left_out": left_out,
    }


def require_same_work(ours, side):
    """Stops unless a side trains as many weights and starts from about the same loss."""
    for what, one, other, tolerance in (
        ("weights", ours.about["parameters"], side.about["parameters"], 0.0),
        ("first loss", ours.loss, side.loss, LOSS_TOLERANCE),
    ):
        if abs(one - other) > tolerance * one:
            sys.exit(f"error: {what}: ours {one}, PyTorch ({side.name}) {other}")


def take_turns(sides, options):
    """Has the sides take turns; returns (tokens, FLOPs) per step of each round."""
    steps = max(2, math.ceil(options.seconds / min(side.turn(1) for side in sides)))
    for side in sides:
        side.turn(steps)  # not counted
    batches = list(zip(sides[0].about["tokens"], sides[0].about["flops"]))
    done, work = 2 + steps, []
    for number in range(options.rounds):
        first = number % len(sides)
        for side in sides[first:] + sides[:first]:
            time.sleep(PAUSE)
            side.measure_peak()
            side.took.append(side.turn(steps))
        of_steps = [batches[(done + index) % len(batches)] for index in range(steps)]
        done += steps
        work.append([sum(column) / steps for column in zip(*of_steps)])
    return work


def figures_of(side, work, options):
    speeds = [tokens / seconds for (tokens, _), seconds in zip(work, side.took)]
    rates = [flops / seconds for (_, flops), seconds in zip(work, side.took)]
    wall = options.clock == "perf_counter"
    return {
        "step_seconds": side.took,
        "tokens_per_second": statistics.median(speeds),
        "peak_flops_per_second": side.peak if wall else None,
        "peak_share": statistics.median(rates) / side.peak if wall else None,
        "ready_seconds": side.ready_seconds,
        "peak_memory_bytes": side.memory,
        "first_loss": side.loss,
    }


def best_peer(result):
    return max(
        (name for name in result["sides"] if name != OURS),
        key=lambda name: result["sides"][name]["tokens_per_second"],
    )


def ratios(result, name):
    """Of each round: a side's seconds over ours."""
    ours, theirs = (result["sides"][side]["step_seconds"] for side in (OURS, name))
    return [other / one for one, other in zip(ours, theirs)]


def print_setting(result, options, load):
    environment = ", ".join(
        f"{name}={'unset' if value is None else value}"
        for name, value in result["environment"].items()
    )
    print(
        ", ".join(" ".join(pair) for pair in result["versions"].items())
        + f"; threads: {', '.join(f'{name} {n}' for name, n in result['threads'].items())}; "
        f"{options.clock}, {options.rounds} rounds, load {load:.1f}\n{environment}"
    )
    titles = "shape,batch,padding,precision,ours: tokens/s,of peak,GFLOP/s,"
    titles += "PyTorch: tokens/s,of peak,GFLOP/s,ratio,of the rounds"
    titles = titles.split(",")
    print(f"\n| {' | '.join(titles)} |\n| --- | ---: | ---: | --- |" + " ---: |" * 8)


def print_row(result):
    best = best_peer(result)
    each = ratios(result, best)

    def cells(name):
        side = result["sides"][name]
        note = "" if name == OURS else f" ({name})"
        share, peak = side["peak_share"], side["peak_flops_per_second"]
        return (
            f"{side['tokens_per_second']:,.0f}{note} | "
            f"{'–' if share is None else f'{share:.0%}'} | "
            f"{'–' if peak is None else f'{peak / 1e9:,.0f}'}"
        )

    layers = f" of {result['layers']} layers" if result["layers"] else ""
    print(
        f"| {result['shape']}{layers} | {result['batch']} x {result['length']} | "
        f"{result['padding']:.0%} | {result['precision']} | {cells(OURS)} | {cells(best)} | "
        f"{statistics.median(each):.2f} | {min(each):.2f}–{max(each):.2f} |",
        flush=True,
    )


def print_details(result):
    """Every side, and what was left out."""
    print(f"\n{result['shape']} {result['batch']} x {result['length']}, {result['precision']}:")
    for name, side in result["sides"].items():
        print(
            f"  {name:9} {side['tokens_per_second']:10,.0f} tokens/s, "
            f"{1e3 * statistics.median(side['step_seconds']):,.1f} ms a step, ready after "
            f"{side['ready_seconds']:.0f} s, {side['peak_memory_bytes'] / 2**30:.2f} GiB at most, "
            f"first loss {side['first_loss']:.2f}"
        )
    for mode, reason in result["left_out"].items():
        print(f"  {mode:9} left out: {reason.strip().splitlines()[-1]:.300}")


def print_best(results):
    """Each shape once more: ours in its best precision against PyTorch in its own."""
    print()
    for shape, batch, length in dict.fromkeys(
        (result["shape"], result["batch"], result["length"]) for result in results
    ):
        of_shape = [
            result
            for result in results
            if (result["shape"], result["batch"], result["length"]) == (shape, batch, length)
        ]
        speeds = {
            (side == OURS, result["precision"], side): figures["tokens_per_second"]
            for result in of_shape
            for side, figures in result["sides"].items()
        }
        ours, theirs = (
            max((key for key in speeds if key[0] == own), key=speeds.get) for own in (True, False)
        )
        print(
            f"{shape} {batch} x {length}, best precisions: ours {ours[1]}, PyTorch {theirs[1]} "
            f"({theirs[2]}): ratio of medians {speeds[ours] / speeds[theirs]:.2f}"
        )


if __name__ == "__main__":
    main()
