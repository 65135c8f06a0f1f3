"""Our side of training_speed.py: the training step of a config, in a process of its own.

Usage: training_speed_ours.py SETTINGS.json FOLDER

Writes to FOLDER what the other side needs: examples.npz, and generator/ and discriminator/ with
transformers' config.json. Prints what it is about to run as one line of JSON; then it reads a
request per line and answers each with one line:

  {"steps": N}   does N steps on the next batches: their seconds, and the mean loss
  {"peak": 1}    measures the best rate of matrix products in this precision, operations per second
"""

import json
import lzma
import os
import pathlib
import random
import re
import resource
import sys
import time

from electra_tf import stderr

stderr.import_tensorflow()

import keras  # noqa: E402  only after TensorFlow
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from electra_tf import Tokenizer, features, objectives  # noqa: E402
from electra_tf.config import Config  # noqa: E402
from electra_tf.conversion import huggingface_config  # noqa: E402
from electra_tf.speed import synthetic  # noqa: E402
from electra_tf.speed.tensorflow_step import step_loops  # noqa: E402
from electra_tf.tasks.pretraining import PretrainingTask  # noqa: E402
from electra_tf.text.examples import PairBuilder, pad_examples  # noqa: E402
from electra_tf.text.vocabulary import Vocabulary  # noqa: E402
from electra_tf.train import strategy  # noqa: E402
from electra_tf.train.peak import matmul_peak  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "tests" / "reference"
BATCHES = 8  # different ones, where they are of real rows
PRECISIONS = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


def main(settings_file, folder):
    settings = json.loads(pathlib.Path(settings_file).read_text())
    if settings["threads"]:
        tf.config.threading.set_intra_op_parallelism_threads(settings["threads"])
    config = Config.from_file(str(ROOT / "configs" / settings["config"]))
    config.train.batch_size = settings["batch"]
    config.model.num_layers = settings["layers"] or config.model.num_layers
    config.model.max_positions = max(config.model.max_positions, settings["length"])
    config.model.initializer_range = 0.02  # as transformers': first losses can be compared
    config.runtime.precision = PRECISIONS[settings["precision"]]
    config.runtime.xla = settings["xla"]
    runtime = strategy.start(config.runtime, config.train.seed, num_steps=config.train.num_steps)
    vocabulary, examples = examples_of(config, settings, folder)
    objective = objectives.build_objective(objectives.validate(config), vocabulary)
    loops, batches = step_loops(objective, config, runtime, examples)
    write_for_peer(config, vocabulary, examples, folder)

    lengths = examples[features.INPUT_MASK].sum(-1).reshape(-1, settings["batch"])
    flops = {n: n * objective.training_flops_per_token(int(n)) for n in np.unique(lengths)}
    say(
        versions={"tensorflow": tf.__version__, "keras": keras.__version__},
        environment={name: os.environ.get(name) for name in settings["environment"]},
        compiled=runtime.compiled,
        threads=tf.config.threading.get_intra_op_parallelism_threads() or os.cpu_count(),
        shared=config.model.sharing != "none",
        mask_id=vocabulary.mask_id,
        special=[vocabulary.cls_id, vocabulary.sep_id],
        parameters=sum(int(np.prod(shape)) for shape in objective.variable_shapes().values()),
        seq_length=examples[features.INPUT_IDS].shape[1],
        tokens=lengths.sum(-1).tolist(),
        flops=[sum(flops[n] for n in batch) for batch in lengths],
    )
    clock = getattr(time, settings["clock"])
    for line in sys.stdin:
        request = json.loads(line)
        if "peak" in request:
            say(peak=matmul_peak(runtime.precision, tf.function))
            continue
        start = clock()
        counts, report = loops["whole"](batches, request["steps"])
        assert report["ok"].numpy(), "the loss or gradient is not finite"
        seconds = clock() - start
        counts = {name: value.numpy() for name, value in counts.items()}
        say(
            seconds=seconds,
            loss=objective.metrics(counts)["loss"],
            memory=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        )


def examples_of(config, settings, folder):
    """A vocabulary, whose size the config gets, and examples of one or more batches."""
    if not settings["rows"]:
        return synthetic.vocabulary(config), synthetic.batch(config, settings["length"])
    config.model.vocab_size = 0  # the data's
    if settings["data_dir"]:
        config.data.dir = settings["data_dir"]
        task = PretrainingTask(config)
        if task.train_split.packed:
            sys.exit("error: --data_dir must be of rows with padding, --packing=none")
        several = [task.train_batch(step) for step in range(BATCHES)]
        return task.vocabulary, {
            name: np.concatenate([batch[name] for batch in several]) for name in several[0]
        }
    path = os.path.join(folder, "vocab.txt")
    with lzma.open(REFERENCE / "uncased_30522.txt.xz") as file:
        pathlib.Path(path).write_bytes(file.read())
    vocabulary = Vocabulary.from_file(path)
    config.model.vocab_size = len(vocabulary)
    return vocabulary, pairs(path, vocabulary, settings["length"], settings["batch"])


def pairs(vocab_file, vocabulary, length, batch_size):
    """The original's pairs of segments, in random order: whole batches.

    Each paragraph of Wikipedia is a document, so that many rows are shorter than others.
    """
    lines = lzma.decompress((REFERENCE / "wikipedia.txt.xz").read_bytes()).decode().split("\n")
    builder, tokenizer = PairBuilder(vocabulary, length, random.Random(0)), Tokenizer(vocab_file)
    examples = []
    for line in filter(None, lines):
        sentences = tokenizer.ids_of_lines(re.split(r"(?<=[.!?]) +(?=[A-Z])", line))
        examples += builder.add_document([ids.numpy().astype(np.int32) for ids in sentences])
    random.Random(0).shuffle(examples)
    number = min(BATCHES, len(examples) // batch_size) * batch_size
    return pad_examples(examples[:number], length, vocabulary.pad_id, with_document_ids=False)


def write_for_peer(config, vocabulary, examples, folder):
    np.savez(os.path.join(folder, "examples.npz"), **examples)
    for name, model, architecture in (
        ("discriminator", config.model, "ElectraForPreTraining"),
        ("generator", config.generator_model(), "ElectraForMaskedLM"),
    ):
        os.mkdir(os.path.join(folder, name))
        huggingface_config.write(model, architecture, vocabulary.pad_id, os.path.join(folder, name))


def say(**answer):
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
