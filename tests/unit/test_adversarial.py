"""The adversarial generator (appendix F of the paper), against NumPy in double precision."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import special

from electra_tf.conversion import convert
from electra_tf.errors import UserError
from electra_tf.models.randomness import Draws
from electra_tf.objectives import masking, validate, vocabulary
from electra_tf.runs.pretraining import Start
from electra_tf.saved import model_directory
from electra_tf.saved.model_directory import Pretrained
from electra_tf.speed.memory import MemoryModel
from electra_tf.train.optimizers import build_network_optimizers
from electra_tf.train.state import TrainState
from tests.unit.test_objectives import VOCAB, factors, objective_of, ragged_batch, tiny_config

ROWS, LENGTH = 6, 40
SMALL = 1e-5
BASELINE = "generator_baseline/logit/"


class Step:
    """One step of a freshly initialised model, some of whose samples are the right tokens."""

    def __init__(self, monkeypatch, sharing="none", temperature=1.0):
        config = tiny_config(name="adversarial", temperature=temperature)
        config.model.sharing, config.model.initializer_range = sharing, 0.3
        self.temperature, self.objective = temperature, objective_of(config)
        self.model, self.draws = self.objective.new_model(1), Draws(0, 0, ROWS)
        self.variables = {each.path: each for each in self.model.trainable_variables}
        random = np.random.default_rng(0)
        for name in ("kernel", "bias"):
            weight = self.variables[BASELINE + name]
            weight.assign(random.normal(0, 0.5, weight.shape))
        self.batch = self.objective.prepare(ragged_batch(ROWS, LENGTH), self.draws)
        predict = vocabulary.predict_tokens

        def keep_some(*args, **kwargs):
            """As a generator that guesses every third token."""
            found = predict(*args, **kwargs)
            if "sampler" not in kwargs:
                return found
            third = tf.range(found.sampled.shape[0]) % 3 == 0
            return found._replace(sampled=tf.where(third, kwargs["ids"], found.sampled))

        monkeypatch.setattr("electra_tf.objectives.generators.predict_tokens", keep_some)
        written, replace = [], masking.replace_masked

        def noted(batch, ids):
            written.append((ids, replace(batch, ids)))
            return written[-1][1]

        monkeypatch.setattr(masking, "replace_masked", noted)
        with tf.GradientTape(persistent=True) as self.tape:
            self.sums, self.counts = self.objective.loss_sums(
                self.model, self.batch, self.draws, None
            )
        self.sampled, self.replaced = (each.numpy() for each in written[-1])
        self.ids, self.positions = (
            self.batch[key].numpy() for key in ("masked_ids", "masked_positions")
        )
        self.used = self.batch["masked_weights"].numpy() > 0
        assert (self.sampled == self.ids)[self.used].any()
        assert (self.sampled != self.ids)[self.used].any()

    def weight(self, path):
        return np.asarray(self.variables[path], np.float64)

    def gradients(self, term):
        """By path; None where nothing flows."""
        variables = {path: each.value for path, each in self.variables.items()}
        return self.tape.gradient(self.sums[term], variables)

    def hidden(self):
        """The generator's states at the masked positions, [B, M, H]."""
        batch = {**self.batch, "input_ids": self.batch["masked_input_ids"]}
        hidden = np.asarray(self.model.generator(batch), np.float64)
        return np.take_along_axis(hidden, self.positions[..., None], 1)

    def rewards(self):
        """[B, M], from the discriminator's logits of "replaced"."""
        logits = np.asarray(self.model({**self.batch, "input_ids": self.replaced}), np.float64)
        original = special.expit(-np.take_along_axis(logits, self.positions, 1))
        is_right = self.sampled == self.ids
        return np.where(is_right, -np.log(original), -np.log(1 - original))

    def baseline_logits(self):
        return (self.hidden() @ self.weight(BASELINE + "kernel"))[..., 0] + self.weight(
            BASELINE + "bias"
        )

    def log_p(self, by_bias=0.0, by_dense=0.0):
        """Of the samples, [B, M]; the generator's head is in double precision."""
        weight = {
            name: self.weight(f"generator_head/{name}")
            for name in ("dense/kernel", "dense/bias", "layer_norm/gamma", "layer_norm/beta")
        }
        dense = self.hidden() @ weight["dense/kernel"] + weight["dense/bias"] + by_dense
        active = dense * special.ndtr(dense)
        centered = active - active.mean(-1, keepdims=True)
        normalized = centered / np.sqrt((centered**2).mean(-1, keepdims=True) + 1e-12)
        vectors = normalized * weight["layer_norm/gamma"] + weight["layer_norm/beta"]
        tables = [path for path in self.variables if path.endswith("embeddings/tokens")]
        table = self.weight(max(tables, key=len))  # the generator's own, if it has one
        bias = self.weight("generator_head/output_bias") + by_bias
        logits = (vectors @ table.T + bias) / self.temperature
        return np.take_along_axis(special.log_softmax(logits, -1), self.sampled[..., None], -1)[
            ..., 0
        ]


@pytest.fixture
def step(monkeypatch):
    return Step(monkeypatch)


def metrics_of(step):
    return step.objective.metrics({name: value.numpy() for name, value in step.counts.items()})


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_losses_and_metrics(monkeypatch, temperature):
    step = Step(monkeypatch, temperature=temperature)
    rewards, logits, used = step.rewards(), step.baseline_logits(), step.used
    advantage = rewards + special.log_expit(logits)
    policy, right = -advantage * step.log_p(), np.exp(-rewards)
    baseline = -right * special.log_expit(logits) - (1 - right) * special.log_expit(-logits)
    np.testing.assert_allclose(step.sums["policy"], policy[used].sum(), rtol=2e-5)
    np.testing.assert_allclose(step.sums["baseline"], baseline[used].sum(), rtol=1e-5)
    weights = step.objective.loss_weights(step.batch)
    assert float(weights["policy"]) == float(weights["baseline"]) == used.sum()
    metrics = metrics_of(step)
    assert metrics["reward"] == pytest.approx(rewards[used].mean(), rel=1e-5)
    assert metrics["baseline_loss"] == pytest.approx(baseline[used].mean(), rel=1e-5)
    assert metrics["loss"] == pytest.approx(
        50 * metrics["disc_loss"] + policy[used].mean() + baseline[used].mean(), rel=1e-4
    )


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_the_policy_gradient_is_the_difference_of_weighted_log_p(monkeypatch, temperature):
    """Of -sum (R - b) log p, where R - b is a number, with advantages of both signs."""
    step = Step(monkeypatch, temperature=temperature)
    advantage = (step.rewards() + special.log_expit(step.baseline_logits()))[step.used]
    assert advantage.min() < 0 < advantage.max()
    gradients = step.gradients("policy")

    def loss(**changes):
        return -(advantage * step.log_p(**changes)[step.used]).sum()

    for name, path, size in (
        ("by_bias", "generator_head/output_bias", VOCAB),
        ("by_dense", "generator_head/dense/bias", 8),
    ):
        for place in {0, 5, size - 1, int(step.sampled[0, 0]) % size}:
            change = SMALL * np.eye(size)[place]
            difference = (loss(**{name: change}) - loss(**{name: -change})) / (2 * SMALL)
            assert float(tf.convert_to_tensor(gradients[path])[place]) == pytest.approx(
                difference, rel=2e-4, abs=2e-5
            )


@pytest.mark.parametrize("sharing", ["none", "embeddings"])
def test_the_policy_gradient_of_every_weight(monkeypatch, sharing):
    """Along a random direction: in float32, as the encoder knows nothing else."""
    step = Step(monkeypatch, sharing=sharing)
    advantage = step.rewards() + special.log_expit(step.baseline_logits())
    gradients, random, small = step.gradients("policy"), np.random.default_rng(0), 3e-3
    for path, gradient in gradients.items():
        if gradient is None:
            continue
        gradient, start = np.asarray(tf.convert_to_tensor(gradient)), step.weight(path)
        length = np.linalg.norm(gradient)
        if length < 1e-3:
            assert "key" in path or "qkv/bias" in path or "segments" in path, path
            continue
        direction = random.normal(size=start.shape) / np.sqrt(start.size) + gradient / length
        losses = []
        for sign in (1, -1):
            step.variables[path].assign(start + sign * small * direction)
            losses.append(-(advantage * step.log_p())[step.used].sum())
        step.variables[path].assign(start)
        expected = (gradient * direction).sum()
        assert (losses[0] - losses[1]) / (2 * small) == pytest.approx(expected, rel=2e-2), path


def test_the_baselines_gradient(step):
    """Cross-entropy of a logit: sigmoid less target, times its inputs."""
    error = special.expit(step.baseline_logits()) - np.exp(-step.rewards())
    error = error[step.used]
    gradients = step.gradients("baseline")
    np.testing.assert_allclose(gradients[BASELINE + "bias"], [error.sum()], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        gradients[BASELINE + "kernel"][:, 0], error @ step.hidden()[step.used], rtol=1e-4, atol=1e-5
    )


def test_every_term_trains_its_own_network_alone(step):
    """No gradient of rewards or baseline into the discriminator, none of its loss back."""
    of = {term: step.gradients(term) for term in ("policy", "baseline", "disc")}
    for path in step.variables:
        scope = path.split("/")[0]
        own = {"generator_baseline": "baseline", "embeddings": "disc"}.get(
            scope, "policy" if scope.startswith("generator") else "disc"
        )
        for term, gradients in of.items():
            if term != own:
                assert gradients[path] is None, (term, path)
            elif "query" not in path and "key" not in path:
                assert np.abs(tf.convert_to_tensor(gradients[path])).max() > 0, path


@pytest.mark.parametrize("sharing", ["embeddings", "token_embeddings"])
def test_shared_embeddings_learn_from_policy_and_discriminator(monkeypatch, sharing):
    step = Step(monkeypatch, sharing=sharing)
    reached = {
        term: {path for path, value in step.gradients(term).items() if value is not None}
        for term in ("policy", "baseline", "disc")
    }
    assert {"embeddings/tokens"} <= reached["policy"] & reached["disc"]
    assert reached["baseline"] == {BASELINE + "kernel", BASELINE + "bias"}
    assert all(path.startswith("embeddings/") for path in reached["policy"] & reached["disc"])


@pytest.mark.parametrize("slice_width", [10_000, 70])
def test_losses_may_have_weights_of_any_sign(monkeypatch, slice_width):
    monkeypatch.setattr(vocabulary, "SLICE", slice_width)
    given, logits = factors(50)
    random = np.random.default_rng(1)
    ids, weights = random.integers(0, VOCAB, 50), random.normal(size=50) * (np.arange(50) % 3 > 0)
    with tf.GradientTape() as tape:
        tape.watch(given)
        losses = vocabulary.predict_tokens(*given, ids=tf.constant(ids, tf.int32)).losses
        total = tf.reduce_sum(losses * tf.constant(weights, tf.float32))
    by_logits = (special.softmax(logits, -1) - np.eye(VOCAB)[ids]) * weights[:, None]
    vectors, table, _ = (np.asarray(each, np.float64) for each in given)
    wanted = by_logits @ table, by_logits.T @ vectors, by_logits.sum(0)
    for ours, theirs in zip(tape.gradient(total, given), wanted, strict=True):
        np.testing.assert_allclose(tf.convert_to_tensor(ours), theirs, atol=1e-5)


def test_samples_and_discriminator_are_electras(monkeypatch):
    """At the same weights: what differs is what the generator learns."""
    config = tiny_config(name="adversarial")
    objective, electra = objective_of(config), objective_of(tiny_config())
    model, draws = objective.new_model(0), Draws(0, 3, ROWS)
    batch = objective.prepare(ragged_batch(ROWS, LENGTH), draws)
    sums, counts = objective.loss_sums(model, batch, draws, None)
    their_sums, theirs = electra.loss_sums(model, batch, draws, None)
    assert float(sums["disc"]) == float(their_sums["disc"])
    for name, value in theirs.items():
        np.testing.assert_array_equal(counts[name], value, err_msg=name)


@pytest.mark.parametrize("fooling", [0, 1])
def test_the_generator_moves_towards_what_fools_the_discriminator(monkeypatch, fooling):
    """Two tokens, one masked position: whichever the discriminator is wrong about gains."""
    config = tiny_config(name="adversarial")
    config.model.hidden_dropout = config.model.attention_dropout = 0.0
    objective = objective_of(config)
    model, choices = objective.new_model(0), (7, 8)
    bias = next(v for v in model.trainable_variables if v.path == "generator_head/output_bias")
    start = np.full(VOCAB, -1e4)
    start[list(choices)] = 0.0
    bias.assign(start)
    table = next(v for v in model.trainable_variables if v.path == "embeddings/tokens")
    values = table.numpy()
    values[list(choices)] = 0.0  # so that the biases alone decide
    table.assign(values)
    ids = tf.constant([[2, 7, 3]])
    batch = {
        "input_ids": ids,
        "input_mask": tf.ones_like(ids),
        "segment_ids": tf.zeros_like(ids),
        "masked_positions": tf.constant([[1]]),
        "masked_ids": tf.constant([[7]]),
        "masked_weights": tf.constant([[1.0]]),
        "masked_input_ids": tf.constant([[2, 4, 3]]),
    }
    # 7 is the original: "replaced" is the wrong answer for it, "original" for 8.
    answers = {0: 2.0, 1: -2.0}

    def head(hidden):
        return tf.fill(hidden.shape[:2], answers[fooling])

    monkeypatch.setattr(model, "discriminator_head", head)

    @tf.function
    def update(number):
        with tf.GradientTape() as tape:
            sums, _ = objective.loss_sums(model, batch, Draws(0, number, 1), None)
        bias.value.assign_sub(0.2 * tape.gradient(sums["policy"], bias.value))

    for number in range(60):
        update(tf.constant(number))
    shares = special.softmax(bias.numpy()[list(choices)])
    assert shares[fooling] > 0.9, shares


def test_operations_and_memory():
    adversarial, electra = (objective_of(tiny_config(name=n)) for n in ("adversarial", "electra"))
    masked = int(0.155 * LENGTH) / LENGTH
    again = 2 * masked * 8 * VOCAB  # the samples' logits, once more
    assert adversarial.training_flops_per_token(LENGTH) == pytest.approx(
        electra.training_flops_per_token(LENGTH) + again
    )
    planned = [MemoryModel(each, LENGTH) for each in (adversarial, electra)]
    assert planned[0].numbers == {**planned[1].numbers, "generator_baseline": 9}
    assert planned[0].of(64, 1, False).total > planned[1].of(64, 1, False).total


def written(directory, name, named=None):
    """A model directory of fresh networks; its weights by path."""
    objective = objective_of(tiny_config(name=name))
    weights = {v.path: v.numpy() for v in objective.new_model(3).trainable_variables}
    objective.config.objective.name = named or name
    model_directory.write(Pretrained(objective.config, weights), str(directory))
    return weights


@pytest.mark.parametrize("output_format", ["google", "huggingface"])
def test_other_formats_go_without_the_baseline(tmp_path, output_format):
    weights, told = written(tmp_path / "own", "adversarial"), []
    theirs, back = str(tmp_path / "theirs"), str(tmp_path / "back")
    convert(str(tmp_path / "own"), "electra_tf", theirs, output_format, say=told.append)
    assert any(line.startswith("Left out generator_baseline,") for line in told)
    convert(theirs, output_format, back, "electra_tf", say=told.append)
    read = model_directory.read(back)
    assert read.config.objective.name == "electra"
    assert weights.keys() - read.weights.keys() == {BASELINE + "kernel", BASELINE + "bias"}
    for path, value in read.weights.items():
        np.testing.assert_array_equal(value, weights[path], err_msg=path)


def test_a_run_starts_from_an_electra_with_a_fresh_baseline(tmp_path, caplog):
    weights = written(tmp_path / "source", "electra")
    objective = objective_of(tiny_config(name="adversarial"))
    objective.config.init_from = str(tmp_path / "source")
    start = Start(objective.config)
    start.prepare()
    optimizers = build_network_optimizers(objective.optimizers(), 10, objective.num_layers())
    model = objective.new_model(4)
    state = TrainState(model, optimizers, "float32", objective.phases())
    fresh = model.generator_baseline.logit.kernel.numpy()
    start(state)
    assert "start from fresh weights: generator_baseline" in caplog.text
    assert state.weights.keys() - weights.keys() == {BASELINE + "kernel", BASELINE + "bias"}
    for path, value in weights.items():
        np.testing.assert_array_equal(state.weights[path], value, err_msg=path)
    np.testing.assert_array_equal(state.weights[BASELINE + "kernel"], fresh)
    assert np.abs(fresh).max() > 0


@pytest.mark.parametrize(
    ("name", "named"), [("adversarial", "electra"), ("electra", "adversarial")]
)
def test_a_baseline_is_taken_for_nothing_else(tmp_path, name, named):
    written(tmp_path / "odd", name, named)
    with pytest.raises(UserError, match="generator_baseline"):
        model_directory.load_network(str(tmp_path / "odd"))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"disallow_correct": True}, "disallow_correct must be false"),
        ({"generator": "uniform"}, "config.objective.generator must be one of trained"),
        ({"generator_weight": 0.0, "discriminator_weight": 0.0}, "must have a loss"),
    ],
)
def test_what_it_refuses(fields, message):
    with pytest.raises(UserError, match=message):
        validate(tiny_config(name="adversarial", **fields))
