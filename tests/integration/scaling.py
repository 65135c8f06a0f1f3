"""How cost grows with the work: shards of a build, length of a step, texts, examples of a run.

    .venv/bin/python tests/integration/scaling.py --parts=build,step,serving,resume

It is no test and nothing collects it. Each part prints a table; `exponent` is that of the row
before to this one, so 1 where twice the work takes twice the time, and the last line fits one to
the upper half of the table. All inputs are made up. docs/scaling.md keeps a run's tables.

  build    `build_dataset` in this process; shards are made small, so that a thousand take a minute
  step     a training step of 4,096 tokens, cut into fewer and longer rows
  serving  an exported model of ELECTRA-Small's size, by batch and by length
  resume   from opening a data set to the first batch, by examples and by how far the run was: of
           real shards, of an index alone, whose shards hold nothing, and of very many small shards,
           which are names of one file
"""

import argparse
import json
import math
import os
import pathlib
import statistics
import tempfile
import time
import tracemalloc

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import numpy as np  # noqa: E402  only after the variables above are set
import tensorflow as tf  # noqa: E402

from electra_tf.config import Config  # noqa: E402
from electra_tf.data.build import build_dataset  # noqa: E402
from electra_tf.data.dataset import open_split, train_batches  # noqa: E402
from electra_tf.data.order import Order, Reader  # noqa: E402
from electra_tf.data.records import ShardWriter  # noqa: E402
from electra_tf.objectives import build_objective  # noqa: E402
from electra_tf.saved import model_directory  # noqa: E402
from electra_tf.serving import bundle  # noqa: E402
from electra_tf.speed import tensorflow_step  # noqa: E402
from electra_tf.text import chunks  # noqa: E402
from electra_tf.text.vocabulary import Vocabulary  # noqa: E402

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PARTS = ("build", "step", "serving", "resume")
SHARD_BYTES = 1 << 16  # of text, where shards are built
STEP_TOKENS = 4096
LENGTH = 8  # tokens of an example, where runs are resumed
EXAMPLES_PER_SHARD = 50_000
FEW = 50  # examples of a small shard


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )

    def sizes(name, default, text):
        parser.add_argument(f"--{name}", type=int, nargs="+", default=default, help=text)

    parser.add_argument("--parts", default=",".join(PARTS), help="some of them, with commas")
    sizes("shards", [1, 3, 10, 30, 100, 300, 1000], "of build")
    sizes("lengths", [128, 256, 512, 1024, 2048, 4096], "of step, in tokens")
    sizes("batches", [1, 2, 4, 8, 16, 32, 64], "of serving, of 128 tokens each")
    sizes("served_lengths", [16, 32, 64, 128, 256, 512], "of serving, 8 texts of so many tokens")
    sizes("examples", [10_000, 100_000, 1_000_000], "of resume, in real shards")
    sizes("indexed", [10**5, 10**6, 10**7, 10**8], "of resume, in an index alone")
    sizes("small_shards", [1000, 10_000, 100_000], f"of resume, of {FEW} examples each")
    parser.add_argument("--seconds", type=float, default=4.0, help="each size of step is timed for")
    options = parser.parse_args()
    wanted = options.parts.split(",")
    unknown = sorted(set(wanted) - set(PARTS))
    if unknown:
        parser.error(f"--parts must be some of {', '.join(PARTS)}: {', '.join(unknown)}")
    print(f"{machine()}; load {os.getloadavg()[0]:.1f}; tensorflow {tf.__version__}")
    with tempfile.TemporaryDirectory() as folder:
        for part in wanted:
            {"build": build, "step": step, "serving": serving, "resume": resume}[part](
                options, pathlib.Path(folder)
            )


def machine():
    """The processors, and what of them decides the speed of matrix products."""
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    facts = {key.strip(): value.strip() for key, _, value in (x.partition(":") for x in lines)}
    able = facts.get("flags", "").split()
    known = [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if name in able]
    name = facts.get("model name", "unknown")
    return f"{len(os.sched_getaffinity(0))} x {name} ({', '.join(known) or 'no AVX2'})"


def table(what, columns, rows):
    """Prints rows of (amount of work, seconds, further cells), and the exponents."""
    print(f"\n| {what} | seconds | {' | '.join([*columns, 'exponent'])} |")
    print("| ---: |" + " ---: |" * (len(columns) + 2))
    before = None
    for work, seconds, *cells in rows:
        grown = "" if before is None else f"{exponent([before, (work, seconds)]):.2f}"
        print(f"| {work:,} | {seconds:.3g} | {' | '.join([*cells, grown])} |", flush=True)
        before = work, seconds
    upper = [row[:2] for row in rows[len(rows) // 2 - (len(rows) < 4) :]]
    if len(upper) > 1:
        print(f"exponent from {upper[0][0]:,} on: {exponent(upper):.2f}")


def exponent(points):
    """The slope of log(seconds) over log(work), by least squares."""
    work, seconds = (np.log(column) for column in zip(*points))
    return float(np.polyfit(work, seconds, 1)[0])


def write_vocabulary(path, size):
    words = [f"w{number}" for number in range(size - len(SPECIAL))]
    path.write_text("".join(f"{token}\n" for token in SPECIAL + words))
    return words


def build(options, folder):
    words = np.array(write_vocabulary(folder / "vocab.txt", 2000))
    random = np.random.default_rng(0)
    chunks._MIN_CHUNK_BYTES, chunks._CHUNKS_WANTED = SHARD_BYTES, 1 << 30
    rows = []
    build_dataset(  # imports and starts what every build needs
        [text_file(folder, words, random, 1)],
        folder / "vocab.txt",
        folder / "first",
        num_workers=1,
    )
    for shards in options.shards:
        corpus = text_file(folder, words, random, shards)
        start = time.perf_counter()
        manifest = build_dataset(
            [corpus], folder / "vocab.txt", folder / f"built{shards}", num_workers=1
        )
        seconds = time.perf_counter() - start
        found = len(manifest["splits"]["train"]["files"])
        rows.append(
            (found, seconds, f"{manifest['words']:,}", f"{manifest['words'] / seconds:,.0f}")
        )
    table("shards", ["words", "words/s"], rows)


def text_file(folder, words, random, shards):
    """A corpus of about so many shards, in documents of ten lines of twenty words."""
    path = folder / f"corpus{shards}.txt"
    with open(path, "w") as file:
        while file.tell() < (shards - 0.5) * SHARD_BYTES:
            lines = words[random.integers(0, len(words), (10, 20))]
            file.write("\n".join(" ".join(line) for line in lines) + "\n\n")
    return str(path)


def step(options, folder):
    del folder
    rows = []
    for length in options.lengths:
        config = Config()
        model = config.model
        model.vocab_size, model.num_layers, model.max_positions = 8192, 2, max(options.lengths)
        model.hidden_size, model.num_heads, model.intermediate_size = 128, 2, 512
        config.train.batch_size = max(1, STEP_TOKENS // length)
        figures = tensorflow_step.measure(config, length, options.seconds)
        tokens = config.train.batch_size * length
        speed = tokens / figures["step_seconds"]["total"]
        flops = build_objective(config).training_flops_per_token(length)
        rows.append((length, 1000 / speed, f"{speed:,.0f}", f"{flops / 1e6:.1f}"))
    print("\nseconds for 1,000 tokens:", end="")
    table("length", ["tokens/s", "MFLOP/token"], rows)


def serving(options, folder):
    write_vocabulary(folder / "served_vocab.txt", 30_522)
    vocabulary = Vocabulary.from_file(folder / "served_vocab.txt")
    config, random = Config(), np.random.default_rng(0)
    config.model.vocab_size = len(vocabulary)
    shapes = build_objective(config).variable_shapes(["discriminator_head/"])
    weights = {
        path: random.normal(float(path.endswith("gamma")), 0.05, shape).astype(np.float32)
        for path, shape in shapes.items()
    }
    model = model_directory.Pretrained(config, weights, vocabulary)
    model_directory.write(model, str(folder / "model"))
    path = bundle.export_run(str(folder / "model"), str(folder / "bundle"), max_seq_length=512)
    loaded = tf.saved_model.load(path)
    answer = loaded.signatures["detect_replaced_ids"]

    def seconds(batch, length):
        ids = tf.constant(random.integers(5, len(vocabulary), (batch, length)), tf.int32)
        inputs = {
            "input_ids": ids,
            "input_mask": tf.ones_like(ids),
            "segment_ids": tf.zeros_like(ids),
        }
        took = []
        answer(**inputs)
        end = time.perf_counter() + options.seconds / 2
        while len(took) < 3 or time.perf_counter() < end:
            start = time.perf_counter()
            answer(**inputs)["logits"].numpy()
            took.append(time.perf_counter() - start)
        return statistics.median(took)

    def row(work, batch, length):
        took = seconds(batch, length)
        return work, took, f"{batch / took:,.0f}", f"{batch * length / took:,.0f}"

    columns = ["texts/s", "tokens/s"]
    table("texts of 128 tokens", columns, [row(batch, batch, 128) for batch in options.batches])
    table("tokens of each of 8 texts", columns, [row(n, 8, n) for n in options.served_lengths])


def resume(options, folder):
    rows = []
    for examples in options.examples:
        data = folder / f"resumed{examples}"
        write_data(data, examples, EXAMPLES_PER_SHARD, real=True)
        took = {share: first_batch(data, share) for share in (0.0, 0.5, 0.99)}
        rows.append(
            (examples, took[0.99], f"{took[0.0]:.3g}", f"{took[0.5]:.3g}", str(shards_of(examples)))
        )
    print(
        "\nseconds to the first batch, after 99 % of an epoch, at its start and its middle:", end=""
    )
    table("examples in shards", ["at the start", "in the middle", "shards"], rows)
    rows = []
    for examples in options.indexed:
        data = folder / f"indexed{examples}"
        write_data(data, examples, EXAMPLES_PER_SHARD, real=False)
        start = time.perf_counter()
        split = open_split(str(data), "train")
        opened = time.perf_counter() - start
        start = time.perf_counter()
        order = Order(split, 0, 262_144)
        epoch, group, _ = order.locate(12 * examples + int(0.99 * examples))
        order.permutation(epoch, group)
        found = time.perf_counter() - start
        calls = time.perf_counter()
        for number in range(100):
            order.locate(12 * examples + number * 128)
        called = (time.perf_counter() - calls) / 100
        rows.append((examples, opened + found, f"{opened:.3g}", f"{found:.3g}", f"{called:.2g}"))
    print("\nseconds to open the index and find the place:", end="")
    table("examples in the index", ["open", "find", "find again, each batch"], rows)
    rows = [small_shards(folder / f"small{number}", number) for number in options.small_shards]
    print(f"\nseconds to the first batch, after 99 % of an epoch in shards of {FEW}:", end="")
    columns = ["open", "peak MB of Python's memory", "MB kept", "ms for each shard in an epoch"]
    table("shards", columns, rows)


def small_shards(data, number):
    """The row of a data set of so many shards."""
    write_data(data, FEW, FEW, real=True)
    (first,) = data.glob("train-*")
    names = [f"train-{index:06d}-of-{number:06d}.tfrecord" for index in range(number)]
    for name in names:
        os.symlink(first, data / name)
    description = json.loads((data / "dataset.json").read_text())
    description["splits"]["train"]["files"] = [{"name": name, "examples": FEW} for name in names]
    (data / "dataset.json").write_text(json.dumps(description))
    took = first_batch(data, 0.99)
    tracemalloc.start()
    kept = open_split(str(data), "train"), tracemalloc.get_traced_memory()
    tracemalloc.stop()
    start = time.perf_counter()
    split = open_split(str(data), "train")
    opened = time.perf_counter() - start
    with Reader(split, Order(split, 0, 1 << 14), read_ahead=False) as reader:
        reader.read(0, 1)  # the first group
        start = time.perf_counter()
        reader.read(1 << 14, (1 << 14) + 1)
        each = (time.perf_counter() - start) / ((1 << 14) / FEW)
    now, peak = (f"{size / 1e6:.1f}" for size in kept[1])
    return number, took, f"{opened:.3g}", peak, now, f"{1000 * each:.2g}"


def shards_of(examples):
    return math.ceil(examples / EXAMPLES_PER_SHARD)


def write_data(data, examples, per_shard, real):
    """A data set; if it is not real, only its first shard holds an example."""
    data.mkdir()
    write_vocabulary(data / "vocab.txt", 1000)
    random, files = np.random.default_rng(0), []
    for number in range(shards_of(examples)):
        count = min(per_shard, examples - number * per_shard)
        name = f"train-{number:05d}-of-{shards_of(examples):05d}.tfrecord"
        writer = ShardWriter(data / name)
        if real or number == 0:
            shape = count if real else 1, LENGTH
            writer.write(
                {
                    "input_ids": random.integers(5, 1000, shape),
                    "input_mask": np.ones(shape, np.int64),
                    "segment_ids": np.zeros(shape, np.int64),
                }
            )
        writer.close()
        files.append({"name": name, "examples": count})
    description = {
        "format_version": 1,
        "seq_length": LENGTH,
        "packing": "none",
        "splits": {"train": {"files": files}},
    }
    (data / "dataset.json").write_text(json.dumps(description))


def first_batch(data, share):
    """Seconds from opening the data set to the batch after so much of an epoch."""
    start = time.perf_counter()
    split = open_split(str(data), "train")
    batches = train_batches(
        split,
        seed=0,
        batch_size=128,
        start_step=int(share * split.num_examples) // 128,
        shuffle_examples=1 << 14,
    )
    next(iter(batches))
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
