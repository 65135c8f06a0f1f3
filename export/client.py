"""Sends texts to a model server and shows its answers.

    electra_tf client --target=localhost:8500 --text="The cat sat on the idea."
    electra_tf client --target=localhost:8501 --protocol=rest --model_name=squad \\
        --question="Who wrote it?" --context="It was written by Ada."
    electra_tf client --target=localhost:8500 --file=- --json <texts.txt >answers.jsonl

The server is TensorFlow Serving, or anything with the same protocols, with a bundle of
`electra_tf export`. In a terminal words are shaded by their probability of having been
replaced; for fine-tuned models it shows labels, tags, numbers or answers.
"""

import json
import sys

from absl import flags

from electra_tf import command, stderr
from electra_tf.errors import UserError
from electra_tf.serving.client import inputs as given

_TARGET = flags.DEFINE_string(
    "target",
    None,
    "HOST:PORT of the server, or https://HOST:PORT for TLS by either protocol; without a port 8500 "
    "for gRPC, 8501 for REST, 443 for TLS.",
    required=True,
)
_PROTOCOL = flags.DEFINE_enum("protocol", "grpc", ["grpc", "rest"], "How to connect.")
_MODEL_NAME = flags.DEFINE_string("model_name", "electra", "The model's name at the server.")
_VERSION = flags.DEFINE_integer(
    "version", None, "The model's version; default: the server's choice."
)
_SIGNATURE = flags.DEFINE_string("signature", "serving_default", "Signature to call.")
_CA_FILE = command.define_path(
    "ca_file", None, "Certificates to trust with TLS, as PEM; default: the public ones."
)
_TIMEOUT = flags.DEFINE_float("timeout", 10.0, "Seconds before a call times out.")
_INPUTS = {
    name: flags.DEFINE_multi_string(name, None, text)
    for name, text in {
        "text": "A text. This flag and the next three may be repeated.",
        "text_pair": "The second text, for a model of pairs.",
        "question": "A question, for a model that answers from a context.",
        "context": "The text that holds the answer.",
    }.items()
}
_FILE = command.define_path(
    "file", None, "Texts, one per line; - is stdin. Only line feeds end a line."
)
_FIELDS = flags.DEFINE_list(
    "fields", ["text"], "Inputs in a line of --file, separated by tabs, such as question,context."
)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 32, "Texts in one call.", lower_bound=1)
_JSON = flags.DEFINE_bool(
    "json", False, "Print the server's whole answer, a line of JSON per text."
)
_THRESHOLD = flags.DEFINE_float(
    "threshold",
    0.5,
    "Probability from which a word is suspicious.",
    lower_bound=0.01,
    upper_bound=1.0,
)
_COLOUR = flags.DEFINE_enum(
    "colour", "auto", ["auto", "always", "never"], "auto: in a terminal only."
)


def main(argv: list[str]) -> None:
    command.no_arguments(argv)
    inputs = _inputs()
    from electra_tf.serving.client import answers, protocols

    colour = _COLOUR.value == "always" or _COLOUR.value == "auto" and sys.stdout.isatty()
    with stderr.muted():  # gRPC's stubs start TensorFlow
        server = protocols.new_client(
            _PROTOCOL.value,
            _TARGET.value,
            _MODEL_NAME.value,
            _VERSION.value,
            _TIMEOUT.value,
            _CA_FILE.value,
        )
    for batch in given.batches(inputs, _BATCH_SIZE.value):
        rows = answers.rows_of(server.predict(batch, _SIGNATURE.value))
        for asked, answer in zip(answers.rows_of(batch), rows):
            if _JSON.value:
                print(json.dumps(asked | answer, ensure_ascii=False))
            else:
                print(answers.render(asked, answer, _THRESHOLD.value, colour))


def _inputs() -> dict[str, list[str]]:
    """What to ask, from the flags or the file; raises UserError if it is nothing, or both."""
    inputs = given.texts_of_flags({name: flag.value for name, flag in _INPUTS.items()})
    if bool(inputs) == bool(_FILE.value):
        raise UserError(
            "Texts must come from flags such as --text or from --file. Received: "
            f"{'both' if inputs else 'neither'}"
        )
    return inputs or given.texts_of_file(_FILE.value, _FIELDS.value)


if __name__ == "__main__":
    command.run(main, tensorflow=False)
