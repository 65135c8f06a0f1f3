"""SentencePiece models, as bytes to pieces and to the op: refused, or of ids that there are."""

import tensorflow as tf
from damage import damaged, few, read
from hypothesis import example, given
from hypothesis import strategies as st

from electra_tf.text.piece_vocabulary import PieceVocabulary
from electra_tf.text.sentence_piece import SentencePiece
from tests.unit import piece_files

SMALL = piece_files.content()
LARGE = tuple(map(piece_files.reference, ("unigram", "bpe")))
TEXTS = tf.constant(
    [
        *piece_files.HARD,
        # All that tables normalize lies in these, and some of what they do not.
        "".join(map(chr, range(1, 0x3400))),
        "".join(map(chr, range(0xF900, 0xFFFF))),
    ]
)


def check(content: bytes) -> None:
    vocabulary = read(PieceVocabulary, content)
    if vocabulary is None:
        return
    tokenizer = read(SentencePiece, vocabulary)
    if tokenizer is None:
        return
    assert len(set(vocabulary.tokens)) == len(vocabulary) == len(vocabulary.begins_word())
    ids, starts, ends = tokenizer.ids_with_offsets(TEXTS)
    number = ids.values.numpy()
    assert ((number >= 0) & (number < len(vocabulary))).all()
    lengths = tf.gather(tf.strings.length(TEXTS), ids.value_rowids()).numpy()
    starts, ends = starts.values.numpy(), ends.values.numpy()
    assert ((starts >= 0) & (starts <= ends) & (ends <= lengths)).all()
    text_special = {vocabulary.pad_id, vocabulary.cls_id, vocabulary.sep_id, vocabulary.mask_id}
    assert not text_special.intersection(number.tolist())


@given(content=damaged(SMALL))
@example(content=SMALL)
def test_small_models(content):
    check(content)


@few
@given(content=damaged(*LARGE))
@example(content=LARGE[0])
def test_models_of_the_trainer(content):
    check(content)


@few
@given(data=st.data(), model=st.sampled_from(LARGE), number=st.integers(1, 4))
def test_tables_of_characters(data, model, number):
    """Bytes changed where the op looks at no bounds itself."""
    first = len(model) - 240_000  # behind the pieces
    content = bytearray(model)
    for _ in range(number):
        place = first + data.draw(st.one_of(st.integers(-200, 2000), st.integers(0, 239_999)))
        content[place] = data.draw(st.integers(0, 255))
    check(bytes(content))
