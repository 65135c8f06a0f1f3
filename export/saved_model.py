"""Writes a pre-trained discriminator as a SavedModel that TensorFlow Serving can load.

    python -m export.saved_model --model=RUN --output=SERVING_DIR

writes SERVING_DIR/<version>/, complete or not at all. The graph takes text: tokenizer and
vocabulary are inside.
"""

from absl import flags

from electra_tf import command

_MODEL = flags.DEFINE_string(
    "model", None, "Workdir of a pre-training run: config.json, vocab.txt, checkpoints/.",
    required=True)
_OUTPUT = flags.DEFINE_string(
    "output", None, "Directory of the model's versions; made if missing.", required=True)
_VERSION = flags.DEFINE_integer(
    "version", None, "Number of this version; default: the next free one.")
_MAX_SEQ_LENGTH = flags.DEFINE_integer(
    "max_seq_length", None, "Tokens of the longest text, [CLS] and [SEP] included; longer ones "
    "are cut. Default: as many as the model has positions.")


def main(argv: list[str]) -> None:
    command.no_arguments(argv)
    from electra_tf.serving.bundle import export_run  # TensorFlow starts here: --help stays quick

    path = export_run(_MODEL.value, _OUTPUT.value, _VERSION.value, _MAX_SEQ_LENGTH.value)
    print(f"{path}: signatures serving_default = detect_replaced (text), detect_replaced_ids")


if __name__ == "__main__":
    command.run(main)
