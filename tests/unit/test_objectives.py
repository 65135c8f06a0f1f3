"""Masking, sampling, losses and metrics, against NumPy, SciPy, scikit-learn and TensorFlow."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import special, stats
from sklearn import metrics as sklearn_metrics

from electra_tf.config import Config
from electra_tf.models.randomness import Draws, Dropout
from electra_tf.objectives import build_objective, counts, losses, masking, sampling, vocabulary
from electra_tf.speed import synthetic

VOCAB = 211  # prime: the last block of the sampler is incomplete


def tiny_config(**objective) -> Config:
    config = Config()
    config.model.vocab_size, config.model.hidden_size, config.model.num_heads = VOCAB, 16, 2
    config.model.embedding_size, config.model.intermediate_size = 8, 32
    config.model.num_layers, config.model.max_positions = 2, 64
    config.generator.hidden_fraction, config.generator.num_heads = 0.5, 1
    for name, value in objective.items():
        setattr(config.objective, name, value)
    return config.validate()


def ragged_batch(rows=12, length=40, seed=0) -> dict:
    """[CLS] words [SEP] padding, of every length from 3 up."""
    random = np.random.default_rng(seed)
    ids, mask = np.zeros((rows, length), np.int32), np.zeros((rows, length), np.int32)
    for row in range(rows):
        used = 3 + (row * 7) % (length - 2)
        ids[row, :used] = random.integers(5, VOCAB, used)
        ids[row, 0], ids[row, used - 1], mask[row, :used] = 2, 3, 1
    return {
        "input_ids": tf.constant(ids),
        "input_mask": tf.constant(mask),
        "segment_ids": tf.zeros_like(mask),
    }


def objective_of(config):
    return build_objective(config, synthetic.SyntheticVocabulary(VOCAB))


def test_positions_are_distinct_words_in_the_right_number():
    batch = ragged_batch()
    masked = masking.choose_positions(batch, (2, 3, 4), 0.15, Draws(1, 5, 12))
    ids, mask = batch["input_ids"].numpy(), batch["input_mask"].numpy()
    assert masked["masked_positions"].shape == (12, int(0.155 * 40))
    for row in range(12):
        used = masked["masked_weights"][row].numpy() > 0
        positions = masked["masked_positions"][row].numpy()[used]
        words = np.flatnonzero((mask[row] > 0) & ~np.isin(ids[row], (2, 3, 4)))
        wanted = min(max(1, round(0.15 * mask[row].sum())), int(0.155 * 40), len(words))
        assert len(set(positions)) == len(positions) == wanted
        assert set(positions) <= set(words)
        np.testing.assert_array_equal(masked["masked_ids"][row].numpy()[used], ids[row, positions])
        assert not masked["masked_ids"][row].numpy()[~used].any()


def test_a_row_of_padding_has_nothing_to_predict():
    batch = {
        name: tf.zeros((2, 16), tf.int32) for name in ("input_ids", "input_mask", "segment_ids")
    }
    masked = masking.choose_positions(batch, (2, 3, 4), 0.15, Draws(0, 0, 2))
    assert not masked["masked_weights"].numpy().any()


def test_every_word_is_masked_equally_often():
    batch = {name: value[-1:] for name, value in ragged_batch(rows=6).items()}
    words = int(tf.reduce_sum(batch["input_mask"])) - 2
    seen = np.zeros(40)
    for step in range(600):
        masked = masking.choose_positions(batch, (2, 3, 4), 0.15, Draws(3, step, 1))
        seen[masked["masked_positions"].numpy()[masked["masked_weights"].numpy() > 0]] += 1
    observed = seen[1 : words + 1]
    assert seen.sum() == observed.sum()
    # Fewer than independent draws would vary, as they are without replacement.
    assert stats.chisquare(observed).pvalue > 1e-3


def test_hidden_share_and_untouched_rest():
    batch = {
        "input_ids": tf.random.uniform((400, 60), 5, VOCAB, tf.int32),
        "input_mask": tf.ones((400, 60), tf.int32),
    }
    draws = Draws(0, 0, 400)
    masked = masking.choose_positions(batch, (2, 3, 4), 0.15, draws)
    objective = objective_of(tiny_config())
    hidden = masking.show_masks(masked, objective.config.objective, objective.special, draws)
    hidden = hidden.numpy()
    changed = hidden != batch["input_ids"].numpy()
    positions = np.zeros_like(changed)
    np.put_along_axis(positions, masked["masked_positions"].numpy(), True, axis=1)
    assert (hidden[changed] == 4).all() and not (changed & ~positions).any()
    assert changed.sum() / positions.sum() == pytest.approx(0.85, abs=0.02)


def test_draws_belong_to_rows_of_the_global_batch():
    whole = Draws(7, 3, 8).uniform("x", 8, (5,)).numpy()
    second_half = Draws(7, 3, 8, first_row=tf.constant(4)).uniform("x", 4, (5,)).numpy()
    np.testing.assert_array_equal(whole[4:], second_half)
    for other in (Draws(7, 4, 8), Draws(8, 3, 8)):
        assert not (other.uniform("x", 8, (5,)).numpy() == whole).any()
    assert not (Draws(7, 3, 8).uniform("y", 8, (5,)).numpy() == whole).any()


def factors(rows, vocab_size=VOCAB, seed=0):
    """Vectors, table and bias of random logits, and the logits in double precision."""
    random = np.random.default_rng(seed)
    shapes = (rows, 8), (vocab_size, 8), (vocab_size,)
    given = [random.normal(0, 0.8, shape).astype(np.float32) for shape in shapes]
    vectors, table, bias = (value.astype(np.float64) for value in given)
    return [tf.constant(value) for value in given], vectors @ table.T + bias


def sampler_of(rows, vocab_size=VOCAB, step=0, **more):
    size, draws = sampling.block_size(vocab_size), Draws(0, step, rows)
    return sampling.Sampler(
        draws.gumbel("b", rows, (-(-vocab_size // size),)), draws.gumbel("t", rows, (size,)), **more
    )


@pytest.mark.parametrize("vocab_size, slices", [(VOCAB, 1), (2711, 3)])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_samples_follow_the_softmax(monkeypatch, vocab_size, slices, temperature):
    monkeypatch.setattr(vocabulary, "SLICE", -(-vocab_size // slices))
    given, logits = factors(1, vocab_size)
    number, wrong = 20_000, 5
    ids = tf.fill([number], wrong)
    given[0] = tf.repeat(given[0], number, axis=0)
    sampler = sampler_of(number, vocab_size, temperature=temperature, disallow=ids)
    sampled = vocabulary.predict_tokens(*given, ids, sampler).sampled.numpy()
    assert sampled.max() < vocab_size
    logits[0, wrong] = -np.inf
    expected = special.softmax(logits[0] / temperature) * number
    frequent = expected >= 5
    observed = np.bincount(sampled, minlength=vocab_size)
    grouped = np.append(observed[frequent], observed[~frequent].sum())
    wanted = np.append(expected[frequent], expected[~frequent].sum())
    assert observed[wrong] == 0
    assert stats.chisquare(grouped, wanted * grouped.sum() / wanted.sum()).pvalue > 1e-3


@pytest.mark.parametrize("slice_width", [10_000, 70, 1])
def test_losses_guesses_and_gradients_are_those_of_all_logits(monkeypatch, slice_width):
    """However the vocabulary is cut."""
    monkeypatch.setattr(vocabulary, "SLICE", slice_width)
    given, logits = factors(50)
    ids = tf.constant(np.random.default_rng(1).integers(0, VOCAB, 50), tf.int32)
    weights = tf.constant(np.random.default_rng(2).random(50) * (np.arange(50) % 3 > 0), tf.float32)
    vectors, table, bias = given
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(given)
        ours = vocabulary.predict_tokens(*given, ids, sampler_of(50))
        plain = tf.matmul(vectors, table, transpose_b=True) + bias
        theirs = tf.nn.sparse_softmax_cross_entropy_with_logits(ids, plain)
        our_sum, their_sum = tf.reduce_sum(ours.losses * weights), tf.reduce_sum(theirs * weights)
    np.testing.assert_allclose(ours.losses, theirs, rtol=1e-5, atol=1e-5)
    for one, other in zip(
        tape.gradient(our_sum, given), tape.gradient(their_sum, given), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-5)
    np.testing.assert_array_equal(ours.best, logits.argmax(-1))
    unsampled = vocabulary.predict_tokens(*given, ids)
    np.testing.assert_array_equal(unsampled.best, ours.best)
    np.testing.assert_array_equal(unsampled.losses, ours.losses)


def test_the_cut_of_the_vocabulary_changes_no_sample(monkeypatch):
    given, _ = factors(400)
    ids, sampler = tf.zeros(400, tf.int32), sampler_of(400)
    whole = vocabulary.predict_tokens(*given, ids, sampler).sampled
    monkeypatch.setattr(vocabulary, "SLICE", 40)
    np.testing.assert_array_equal(vocabulary.predict_tokens(*given, ids, sampler).sampled, whole)


def test_histogram_is_numpys():
    random = np.random.default_rng(0)
    bins = random.integers(0, 2 * counts.NUM_BINS, 5000).astype(np.int32)
    bins[:2000] = 77  # as of a model that has learnt nothing
    weights = (random.random(5000) < 0.8).astype(np.float32)
    np.testing.assert_array_equal(
        counts.histogram_of(tf.constant(bins), tf.constant(weights), 2 * counts.NUM_BINS),
        np.bincount(bins, weights, 2 * counts.NUM_BINS),
    )


def test_detection_metrics_equal_scikit_learn():
    random = np.random.default_rng(0)
    labels = (random.random((30, 50)) < 0.13).astype(np.float32)
    logits = (random.normal(-1.5, 0.7, (30, 50)) + labels).astype(np.float32)
    weights = (random.random((30, 50)) < 0.8).astype(np.float32)
    element = losses.binary_cross_entropy(tf.constant(logits), tf.constant(labels))
    summed = counts.detection_counts(
        "disc", tf.constant(logits), tf.constant(labels), element, tf.constant(weights)
    )
    summed = {name: value.numpy() for name, value in summed.items()}
    kept = weights > 0
    truth, scores = labels[kept], logits[kept]
    assert counts.area_under_curve(summed["disc/histogram"]) == pytest.approx(
        sklearn_metrics.roc_auc_score(truth, scores), abs=2e-4
    )
    metrics = objective_of(tiny_config()).metrics(
        summed
        | {f"masked_lm/{name}": 1.0 for name in ("loss", "correct", "total")}
        | {"sampled/correct": 1.0}
    )
    assert metrics["disc_loss"] == pytest.approx(
        sklearn_metrics.log_loss(truth, special.expit(scores.astype(np.float64))), rel=1e-5
    )
    for name, function in (
        ("accuracy", sklearn_metrics.accuracy_score),
        ("precision", sklearn_metrics.precision_score),
        ("recall", sklearn_metrics.recall_score),
    ):
        assert metrics[f"disc_{name}"] == pytest.approx(function(truth, scores > 0), abs=1e-6)


@pytest.mark.parametrize("disallow", [False, True])
def test_electra_counts_only_real_tokens(disallow):
    config = tiny_config(disallow_correct=disallow, temperature=0.8)
    objective, batch = objective_of(config), ragged_batch()
    model, draws = objective.new_model(0), Draws(0, 0, 12)
    prepared = objective.prepare(batch, draws)
    weights = objective.loss_weights(prepared)
    _, summed = objective.loss_sums(model, prepared, draws, None)
    assert (
        float(summed["disc/total"])
        == float(weights["disc"])
        == int(tf.reduce_sum(batch["input_mask"]))
    )
    masked = float(tf.reduce_sum(prepared["masked_weights"]))
    assert float(summed["masked_lm/total"]) == float(weights["masked_lm"]) == masked
    replaced = masked - float(summed["sampled/correct"])
    assert float(summed["disc/positive"]) == replaced
    if disallow:
        assert replaced == masked
    assert float(tf.reduce_sum(summed["disc/histogram"])) == float(weights["disc"])


@pytest.mark.parametrize(
    "name",
    ["electra", "mlm", "electra_15", "replace_mlm", "all_tokens_mlm", "electric", "adversarial"],
)
def test_padding_rows_change_nothing(name):
    """A padded last batch counts every example once."""
    objective, batch = objective_of(tiny_config(name=name)), ragged_batch(rows=4)
    model = objective.new_model(0)
    padded = {key: tf.pad(value, ((0, 3), (0, 0))) for key, value in batch.items()}
    results = []
    for rows, features in ((4, batch), (7, padded)):
        # The noise of seven rows, of which the first four are used.
        draws = Draws(0, 0, 7, 0)
        prepared = objective.prepare(features, draws)
        sums, summed = objective.loss_sums(model, prepared, draws, None)
        results.append((sums, summed, objective.loss_weights(prepared)))
        assert prepared["masked_ids"].shape[0] == rows
    tf.nest.map_structure(
        lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-5), *results
    )


def test_random_words_are_words_of_other_rows():
    config = tiny_config()
    objective = objective_of(config)
    model, draws = objective.new_model(0), Draws(0, 0, 12)
    prepared = objective.prepare(ragged_batch(), draws)
    for name in objective.random_replacements:
        summed = objective.detection_counts(model, prepared, draws, name)
        positive = float(summed[f"{name}/positive"])
        masked = float(tf.reduce_sum(prepared["masked_weights"]))
        assert 0.6 * masked < positive <= masked


def test_dropout_is_a_function_of_its_place():
    ones = tf.ones((500, 40))
    first = Dropout(0, 1)(ones, 0.1).numpy()
    np.testing.assert_array_equal(first, Dropout(0, 1)(ones, 0.1).numpy())
    twice = Dropout(0, 1)
    others = [twice(ones, 0.1).numpy() for _ in range(2)][1:]
    others += [Dropout(*place)(ones, 0.1).numpy() for place in ((1, 1), (0, 2), (0, 1, 8, 500))]
    for other in others:
        assert (other != first).mean() == pytest.approx(2 * 0.1 * 0.9, abs=0.01)
    assert first.mean() == pytest.approx(1.0, abs=0.01)
    assert (first == 0).mean() == pytest.approx(0.1, abs=0.01)
    assert Dropout(0, 1)(ones, 0.0) is ones
    later = Dropout(0, 1, 20, 30)(ones[:60], 0.1)  # rows 20 to 49, two tokens each
    of_all = Dropout(0, 1, 0, 250)(ones, 0.1)
    np.testing.assert_array_equal(later, of_all[40:100])
