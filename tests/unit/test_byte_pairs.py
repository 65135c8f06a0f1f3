"""Byte-level BPE: the ids of the package tokenizers, everywhere; places in the text as written."""

import itertools
import random
from typing import Any

import pytest
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from electra_tf.serving.checking.allowed_ops import refused_ops
from electra_tf.serving.graph.fill_mask import _ids_with_masks
from electra_tf.serving.graph.long_texts import shorten
from electra_tf.text.byte_merges import Merges
from electra_tf.text.byte_pair_vocabulary import BytePairVocabulary
from electra_tf.text.byte_pairs import BytePairs
from tests.conftest import SHARED, read_lines
from tests.unit import byte_pair_files, piece_files

tokenizers = pytest.importorskip("tokenizers")

TEXTS = byte_pair_files.HARD + piece_files.texts()
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "prefix"])
def content(request) -> bytes:
    return byte_pair_files.modernbert(request.param)


@pytest.fixture(scope="module")
def tokenizer(content) -> BytePairs:
    return BytePairs(BytePairVocabulary(content))


def of(*merges, **fields) -> BytePairs:
    return BytePairs(BytePairVocabulary(byte_pair_files.small(merges, **fields)))


def originals(content: bytes, texts) -> list[list[int]]:
    """Ids of the package, in which special tokens are no more than other text."""
    theirs = tokenizers.Tokenizer.from_buffer(content)
    return [
        row.ids
        for row in theirs.encode_batch(list(map(_without_special, texts)), add_special_tokens=False)
    ]


def _without_special(text: str) -> str:
    assert not any(token in text for token in SPECIAL), "which the package would find"
    return text


def texts_without_special() -> list[str]:
    return [text for text in TEXTS if not any(token in text for token in SPECIAL)]


def some_texts(number: int, length: int, seed: int = 0) -> list[str]:
    parts = byte_pair_files.HARD[:20] + [*" \n\t'.!1éaßß中😀\u3000\u0301\u0323\u1100\u1161"]
    parts += ["'s", "'ll", "  ", "th", "ing", "ab", "<|endoftext|>", "[unused1]", " the"]
    parts = [part for part in parts if len(part) < 40 and "[MASK]" not in part]
    draw = random.Random(seed)
    return ["".join(draw.choices(parts, k=draw.randrange(length))) for _ in range(number)]


def places(tokenizer, text: str) -> list[tuple[str, str]]:
    """Tokens, and what of the text each has come from."""
    rows = [part.to_list()[0] for part in tokenizer.ids_with_offsets(tf.constant([text]))]
    content = text.encode()
    return [
        (tokenizer.vocabulary.tokens[number], content[start:end].decode())
        for number, start, end in zip(*rows, strict=True)
    ]


def test_ids_are_the_originals(content, tokenizer):
    texts = texts_without_special() + some_texts(500, 20)
    assert len(texts) > 1000
    assert tokenizer.tokenize(texts) == originals(content, texts)


def test_ids_are_the_originals_in_a_saved_model(tmp_path):
    content = byte_pair_files.modernbert()
    tokenizer, texts = BytePairs(BytePairVocabulary(content)), texts_without_special()
    expected = originals(content, texts)

    def answer(text):
        ids, starts, _ = tokenizer.ids_with_offsets(text)
        parts = {"same": tokenizer.ids(text).values, "lengths": ids.row_lengths()}
        return parts | {"ids": ids.values, "starts": starts.values}

    module: Any = tf.Module()
    spec = [tf.TensorSpec([None], tf.string)]
    module.answer = tf.function(answer, input_signature=spec, autograph=False)
    concrete = module.answer.get_concrete_function()
    tf.saved_model.save(module, str(tmp_path), signatures=concrete)
    assert not refused_ops(meta_graph_pb2.MetaGraphDef(graph_def=concrete.graph.as_graph_def()))
    served = tf.saved_model.load(str(tmp_path)).signatures["serving_default"]
    found = {name: each.numpy().tolist() for name, each in served(tf.constant(texts)).items()}
    assert found["ids"] == found["same"] == list(itertools.chain(*expected))
    assert found["lengths"] == [len(row) for row in expected]
    for _ in range(5):  # with none tensorflow-text's op for offsets crashes, at times
        nothing = served(tf.constant([], tf.string))
    assert all(each.shape == (0,) for each in nothing.values())
    # eagerly, and in tf.data
    few = texts[:40]
    ids, starts, _ = tokenizer.ids_with_offsets(tf.constant(few))
    assert ids.to_list() == expected[:40]
    assert starts.values.numpy().tolist() == found["starts"][: len(starts.values)]
    [ids] = tf.data.Dataset.from_tensor_slices(few).batch(40).map(tokenizer.ids)
    assert ids.to_list() == expected[:40]


@pytest.mark.slow
def test_ids_are_the_originals_on_wikipedia(content, tokenizer):
    path = SHARED / "data" / "corpus" / "enwiki2015_p0.txt.xz"
    if not path.exists():
        pytest.skip(f"{path.name} is not there")
    lines = [line for line in read_lines(path) if line][:10_000]
    assert len(lines) == 10_000
    for first in range(0, len(lines), 1000):
        part = lines[first : first + 1000]
        assert tokenizer.tokenize(part) == originals(content, part)


def test_words_that_never_end(content, tokenizer):
    draw = random.Random(1)
    texts = ["".join(draw.choices("etaoinshrdlu", k=10_000)), "a" * 9999, "xy" * 3001 + "z"]
    texts += ["".join(draw.choices("中文字日本語", k=1000)), "-=" * 2000 + "-" * 3333]
    assert tokenizer.tokenize(texts) == originals(content, texts)


@pytest.mark.parametrize("seed", range(3))
def test_merges_in_any_order(seed):
    """Such as no trainer makes: a token takes part in merges before some that make it."""
    merges = byte_pair_files.any_merges(seed)
    content = byte_pair_files.small(merges)
    tokenizer = BytePairs(BytePairVocabulary(content))
    assert not Merges(tokenizer.vocabulary)._in_order
    draw = random.Random(seed)
    texts = ["".join(draw.choices("abcd", k=draw.randrange(1, 60))) for _ in range(500)]
    assert tokenizer.tokenize(texts) == originals(content, texts)


def test_merges_in_long_words():
    """Far more blocks than one, of short tokens, and of lines of one letter."""
    merges = [("a", "b"), ("c", "a"), ("a", "a"), ("ab", "c"), ("aa", "aa"), ("d", "abc")]
    content = byte_pair_files.small(merges)
    draw = random.Random(0)
    texts = ["".join(draw.choices("abcd", k=3000)) for _ in range(5)]
    texts += ["".join(draw.choice("abcd") * draw.randrange(1, 40) for _ in range(200))]
    tokenizer = BytePairs(BytePairVocabulary(content))
    assert Merges(tokenizer.vocabulary)._in_order
    assert tokenizer.tokenize(texts) == originals(content, texts)


def test_no_merges_at_all():
    assert of().tokenize(["ab", ""]) == [[*of().vocabulary.byte_ids[97:99]], []]


def test_places_are_the_originals(content, tokenizer):
    """Of visible tokens; the package errs where it composes, or puts a blank before a text."""
    theirs = tokenizers.Tokenizer.from_buffer(content)
    theirs.post_processor = tokenizers.processors.ByteLevel(trim_offsets=True)
    texts = [
        text
        for text in texts_without_special()
        if tokenizers.normalizers.NFC().normalize_str(text) == text
    ]
    parts = [part.to_list() for part in tokenizer.ids_with_offsets(tf.constant(texts))]
    vocabulary, compared = tokenizer.vocabulary, 0
    for text, ids, starts, ends in zip(texts, *parts):
        assert starts == sorted(starts) and ends == sorted(ends)
        bounds = list(itertools.accumulate((len(each.encode()) for each in text), initial=0))
        expected = theirs.encode(text, add_special_tokens=False).offsets
        for number, start, end, (first, last) in zip(ids, starts, ends, expected, strict=True):
            assert 0 <= start <= end <= bounds[-1]
            token = vocabulary.bytes_of(vocabulary.tokens[number])
            if not text[first:last].strip() or (vocabulary.adds_prefix and token[:1] == b" "):
                continue
            compared += 1
            assert (start, end) == (bounds[first], bounds[last]), (text, token)
    assert compared > 30_000


def test_places_of_difficult_characters(tokenizer):
    blank = [("Ġ", "")] if tokenizer.vocabulary.adds_prefix else []
    assert places(tokenizer, "") == []
    assert places(tokenizer, "\x00 ") == [*blank, ("Ā", "\x00"), ("Ġ", "")]
    assert [text for _, text in places(tokenizer, "e\u0301")] in (["e\u0301"], ["", "e\u0301"])
    # two characters for one, and one for two of which one is composed
    assert {text for _, text in places(tokenizer, "\u0958")} - {""} == {"\u0958"}
    assert places(tokenizer, "a\u0307\u0323x")[-2:] == [("ĩ", "a\u0307\u0323"), ("x", "x")]
    # bytes of one character, white space, an added token
    assert {text for _, text in places(tokenizer, "😀")} - {""} == {"😀"}
    assert [text for _, text in places(tokenizer, "the\u3000\u3000the")][-1] == "the"
    found = places(tokenizer, "a  <|endoftext|>\n")
    assert ("  ", "") in found and ("<|endoftext|>", "<|endoftext|>") in found
    assert found[-1] == ("Ċ", "")


def test_invalid_bytes_are_dropped(tokenizer):
    broken = tf.constant([b"\xffthe c\xe4\xb8at\xc3", b"\xe4", b"the\xed\xa0\x80re"])
    whole = tf.constant([b"the cat", b"", b"there"])
    for one, other in zip(tokenizer.ids_with_offsets(broken), tokenizer.ids_with_offsets(whole)):
        assert one.to_list() == other.to_list()
    assert tokenizer.tokenize([]) == []


def test_no_special_token_comes_out_of_a_text(tokenizer):
    [ids] = tokenizer.tokenize(["".join(SPECIAL)])
    assert not {*ids}.intersection(tokenizer.vocabulary[token] for token in SPECIAL)
    assert tokenizer.vocabulary.joined([tokenizer.vocabulary.tokens[each] for each in ids]) == (
        "".join(SPECIAL)
    )
    assert tokenizer.vocabulary["<|endoftext|>"] in tokenizer.tokenize(["a<|endoftext|>"])[0]


@pytest.mark.parametrize("sides", [(True, False), (False, True), (False, False)])
@pytest.mark.parametrize("prefix", [False, True])
def test_masks_in_a_text(sides, prefix):
    """As the package does it, where [MASK] is a token of a text."""
    mask = byte_pair_files.added("[MASK]", 4, lstrip=sides[0], rstrip=sides[1])
    special = [byte_pair_files.added(token, n) for n, token in enumerate(SPECIAL[:4])]
    content = byte_pair_files.small([("Ġ", "c")], prefix=prefix, added_tokens=[*special, mask])
    texts = ["c [MASK] c", "[MASK] c", " [MASK][MASK]", "c[MASK]s.", "c \u3000[MASK]\n c", "c", ""]
    theirs = tokenizers.Tokenizer.from_buffer(content)
    expected = [theirs.encode(text, add_special_tokens=False).ids for text in texts]
    tokenizer = BytePairs(BytePairVocabulary(content))
    assert _ids_with_masks(tf.constant(texts), tokenizer).to_list() == expected


def test_first_tokens_of_shortened_texts_stay(tokenizer):
    texts = [" ".join(TEXTS[first : first + 9]) for first in range(0, 300, 5)]
    texts += [text * 3 for text in some_texts(200, 200)] + ["x" * 5000, "a" + " " * 5000 + "b"]
    short = shorten(tf.constant(texts), tokenizer, 12)
    assert sum(tf.strings.length(short).numpy() < [len(each.encode()) for each in texts]) > 150
    for one, other in zip(
        tokenizer.ids_with_offsets(tf.constant(texts)), tokenizer.ids_with_offsets(short)
    ):
        assert one[:, :12].to_list() == other[:, :12].to_list()


def test_texts_with_tokens_across_words_are_never_cut():
    assert of(others=[("two words", {})]).unfinished is None
    assert of(others=[("   ", {}), ("[x]", {})]).unfinished is not None
