"""The tokenizer against a second implementation in plain Python, and its offsets."""

import itertools
import unicodedata

import numpy as np
import pytest
import tensorflow as tf

from electra_tf import Tokenizer
from electra_tf.text.wordpiece import MAX_CHARACTERS_PER_WORD
from electra_tf.text.words import split_words, word_offsets

WORDS = (
    "[PAD] [UNK] [CLS] [SEP] [MASK] hello Hello world un ##aff ##able cafe café Caf ##é ##e re "
    "##sum ##s résumé mask pad cls sep unk a ##a ß ½ … ﬁ ##ﬁ σ ##σ ##ς ο ##ο δ ##δ Ο Δ Σ ! , . "
    "[ ] # - ' ; 中 文 ee ##é naive naïve i istanbul i̇stanbul"
).split()
TEXTS = [
    "",
    "   ",
    "Hello, hello world!",
    "unaffable UNAFFABLE Unaffables",
    "café cafe\u0301 CAFÉ Cafés résumé naïve",
    "[MASK] [PAD] [mask][sep] ##aff",
    "a" * MAX_CHARACTERS_PER_WORD,
    "a" * (MAX_CHARACTERS_PER_WORD + 1),
    "é" * (MAX_CHARACTERS_PER_WORD + 1) + " a",
    "中文hello中 a中a",
    "tab\thello\nworld\r.\xa0a\u2003a\u3000a\u2028a\u2029a",
    "zero\u200bhello he\xadllo \ufeffhello \x00hel\x7flo \ufffdworld \ue000a",
    "½ … ﬁ ß ﬁﬁ ẞ",
    "ΟΔΟΣ σ Σ ς Οδος",
    "İstanbul I",
    "! \u0301a \u0301 a\u0301 !\u0301a",
    "\u037e a\u037ea",
    "hello-world's [ok];",
]


def reference_tokens(text, vocab, lower_case, strip_accents):
    """BERT's tokenization written out naively, one character at a time."""

    def is_space(c):
        return c in "\t\n\r" or unicodedata.category(c) in ("Zs", "Zl", "Zp")

    def is_punctuation(c):
        is_ascii_symbol = 32 < ord(c) < 127 and not c.isalnum()
        return is_ascii_symbol or unicodedata.category(c)[0] == "P"

    def is_chinese(c):
        ranges = "4E00-9FFF 3400-4DBF 20000-2A6DF 2A700-2CEAF F900-FAFF 2F800-2FA1F".split()
        return any(int(r.split("-")[0], 16) <= ord(c) <= int(r.split("-")[1], 16) for r in ranges)

    spaced = ""
    for c in text:
        if is_space(c):
            spaced += " "
        elif c == "\ufffd" or unicodedata.category(c)[0] == "C":
            continue
        else:
            spaced += f" {c} " if is_chinese(c) else c
    words = []
    for token in spaced.split():
        token = token.lower() if lower_case else token
        if strip_accents:
            token = unicodedata.normalize("NFD", token)
            token = "".join(c for c in token if unicodedata.category(c) != "Mn")
        words += "".join(f" {c} " if is_punctuation(c) else c for c in token).split()
    ids = []
    for word in words:
        pieces, rest, prefix = [], word, ""
        while rest and len(word) <= MAX_CHARACTERS_PER_WORD:
            fits = [n for n in range(len(rest), 0, -1) if prefix + rest[:n] in vocab]
            if not fits:
                break
            pieces.append(vocab[prefix + rest[: fits[0]]])
            rest, prefix = rest[fits[0] :], "##"
        ids += pieces if not rest else [vocab["[UNK]"]]
    return ids


@pytest.fixture(scope="module")
def vocab_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("vocab") / "vocab.txt"
    path.write_text("\n".join(dict.fromkeys(WORDS)) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("lower_case", [True, False])
@pytest.mark.parametrize("strip_accents", [True, False])
def test_same_as_reference(vocab_file, lower_case, strip_accents):
    tokenizer = Tokenizer(vocab_file, lower_case, strip_accents)
    vocab = {token: i for i, token in enumerate(tokenizer.vocabulary.tokens)}
    got = tokenizer.tokenize(TEXTS)
    for text, ids in zip(TEXTS, got, strict=True):
        assert ids == reference_tokens(text, vocab, lower_case, strip_accents), repr(text)


def test_strip_accents_follows_lower_case(vocab_file):
    assert Tokenizer(vocab_file).strip_accents
    assert not Tokenizer(vocab_file, lower_case=False).strip_accents


def test_special_tokens_never_come_from_text(vocab_file):
    tokenizer = Tokenizer(vocab_file)
    vocabulary = tokenizer.vocabulary
    (ids,) = tokenizer.tokenize(["[MASK] [CLS] [PAD][SEP]"])
    assert [vocabulary.tokens[i] for i in ids[:3]] == ["[", "mask", "]"]
    special = {vocabulary.pad_id, vocabulary.cls_id, vocabulary.sep_id, vocabulary.mask_id}
    assert not special.intersection(ids)


def test_no_text(vocab_file):
    tokenizer = Tokenizer(vocab_file)
    assert tokenizer.tokenize([]) == []
    empty = tf.constant([], tf.string)
    assert tokenizer.ids(empty).shape[0] == 0
    assert [part.to_list() for part in tokenizer.ids_with_offsets(empty)] == [[], [], []]
    assert tokenizer.tokenize([b"hel\xfflo", "hello"])[0] == tokenizer.tokenize(["hello"])[0]


@pytest.mark.parametrize("lower_case", [True, False])
def test_offsets_point_to_the_words(vocab_file, lower_case):
    tokenizer = Tokenizer(vocab_file, lower_case)
    texts = [text.encode() for text in TEXTS] + [b"hel\xfflo \xc3 a"]
    ids, starts, ends = tokenizer.ids_with_offsets(tf.constant(texts))
    assert ids.to_list() == tokenizer.tokenize(texts)
    assert ids.dtype == starts.dtype == ends.dtype == tf.int32
    for text, *row in zip(texts, ids.to_list(), starts.to_list(), ends.to_list(), strict=True):
        text = text.decode("utf-8", "ignore").encode()
        last_end = 0
        for (start, end), group in itertools.groupby(zip(*row, strict=True), lambda x: x[1:]):
            assert last_end <= start < end <= len(text)
            word = text[start:end]
            assert word == word.strip()
            assert tokenizer.tokenize([word.decode()]) == [[piece for piece, *_ in group]]
            last_end = end


@pytest.mark.parametrize(("lower_case", "strip_accents"), [(True, True), (False, False)])
def test_offsets_find_the_words_around_every_character(lower_case, strip_accents):
    """Each word cut from the text and rewritten on its own is that word of the whole text."""
    points = [point for point in range(0x110000) if not 0xD800 <= point < 0xE000]
    texts = tf.constant([f"a{chr(point)}b" for point in points])
    words = tf.strings.split(split_words(texts, lower_case, strip_accents))
    starts, ends = word_offsets(texts, lower_case, strip_accents)
    cut = tf.strings.substr(tf.gather(texts, words.value_rowids()), starts, ends - starts)
    again = tf.strings.strip(split_words(cut, lower_case, strip_accents))
    np.testing.assert_array_equal(again.numpy(), words.values.numpy())


def test_offsets_keep_accents_with_their_word(vocab_file):
    _, starts, ends = Tokenizer(vocab_file).ids_with_offsets(tf.constant(["a cafe\u0301!"]))
    assert starts.to_list() == [[0, 2, 8]]
    assert ends.to_list() == [[1, 8, 9]]


def test_saved_model_without_assets(vocab_file, tmp_path):
    module = tf.Module()
    module.tokenizer = Tokenizer(vocab_file)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def serve(text):
        ids, starts, ends = module.tokenizer.ids_with_offsets(text)
        return {"ids": ids.to_tensor(), "starts": starts.to_tensor(), "ends": ends.to_tensor()}

    module.serve = serve
    tf.saved_model.save(module, str(tmp_path / "saved"))
    assert not list((tmp_path / "saved" / "assets").glob("*"))
    texts = tf.constant(["Hello, unaffable world!", ""])
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    for name, value in serve(texts).items():
        tf.debugging.assert_equal(loaded.serve(texts)[name], value)
