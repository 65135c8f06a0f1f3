"""A web page to try an exported model: type, and watch the answer change.

    electra_tf playground --model=SERVING_DIR/1
    electra_tf playground --target=localhost:8501 --model_name=electra

The page shows what the model's signatures can do: shade replaced words, fill in [MASK], rank texts
by plausibility; of fine-tuned models labels, numbers, tags in the text, or answers in their
context. With --target the page's requests are passed on to a model server over REST. Ctrl-C ends
it.

The page's own REST calls are TensorFlow Serving's, for requests of at most 1 MiB and 131,072 bytes
of text, all texts counted as long as the longest.
"""

import sys

from absl import flags

from electra_tf import command
from electra_tf.errors import UserError

_MODEL = command.define_path("model", None, "Directory of one version, such as SERVING_DIR/1.")
_TARGET = flags.DEFINE_string(
    "target",
    None,
    "Instead of --model: HOST:PORT of a model server's REST API, or https://HOST:PORT for TLS; "
    "without a port 8501, 443 for TLS.",
)
_MODEL_NAME = flags.DEFINE_string(
    "model_name", "electra", "The model's name in URLs; with --target the one at the server."
)
_HOST = flags.DEFINE_string(
    "host",
    "localhost",
    "Where to listen; anything but this machine's own names lets others in, without a password.",
)
_PORT = flags.DEFINE_integer("port", 8080, "Port to listen on; 0 picks a free one.")
_CA_FILE = command.define_path(
    "ca_file", None, "Certificates to trust with TLS, as PEM; default: the public ones."
)
_TIMEOUT = flags.DEFINE_float("timeout", 30.0, "Seconds before a call to --target times out.")


def main(argv: list[str]) -> None:
    command.no_arguments(argv)
    if bool(_MODEL.value) == bool(_TARGET.value):
        raise UserError(
            "There must be a --model or a --target. Received: "
            f"{'both' if _MODEL.value else 'neither'}"
        )
    from electra_tf.serving.client import local_bundle, playground, protocols

    if _TARGET.value:
        model = playground.RemoteModel(
            protocols.new_rest_client(
                _TARGET.value,
                _MODEL_NAME.value,
                timeout=_TIMEOUT.value,
                ca_file=_CA_FILE.value,
            )
        )
    else:
        model = playground.LocalModel(local_bundle.LocalBundle(_MODEL.value), _MODEL_NAME.value)
    with playground.listening(model, _HOST.value, _PORT.value) as (server, url):
        print(f"The playground is at {url} (Ctrl-C ends it)", flush=True)
        server.serve_forever()  # returns on Ctrl-C
    print("\nEnded.", file=sys.stderr)


if __name__ == "__main__":
    command.run(main, tensorflow=False)
