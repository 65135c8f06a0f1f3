"""Signatures encode and fill_mask, as functions, against the Keras model one text at a time."""

import re

import numpy as np
import pytest
import tensorflow as tf

import electra_tf
from electra_tf import Tokenizer
from electra_tf.config import Config
from electra_tf.objectives import OBJECTIVES, build_objective
from electra_tf.saved import model_directory
from electra_tf.saved.model_directory import Pretrained
from electra_tf.serving.graph.pretrained import load_pretrained
from electra_tf.serving.graph.signatures import SIGNATURES
from electra_tf.text.vocabulary import Vocabulary

LENGTH = 20
TEXTS = [
    "the [MASK] of a model",
    "",
    "no mask",
    "[MASK]",
    "net[MASK]work [MASK][MASK], [mask]",
    "the models and [MASK] " * 8 + "[MASK]",
    "[[MASK]] [SEP]",
    "words " * 19 + "[MASK]",
]


def write(directory, vocab_file, objective="electra", parts=None, spare=0):
    """Writes a model directory, of an Electra only with some parts; returns model and path."""
    vocabulary = Vocabulary.from_file(vocab_file)
    config = Config()
    config.objective.name = objective
    config.generator.hidden_fraction = 0.5
    sizes = {
        "vocab_size": len(vocabulary) + spare,
        "hidden_size": 32,
        "num_layers": 2,
        "num_heads": 2,
        "intermediate_size": 64,
        "embedding_size": 16,
        "max_positions": LENGTH,
        "initializer_range": 0.4,
    }
    for name, value in sizes.items():
        setattr(config.model, name, value)
    model = build_objective(config).new_model(seed=3)
    weights = {
        variable.path: np.asarray(variable)
        for variable in model.trainable_variables
        if parts is None or variable.path.startswith(parts)
    }
    model_directory.write(Pretrained(config, weights, vocabulary, step=5), str(directory))
    return model, str(directory)


@pytest.fixture(scope="module", params=["electra", "mlm"])
def both(request, tmp_path_factory, tiny_vocab_file):
    """A model, its generator and head, and the servable of its directory."""
    # More outputs than tokens: what is beyond the vocabulary must never be an answer.
    model, path = write(
        tmp_path_factory.mktemp("model") / "m", tiny_vocab_file, request.param, spare=3
    )
    networks = (
        (model.encoder, model.encoder, model.head)
        if request.param == "mlm"
        else (model.discriminator, model.generator, model.generator_head)
    )
    return networks, load_pretrained(path, include_generator=request.param == "electra")


def row_of(ids, vocabulary):
    row = np.array([[vocabulary.cls_id, *ids[: LENGTH - 2], vocabulary.sep_id]], np.int32)
    return {"input_ids": row, "input_mask": np.ones_like(row), "segment_ids": np.zeros_like(row)}


def test_fill_mask_is_the_generators_softmax(both, tiny_vocab_file):
    (_, generator, head), servable = both
    tokenizer = Tokenizer(tiny_vocab_file)
    vocabulary = tokenizer.vocabulary
    served = {name: value.numpy() for name, value in servable.fill_mask(tf.constant(TEXTS)).items()}
    assert served["tokens"].shape == (len(TEXTS), 4, 5)  # the sixth text has 4 of 9 in its length
    for index, text in enumerate(TEXTS):
        ids = []
        for part in re.split(r"(\[MASK\])", text):
            ids += [vocabulary.mask_id] if part == "[MASK]" else tokenizer.tokenize([part])[0]
        batch = row_of(ids, vocabulary)
        places = np.flatnonzero(batch["input_ids"][0] == vocabulary.mask_id)
        assert served["mask"][index].sum() == len(places)
        assert served["positions"][index, : len(places)].tolist() == places.tolist()
        hidden = generator(batch)
        for number, place in enumerate(places):
            logits = np.asarray(head(hidden, np.array([[place]], np.int32)), np.float64)[0]
            probabilities = np.exp(logits - logits.max())
            probabilities = (probabilities / probabilities.sum())[: len(vocabulary)]
            best = np.argsort(-probabilities)[:5]
            np.testing.assert_allclose(
                served["probabilities"][index, number], probabilities[best], rtol=1e-4
            )
            assert [token.decode() for token in served["tokens"][index, number]] == [
                vocabulary.tokens[token] for token in best
            ]
        assert not served["probabilities"][index, len(places) :].any()
        assert set(served["tokens"][index, len(places) :].ravel()) <= {b""}


def test_fill_mask_of_invalid_and_of_no_texts(both):
    _, servable = both
    plain, broken = (
        servable.fill_mask(tf.constant([text]))["probabilities"].numpy()
        for text in (b"the [MASK]", b"\xffthe [MA\xe4\xb8SK]\xc3")
    )
    np.testing.assert_array_equal(plain, broken)
    assert servable.fill_mask(tf.constant(["none"]))["tokens"].shape == (1, 0, 5)
    assert servable.fill_mask(tf.constant([], tf.string))["tokens"].shape == (0, 0, 5)


def test_encode_gives_hidden_states(both, tiny_vocab_file):
    (encoder, *_), servable = both
    tokenizer = Tokenizer(tiny_vocab_file)
    served = {name: value.numpy() for name, value in servable.encode(tf.constant(TEXTS)).items()}
    for index, ids in enumerate(tokenizer.tokenize(TEXTS)):
        expected = np.asarray(encoder(row_of(ids, tokenizer.vocabulary)))[0]
        length = served["mask"][index].sum()
        assert length == len(expected)
        np.testing.assert_allclose(served["sequence_output"][index, :length], expected, atol=1e-4)
        np.testing.assert_allclose(served["pooled_output"][index], expected[0], atol=1e-4)
    empty = servable.encode(tf.constant([], tf.string))
    assert empty["pooled_output"].shape == (0, 32) and empty["sequence_output"].shape[2] == 32


def test_signatures_are_those_of_the_parts(both):
    _, servable = both
    detecting = (
        {"detect_replaced", "detect_replaced_ids", "score"}
        if servable.main_signature == "detect_replaced"
        else set()
    )
    assert set(servable.signatures()) == {"serving_default", "encode", "fill_mask"} | detecting


def test_scores_are_negative_energies(tmp_path, tiny_vocab_file):
    model, path = write(tmp_path / "electric", tiny_vocab_file, "electric")
    servable, tokenizer = load_pretrained(path), Tokenizer(tiny_vocab_file)
    assert list(servable.signatures()) == ["serving_default", "score", "encode"]
    needed = [each for each in model.trainable_variables if not each.path.startswith("generator")]
    assert len(servable.weights) == len(needed)
    served = {name: value.numpy() for name, value in servable.score(tf.constant(TEXTS)).items()}
    for index, ids in enumerate(tokenizer.tokenize(TEXTS)):
        batch = row_of(ids, tokenizer.vocabulary)
        expected = -np.asarray(model(batch))[0, 1:-1]
        length = expected.size + 2
        assert served["token_ids"][index, :length].tolist() == batch["input_ids"][0].tolist()
        np.testing.assert_allclose(
            served["token_scores"][index, 1 : length - 1], expected, rtol=1e-5, atol=1e-5
        )
        assert not served["token_scores"][index, [0, *range(length - 1, LENGTH)]].any()
        assert served["score"][index] == pytest.approx(expected.sum(), rel=1e-5, abs=1e-5)
    assert servable.score(tf.constant([], tf.string))["score"].shape == (0,)
    [first, empty] = electra_tf.load(path).predict([TEXTS[2], ""])
    assert first["score"] == pytest.approx(served["score"][2], abs=1e-5)
    assert sum(token["score"] for token in first["tokens"]) == pytest.approx(first["score"])
    assert empty == {"score": 0.0, "tokens": []}


@pytest.mark.parametrize("objective", OBJECTIVES.values())
def test_every_objective_declares_what_is_known(objective):
    names = [served.signature for served in objective.served]
    assert set(names) <= SIGNATURES.keys() and len(set(names)) == len(names)
    assert not objective.served[0].optional and objective.main_metric in objective.headline


def test_missing_parts_are_told(tmp_path, tiny_vocab_file):
    _, bare = write(tmp_path / "bare", tiny_vocab_file, parts=("embeddings/", "discriminator/"))
    with pytest.raises(ValueError, match="must have a discriminator with its head"):
        load_pretrained(bare)
    _, alone = write(
        tmp_path / "alone",
        tiny_vocab_file,
        parts=("embeddings/", "discriminator/", "discriminator_head/"),
    )
    servable = load_pretrained(alone)
    assert servable.step == 5 and not hasattr(servable, "fill_mask")
    with pytest.raises(ValueError, match="--include_generator must have its generator"):
        load_pretrained(alone, include_generator=True)
    _, scoring = write(tmp_path / "scoring", tiny_vocab_file, "electric")
    with pytest.raises(ValueError, match="network that fills .MASK., and this model has none"):
        load_pretrained(scoring, include_generator=True)
    with pytest.raises(ValueError, match="max_seq_length must be from 3"):
        load_pretrained(alone, max_seq_length=LENGTH + 1)
    with pytest.raises(ValueError, match="precision must be one of float32, bfloat16"):
        load_pretrained(alone, precision="int8")


@pytest.mark.slow
def test_bfloat16_answers_almost_the_same_in_float32(both, tmp_path, tiny_vocab_file):
    _, exact = both
    objective = "electra" if exact.main_signature == "detect_replaced" else "mlm"
    _, path = write(tmp_path / "model", tiny_vocab_file, objective, spare=3)
    rounded = load_pretrained(path, precision="bfloat16", include_generator=objective == "electra")
    names = ["encode", "fill_mask"] + ["detect_replaced"] * (objective == "electra")
    for name in names:
        expected, served = (
            getattr(servable, name)(tf.constant(TEXTS)) for servable in (exact, rounded)
        )
        for key, value in expected.items():
            assert served[key].dtype == value.dtype
            if value.dtype == tf.float32:
                difference = np.abs(value.numpy() - served[key].numpy())
                assert 0 < difference.max() < (0.1 if "prob" in key else 1.0)
