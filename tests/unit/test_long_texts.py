"""Texts cut before tokenization: what a model sees of them stays the same, byte for byte."""

import pytest
import tensorflow as tf

from electra_tf import Tokenizer
from electra_tf.serving.graph.long_texts import CHARACTERS_PER_TOKEN, shorten
from tests.integration import hostile_texts

NUM_TOKENS = 6


@pytest.fixture(scope="module")
def tokenizer(tiny_vocab_file):
    return Tokenizer(tiny_vocab_file)


@pytest.fixture(scope="module")
def cut(tokenizer):
    return tf.function(
        lambda text: shorten(text, tokenizer, NUM_TOKENS),
        autograph=False,
        input_signature=[tf.TensorSpec([None], tf.string)],
    )


def test_first_tokens_and_their_offsets_stay(tokenizer, cut):
    # Long ones of words and of curiosities, so that cuts fall next to all of them.
    parts = hostile_texts.texts(1200)
    texts = [b" ".join(parts[first : first + 6]) for first in range(0, 600, 2)] + [
        b"".join(parts[first : first + 3]) for first in range(600, 1200, 2)
    ]
    shortened = cut(tf.constant(texts))
    lengths = tf.strings.length(shortened).numpy()
    valid = [len(text.decode(errors="ignore").encode()) for text in texts]
    assert sum(length < before for length, before in zip(lengths, valid)) > 100
    for whole, part in zip(
        tokenizer.ids_with_offsets(tf.constant(texts)), tokenizer.ids_with_offsets(shortened)
    ):
        assert whole[:, :NUM_TOKENS].to_list() == part[:, :NUM_TOKENS].to_list()


def test_only_what_is_not_needed_goes(cut):
    longest = CHARACTERS_PER_TOKEN * NUM_TOKENS
    words, one_word = "the model " * 100, "x" * 1000
    few_tokens = "\x01" * longest + " the end"  # all that a model sees comes late
    result = cut(tf.constant([words, one_word, few_tokens, "", "the model", "a\x00b"]))
    words_left, *others = (text.decode() for text in result.numpy())
    assert words.startswith(words_left) and words_left.endswith(" ")
    assert longest - 6 < len(words_left) <= longest
    assert others == [one_word, few_tokens, "", "the model", "a\x00b"]
    assert cut(tf.constant([], tf.string)).shape == (0,)
