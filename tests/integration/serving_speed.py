"""Times an exported ELECTRA-Small against transformers on PyTorch, and against ONNX Runtime.

    .venv/bin/python tests/integration/serving_speed.py --vocab=vocab.txt --texts=wikipedia.txt.xz

It is no test and nothing collects it: times are no facts that a test could hold. Both sides have
the same (random) weights, get the same texts and as many threads, and tokenize within the clock;
ONNX Runtime gets ids, and is compared with the bundle's signature for ids. Ours is run as
TensorFlow Serving does it, by a session of the SavedModel; PyTorch in its own environment (`make
test-slow` makes it), in inference mode, with the faster of its two implementations of attention.

On a machine that is busy with other work `--threads=1 --clock=process_time` compares processor
time instead, which waits for nobody.

All sides take turns on each batch, a new one every round, so whatever else the machine does meets
all of them; the ratio is that of the medians over the rounds, above 1 where ours is faster. Before
the clock counts, all answers to a batch are compared. Texts, from Wikipedia:

  sentences    of all lengths, as they come
  paragraphs   cut to 128 tokens; most are longer
  128 tokens   only what fills 128 tokens, so that no batch has any padding
"""

import argparse
import json
import lzma
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import numpy as np  # noqa: E402  only after the variables above are set
import tensorflow as tf  # noqa: E402
import tensorflow_text  # noqa: E402, F401 (registers the tokenizer's ops)
from tqdm import tqdm  # noqa: E402

from electra_tf import Tokenizer  # noqa: E402
from electra_tf.config import Config  # noqa: E402
from electra_tf.conversion import convert  # noqa: E402
from electra_tf.objectives import build_objective  # noqa: E402
from electra_tf.saved import model_directory  # noqa: E402
from electra_tf.serving import bundle  # noqa: E402
from electra_tf.text.vocabulary import Vocabulary  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
LONGEST = 128
KINDS = ("sentences", "paragraphs", "128 tokens")
SIDES = ("ours", "sdpa", "eager", "ours_ids", "onnx")
PAUSE = 0.02  # seconds between turns, for threads of the one before to go to sleep
WARM_UP = 2  # rounds that are not counted


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--vocab", type=pathlib.Path, required=True, help="BERT's, a vocab.txt")
    parser.add_argument(
        "--texts",
        type=pathlib.Path,
        required=True,
        help="a paragraph per line; may be .xz",
    )
    parser.add_argument(
        "--peer_python",
        default=str(ROOT / ".venv-interop/bin/python"),
        help="Python of the environment with transformers and onnxruntime",
    )
    parser.add_argument("--batch_sizes", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--threads", type=int, default=2, help="of each side")
    parser.add_argument(
        "--rounds",
        type=int,
        default=20,
        help="of batches of the largest size; batches of one text get five times as many",
    )
    parser.add_argument(
        "--clock",
        choices=["perf_counter", "process_time"],
        default="perf_counter",
        help="of Python's time; see above",
    )
    options = parser.parse_args()
    # Of all sessions of a process: the first one, or the first eager op, makes the threads.
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        model, peer_model = write_models(options.vocab, folder)
        tokenizer = Tokenizer(options.vocab)
        texts = read_texts(options.texts, tokenizer)
        with Peers(options, peer_model, folder) as peers:
            ours = Ours(
                bundle.export_run(model, os.path.join(folder, "bundle"), max_seq_length=LONGEST),
                options,
            )
            print(
                f"{options.threads} threads, {options.clock}, load {os.getloadavg()[0]:.1f} of "
                f"{os.cpu_count()} processors; tensorflow {tf.__version__}, "
                + ", ".join(" ".join(pair) for pair in peers.versions.items())
            )
            print_table(options, texts, tokenizer, ours, peers, folder)


def write_models(vocab, folder):
    """Directories of an ELECTRA-Small with random weights, ours and transformers'.

    All weights are random, also what starts as 0 or 1: TensorFlow leaves out a sum with 0.
    """
    config, vocabulary = Config(), Vocabulary.from_file(vocab)
    config.model.vocab_size = len(vocabulary)
    random = np.random.default_rng(0)
    weights = {}
    for path, shape in build_objective(config).variable_shapes(["discriminator_head/"]).items():
        mean = 1.0 if path.endswith("gamma") else 0.0
        weights[path] = random.normal(mean, 0.05, shape).astype(np.float32)
    ours, theirs = (os.path.join(folder, name) for name in ("electra_tf", "huggingface"))
    model_directory.write(model_directory.Pretrained(config, weights, vocabulary), ours)
    convert(ours, "electra_tf", theirs, "huggingface", say=lambda line: None)
    return ours, theirs


def read_texts(path, tokenizer):
    """Some thousand texts of each kind."""
    with (lzma.open if path.suffix == ".xz" else open)(path, "rt", encoding="utf-8") as file:
        lines = [line.strip() for line in file][:6000]
    lines = [line for line in lines if line]
    sentences = [part for line in lines for part in re.split(r"(?<=[.!?]) +(?=[A-Z])", line)]
    lengths = tokenizer.ids_of_lines(lines).row_lengths().numpy()
    return {
        "sentences": sentences,
        "paragraphs": lines,
        "128 tokens": [line for line, length in zip(lines, lengths) if length >= LONGEST - 2],
    }


class Ours:
    """A session of a bundle, as in TensorFlow Serving."""

    def __init__(self, path, options):
        graph, self._clock = tf.Graph(), getattr(time, options.clock)
        self._session = tf.compat.v1.Session(
            graph=graph,
            config=tf.compat.v1.ConfigProto(
                intra_op_parallelism_threads=options.threads, inter_op_parallelism_threads=1
            ),
        )
        with graph.as_default():
            loaded = tf.compat.v1.saved_model.load(self._session, ["serve"], path)
        self._signatures = loaded.signature_def

    def call(self, name, inputs):
        """Seconds and outputs."""
        signature = self._signatures[name]
        feeds = {signature.inputs[key].name: value for key, value in inputs.items()}
        fetches = {key: info.name for key, info in signature.outputs.items()}
        start = self._clock()
        outputs = self._session.run(fetches, feeds)
        return self._clock() - start, outputs


class Peers:
    """The process of serving_speed_peers.py; a context manager."""

    def __init__(self, options, model, folder):
        program = pathlib.Path(__file__).with_name("serving_speed_peers.py")
        self._process = subprocess.Popen(
            [
                options.peer_python,
                str(program),
                model,
                str(options.threads),
                os.path.join(folder, "model.onnx"),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._clock = options.clock
        self.versions = self._read()["versions"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait()

    def seconds(self, side, texts, **more):
        request = {"side": side, "texts": texts, "clock": self._clock, **more}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._read()["seconds"]

    def _read(self):
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"error: {self._process.args[1]} ended; its output is above")
        return json.loads(line)


def print_table(options, texts, tokenizer, ours, peers, folder):
    print(
        "\n| texts | batch | tokens | padding | ours | transformers | ratio | ours, ids | "
        "ONNX Runtime | ratio |\n" + "| --- |" + " ---: |" * 9
    )
    for kind in options.kinds:
        for size in options.batch_sizes:
            rounds = options.rounds * (5 if size == 1 else 1)
            took, shapes = measure(
                texts[kind],
                tokenizer,
                size,
                rounds,
                ours,
                peers,
                os.path.join(folder, "answers.npz"),
                f"{kind}, {size}",
            )
            median = {side: 1000 * statistics.median(seconds) for side, seconds in took.items()}
            theirs = min(("sdpa", "eager"), key=median.get)
            tokens, places = (sum(column) for column in zip(*shapes))
            print(
                f"| {kind} | {size} | {tokens / len(shapes):.0f} | {1 - tokens / places:.0%} | "
                f"{median['ours']:.1f} ms | {median[theirs]:.1f} ms ({theirs}) | "
                f"{median[theirs] / median['ours']:.2f} | {median['ours_ids']:.1f} ms | "
                f"{median['onnx']:.1f} ms | {median['onnx'] / median['ours_ids']:.2f} |",
                flush=True,
            )


def measure(texts, tokenizer, size, rounds, ours, peers, answers_file, what):
    """Seconds by side, and (tokens, places) by round."""
    random = np.random.default_rng(size)
    took, shapes = {side: [] for side in SIDES}, []
    for number in tqdm(
        range(WARM_UP + rounds), desc=what, leave=False, disable=not sys.stderr.isatty()
    ):
        # Ids of other texts: ours would meet the shape of its texts for a second time.
        batch, other = (
            [texts[index] for index in random.choice(len(texts), size, replace=False)]
            for _ in range(2)
        )
        if number == 0:
            require_equal(batch, tokenizer, ours, peers, answers_file)
        ids = rows_of(other, tokenizer)
        for side in np.roll(SIDES, number):
            time.sleep(PAUSE)
            if side == "ours":
                seconds, answers = ours.call("serving_default", {"text": np.array(batch, object)})
            elif side == "ours_ids":
                seconds, _ = ours.call("detect_replaced_ids", ids)
            else:
                seconds = peers.seconds(str(side), other if side == "onnx" else batch)
            if number >= WARM_UP:
                took[side].append(seconds)
        shapes.append((answers["mask"].sum(), answers["mask"].size))
    return took, shapes[WARM_UP:]


def rows_of(texts, tokenizer):
    return {
        name: value.numpy()
        for name, value in tokenizer.batch(texts, max_seq_length=LONGEST).items()
    }


def require_equal(texts, tokenizer, ours, peers, answers_file):
    """Stops unless all sides have the same tokens and, to 1e-4, the same logits."""
    rows = rows_of(texts, tokenizer)
    mask = rows["input_mask"] > 0
    logits = ours.call("detect_replaced_ids", rows)[1]["logits"][mask]
    answers = ours.call("serving_default", {"text": np.array(texts, object)})[1]
    np.testing.assert_allclose(
        answers["replaced_probability"][mask], 1 / (1 + np.exp(-logits)), atol=1e-4
    )
    for side in ("sdpa", "eager", "onnx"):
        peers.seconds(side, texts, save=answers_file)
        with np.load(answers_file) as theirs:
            np.testing.assert_array_equal(theirs["mask"], rows["input_mask"])
            np.testing.assert_array_equal(theirs["ids"], rows["input_ids"])
            np.testing.assert_allclose(theirs["logits"][mask], logits, atol=1e-4)


if __name__ == "__main__":
    main()
