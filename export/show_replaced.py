"""Shows which words of a text look replaced to an exported discriminator.

    electra_tf show_replaced SERVING_DIR/1 "The cat sat on the mat."
    electra_tf show_replaced SERVING_DIR/1 "The cat sat. => The cat flew." --file=more.txt

In a terminal every word is shaded by its probability; elsewhere it follows suspicious words, as in
word[0.87]. A text may be a pair, ORIGINAL => CHANGED: then the changed one is shown, with the
probability of each changed word before and after.

Like a server, this needs only TensorFlow and tensorflow_text.
"""

import sys

from absl import flags

from electra_tf import command, files
from electra_tf.errors import UserError
from electra_tf.serving.client import inputs, show_replaced

_FILE = command.define_path("file", None, "More texts, one per line; - is stdin.")
_THRESHOLD = flags.DEFINE_float("threshold", 0.5, "Probability from which a word is suspicious.")
_COLOUR = flags.DEFINE_enum(
    "colour", "auto", ["auto", "always", "never"], "auto: in a terminal only."
)


def main(argv):
    if len(argv) < 2:
        raise UserError(
            "Give a bundle, such as SERVING_DIR/1, and then texts. Received: no arguments"
        )
    if not 0 < _THRESHOLD.value <= 1:
        raise UserError(f"--threshold must be in (0, 1]. Received: {_THRESHOLD.value}")
    show_replaced.show(
        show_replaced.pairs_of(_texts(argv[2:])),
        show_replaced.load(files.expand(argv[1])),
        _THRESHOLD.value,
        _COLOUR.value == "always" or _COLOUR.value == "auto" and sys.stdout.isatty(),
    )


def _texts(arguments: list[str]) -> list[str]:
    texts = [inputs.valid(argument) for argument in arguments]
    if _FILE.value:
        texts += [line for line in inputs.lines_of(_FILE.value) if line.strip()]
    return texts


if __name__ == "__main__":
    command.run(main, tensorflow=False)
