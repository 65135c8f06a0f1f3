"""Vocabulary files: what is read in spite of its form, and what is refused with line and advice."""

import gzip
import random

import pytest

from electra_tf import Tokenizer, Vocabulary
from electra_tf.data.build import build_dataset
from electra_tf.errors import UserError
from electra_tf.text.learn import learn_vocab
from electra_tf.text.vocabulary import SPECIAL_TOKENS

TOKENS = (*SPECIAL_TOKENS, "the", "model", "##s")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(content, id=name)
        for name, content in {
            "mark": "\ufeff" + "\n".join(TOKENS),
            "mark and Windows": "\ufeff" + "\r\n".join(TOKENS) + "\r\n",
            "carriage returns": "\r".join(TOKENS) + "\r",
            "mixed": "\n".join(TOKENS).replace("\n", "\r\n", 3),
        }.items()
    ],
)
def test_forms_of_a_vocabulary(tmp_path, content):
    path = tmp_path / "vocab.txt"
    path.write_bytes(content.encode())
    assert Vocabulary.from_file(path).tokens == TOKENS
    assert Tokenizer(path).tokenize(["The models"]) == [[5, 6, 7]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(content, message, id=name)
        for name, content, message in [
            ("blank after", [*TOKENS, "of "], r"no blanks around it.*line 9: 'of '"),
            ("tab before", [*TOKENS, "\tof"], r"no blanks around it.*line 9: '\\tof'"),
            ("blank after [PAD]", ["[PAD] ", *TOKENS[1:]], r"line 1: '\[PAD\] '"),
            ("NUL", [*TOKENS, "a\0b"], r"no NUL.*line 9: 'a\\x00b'"),
            ("long", [*TOKENS, "x" * 257], r"at most 256 bytes.*line 9: 'x{40}…'"),
            ("long piece", [*TOKENS, "##" + "ก" * 86], "at most 256 bytes.*line 9"),
            ("double", [*TOKENS, "of", "the"], "'the' on lines 6 and 10"),
        ]
    ],
)
def test_a_token_that_no_text_can_have(tmp_path, content, message):
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join(content) + "\n", encoding="utf-8")
    with pytest.raises(UserError, match=rf"vocab\.txt.*{message}|{message}") as error:
        Vocabulary.from_file(path)
    assert str(path) in str(error.value) and len(str(error.value)) < 250


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        ("\n".join(TOKENS).encode("utf-16"), "UTF-16"),
        ("\n".join(TOKENS).encode("utf-16-le"), "UTF-16LE"),
        (gzip.compress("\n".join(TOKENS).encode(), mtime=0), "gunzip"),  # its bytes name the test
        (b'{\n  "model": {"vocab": {"[PAD]": 0, "[UNK]": 1}}}\n', "which is JSON"),
    ],
)
def test_another_format_is_named(tmp_path, content, advice):
    (tmp_path / "vocab.txt").write_bytes(content)
    with pytest.raises(UserError, match=advice) as error:
        Vocabulary.from_file(tmp_path / "vocab.txt")
    assert "add" not in str(error.value)


def test_the_longest_tokens_fit_the_op(tmp_path):
    tokens = ["x" * 256, "##" + "y" * 256, "ก" * 85, "##" + "\U0001f600" * 64]
    (tmp_path / "vocab.txt").write_text("\n".join([*TOKENS, *tokens]), encoding="utf-8")
    tokenizer = Tokenizer(tmp_path / "vocab.txt")
    # Such a word is longer than 200 characters or bytes allow in the first two.
    assert tokenizer.tokenize(["ก" * 85, "the" + "\U0001f600" * 64]) == [[10], [5, 11]]


THAI = ["สวัสดี", "ครับ", "ผม", "ชอบ", "กิน", "ข้าวผัด", "กับ", "น้ำแข็ง"]


@pytest.mark.parametrize("script", ["Thai", "Chinese", "emoji"])
def test_a_learned_vocabulary_can_be_used(tmp_path, script):
    """Text without blanks, in which the same long runs come again and again."""
    rng = random.Random(0)
    text = {
        "Thai": "\n\n".join("".join(THAI) * 3 + "".join(rng.choices(THAI, k=9)) for _ in range(60)),
        "Chinese": "\n\n".join("我们喜欢吃炒饭" * 30 for _ in range(40)),
        "emoji": "\n\n".join("\U0001f600\U0001f923" * 90 for _ in range(40)),
    }[script]
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    vocabulary = learn_vocab([str(tmp_path / "a.txt")], tmp_path / "vocab.txt")
    assert max(len(token.encode()) for token in vocabulary.tokens) <= 256 + len("##")
    assert len(vocabulary) > len(SPECIAL_TOKENS) + 2
    dataset = build_dataset(
        [str(tmp_path / "a.txt")], tmp_path / "vocab.txt", tmp_path / "out", num_workers=1
    )
    assert dataset["dropped"]["unknown_tokens"]["share"] == 0
