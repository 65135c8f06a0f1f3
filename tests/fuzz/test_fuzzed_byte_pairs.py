"""A byte-level BPE's file, as bytes and with other values in it: refused, or of ids there are."""

import json

import tensorflow as tf
from damage import damaged, few, read
from hypothesis import example, given
from hypothesis import strategies as st

from electra_tf.text.byte_pair_vocabulary import BytePairVocabulary
from electra_tf.text.byte_pairs import BytePairs
from tests.unit import byte_pair_files

SMALL = byte_pair_files.small(
    [("a", "b"), ("ab", "c"), ("Ġ", "ab")],
    others=[("  ", {"normalized": True, "special": False}), ("<x>", {})],
)
TEXTS = tf.constant([*byte_pair_files.HARD, "".join(map(chr, range(1, 0xD800, 7)))])
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 400),
    st.sampled_from(["", "a", "Ġ", "[MASK]", "NFC", "ByteLevel", "é", "  "]),
    st.just([]),
    st.just({}),
)


def check(content: bytes) -> None:
    vocabulary = read(BytePairVocabulary, content)
    if vocabulary is None:
        return
    tokenizer = BytePairs(vocabulary)
    assert len(set(vocabulary.tokens)) == len(vocabulary) == len(vocabulary.begins_word())
    ids, starts, ends = tokenizer.ids_with_offsets(TEXTS)
    number = ids.values.numpy()
    assert ((number >= 0) & (number < len(vocabulary))).all()
    lengths = tf.gather(tf.strings.length(TEXTS), ids.value_rowids()).numpy()
    starts, ends = starts.values.numpy(), ends.values.numpy()
    assert ((starts >= 0) & (starts <= ends) & (ends <= lengths)).all()
    special = {vocabulary[name] for name in vocabulary.SPECIAL}
    assert not special.intersection(number.tolist())


@few
@given(content=damaged(SMALL))
@example(content=SMALL)
def test_damaged_files(content):
    check(content)


@few
@given(data=st.data())
def test_other_values(data):
    content = json.loads(SMALL)
    for _ in range(data.draw(st.integers(1, 3))):
        part = content
        while True:
            keys = list(part) if isinstance(part, dict) else list(range(len(part)))
            if not keys:
                break
            key = data.draw(st.sampled_from(keys))
            if not isinstance(part[key], dict | list) or data.draw(st.integers(0, 3)) == 0:
                part[key] = data.draw(VALUES)
                break
            part = part[key]
    check(json.dumps(content).encode())
