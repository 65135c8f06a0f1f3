"""Scores a fine-tuned model's ONNX and TFLite files on its task's own splits, beside Keras.

    .venv/bin/python tests/integration/int8_accuracy.py --model=RUN [--model=RUN …]

It is no test and nothing collects it: it wants the data a run was fine-tuned with. Each run is
exported to a temporary folder, and every file answers all rows of every split with labels.
"""

import argparse
import os
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import tensorflow as tf  # noqa: E402  only after the variables above are set

from electra_tf.saved.finetuned import load_network  # noqa: E402
from electra_tf.serving import network_files  # noqa: E402
from electra_tf.serving.lite import Lite  # noqa: E402
from electra_tf.serving.onnx_files import Onnx  # noqa: E402
from electra_tf.tasks import registry  # noqa: E402
from electra_tf.tasks.finetuning import predict_outputs  # noqa: E402

FORMATS = {"onnx": Onnx, "tflite": Lite}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--model", action="append", required=True, help="a fine-tuning of sentences or tags"
    )
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=list(FORMATS))
    options = parser.parse_args()
    print("| task, split | metric | file | score | against Keras |")
    print("| --- | --- | --- | ---: | ---: |")
    for model in options.model:
        with tempfile.TemporaryDirectory() as folder:
            score_run(model, [FORMATS[name]() for name in options.formats], folder)


def score_run(model, formats, folder):
    _, network, tokenizer, config = load_network(model)
    task = registry.build_task(config)
    for written in formats:
        network_files.export(written, model, os.path.join(folder, written.runtime))
    for split in task.splits[1:]:
        if split.startswith("test"):
            continue
        examples = task.read(split)
        encoded = task.encode(examples, tokenizer, training=False)

        def score(outputs_of, examples=examples, encoded=encoded):
            outputs = predict_outputs(task, network, encoded, outputs_of=outputs_of)
            return task.score(examples, task.predict(examples, encoded, outputs))[task.main_metric]

        expected = score(None)
        print(f"| {task.name}, {split} | {task.main_metric} | Keras | {100 * expected:.2f} | |")
        for written in formats:
            for name in (written.float32, written.int8):
                got = score(outputs_of_file(written, os.path.join(folder, written.runtime, name)))
                print(f"| | | {name} | {100 * got:.2f} | {100 * (got - expected):+.2f} |")


def outputs_of_file(written, path):
    """What `predict_outputs` calls: a task's outputs for a batch."""
    ask = written.open(path)

    def outputs_of(batch):
        outputs = ask({name: value.numpy() for name, value in batch.items()})
        if "probabilities" in outputs and outputs["probabilities"].ndim == 3:  # a tagger's
            probabilities = outputs["probabilities"]
            outputs = {"best": probabilities.argmax(-1), "probability": probabilities.max(-1)}
        return {name: tf.constant(value) for name, value in outputs.items()}

    return outputs_of


if __name__ == "__main__":
    main()
