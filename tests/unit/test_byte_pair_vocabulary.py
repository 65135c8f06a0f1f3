"""The file of a byte-level BPE: what is refused, and what its tokens tell."""

import json

import numpy as np
import pytest

from electra_tf.errors import UserError
from electra_tf.text.byte_pair_vocabulary import ALPHABET, BytePairVocabulary
from tests.unit.byte_pair_files import added, small

MERGES = [("Ġ", "t"), ("Ġt", "h"), ("Ġth", "e"), ("t", "h"), ("th", "e"), ("Ã", "©")]
ROBERTA = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")


def of(*merges, **fields) -> BytePairVocabulary:
    return BytePairVocabulary(small(merges or MERGES, **fields), "the file")


def test_the_alphabet_is_gpt2s():
    """Visible characters of Latin-1 stand for themselves, the others follow it in their order."""
    shown = [byte for byte in range(256) if ALPHABET[byte] == chr(byte)]
    assert bytes(shown).decode("latin-1").isprintable() and len(shown) == 188
    assert len({*ALPHABET}) == 256
    assert (ALPHABET[0], ALPHABET[10], ALPHABET[32], ALPHABET[0xAD]) == ("Ā", "Ċ", "Ġ", "Ń")


def test_what_tokens_tell():
    vocabulary = of(others=[("  ", {"normalized": True, "special": False}), ("<x>", {})])
    assert vocabulary.SPECIAL == ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    begins = dict(zip(vocabulary.tokens, vocabulary.begins_word()))
    assert begins["[CLS]"] and begins["Ġthe"] and begins["Ċ"] and not begins["the"]
    assert begins.keys() >= {"  ", "<x>"} and not begins["<x>"]
    assert vocabulary.words() == ["t", "th", "the"]
    assert vocabulary.has_word("the") and not vocabulary.has_word("cat")
    assert vocabulary.joined(["Ġthe", "Ã©", "Ġ", "<x>", "[x]"]) == "theé <x>[x]"
    assert vocabulary.plain_words(["Ġthe", "th", ".", "Ġt", "Ã©", "t"]) == ["theth", ".", "tét"]
    assert vocabulary.as_written == {"<x>": vocabulary["<x>"]}
    assert vocabulary.as_composed == {"  ": vocabulary["  "]}
    lengths = dict(zip(vocabulary.tokens, vocabulary.lengths))
    assert (lengths["Ġthe"], lengths["Ã©"], lengths["  "], lengths["é"]) == (4, 2, 2, 1)
    assert vocabulary.lengths.dtype == np.int32


def test_robertas_names_of_special_tokens():
    assert of(tokens=ROBERTA, prefix=True).SPECIAL == ("<pad>", "<unk>", "<s>", "</s>", "<mask>")


def test_files_stay_as_they_are(tmp_path):
    content = b"\xef\xbb\xbf" + small(MERGES)
    vocabulary = BytePairVocabulary(content)
    vocabulary.save(tmp_path)
    assert (tmp_path / "tokenizer.json").read_bytes() == content
    again = BytePairVocabulary.from_file(tmp_path / "tokenizer.json")
    assert again.fingerprint({}) == vocabulary.fingerprint({})
    with pytest.raises(UserError, match="must be a readable file.*No such file"):
        BytePairVocabulary.from_file(tmp_path / "none.json")


def test_older_forms_of_the_file():
    content = json.loads(small(MERGES))
    content["model"]["merges"] = [" ".join(pair) for pair in MERGES]
    content["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "NFC"}]}
    step = content["pre_tokenizer"]
    content["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [step]}
    del step["use_regex"]
    older = BytePairVocabulary(json.dumps(content).encode())
    assert older.merges == of().merges and older.composes and not older.adds_prefix
    assert not of(normalizer=None).composes


def with_model(**values) -> bytes:
    content = json.loads(small(MERGES))
    content["model"] |= values
    return json.dumps(content).encode()


BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
VOCAB = json.loads(small())["model"]["vocab"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no json", "must be valid"),
        (b"[]", "must hold one JSON object"),
        (b"{}", "model must be an object"),
        (small(model=[]), "model must be an object"),
        (with_model(type="Unigram"), "model.type must be 'BPE'"),
        (with_model(dropout=0.1), "model.dropout must be None"),
        (with_model(continuing_subword_prefix="##"), "model.continuing_subword_prefix"),
        (with_model(end_of_word_suffix="</w>"), "model.end_of_word_suffix"),
        (with_model(ignore_merges=True), "model.ignore_merges must be None.*true"),
        (with_model(merges=None), "model.merges must be a list"),
        (with_model(merges=["a"]), 'model.merges must be pairs.*"a"'),
        (with_model(merges=[["a", "zz"]]), "model.merges must be pairs"),
        (with_model(merges=[[1, 2]]), "model.merges must be pairs"),
        (with_model(merges=[[[], "a"]]), "model.merges must be pairs"),
        (with_model(vocab=VOCAB | {"x y": 999}, merges=[]), "each once"),
        (with_model(vocab=VOCAB | {"xx": "9"}, merges=[]), "model.vocab must be ids by tokens"),
        (with_model(vocab={"a": 5}, merges=[]), "model.vocab must be with a token for each byte"),
        (small(normalizer={"type": "NFKC"}), "normalizer must be NFC or null.*NFKC"),
        (small(normalizer=[1]), "normalizer must be NFC or null"),
        (small(pre_tokenizer=None), "pre_tokenizer must be ByteLevel.*null"),
        (small(pre_tokenizer=BYTE_LEVEL | {"use_regex": False}), "with use_regex=true"),
        (small(pre_tokenizer=BYTE_LEVEL | {"add_prefix_space": 1}), "add_prefix_space must be"),
        (small(tokens=("[PAD]", "[UNK]", "[CLS]")), r"without \[SEP\] or </s>, \[MASK\] or <mask>"),
        (small(added_tokens=[3]), "added_tokens must be a list of objects"),
        (small(others=[("x", {"id": 3})]), "added_tokens must be tokens with the ids"),
        (small(others=[("xx", {"lstrip": True})]), "lstrip of the added token 'xx' must be false"),
        (small(others=[("xx", {"single_word": True})]), "single_word of the added token"),
        (small(others=[("x" * 101, {})]), "of at most 100 characters"),
        (small(others=[("e\u0301", {})]), "composed, as the text is"),
        (small(others=[(f"<{n}>", {}) for n in range(1001)]), "at most 1,000 tokens.*1,001"),
    ],
)
def test_other_files_are_refused(content, message):
    with pytest.raises(UserError, match=message):
        BytePairVocabulary(content, "the file")


def test_masks_may_take_the_place_of_blanks():
    tokens = json.loads(small(MERGES))["added_tokens"]
    assert of().mask_strips == (False, False)
    masks = added("[MASK]", 4, lstrip=True)
    assert of(added_tokens=[*tokens[:4], masks]).mask_strips == (True, False)
