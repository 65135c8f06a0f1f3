"""A vocabulary from text, and that the tokenizer agrees with it."""

import subprocess
import sys

import pytest

from electra_tf import Tokenizer, Vocabulary
from electra_tf.text.learn import learn_vocab
from electra_tf.text.vocabulary import SPECIAL_TOKENS
from tests.conftest import ROOT

TEXT = "The café's naïve model reads texts; the models' readers read [MASK] texts.\n\n中文 ½ …\n\n"


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "a.txt"
    lines = (TEXT.replace("reads", f"read{'s' * (i % 3)} x{i % 17}") for i in range(300))
    path.write_text("".join(lines), encoding="utf-8")
    return str(path)


def test_learned_vocabulary_fits_its_text(source, tmp_path):
    output = tmp_path / "vocab.txt"
    vocabulary = learn_vocab([source], output, vocab_size=120)
    assert vocabulary.tokens[:5] == SPECIAL_TOKENS
    assert vocabulary.tokens == Vocabulary.from_file(output).tokens
    assert 60 < len(vocabulary) <= 120
    # Lower case without accents, punctuation and Chinese characters apart, as the tokenizer does.
    for token in ("cafe", "naive", "models", "texts", "中", "½", "…", "[", "'"):
        assert token in vocabulary
    assert not any("é" in token or "T" in token for token in vocabulary.tokens[5:])
    assert "##]" not in vocabulary
    (ids,) = Tokenizer(output).tokenize([TEXT])
    assert vocabulary.unk_id not in ids


def test_cased(source, tmp_path):
    vocabulary = learn_vocab([source], tmp_path / "v.txt", vocab_size=150, lower_case=False)
    assert "The" in vocabulary and "café" in vocabulary


def test_same_input_same_output(source, tmp_path):
    files = []
    for name in ("1", "2"):
        command = [sys.executable, "-m", "electra_tf", "learn_vocab", f"--input={source}"]
        command += ["--vocab_size=90", f"--output={tmp_path / name}", "--max_bytes=9000"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        files.append((tmp_path / name).read_bytes())
    assert files[0] == files[1]
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert again.returncode == 1
    assert again.stderr.strip().splitlines()[-1].startswith("error: The output must not exist yet")


def test_sample_is_capped(source, tmp_path):
    capped = learn_vocab([source], tmp_path / "1", vocab_size=200, max_bytes=4000, min_frequency=1)
    whole = learn_vocab([source], tmp_path / "2", vocab_size=200, min_frequency=1)
    assert len(capped) < len(whole)


def test_refused(source, tmp_path):
    with pytest.raises(ValueError, match="vocab_size must be at least"):
        learn_vocab([source], tmp_path / "v.txt", vocab_size=12)
    with pytest.raises(ValueError, match="vocab_size must be at least 6. Received: 5"):
        learn_vocab([source], tmp_path / "v.txt", vocab_size=5)
    with pytest.raises(ValueError, match="max_bytes must be at least 1. Received: 0"):
        learn_vocab([source], tmp_path / "v.txt", max_bytes=0)
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(ValueError, match="at least one word"):
        learn_vocab([str(tmp_path / "empty.txt")], tmp_path / "v.txt")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "empty.txt"]
