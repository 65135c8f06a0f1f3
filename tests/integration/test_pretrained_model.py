"""The model that comes with the package finds swapped words and starts other work."""

import numpy as np
import pytest

import electra_tf
from electra_tf import files
from electra_tf.saved import model_directory

MODEL = "pretrained:small-wiki-novels"
# Written for this test; the swapped word last.
SWAPS = [
    ("He was born in the city of London, where he studied {} at the university.", "law", "banana"),
    ("The king and the queen lived in a castle near the {}.", "river", "eat"),
    ("The army crossed the {} and attacked the town at night.", "river", "although"),
    ("The film was {} by a young director from Germany.", "made", "she"),
    ("She opened the door and looked {} the empty room.", "into", "seven"),
    ("The first railway in the country was opened in the {} of that year.", "spring", "written"),
]


@pytest.fixture(scope="module")
def model():
    return electra_tf.load(MODEL)


def test_swapped_words_are_found(model):
    right = model.predict([text.format(word) for text, word, _ in SWAPS])
    wrong = model.predict([text.format(swapped) for text, _, swapped in SWAPS])
    found = 0
    for good, bad, (_, word, swapped) in zip(right, wrong, SWAPS, strict=True):
        of = {each["token"]: each["replaced_probability"] for each in bad}
        before = {each["token"]: each["replaced_probability"] for each in good}
        assert of[swapped] > before[word]
        found += max(of, key=of.__getitem__) == swapped
    assert found >= 5


def test_right_sentences_are_preferred(model):
    pairs = [
        ("The keys of the house are on the table.", "The keys of the house is on the table."),
        ("The soldiers of the king were killed.", "The soldiers of the king was killed."),
        ("The book that he wrote is very long.", "The book that he wrote are very long."),
        ("He did not see the ship.", "He did not seen the ship."),
        ("She has written many books.", "She have written many books."),
        ("They have a large house in the city.", "They has a large house in the city."),
        ("This is one of the oldest towns in France.", "This is one of the oldest town in France."),
        ("He went to the river with his father.", "He went to river the with his father."),
    ]
    ranked = model.rank([list(pair) for pair in pairs])
    assert sum(int(np.argmax(each["scores"]) == 0) for each in ranked) >= 6


def test_weights_are_float32_in_memory():
    read = model_directory.read(files.expand(MODEL))
    assert {value.dtype for value in read.weights.values()} == {np.dtype("float32")}
