"""Predicts for a file with a fine-tuned model: `python -m electra_tf.predict --model=RUN …`.

The input is a file in the task's layout; labels are not needed. Questions come as SQuAD JSON or
MRQA JSON lines, and {id: text} goes out. Sentences come as .jsonl, .tsv or .csv with the task's
text fields, words as .jsonl ({"words": […]} or {"text": "…"}) or in columns, and JSON lines with
labels and probabilities, scores, or tags and spans go out. Any of them may be .gz.
"""

from absl import flags

from electra_tf import command

_MODEL = flags.DEFINE_string("model", None, "Workdir of a complete `electra_tf.finetune`.")
_INPUT = flags.DEFINE_string("input", None, "File to predict for.")
_OUTPUT = flags.DEFINE_string("output", None, "File to write.")


def main(argv):
    command.no_arguments(argv)
    from electra_tf import prediction  # TensorFlow starts here: --help stays quick

    number = prediction.predict(_MODEL.value, _INPUT.value, _OUTPUT.value)
    print(f"{_OUTPUT.value}: predictions for {number} examples")


if __name__ == "__main__":
    flags.mark_flags_as_required(["model", "input", "output"])
    command.run(main)
