"""What all tests share. Devices are left alone: several replicas means a subprocess."""

import os
import pathlib
import signal
import string

import pytest

# Before anything imports TensorFlow or Keras; subprocesses inherit both.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
# A background job of a shell ignores Ctrl-C, and so would all that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = pathlib.Path(__file__).resolve().parent.parent

SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = """
the of and to in a is that for it as was with be by on not he this are or his from at which but
have an had they you were their one all we can her has there been if more when will would who so no
model models train trained training token tokens word words text texts small large network data
##s ##ed ##ing ##er ##ly ##tion
""".split()


@pytest.fixture(scope="session")
def shared() -> pathlib.Path:
    """The project's shared reference data, beside the checkout. Skips where there is none."""
    path = ROOT.parent / "shared"
    if not path.is_dir():
        pytest.skip("no ../shared: the reference data is not beside this checkout")
    return path


@pytest.fixture(scope="session")
def tiny_vocab_file(tmp_path_factory) -> pathlib.Path:
    """A vocabulary of special tokens, characters, their continuations and a few words.

    Any ASCII text tokenizes without [UNK]. The special tokens have the ids 0 to 4, in the order
    [PAD] [UNK] [CLS] [SEP] [MASK].
    """
    characters = list(string.ascii_lowercase + string.digits + string.punctuation)
    continuations = ["##" + character for character in string.ascii_lowercase + string.digits]
    tokens = dict.fromkeys(SPECIAL_TOKENS + characters + continuations + WORDS)
    path = tmp_path_factory.mktemp("vocab") / "vocab.txt"
    path.write_text("".join(token + "\n" for token in tokens), encoding="utf-8")
    return path
