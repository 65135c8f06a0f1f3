"""The vocabulary file: what is read, and what is refused with which words."""

import subprocess
import sys

import pytest

from electra_tf.text.vocabulary import SPECIAL_TOKENS, Vocabulary


def write(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "vocab.txt"
    path.write_bytes(text.encode(encoding))
    return path


def test_ids_are_line_numbers(tmp_path):
    vocabulary = Vocabulary.from_file(
        write(tmp_path, "[PAD]\nthe\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n##s\n")
    )
    assert len(vocabulary) == 7
    assert vocabulary.tokens[6] == "##s"
    assert (vocabulary.pad_id, vocabulary.unk_id, vocabulary.cls_id) == (0, 2, 3)
    assert (vocabulary.sep_id, vocabulary.mask_id) == (4, 5)
    assert vocabulary["the"] == 1 and "the" in vocabulary
    assert vocabulary["absent"] == vocabulary.unk_id and "absent" not in vocabulary


def test_windows_line_ends_and_exotic_spaces(tmp_path):
    lines = [*SPECIAL_TOKENS, "a", "\u2028", "\xa0"]
    vocabulary = Vocabulary.from_file(write(tmp_path, "\r\n".join(lines)))
    assert vocabulary.tokens == tuple(lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "one token per line"),
        ("[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n", r"without \[MASK\]"),
        ("a\n[CLS]\n[SEP]\n", r"without \[PAD\] \[UNK\] \[MASK\]"),
        ("\n".join([*SPECIAL_TOKENS, "a", "b", "a"]), "'a' on lines 6 and 8"),
        ("\n".join([*SPECIAL_TOKENS, "", "b"]), "line 6"),
    ],
)
def test_refused(tmp_path, text, message):
    with pytest.raises(ValueError, match=message) as error:
        Vocabulary.from_file(write(tmp_path, text))
    assert "\n" not in str(error.value)
    assert "vocab.txt" in str(error.value)


def test_unreadable(tmp_path):
    with pytest.raises(ValueError, match="No such file"):
        Vocabulary.from_file(tmp_path / "absent.txt")
    with pytest.raises(ValueError, match="UTF-8"):
        Vocabulary.from_file(write(tmp_path, "caf\xe9\n", encoding="latin-1"))


def test_no_tensorflow():
    code = (
        "import sys, electra_tf.text.vocabulary, electra_tf.text.examples, electra_tf.text.corpus;"
        "assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
