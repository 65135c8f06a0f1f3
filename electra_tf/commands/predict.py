"""Predicts for a file with a fine-tuned model: `electra_tf predict --model=RUN …`.

The input is a file in the task's layout; labels are not needed. Questions come as SQuAD JSON or
MRQA JSON lines, and {id: text} goes out. Sentences come as .jsonl, .tsv or .csv with the task's
text fields, words as .jsonl ({"words": […]} or {"text": "…"}) or in columns, and JSON lines with
labels and probabilities, scores, or tags and spans go out. Any of them may be .gz.
"""

from absl import flags

from electra_tf import command

_MODEL = command.define_path("model", None, "Workdir of a complete `electra_tf finetune`.")
_INPUT = command.define_path("input", None, "File to predict for.")
_OUTPUT = command.define_path("output", None, "File to write.")
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace output if it exists.")


def main(argv):
    command.no_arguments(argv)
    from electra_tf.runs import prediction  # TensorFlow starts here: --help stays quick

    number = prediction.predict(
        _MODEL.value, _INPUT.value, _OUTPUT.value, overwrite=_OVERWRITE.value
    )
    print(f"{_OUTPUT.value}: predictions for {number} examples")


if __name__ == "__main__":
    flags.mark_flags_as_required(["model", "input", "output"])
    command.run(main)
