"""What all tests share. Devices are left alone: several replicas means a subprocess."""

import gzip
import json
import logging
import lzma
import os
import pathlib
import signal
import string

import pytest

import electra_tf  # noqa: F401  (how TensorFlow uses CPUs)

# Before anything imports TensorFlow or Keras; subprocesses inherit all of them.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
# A background job of a shell ignores Ctrl-C, and so would all that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)


ROOT = pathlib.Path(__file__).resolve().parent.parent
# What comes with the tests, described in its README.md, and the whole data sets it is taken from.
REFERENCE = ROOT / "tests" / "reference"
SHARED = ROOT.parent / "shared"

SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = """
the of and to in a is that for it as was with be by on not he this are or his from at which but
have an had they you were their one all we can her has there been if more when will would who so no
model models train trained training token tokens word words text texts small large network data
##s ##ed ##ing ##er ##ly ##tion
""".split()


# The files that take longest, the longest first. Two processes share the files in this order, and
# neither should be left alone with one of these in the end.
LONG = (
    "test_objectives_train.py",
    "test_dry_run.py",
    "test_pretrain_pipeline.py",
    "test_finetune_pipeline.py",
    "test_quickstart.py",
    "test_failures.py",
    "test_optimizers.py",
    "test_finetuning.py",
    "test_finetuning_resume.py",
    "test_addition_runs.py",
    "test_jax.py",
    "test_generator_runs.py",
    "test_full_disk.py",
    "test_init_from.py",
    "test_replicas.py",
    "test_multi_worker.py",
    "test_resume.py",
    "test_kill_campaign.py",
    "test_wheel.py",
    "test_outputs.py",
    "test_benchmark.py",
    "test_pretraining.py",
    "test_swapped_words.py",
)


def pytest_collection_modifyitems(items):
    places = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path.name, len(LONG)))


def where_shared(*parameters) -> tuple:
    """Parameters of a test on whole data sets: none where SHARED is not there."""
    return parameters if SHARED.is_dir() else ()


def shipped_and_whole(shipped: str, whole: str) -> list:
    """Parameters of a test: the part in REFERENCE, and the whole where it is there."""
    return [
        pytest.param(REFERENCE / shipped, id="shipped"),
        *where_shared(pytest.param(SHARED / whole, id="whole")),
    ]


def read_lines(path: pathlib.Path) -> list[str]:
    """Lines of an .xz file, without the line ends."""
    with lzma.open(path, "rt", encoding="utf-8") as file:
        return [line.rstrip("\n") for line in file]


@pytest.fixture
def logged(caplog):
    """Gives what our code has logged so far. What libraries log depends on the tests before."""

    def messages() -> list[str]:
        return [
            record.getMessage()
            for record in caplog.records
            if "site-packages" not in record.pathname
        ]

    return messages


@pytest.fixture(scope="session")
def wikipedia_lines() -> list[str]:
    """567 paragraphs of Wikipedia; an empty line ends a document."""
    return read_lines(REFERENCE / "wikipedia.txt.xz")


@pytest.fixture(scope="session")
def uncased_vocab_file(tmp_path_factory) -> pathlib.Path:
    """BERT's vocabulary of 30,522 tokens."""
    path = tmp_path_factory.mktemp("vocab") / "uncased_30522.txt"
    with lzma.open(REFERENCE / "uncased_30522.txt.xz") as file:
        path.write_bytes(file.read())
    return path


@pytest.fixture(scope="session")
def squad_directory(tmp_path_factory) -> pathlib.Path:
    """dev-v2.0.json, 1,596 questions, and dev-v1.1.json, those 768 of them that have an answer."""
    directory = tmp_path_factory.mktemp("squad")
    content = json.loads(gzip.decompress((REFERENCE / "squad" / "dev-v2.0.json.gz").read_bytes()))
    (directory / "dev-v2.0.json").write_text(json.dumps(content), encoding="utf-8")
    for paragraph in (each for article in content["data"] for each in article["paragraphs"]):
        answered = [question for question in paragraph["qas"] if question["answers"]]
        paragraph["qas"] = [
            {key: question[key] for key in ("id", "question", "answers")} for question in answered
        ]
    content["version"] = "1.1"
    (directory / "dev-v1.1.json").write_text(json.dumps(content), encoding="utf-8")
    return directory


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


@pytest.fixture(autouse=True)
def log_level():
    """Warnings are logged, whatever a test or a fixture before has made of the log's level."""
    logging.getLogger("absl").setLevel(logging.WARNING)
