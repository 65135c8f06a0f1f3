"""What fills the masked positions, and what is particular to its training."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import special, stats

from electra_tf.config import Config
from electra_tf.errors import UserError
from electra_tf.models.randomness import Draws
from electra_tf.objectives import build_objective, generators, validate, vocabulary
from electra_tf.runs.ready_generator import ReadyGenerator
from electra_tf.saved import model_directory
from electra_tf.saved.model_directory import Pretrained
from electra_tf.speed import memory, synthetic
from electra_tf.train import strategy
from electra_tf.train.host_loop import HostLoop
from electra_tf.train.optimizers import build_network_optimizers
from electra_tf.train.state import TrainState
from electra_tf.train.step import TrainStep

VOCAB = 97
FROZEN = {"objective.generator": "frozen", "objective.generator_from": "x", "model.sharing": "none"}


def tiny_config(**fields) -> Config:
    config = Config()
    config.model.vocab_size, config.model.hidden_size, config.model.num_heads = VOCAB, 16, 2
    config.model.embedding_size, config.model.intermediate_size = 8, 32
    config.model.num_layers, config.model.max_positions = 2, 32
    config.generator.hidden_fraction, config.generator.num_heads = 0.5, 1
    config.train.batch_size, config.train.num_steps = 8, 10
    for name, value in fields.items():
        section, field = name.split(".")
        setattr(getattr(config, section), field, value)
    return validate(config)


def objective_of(config):
    return build_objective(config, synthetic.SyntheticVocabulary(VOCAB))


def prepared(objective, rows=8, length=32, step=0):
    config = tiny_config(**{"train.batch_size": rows})
    batch = {name: tf.constant(value) for name, value in synthetic.batch(config, length).items()}
    draws = Draws(0, step, rows)
    return objective.prepare(batch, draws), draws


def train(config, number):
    """(weights before, weights after, state) of some steps."""
    runtime = strategy.start(config.runtime, seed=0, num_steps=0)
    objective = objective_of(config)
    optimizers = build_network_optimizers(
        objective.optimizers(), config.train.num_steps, objective.num_layers()
    )
    with runtime.strategy.scope():
        model = objective.new_model(1, runtime.precision)
        state = TrainState(model, optimizers, runtime.precision, objective.phases())
    before = {path: weight.numpy() for path, weight in state.weights.items()}
    loop = HostLoop(TrainStep(objective, model, optimizers, state, runtime, config.train))
    data = tf.data.Dataset.from_tensors(synthetic.batch(config, 32)).repeat()
    _, report = loop(iter(runtime.strategy.experimental_distribute_dataset(data)), number)
    assert report["ok"].numpy()
    return before, {path: weight.numpy() for path, weight in state.weights.items()}, state


@pytest.mark.parametrize("disallow", [False, True])
def test_uniform_samples_are_any_token(disallow):
    fields = {"objective.generator": "uniform", "objective.disallow_correct": disallow}
    objective = objective_of(tiny_config(**fields))
    batch, draws = prepared(objective, rows=4000)
    sampled, loss, counts = objective._generate(None, batch, draws, None)
    used = batch["masked_weights"].numpy() > 0
    sampled, right = sampled.numpy()[used], batch["masked_ids"].numpy()[used]
    distance = (sampled - right) % VOCAB  # by which 0 is the right token, and all are as likely
    observed = np.bincount(distance, minlength=VOCAB)
    assert bool(observed[0]) != disallow
    assert stats.chisquare(observed[disallow:]).pvalue > 1e-3
    assert set(np.unique(sampled)) == set(range(VOCAB))  # special tokens, too
    assert float(loss) == pytest.approx(used.sum() * np.log(VOCAB), rel=1e-5)
    assert float(counts["sampled/correct"]) == observed[0]
    assert float(counts["masked_lm/correct"]) == 0


@pytest.mark.parametrize("disallow", [False, True])
def test_unigram_samples_follow_the_counts(disallow):
    config = tiny_config(
        **{
            "objective.generator": "unigram",
            "objective.disallow_correct": disallow,
            "objective.temperature": 0.8,
            "model.vocab_size": VOCAB + 7,  # rows of the table that are no tokens
        }
    )
    seen = np.random.default_rng(0).integers(0, 300, VOCAB)
    objective = build_objective(config, synthetic.SyntheticVocabulary(VOCAB), lambda: seen)
    batch, draws = prepared(objective, rows=4000)
    sampled, loss, _ = objective._generate(None, batch, draws, None)
    used = batch["masked_weights"].numpy() > 0
    sampled, right = sampled.numpy()[used], batch["masked_ids"].numpy()[used]
    frequencies = 1.0 + seen
    frequencies[[2, 3, 4]] = 0.0  # [CLS], [SEP] and [MASK] are never masked
    losses = -np.log(frequencies[right] / frequencies.sum())
    assert float(loss) == pytest.approx(losses.sum(), rel=1e-4)
    powers = np.tile(frequencies ** (1 / 0.8), (len(right), 1))
    if disallow:
        powers[np.arange(len(right)), right] = 0.0
        assert (sampled != right).all()
    expected = (powers / powers.sum(1, keepdims=True)).sum(0)
    observed = np.bincount(sampled, minlength=VOCAB)
    assert len(observed) == VOCAB and not observed[expected == 0].any()
    possible = expected > 0
    assert stats.chisquare(observed[possible], expected[possible]).pvalue > 1e-3


def test_without_network_there_is_no_generator_anywhere():
    objective = objective_of(tiny_config(**{"objective.generator": "uniform"}))
    model = objective.new_model(0)
    assert model.generator is None and model.generator_head is None
    assert [each.term for each in objective.passes()] == ["disc"]
    assert "fill_mask" not in [served.signature for served in objective.answerable(model)]
    assert not [path for path in objective.variable_shapes() if path.startswith("generator")]
    assert not [
        network
        for network in memory.MemoryModel(objective, 32).numbers
        if network.startswith("generator")
    ]
    before, after, _ = train(objective.config, 2)
    assert all((before[path] != value).any() for path, value in after.items())


def test_the_loss_is_what_is_trained():
    objective = objective_of(tiny_config(**{"objective.generator": "uniform"}))
    batch, draws = prepared(objective)
    metrics = objective.metrics(objective.loss_sums(objective.new_model(0), batch, draws, None)[1])
    assert metrics["masked_lm_loss"] > 1
    assert metrics["loss"] == pytest.approx(50 * metrics["disc_loss"])


def test_a_frozen_generator_stands_still():
    config = tiny_config(**FROZEN, **{"optimizer.name": "adamw", "optimizer.warmup_steps": 0})
    before, after, state = train(config, 3)
    still = {path for path, value in after.items() if (value == before[path]).all()}
    assert still == {path for path in after if path.startswith("generator")}
    assert state.slots.keys() == after.keys() - still  # no memory for what never changes


def test_no_gradient_reaches_a_frozen_generator():
    """Whatever loss a tape is asked for."""
    objective = objective_of(tiny_config(**FROZEN))
    model = objective.new_model(0)
    batch, draws = prepared(objective)
    with tf.GradientTape() as tape:
        sums, _ = objective.loss_sums(model, batch, draws, None)
        total = tf.add_n(list(sums.values()))
    variables = [v for v in model.trainable_variables if v.path.startswith("generator")]
    gradients = tape.gradient(total, [variable.value for variable in variables])
    assert len(variables) > 20
    assert all(gradient is None or not np.any(gradient) for gradient in gradients)


def test_frozen_temperature_falls_over_the_run():
    config = tiny_config(**FROZEN, **{"objective.temperature": 2.0, "train.num_steps": 1000})
    generator = generators.of(config)
    steps = np.array([0, 50, 100, 500, 1000])
    expected = 1 + np.exp(-steps / 1000 / 0.1)
    found = [float(generator.temperature(Draws(0, tf.constant(int(step)), 8))) for step in steps]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    evaluated = [float(generator.temperature(Draws(0, step, 8))) for step in (-1, -400)]
    np.testing.assert_allclose(evaluated, expected[-1], rtol=1e-6)


def test_samples_follow_a_temperature_of_the_graph():
    """A tensor, as of a frozen generator, draws what the same number draws."""
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, VOCAB)
    number = 20_000
    given = tf.zeros((number, 1)), tf.zeros((VOCAB, 1)), tf.constant(logits, tf.float32)
    block, draws = generators.sampling.block_size(VOCAB), Draws(0, 0, number)
    noise = (
        draws.gumbel("b", number, (-(-VOCAB // block),)),
        draws.gumbel("t", number, (block,)),
    )

    @tf.function
    def sample(temperature):
        sampler = generators.sampling.Sampler(*noise, temperature)
        return vocabulary.predict_tokens(*given, tf.zeros(number, tf.int32), sampler).sampled

    observed = np.bincount(sample(tf.constant(1.7)).numpy(), minlength=VOCAB)
    expected = special.softmax(logits / 1.7) * number
    assert stats.chisquare(observed, expected).pvalue > 1e-3


def test_frozen_draws_are_repeated():
    config = tiny_config(**FROZEN, **{"objective.temperature": 2.0})
    objective, other = objective_of(config), objective_of(config)
    model = objective.new_model(0)
    batch, draws = prepared(objective, step=4)
    first, again = (each._generate(model, batch, draws, None)[0] for each in (objective, other))
    np.testing.assert_array_equal(first, again)
    later = objective._generate(model, batch, Draws(0, 5, 8), None)[0]
    assert (later.numpy() != first.numpy()).any()


SOURCES = {
    "masked LM": {"objective.name": "mlm", "model.hidden_size": 8, "model.num_heads": 1},
    "own tables": {"model.sharing": "none", "generator.embedding_size": 8},
    "shared tables": {"model.sharing": "embeddings"},
    "shared tokens": {"model.sharing": "token_embeddings"},
}


@pytest.mark.parametrize("kind", SOURCES)
def test_a_ready_generator_predicts_as_where_it_comes_from(tmp_path, kind):
    source = objective_of(tiny_config(**SOURCES[kind]))
    theirs = source.new_model(3)
    weights = {v.path: np.array(v.value) for v in theirs.trainable_variables}
    model_directory.write(Pretrained(source.config, weights), str(tmp_path / "source"))
    fields = FROZEN | {
        "objective.generator_from": str(tmp_path / "source"),
        "generator.embedding_size": 8,
    }
    config = tiny_config(**fields)
    objective = objective_of(config)
    ours = objective.new_model(4)
    optimizers = build_network_optimizers(objective.optimizers(), 10, objective.num_layers())
    ready = ReadyGenerator(config.objective.generator_from)
    ready.check(config)
    ready(TrainState(ours, optimizers, "float32", objective.phases()))
    batch, _ = prepared(objective)
    (served,) = [each for each in source.answerable(theirs) if each.signature == "fill_mask"]
    encoder, head = served.layers(theirs)
    np.testing.assert_allclose(
        ours.generator_head(ours.generator(batch), batch["masked_positions"]),
        head(encoder(batch), batch["masked_positions"]),
        atol=1e-6,
    )


def test_a_generator_of_other_sizes_is_refused(tmp_path):
    source = objective_of(tiny_config(**SOURCES["masked LM"], **{"model.num_layers": 1}))
    weights = {v.path: np.array(v.value) for v in source.new_model(3).trainable_variables}
    model_directory.write(Pretrained(source.config, weights), str(tmp_path / "source"))
    config = tiny_config(**FROZEN)
    with pytest.raises(UserError, match="generator_from must have .* num_layers 1 instead of 2"):
        ReadyGenerator(str(tmp_path / "source")).check(config)


def test_a_model_without_generator_is_refused(tmp_path):
    source = objective_of(tiny_config(**{"objective.generator": "uniform"}))
    weights = {v.path: np.array(v.value) for v in source.new_model(3).trainable_variables}
    model_directory.write(Pretrained(source.config, weights), str(tmp_path / "source"))
    with pytest.raises(UserError, match="must be a masked LM or have a generator"):
        ReadyGenerator(str(tmp_path / "source")).check(tiny_config(**FROZEN))


@pytest.mark.parametrize(
    "fields, message",
    [
        (FROZEN | {"objective.generator_from": ""}, "generator_from must be the directory"),
        (FROZEN | {"model.sharing": "embeddings"}, "config.model.sharing must be none"),
        (FROZEN | {"objective.generator": "uniform"}, "must else be empty"),
        (FROZEN | {"objective.generator": "some"}, "config.objective.generator must be one of"),
        ({"objective.generator": "uniform", "objective.name": "mlm"}, "must be one of trained"),
        ({"objective.generator": "uniform", "objective.name": "two_stage"}, "must be one of train"),
        ({"objective.generator": "uniform", "objective.discriminator_weight": 0.0}, "have a loss"),
        (
            {"generator_optimizer.learning_rate": 0.0},
            "generator_optimizer.learning_rate must be -1",
        ),
        ({"generator_optimizer.clip_norm": -0.5}, "config.generator_optimizer.clip_norm must be"),
        ({"objective.name": "mlm", "objective.generator_from": "x"}, "must else be empty"),
        (
            {"objective.name": "mlm", "objective.discriminator_weight_by_step": "[[0, 1]]"},
            "has no discriminator",
        ),
        ({"generator_optimizer.clip_norm": 0.5} | FROZEN, "where no generator is trained"),
        ({"generator_optimizer.clip_norm": 0.5, "objective.name": "mlm"}, "no generator is train"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(fields, message):
    with pytest.raises(UserError, match=message) as error:
        tiny_config(**fields)
    assert "Received: " in str(error.value) and "\n" not in str(error.value)


SGD = {"optimizer.name": "keras:SGD", "optimizer.schedule": "constant", "optimizer.warmup_steps": 0}
SGD |= {"optimizer.weight_decay": 0.0, "optimizer.learning_rate": 0.5, "model.sharing": "none"}


def moved(**fields):
    """How far a step moves the weights of the generator and all others, over the rate 0.5."""
    before, after, _ = train(tiny_config(**SGD, **fields), 1)
    distances = {True: 0.0, False: 0.0}
    for path, value in after.items():
        distances[path.startswith("generator")] += np.sum(np.square(value - before[path]))
    return np.sqrt(distances[True]) / 0.5, np.sqrt(distances[False]) / 0.5


def test_a_generator_has_its_own_rate():
    free = {"optimizer.clip_norm": 0.0}
    generator, others = moved(**free)
    faster, as_before = moved(**free, **{"generator_optimizer.learning_rate": 1.0})
    assert faster == pytest.approx(2 * generator, rel=1e-3)
    assert as_before == pytest.approx(others, rel=1e-6)
    warming, _ = moved(**free, **{"generator_optimizer.warmup_steps": 4})
    assert warming == pytest.approx(generator / 4, rel=1e-3)


def test_equal_settings_are_one_optimizer_clipped_by_one_norm():
    clipped = {"optimizer.clip_norm": 0.01}
    for same in ({}, {"generator_optimizer.clip_norm": 0.01}):
        assert np.hypot(*moved(**clipped, **same)) == pytest.approx(0.01, rel=1e-3)
    own = moved(**clipped, **{"generator_optimizer.clip_norm": 0.02})
    assert own == pytest.approx((0.02, 0.01), rel=1e-3)


def test_nothing_set_is_one_optimizer():
    assert list(objective_of(tiny_config()).optimizers()) == [""]


def test_both_rates_are_told():
    config = tiny_config(**SGD, **{"generator_optimizer.learning_rate": 0.1})
    objective = objective_of(config)
    optimizers = build_network_optimizers(objective.optimizers(), 10, objective.num_layers())
    rates = optimizers.learning_rates(1)
    assert rates == pytest.approx({"learning_rate": 0.5, "learning_rate/generator": 0.1})


def test_a_discriminators_weight_may_begin_at_0():
    free = {"optimizer.clip_norm": 0.0}
    generator, others = moved(**free)
    later = moved(**free, **{"objective.discriminator_weight_by_step": "[[0, 0], [4, 50]]"})
    assert later == (pytest.approx(generator, rel=1e-6), 0.0)
    same = moved(**free, **{"objective.discriminator_weight_by_step": "[[0, 25]]"})
    assert same == pytest.approx((generator, others / 2), rel=1e-3)
