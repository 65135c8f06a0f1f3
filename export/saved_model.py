"""Writes a pre-trained or a fine-tuned model as a SavedModel for TensorFlow Serving.

    python -m export.saved_model --model=RUN --output=SERVING_DIR

writes SERVING_DIR/<version>/, complete or not at all. The graph takes text: tokenizer and
vocabulary are inside. A discriminator finds replaced tokens (--include_generator: and fills in
[MASK]), a masked language model fills in; a fine-tuned model answers as `python -m
electra_tf.predict` does. Beside the graph: warm-up requests and model_card.json.

    python -m export.saved_model --format=tflite --model=RUN --output=DIR

writes DIR/electra_float32.tflite and DIR/electra_int8.tflite (int8 matrices, dynamic range) for
token ids, with vocab.txt and report.json: by how much both differ from the Keras model.
"""

import shlex
import sys

from absl import flags

from electra_tf import command

_MODEL = flags.DEFINE_string(
    "model", None, "Workdir of a pre-training run or of a complete fine-tuning, or a model "
    "directory: config.json, vocab.txt, checkpoints/.")
_OUTPUT = flags.DEFINE_string(
    "output", None, "Directory of the model's versions; made if missing.")
_VERSION = flags.DEFINE_integer(
    "version", None, "Number of this version; default: the next free one.")
_MAX_SEQ_LENGTH = flags.DEFINE_integer(
    "max_seq_length", None, "Tokens of the longest text, [CLS] and [SEP] included; longer ones "
    "are cut, or looked at in parts where the task does so. Default: as many as the model has "
    "positions; of a fine-tuned model as in its training.")
_PRECISION = flags.DEFINE_enum(
    "precision", "float32", ["float32", "bfloat16"], "What the network computes in. bfloat16, for "
    "machines that multiply it faster: probabilities change a little, outputs stay float32.")
_INCLUDE_GENERATOR = flags.DEFINE_bool(
    "include_generator", False, "Also export the generator of a pre-training run, for the "
    "signature fill_mask.")
_FORMAT = flags.DEFINE_enum(
    "format", "saved_model", ["saved_model", "tflite"], "saved_model: for TensorFlow Serving; "
    "tflite: the network alone, for token ids, in a new or empty --output.")


def main(argv: list[str]) -> None:
    command.no_arguments(argv)
    if _FORMAT.value == "tflite":
        _export_lite()
        return
    from electra_tf.serving import bundle, model_card  # TensorFlow starts here: --help stays quick

    path = bundle.export_run(
        _MODEL.value, _OUTPUT.value, _VERSION.value, _MAX_SEQ_LENGTH.value,
        precision=_PRECISION.value, include_generator=_INCLUDE_GENERATOR.value,
        command=shlex.join(["python", "-m", "export.saved_model", *sys.argv[1:]]))
    signatures = [f"{name} ({', '.join(signature['inputs'])})"
                  for name, signature in model_card.signatures_of(path).items()]
    print(f"{path}: signatures {', '.join(signatures)}")


def _export_lite() -> None:
    for flag in (_VERSION, _MAX_SEQ_LENGTH, _PRECISION, _INCLUDE_GENERATOR):
        if flag.present:
            raise ValueError(f"--{flag.name} must be left out with --format=tflite, which writes "
                             f"one network for all lengths. Received: {flag.value}")
    from electra_tf.serving import lite

    report = lite.export_lite(_MODEL.value, _OUTPUT.value)
    for line in lite.describe(report):
        print(f"{_OUTPUT.value}/{line}")


if __name__ == "__main__":
    flags.mark_flags_as_required(["model", "output"])
    command.run(main)
