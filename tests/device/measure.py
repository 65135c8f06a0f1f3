"""Measures the training step, ours and its peer's, on one device: speed, share of peak, memory.

    python3 tests/device/measure.py --seconds=100 --config=configs/electra_small.py \
        --config.train.batch_size=256

Jobs, in this order, as far as --seconds go; each runs in a process of its own:

    train        the step that train.py runs with the same flags, on the real data, with a profile
    profile      (only if asked for) the same without CUDA graphs, so that every kernel has its name
    torch_small  ELECTRA-Small of PyTorch and transformers at length 128, plain and compiled
    small        ELECTRA-Small, length 128, batches 128 … 1024
    base         ELECTRA-Base, length 512, batches 32 … 256
    torch_base   ELECTRA-Base of PyTorch and transformers at length 512

Writes $OUT/measure.json after every result. All are bfloat16 with dropout 0.1, new masks in each
step, clipping and the optimizer's update.
"""

import json
import os
import subprocess
import sys
import tempfile
import time

import kit

JOBS = {
    "train": None,
    "profile": None,
    "torch_small": [256],
    "small": [256, 1024, 512, 128],
    "base": [64, 128, 32, 256],
    "torch_base": [64, 128],
}
LENGTHS = {"small": 128, "base": 512}


def main():
    import argparse

    parser = argparse.ArgumentParser(
        description=__doc__,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=float, default=100.0, help="for all jobs together")
    parser.add_argument("--jobs", default="train,torch_small,small,base,torch_base")
    parser.add_argument("--batches", default="", help="as small=128,256:base=64; else the defaults")
    parser.add_argument("--timed", type=float, default=2.0, help="seconds of each timing")
    parser.add_argument("--lengths", default="", help="as small=128:base=512")
    parser.add_argument("--job", default="", help=argparse.SUPPRESS)
    parser.add_argument("--report", default="", help=argparse.SUPPRESS)
    args, rest = parser.parse_known_args()
    batches = dict(JOBS) | {
        key: [int(size) for size in value.split(",")]
        for key, value in (item.split("=") for item in args.batches.split(":") if item)
    }
    LENGTHS.update(
        {
            key: int(value)
            for key, value in (item.split("=") for item in args.lengths.split(":") if item)
        }
    )
    if args.job:
        child(args, rest, batches[args.job])
    else:
        drive(args)


def drive(args):
    """Runs the jobs and gathers what they report."""
    path, end = os.path.join(kit.out(), "measure.json"), time.monotonic() + args.seconds
    results, left_out = [], []
    for job in args.jobs.split(","):
        left = end - time.monotonic()
        if left < 10:
            left_out.append({"job": job, "why": "no time left"})
            continue
        with tempfile.NamedTemporaryFile("r", suffix=".jsonl") as report:
            environment = os.environ | {"MEASURE_END": str(time.time() + left)}
            if job.startswith("torch_"):  # must not see the packages brought for Keras
                environment["PYTHONPATH"] = os.environ.get("OWN_PYTHONPATH", "")
            child = subprocess.Popen(
                [
                    sys.executable,
                    os.path.abspath(__file__),
                    f"--job={job}",
                    f"--report={report.name}",
                    *sys.argv[1:],
                ],
                env=environment,
            )
            number = 0
            while True:
                ended = child.poll() is not None
                report.seek(0)
                lines = [json.loads(line) for line in report if line.endswith("\n")]
                for line in lines[number:]:
                    show(line)
                if len(lines) > number or ended:
                    number = len(lines)
                    kit.write_json(path, {"results": results + lines, "left_out": left_out})
                if ended:
                    break
                if time.monotonic() > end:
                    child.kill()
                    child.wait()
                    left_out.append({"job": job, "why": "stopped at the limit"})
                    break
                time.sleep(0.2)
            results += lines
            if child.returncode not in (0, -9):
                left_out.append({"job": job, "why": f"exit code {child.returncode}"})
    best = {}
    for result in results:
        name = result.get("who")
        if "tokens_per_second" in result and (
            name not in best or result["tokens_per_second"] > best[name]["tokens_per_second"]
        ):
            best[name] = {key: result[key] for key in ("batch_size", "tokens_per_second", "mfu")}
    kit.write_json(path, {"results": results, "left_out": left_out, "best": best})
    for name, result in best.items():
        print(
            f"best {name}: batch {result['batch_size']}, "
            f"{result['tokens_per_second']:,.0f} tokens/s, MFU {result['mfu']:.1%}"
        )
    for item in left_out:
        print(f"left out: {item['job']}: {item['why']}")


def show(line):
    if "tokens_per_second" not in line:
        print({key: value for key, value in line.items() if key != "profile"}, flush=True)
        return
    print(
        f"{line['who']:22} batch {line['batch_size']:5} {line['tokens_per_second']:12,.0f} "
        f"tokens/s  MFU {line['mfu']:6.1%}  {line['step_ms']:8.1f} ms  "
        f"{(line.get('peak_bytes') or 0) / 2**30:6.1f} GiB",
        flush=True,
    )
    profile = line.get("profile") or {}
    for part, share in profile.get("parts", {}).items():
        print(f"    {share:6.1%} {part}")
    for operation in profile.get("operations", []):
        print(
            f"    {operation['share']:6.1%} {operation['operation'][:70]} {operation['line']} "
            f"[{operation['kernel'][:50]}] x{operation['per_step']:.0f}"
        )


def child(args, rest, batches):
    """One job; appends a line of JSON per result to --report."""

    def report(**line):
        with open(args.report, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    if args.job.startswith("torch_"):
        import measure_torch

        measure_torch.measure(
            args.job.removeprefix("torch_"),
            batches,
            LENGTHS[args.job.removeprefix("torch_")],
            args.timed,
            report,
            kit.seconds_left,
        )
        return
    kit.start()
    from measure_ours import of_batches, of_train

    if args.job in ("train", "profile"):
        of_train(rest, args.timed, report, graphs=args.job == "train")
    else:
        of_batches(args.job, batches, LENGTHS[args.job], args.timed, report)


if __name__ == "__main__":
    main()
