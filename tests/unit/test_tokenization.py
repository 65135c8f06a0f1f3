"""Tokenizers by name: settings, files, and what older files say of them."""

import json
import subprocess
import sys

import numpy as np
import pytest

from electra_tf.config import Config, DataConfig, FinetuneConfig
from electra_tf.errors import UserError
from electra_tf.text import tokenization
from electra_tf.text.vocabulary import SPECIAL_TOKENS, Vocabulary
from electra_tf.text.wordpiece import WordPiece

CASED = {"name": "wordpiece", "lower_case": False, "strip_accents": False}


def test_settings_go_through_config_and_tokenizer(tiny_vocab_file):
    data = DataConfig()
    assert tokenization.settings_of(data) == WordPiece(tiny_vocab_file).settings
    tokenization.put(CASED, data)
    assert not data.lower_case and not data.strip_accents
    tokenizer = tokenization.load(tiny_vocab_file, tokenization.settings_of(data))
    assert tokenizer.settings == CASED and isinstance(tokenizer, WordPiece)


def test_files_from_before_tokenizers_had_names():
    config = Config.from_json('{"data": {"dir": "x", "lower_case": false, "strip_accents": true}}')
    assert tokenization.settings_of(config.data) == CASED | {"strip_accents": True}
    config = Config()
    tokenization.put({"lower_case": False, "strip_accents": True}, config.data)  # of dataset.json
    assert tokenization.settings_of(config.data) == CASED | {"strip_accents": True}
    tuned = FinetuneConfig()
    tuned.take_model(config)
    assert tokenization.settings_of(tuned.data) == tokenization.settings_of(config.data)


def test_unknown_names_and_settings_are_refused(tiny_vocab_file):
    with pytest.raises(
        UserError, match=r"wordpiece, sentencepiece, byte_level_bpe\. Received: 'morse'"
    ):
        tokenization.load(tiny_vocab_file, CASED | {"name": "morse"})
    with pytest.raises(UserError, match="must be one of wordpiece"):
        tokenization.settings_of(DataConfig(tokenizer="morse"))
    with pytest.raises(UserError, match="among name, lower_case, strip_accents. Received: dots=1"):
        tokenization.put(CASED | {"dots": 1}, DataConfig())


def test_files_are_found_read_and_copied(tmp_path, tiny_vocab_file):
    data, run = tmp_path / "data", tmp_path / "run"
    for folder in (data, run):
        folder.mkdir()
    assert tokenization.find(CASED, str(run), str(data)) is None
    tokenization.copy(tiny_vocab_file, str(data), CASED)
    found = tokenization.find(CASED, str(run), str(data))
    assert found == str(data / "vocab.txt")
    assert (data / "vocab.txt").read_bytes() == tiny_vocab_file.read_bytes()
    tokens = tokenization.read_vocabulary(found, CASED).tokens
    assert tokenization.read_vocabulary(data, CASED).tokens == tokens
    tokenization.load(data, CASED).save(run)
    assert (run / "vocab.txt").read_bytes() == tiny_vocab_file.read_bytes()
    assert tokenization.digest(run, CASED) == tokenization.digest(tiny_vocab_file, CASED)


def test_fingerprint_is_of_settings_and_files(tiny_vocab_file):
    vocabulary = Vocabulary.from_file(tiny_vocab_file)
    same = [WordPiece(tiny_vocab_file), WordPiece(vocabulary, True, True)]
    others = [
        WordPiece(vocabulary, False),
        WordPiece(vocabulary, True, False),
        WordPiece(Vocabulary([*vocabulary.tokens, "one_more"])),
    ]
    assert len({tokenizer.fingerprint() for tokenizer in same}) == 1
    assert len({tokenizer.fingerprint() for tokenizer in [same[0], *others]}) == 4
    json.dumps(same[0].settings)


def test_which_tokens_begin_words():
    vocabulary = Vocabulary([*SPECIAL_TOKENS, "a", "##a", "#", "##"])
    assert vocabulary.begins_word().dtype == bool
    np.testing.assert_array_equal(vocabulary.begins_word(), [True] * 6 + [False, True, False])


def test_no_tensorflow():
    code = (
        "import sys; from electra_tf.text import tokenization;"
        "tokenization.settings_of(__import__('electra_tf.config').config.DataConfig());"
        "assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
