"""Tokenization is the same in every locale; ICU, below TensorFlow, asks the environment for it."""

import json
import os
import subprocess
import sys

import pytest
import tensorflow as tf

from electra_tf import Tokenizer
from electra_tf.data.build import build_dataset
from electra_tf.text.learn import learn_vocab
from tests.conftest import ROOT

LOCALES = ("tr_TR.UTF-8", "az_AZ", "lt_LT.UTF-8", "C")
# All letters that have a lower case, alone and where some language has its own rule.
LETTERS = [chr(point) for point in range(0x20000) if chr(point) != chr(point).lower()]
PLACES = ("{}", "{}\u0307", "{}\u0301x", "I\u0323\u0307{}", "AΣ{}", "{}I\u0307")
TEXTS = ["INTERNET IS BIG", "İıIi Įj\u0303 ÌÍĨ", *(p.format(c) for p in PLACES for c in LETTERS)]

# Reads texts, prints what a tokenizer of each setting and an exported one make of them.
PROGRAM = """
import json, sys
import tensorflow as tf
import tensorflow_text
from electra_tf import Tokenizer
from electra_tf.text.words import split_words
vocab, exported, texts = sys.argv[1:3] + [json.load(sys.stdin)]
words = {
    f"{lower} {strip}": [word.decode() for word in split_words(texts, lower, strip).numpy()]
    for lower in (True, False) for strip in (True, False)
}
served = tf.saved_model.load(exported).serve(tf.constant(texts))
print(json.dumps([words, Tokenizer(vocab).tokenize(texts), served.numpy().tolist()]))
"""


def under(locale, *arguments, text=None):
    """Runs Python in a locale, which need not be installed; returns what it prints."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("LANG", "LC_"))}
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=environment | {"LANG": locale, "LC_ALL": locale, "PYTHONUTF8": "1"},
        input=text,
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def exported(uncased_vocab_file, tmp_path_factory) -> str:
    """A SavedModel of the tokenizer alone, as servers hold it."""
    tokenizer = Tokenizer(uncased_vocab_file)
    module = tf.Module()
    module.serve = tf.function(
        lambda text: tokenizer.ids(text).to_tensor(-1),
        input_signature=[tf.TensorSpec([None], tf.string)],
    )
    path = str(tmp_path_factory.mktemp("exported"))
    tf.saved_model.save(module, path)
    return path


@pytest.mark.parametrize(
    "locale",
    [pytest.param(name, marks=pytest.mark.slow if name != LOCALES[0] else ()) for name in LOCALES],
)
def test_ids_do_not_depend_on_the_locale(locale, uncased_vocab_file, exported):
    found = under(locale, "-c", PROGRAM, uncased_vocab_file, exported, text=json.dumps(TEXTS))
    words, ids, served = json.loads(found)
    assert ids[0] == served[0][: len(ids[0])] == [4274, 2003, 2502]
    assert [[id for id in row if id >= 0] for row in served] == ids
    # Python lower-cases without a locale, by the same rules of Unicode; it knows newer letters.
    lower = dict(zip(TEXTS, (word.replace(" ", "") for word in words["True False"]), strict=True))
    known = [letter for letter in LETTERS if lower[letter] == letter.lower()]
    assert len(known) > 1350 and set("IJÌÍĨĮİΣ") <= set(known)
    for text in (place.format(letter) for place in PLACES for letter in known):
        assert lower[text] == text.lower().replace(" ", ""), ascii(text)
    assert words["False False"][1].split() == TEXTS[1].split()


@pytest.mark.slow
def test_vocabulary_and_shards_do_not_depend_on_the_locale(tmp_path):
    corpus = tmp_path / "corpus.txt"
    corpus.write_text(
        "\n\n".join(f"INTERNET İS IT {number} ÍĨ\nI AM IN IT" for number in range(200))
    )
    learn_vocab([str(corpus)], tmp_path / "here.txt", vocab_size=60, strip_accents=False)
    settings = dict(seq_length=16, strip_accents=False, num_workers=2)
    build_dataset([str(corpus)], tmp_path / "here.txt", tmp_path / "here", **settings)
    for command in (
        ["learn_vocab", "--vocab_size=60", f"--output={tmp_path}/there.txt"],
        [
            "build_dataset",
            f"--vocab={tmp_path}/here.txt",
            f"--output_dir={tmp_path}/there",
            "--seq_length=16",
            "--num_workers=2",
        ],
    ):
        under("tr_TR.UTF-8", "-m", "electra_tf", *command, f"--input={corpus}", "--nostrip_accents")
    assert (tmp_path / "there.txt").read_bytes() == (tmp_path / "here.txt").read_bytes()
    names = sorted(path.name for path in (tmp_path / "here").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "there").iterdir())
    for name in names:
        there, here = (tmp_path / side / name for side in ("there", "here"))
        assert there.read_bytes() == here.read_bytes(), name
