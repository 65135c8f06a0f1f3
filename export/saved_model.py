"""Writes a discriminator or a fine-tuned model as a SavedModel for TensorFlow Serving.

    python -m export.saved_model --model=RUN --output=SERVING_DIR

writes SERVING_DIR/<version>/, complete or not at all. The graph takes text: tokenizer and
vocabulary are inside. A fine-tuned model answers as `python -m electra_tf.predict` does.
"""

from absl import flags

from electra_tf import command

_MODEL = flags.DEFINE_string(
    "model", None, "Workdir of a pre-training run or of a complete fine-tuning, or a model "
    "directory: config.json, vocab.txt, checkpoints/.", required=True)
_OUTPUT = flags.DEFINE_string(
    "output", None, "Directory of the model's versions; made if missing.", required=True)
_VERSION = flags.DEFINE_integer(
    "version", None, "Number of this version; default: the next free one.")
_MAX_SEQ_LENGTH = flags.DEFINE_integer(
    "max_seq_length", None, "Tokens of the longest text, [CLS] and [SEP] included; longer ones "
    "are cut, or looked at in parts where the task does so. Default: as many as the model has "
    "positions; of a fine-tuned model as in its training.")


def main(argv: list[str]) -> None:
    command.no_arguments(argv)
    from electra_tf.serving import bundle  # TensorFlow starts here: --help stays quick

    path = bundle.export_run(_MODEL.value, _OUTPUT.value, _VERSION.value, _MAX_SEQ_LENGTH.value)
    signatures = [f"{name} ({', '.join(inputs)})"
                  for name, inputs in bundle.inputs_of(path).items()]
    print(f"{path}: signatures {', '.join(signatures)}")


if __name__ == "__main__":
    command.run(main)
