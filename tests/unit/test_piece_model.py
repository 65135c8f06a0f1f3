"""Files of SentencePiece models: what they tell, and which are refused."""

import numpy as np
import pytest

from electra_tf.errors import UserError
from electra_tf.text import piece_model
from electra_tf.text.piece_vocabulary import PieceVocabulary
from tests.unit import piece_files


def test_special_tokens_are_found_by_either_name():
    ours = PieceVocabulary(piece_files.content())
    assert (ours.pad_id, ours.unk_id, ours.cls_id, ours.sep_id, ours.mask_id) == (0, 1, 2, 3, 4)
    others = PieceVocabulary(
        piece_files.content(special=("[CLS]", "<unk>", "[SEP]", "<mask>", "<pad>"), unknown=1)
    )
    assert (others.pad_id, others.unk_id, others.cls_id) == (4, 1, 0)
    assert (others.sep_id, others.mask_id) == (2, 3)
    assert others.SPECIAL == ("<pad>", "<unk>", "[CLS]", "[SEP]", "<mask>")
    assert others["nowhere"] == others.unk_id


@pytest.mark.parametrize(
    ("special", "missing"),
    [
        (("[PAD]", "[UNK]", "[CLS]", "[SEP]"), r"without \[MASK\] or <mask>"),
        (("<pad>", "<unk>", "</s>", "<s>"), r"\[CLS\] or <cls>, \[SEP\] or <sep>, \[MASK\]"),
    ],
)
def test_a_model_without_a_special_token_is_refused(special, missing):
    with pytest.raises(UserError, match=f"{missing}.*learn_vocab --kind=sentencepiece"):
        PieceVocabulary(piece_files.content(special=special))


def test_words():
    vocabulary = PieceVocabulary(piece_files.content())
    tokens, begins = vocabulary.tokens, vocabulary.begins_word()
    expected = [token.startswith("▁") or token in vocabulary.SPECIAL for token in tokens]
    expected[vocabulary.unk_id] = False  # behind the piece of the blank before it
    np.testing.assert_array_equal(begins, expected)
    assert vocabulary.words() == ["the", "cat"]
    assert vocabulary.has_word("cat") and not vocabulary.has_word("s")
    assert vocabulary.joined(["▁the", "▁cat", "s"]) == "the cats"
    assert vocabulary.plain_words(["▁the", "▁cat", "s", ".", "▁the"]) == ["the", "cats", ".", "the"]


def test_files(tmp_path):
    content = piece_files.content()
    vocabulary = PieceVocabulary(content)
    vocabulary.save(tmp_path)
    path = tmp_path / "spiece.model"
    assert path.read_bytes() == content  # also fields that we do not know
    same, other = PieceVocabulary.from_file(path), PieceVocabulary(piece_files.content(score=-2.0))
    settings = {"name": "sentencepiece"}
    assert same.fingerprint(settings) == vocabulary.fingerprint(settings)
    assert other.fingerprint(settings) != vocabulary.fingerprint(settings)
    with pytest.raises(UserError, match="readable file. Received: .*nowhere"):
        PieceVocabulary.from_file(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model_type": 3}, "be of the type unigram or bpe. Received: .* with type 3"),
        ({"suffix": True}, "treat_whitespace_as_suffix"),
        ({"escape": False}, "escape_whitespaces=false"),
        ({"score": float("nan")}, "finite scores"),
        ({"pieces": ("▁the", "▁the")}, "every piece once"),
        ({"pieces": ("",)}, "1 to 1024 bytes"),
        ({"pieces": ("a\0b",)}, "none of them NUL"),
        ({"pieces": ()}, "pieces of text"),
        ({"unknown": 99}, "one unknown piece"),
        ({"charsmap": b"\x08\0\0\0" + bytes(8)}, "undamaged table"),
        ({"charsmap": b"\xff\xff\xff\xff"}, "undamaged table"),
    ],
)
def test_what_the_op_cannot_take_is_refused(fields, message):
    with pytest.raises(UserError, match=message):
        PieceVocabulary(piece_files.content(**fields))


@pytest.mark.parametrize("content", [b"", b"[PAD]\n[UNK]\n", b"\x0a\xff\xff", bytes(100)])
def test_another_file_is_refused(content):
    with pytest.raises(UserError, match="file that sentencepiece's trainer has written"):
        PieceVocabulary(content)


def test_a_table_that_leads_outside_of_itself_is_refused():
    content = piece_files.reference("unigram")
    model = piece_model.parse(content, "model")
    table = model.normalizer_spec.precompiled_charsmap
    assert len(table) > 100_000
    for offset, damage in (
        (4, b"\xff\xff\xff\x7f"),  # the root of the trie
        (7, b"\xb8"),  # the root as if it were a value
        (len(table) - 1, b"x"),
    ):
        changed = table[:offset] + damage + table[offset + len(damage) :]
        with pytest.raises(UserError, match="undamaged table"):
            PieceVocabulary(content.replace(table, changed))
