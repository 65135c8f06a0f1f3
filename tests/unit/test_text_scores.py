"""How plausible texts are, by each kind of model, against computations of one text at a time."""

import numpy as np
import pytest

import electra_tf
from electra_tf.objectives import OBJECTIVES
from electra_tf.serving.client.ranking import TextScore, rank
from tests.unit.test_pretrained_serving import LENGTH, row_of, write

TEXTS = [
    "the of a model",
    "",
    "networks, trained on data",
    "[MASK] is a text",
    "the models and words " * 8,
    "a",
    "training small networks on large texts " * 2,
    "these tokens are more than one pass of the loop takes",
]
CAN_SCORE = ("electra", "electra_15", "mlm", "electric")


@pytest.fixture(scope="module")
def models(tmp_path_factory, tiny_vocab_file):
    """By objective: the Keras model, and what `electra_tf.load` makes of its directory."""
    found = {}
    for name in CAN_SCORE:
        # More outputs than tokens, as published models have.
        network, path = write(
            tmp_path_factory.mktemp("model") / name, tiny_vocab_file, name, spare=3
        )
        found[name] = network, electra_tf.load(path)
    return found


def masked_one_at_a_time(network, vocabulary, ids):
    """log p(token | all others) of each token, a pass for each, in float64."""
    scores = []
    for place in range(1, min(len(ids), LENGTH - 2) + 1):
        batch = row_of(ids, vocabulary)
        right = batch["input_ids"][0, place]
        batch["input_ids"][0, place] = vocabulary.mask_id
        hidden = network.encoder(batch)
        logits = np.asarray(network.head(hidden, np.array([[place]], np.int32)), np.float64)[0]
        scores.append(logits[right] - logits.max() - np.log(np.exp(logits - logits.max()).sum()))
    return scores


@pytest.mark.parametrize("name", CAN_SCORE)
def test_scores_of_tokens(models, name):
    network, loaded = models[name]
    vocabulary = loaded.tokenizer.vocabulary
    tokenized = loaded.tokenizer.tokenize(TEXTS)
    if name == "mlm":
        expected = [masked_one_at_a_time(network, vocabulary, ids) for ids in tokenized]
        assert sum(map(len, expected)) > 64  # more than one pass
    elif name == "electric":
        expected = [-np.asarray(network(row_of(ids, vocabulary)))[0, 1:-1] for ids in tokenized]
    else:
        expected = [
            [np.log1p(-token["replaced_probability"]) for token in tokens]
            for tokens in loaded.detect_replaced(TEXTS)
        ]
    answers = loaded.score(TEXTS)
    for ids, scores, answer in zip(tokenized, expected, answers, strict=True):
        tokens = [vocabulary.tokens[number] for number in ids[: LENGTH - 2]]
        assert [token["token"] for token in answer["tokens"]] == tokens
        found = [token["score"] for token in answer["tokens"]]
        np.testing.assert_allclose(found, scores, rtol=1e-3, atol=1e-4)
        assert answer["score"] == pytest.approx(np.sum(scores), rel=1e-3, abs=1e-3)
    assert np.std([answer["score"] for answer in answers]) > 0.5  # there was something to compare


@pytest.mark.parametrize("name", CAN_SCORE)
def test_ranking_is_by_scores(models, name):
    _, loaded = models[name]
    texts = [text for text in TEXTS if text]
    lists = [texts, texts[::-1], [texts[2]], ["a", *texts, "a"]] * 7  # more than one batch
    scores = {text: answer["score"] for text, answer in zip(texts, loaded.score(texts))}
    rankings = loaded.rank(lists)
    assert len(rankings) == len(lists)
    for given, ranked in zip(lists, rankings):
        assert ranked.keys() == {"scores", "best"}
        assert ranked["scores"] == pytest.approx([scores[text] for text in given], abs=1e-3)
        assert ranked["best"] == int(np.argmax(ranked["scores"]))
    assert rankings[3]["scores"][0] == rankings[3]["scores"][-1]
    # Of equal ones the first; alone they could differ by rounding.
    assert loaded.rank([["the model", "a text"] * 20])[0]["best"] in (0, 1)
    assert loaded.rank([]) == []


def test_ends_that_no_score_sees_are_told(models, logged):
    _, loaded = models["electra"]
    longest = "model " * (LENGTH - 2)
    assert len(loaded.rank([[longest, "a"]])) == 1 and not logged()
    [ranked] = loaded.rank([[longest, longest + "is", longest + "the data"]])
    assert ranked["scores"][1:] == pytest.approx(ranked["scores"][:1] * 2, abs=1e-4)
    [message] = logged()
    assert message.startswith("candidates: 2 of 3 texts are longer than the model's 20")


@pytest.mark.parametrize(
    "lists, message",
    [
        ("ab", "candidates must be a list of lists. Received: 'ab'"),
        ([["a"], "ab"], r"at least one text. Received: 'ab' in candidates\[1\]"),
        ([[]], r"Received: an empty list in candidates\[0\]"),
        ([["a", 3]], r"all of them strings. Received: 3 in candidates\[0\]"),
        ([["a", " \t"]], r"must not be empty. Received: ' \\t' in candidates\[0\]"),
        # Of no token: the largest score of all, were it taken.
        ([["a"], ["a", "\x07\u200b"]], r"must have a token. Received: .* in candidates\[1\]"),
    ],
)
def test_what_cannot_be_ranked(models, lists, message):
    with pytest.raises(electra_tf.UserError, match=message):
        models["electra"][1].rank(lists)


def test_scores_that_are_no_numbers_are_none():
    with pytest.raises(electra_tf.UserError, match="must be finite. Received: nan for 'a'"):
        rank([["a"]], lambda texts: [TextScore(float("nan"), 1)] * len(texts), ["line 3"])


@pytest.mark.parametrize(
    "name", sorted(OBJECTIVES.keys() - {*CAN_SCORE, "two_stage", "adversarial"})
)
def test_other_objectives_refuse(name, tmp_path, tiny_vocab_file):
    loaded = electra_tf.load(write(tmp_path / name, tiny_vocab_file, name)[1])
    with pytest.raises(electra_tf.UserError, match=f"one of electra, mlm, .*, {name}$"):
        loaded.rank([["a"]])
