"""Probes: closed-form classification, rules that corrupt sentences, the choice of pairs."""

import types

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from electra_tf.data.split import Split
from electra_tf.errors import UserError
from electra_tf.probes import minimal_pairs, ridge
from electra_tf.probes.corruptions import RULES
from electra_tf.probes.minimal_pairs import choose, sentences
from electra_tf.text.vocabulary import Vocabulary
from tests.conftest import SPECIAL_TOKENS


def clusters(number: int, seed: int = 0):
    random = np.random.default_rng(seed)
    classes = random.integers(3, size=number)
    centres = np.random.default_rng(9).normal(size=(3, 5))
    return (centres[classes] + 0.3 * random.normal(size=(number, 5))).astype(np.float32), classes


def test_ridge_is_sklearns():
    inputs, classes = clusters(200)
    moments = ridge.Moments(5, 3)
    moments.add(inputs[:77], classes[:77])
    other = ridge.Moments(5, 3)
    other.add(inputs[77:], classes[77:])
    weights = moments.plus(other).solve(0.01)
    penalty = 0.01 * np.square(inputs.astype(np.float64)).sum(axis=0).mean()
    reference = Ridge(alpha=penalty).fit(inputs.astype(np.float64), np.eye(3)[classes])
    np.testing.assert_allclose(weights[:-1], reference.coef_.T, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(weights[-1], reference.intercept_, rtol=1e-6)


def test_ridge_learns_and_bears_constant_features():
    inputs, classes = clusters(300)
    inputs = np.append(inputs, np.ones((300, 1)), axis=1)  # singular beside the constant
    moments = ridge.Moments(6, 3)
    moments.add(inputs, classes)
    held_out, right = clusters(200, seed=1)
    held_out = np.append(held_out, np.ones((200, 1)), axis=1)
    found = ridge.predict(moments.solve(1e-6), held_out)
    assert np.mean(found == right) > 0.95


@pytest.mark.parametrize(
    ("rule", "right", "wrong"),
    [
        ("agreement", "so they were late", "so they was late"),
        ("agreement", "then he has gone", "then he have gone"),
        ("agreement", "he were late", None),  # as in "if he were"
        ("agreement", "the dogs were late", None),
        ("distant_agreement", "the age of the trees is high", "the age of the trees are high"),
        ("distant_agreement", "here the age of trees was high", "here the age of trees were high"),
        (
            "distant_agreement",
            "the man in two old boats has it",
            "the man in two old boats have it",
        ),
        ("distant_agreement", "the number of trees is high", None),
        ("distant_agreement", "the ages of the trees are high", None),
        ("distant_agreement", "the age of the tree is high", None),
        ("word_order", "look at the house now", "look at house the now"),
        ("word_order", "look at the , now", None),
        ("negation", "they did not go there", "they was not go there"),
        ("negation", "it was not asked for", "it did not asked for"),
        ("negation", "it is not asked for", "it does not asked for"),
        ("negation", "they did not put it", None),
        ("negation", "he was not present there", None),
        ("negation", "he was not the one", None),
        ("polarity", "we did not find any there", "we did also find any there"),
        ("polarity", "it may not be any there", None),
        ("polarity", "we did not find it there", None),
    ],
)
def test_rules(rule, right, wrong):
    words = right.split()
    found = [
        " ".join((*words[:place], *others, *words[place + len(others) :]))
        for place, others in RULES[rule](words)
    ]
    assert found == ([] if wrong is None else [wrong])


def vocabulary(*words: str) -> Vocabulary:
    return Vocabulary([*SPECIAL_TOKENS, ".", ",", *dict.fromkeys(words)])


def ids(text: str, known: Vocabulary) -> np.ndarray:
    return np.array([known[token] for token in text.split()])


def test_sentences_are_whole_and_plain():
    known = vocabulary(*"the cat sat on mat and ran ##s u s home".split())
    rows = [
        "[CLS] on the mat and ran home . the cat ##s sat on the mat . and the cat ran [SEP]",
        "[CLS] . the u s cat ran home and sat . the cat , the cat sat on the mat . [SEP]",
        "[CLS] . the cat ran . the cat sat [UNK] on the mat . the cat ran home and sat . [SEP]",
    ]
    found = list(sentences([ids(row, known) for row in rows], known))
    assert [" ".join(words) for words in found] == [
        "the cats sat on the mat",
        "the cat , the cat sat on the mat",
        "the cat ran home and sat",
    ]


def test_the_choice_is_seeded_and_of_whole_tokens():
    known = vocabulary(*"they we were was in the house".split())
    found = [f"{who} were in the house {what}".split() for who in ("they", "we") for what in "abc"]
    pairs = choose(found + found[:1], known, num_pairs=4, seed=0)
    assert list(pairs) == ["agreement", "word_order"]
    assert len(pairs["agreement"]) == 4 and len(set(pairs["agreement"])) == 4
    assert pairs == choose(found, known, num_pairs=4, seed=0)
    assert pairs != choose(found, known, num_pairs=4, seed=1)
    assert all(" was in the house " in pair.wrong for pair in pairs["agreement"])
    assert list(choose(found, vocabulary("they", "were", "was"), 4, 0)) == ["agreement"]


class Judge:
    """Stands in for a loaded model that finds some words implausible."""

    directory = "judge"

    def __init__(self, known: Vocabulary, *implausible: str):
        self.tokenizer = types.SimpleNamespace(vocabulary=known)
        data = types.SimpleNamespace(tokenizer_fingerprint="f")
        self.config = types.SimpleNamespace(data=data)
        self._implausible = implausible

    def require(self, signature):
        assert signature == "score"

    def rank(self, lists):
        return [
            {
                "scores": [
                    -float(sum(text.count(each) for each in self._implausible)) for text in texts
                ]
            }
            for texts in lists
        ]


def pretend(monkeypatch, batches: list[dict], fingerprint: str = "f") -> None:
    """Gives any directory these held-out batches."""
    found = types.SimpleNamespace(as_numpy_iterator=lambda: batches)
    description = {"tokenizer_fingerprint": fingerprint}
    split = Split("eval", (), (), 16, False)
    monkeypatch.setattr(minimal_pairs.dataset, "open_split", lambda *_: split)
    monkeypatch.setattr(minimal_pairs.dataset, "eval_batches", lambda *_, **__: found)
    monkeypatch.setattr(minimal_pairs, "read_description", lambda _: description)


@pytest.mark.parametrize(("implausible", "accuracy"), [("was", 1.0), ("were", 0.0), ("x", 0.5)])
def test_accuracy_counts_a_tie_as_half(monkeypatch, implausible, accuracy):
    known = vocabulary(*"they were was late in our home again".split())
    row = ids("[CLS] . they were late in our home again . [SEP]", known)
    batch = {"input_ids": np.array([row, row]), "input_mask": np.ones((2, len(row)), int)}
    pretend(monkeypatch, [batch])
    found = minimal_pairs.probe(Judge(known, implausible), "shards")
    rule = found["rules"]["agreement"]
    assert found["accuracy"] == rule["accuracy"] == accuracy and rule["n"] == 1
    assert rule["standard_error"] == (accuracy * (1 - accuracy)) ** 0.5
    assert rule["examples"][0]["wrong"] == "they was late in our home again ."


def test_no_sentences_is_told(monkeypatch):
    known = vocabulary("a")
    pretend(monkeypatch, [])
    with pytest.raises(UserError, match="must have English sentences .* Received: shards without"):
        minimal_pairs.probe(Judge(known), "shards")


def test_another_vocabulary_is_told(monkeypatch):
    pretend(monkeypatch, [], fingerprint="other")
    with pytest.raises(UserError, match="must have the vocabulary of judge. Received: shards"):
        minimal_pairs.probe(Judge(vocabulary("a")), "shards")
