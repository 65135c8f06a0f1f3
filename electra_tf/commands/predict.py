"""Predicts for a file: `electra_tf predict --model=RUN --input=FILE --output=FILE`.

With a fine-tuned model the input is a file in the task's layout; labels are not needed. Questions
come as SQuAD JSON or MRQA JSON lines, and {id: text} goes out. Sentences come as .jsonl, .tsv or
.csv with the task's text fields, words as .jsonl ({"words": […]} or {"text": "…"}) or in columns,
and JSON lines with labels and probabilities, scores, or tags and spans go out. Any of them may be
.gz.

A pre-trained model (of an objective with a discriminator, electric or mlm) ranks alternatives. It
reads JSON lines {"candidates": ["text a", "text b", …]} and adds "scores", one number per text,
higher being more plausible, and "best", the index of the highest, the first of equal ones. Texts
longer than the model are cut, with a warning.
"""

from absl import flags

from electra_tf import command

_MODEL = command.define_path(
    "model",
    None,
    "Workdir of a complete `electra_tf finetune`; or a pre-trained run or model, to rank.",
)
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
