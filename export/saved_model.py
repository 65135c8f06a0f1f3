"""Writes a pre-trained or a fine-tuned model as a SavedModel for TensorFlow Serving.

    electra_tf export --model=RUN --output=SERVING_DIR

writes SERVING_DIR/<version>/, complete or not at all. The graph takes text: tokenizer and
vocabulary are inside. A discriminator finds replaced tokens (--include_generator: and fills in
[MASK]), a masked language model fills in; a fine-tuned model answers as `electra_tf predict`
does. Beside the graph: warm-up requests and model_card.json.

    electra_tf export --format=tflite --model=RUN --output=DIR
    electra_tf export --format=onnx --model=RUN --output=DIR

write the network alone, for token ids, as DIR/electra_float32.tflite and electra_int8.tflite, or
as DIR/model.onnx and model_int8.onnx (int8 matrices, activations quantized as it runs), with
vocab.txt and report.json: the tokenizer's settings, and by how much both differ from the Keras
model. int8 is for these two runtimes alone; a SavedModel has float32 or bfloat16 (--precision).
"""

import shlex
import sys

from absl import flags

from electra_tf import command
from electra_tf.errors import UserError

_MODEL = command.define_path(
    "model",
    None,
    "Workdir of a pre-training run or of a complete fine-tuning, or a model "
    "directory: config.json, vocab.txt, checkpoints/.",
)
_OUTPUT = command.define_path("output", None, "Directory of the model's versions; made if missing.")
_VERSION = flags.DEFINE_integer(
    "version", None, "Number of this version; default: the next free one."
)
_OVERWRITE = flags.DEFINE_bool(
    "overwrite",
    False,
    "Replace the version, or the files of --format in --output, if there is nothing else.",
)
_MAX_SEQ_LENGTH = flags.DEFINE_integer(
    "max_seq_length",
    None,
    "Tokens of the longest text, [CLS] and [SEP] included; longer ones "
    "are cut, or read in parts where the task does so. Default: as many as the model has "
    "positions; for a fine-tuned model as in its training.",
)
_PRECISION = flags.DEFINE_enum(
    "precision",
    "float32",
    ["float32", "bfloat16"],
    "What the network computes in. bfloat16 is for "
    "machines that multiply it faster: probabilities change a little, outputs stay float32.",
)
_INCLUDE_GENERATOR = flags.DEFINE_bool(
    "include_generator",
    False,
    "Also export the generator of a pre-training run, for the signature fill_mask.",
)
_FORMAT = flags.DEFINE_enum(
    "format",
    "saved_model",
    ["saved_model", "tflite", "onnx"],
    "saved_model: for TensorFlow Serving; tflite, onnx: the network alone, for token ids, in a new "
    "or empty --output.",
)


def main(argv: list[str]) -> None:
    command.no_arguments(argv)
    if _FORMAT.value != "saved_model":
        _export_network()
        return
    from electra_tf.serving import bundle, model_card  # TensorFlow starts here: --help stays quick

    path = bundle.export_run(
        _MODEL.value,
        _OUTPUT.value,
        _VERSION.value,
        _MAX_SEQ_LENGTH.value,
        precision=_PRECISION.value,
        include_generator=_INCLUDE_GENERATOR.value,
        command=shlex.join(["electra_tf", "export", *sys.argv[1:]]),
        overwrite=_OVERWRITE.value,
    )
    signatures = [
        f"{name} ({', '.join(signature['inputs'])})"
        for name, signature in model_card.signatures_of(path).items()
    ]
    print(f"{path}: signatures {', '.join(signatures)}")


def _export_network() -> None:
    for flag in (_VERSION, _MAX_SEQ_LENGTH, _PRECISION, _INCLUDE_GENERATOR):
        if flag.present:
            raise UserError(
                f"--{flag.name} must be left out with --format={_FORMAT.value}, which writes "
                f"one network for all lengths. Received: {flag.value}"
            )
    from electra_tf.serving import network_files

    if _FORMAT.value == "tflite":
        from electra_tf.serving.lite import export_lite as export
    else:
        from electra_tf.serving.onnx_files import export_onnx as export
    report = export(_MODEL.value, _OUTPUT.value, overwrite=_OVERWRITE.value)
    for line in network_files.describe(report):
        print(f"{_OUTPUT.value}/{line}")


if __name__ == "__main__":
    flags.mark_flags_as_required(["model", "output"])
    command.run(main)
