"""Electric against arrays made with the original code, in any folder of cases of its layout."""

import json
import os
import pathlib
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from electra_tf.config import Config
from electra_tf.conversion import google
from electra_tf.objectives import build_objective
from electra_tf.objectives.sampling import block_size
from tests.conftest import SHARED

# Cases of other sizes: folders of config.json, checkpoint/ and arrays, as README.md there says.
CASES = pathlib.Path(
    os.environ.get("ELECTRA_TF_OFFICIAL_VARIANTS", SHARED / "parity" / "official_variants")
)

pytestmark = pytest.mark.skipif(
    not (CASES / "electric").is_dir(), reason=f"the original's arrays are not in {CASES}"
)


def config_of(original: dict) -> Config:
    """Ours for the original's hyper-parameters."""
    overrides, config = original["model_hparam_overrides"], Config()
    config.objective.name = "electric"
    config.objective.mask_fraction = original["mask_prob"]
    config.objective.generator_weight = original["gen_weight"]
    config.objective.discriminator_weight = original["disc_weight"]
    model, generator = config.model, config.generator
    shapes = original["variables"]
    model.vocab_size, model.embedding_size = original["vocab_size"], original["embedding_size"]
    model.hidden_size, model.num_layers = overrides["hidden_size"], overrides["num_hidden_layers"]
    model.num_heads = overrides["num_attention_heads"]
    model.max_positions = overrides["max_position_embeddings"]
    model.type_vocab_size = shapes["electra/embeddings/token_type_embeddings"][0]
    model.intermediate_size = shapes["electra/encoder/layer_0/intermediate/dense/bias"][0]
    generator.hidden_fraction = original["generator_hidden_size"]
    generator.layer_fraction = original.get("generator_layers", 1.0)
    generator.num_heads = original["generator_num_attention_heads"]
    return config.validate()


def names_of(path: str) -> list[str]:
    """The original's variables behind one of an `Electric`."""
    scope, _, rest = path.partition("/")
    theirs = {"generator_ltr": "generator", "generator_rtl": "generator"}.get(scope, scope)
    names = google.variable_names(f"{theirs}/{rest}")
    if theirs == "generator":
        return [name.replace("generator/", f"{scope}/", 1) for name in names]
    return [name.replace("generator_predictions/", "cloze_predictions/", 1) for name in names]


class Given:
    """Draws whose noise makes the sampler draw these tokens, int32 [B, M]."""

    def __init__(self, tokens, vocab_size: int):
        self._block, self._place = np.divmod(tokens, block_size(vocab_size))

    def gumbel(self, name, rows, shape):
        chosen = self._block if name == "blocks" else self._place
        return tf.one_hot(chosen, shape[1], on_value=1e6)


class Case:
    """What the original computed, and our model with its weights."""

    def __init__(self, folder: pathlib.Path):
        original = json.loads((folder / "config.json").read_text())
        self.inputs: Any = np.load(folder / "inputs.npz")
        self.outputs: Any = np.load(folder / "outputs.npz")
        self.gradients: Any = np.load(folder / "gradients.npz")
        self.config, size = config_of(original), original["vocab_size"]
        ids = {f"{name}_id": original[f"{name}_token_id"] for name in ("cls", "sep", "mask")}
        vocabulary = type("V", (), {**ids, "__len__": lambda self: size})()
        self.objective = build_objective(self.config, vocabulary)
        self.model: Any = self.objective.build_model()
        reader = tf.train.load_checkpoint(str(folder / "checkpoint"))
        for variable in self.model.trainable_variables:
            parts = [reader.get_tensor(name) for name in names_of(variable.path)]
            variable.assign(np.concatenate(parts, axis=-1))
        self.draws = Given(self.inputs["sampled_ids"], size)

    def rows(self, ids=None) -> dict:
        return {
            "input_ids": tf.constant(self.inputs["input_ids"] if ids is None else ids),
            "input_mask": tf.constant(self.inputs["input_mask"]),
            "segment_ids": tf.constant(self.inputs["segment_ids"]),
        }

    def prepared(self) -> dict:
        masked = {
            f"masked_{name}": tf.constant(self.inputs[f"masked_lm_{name}"])
            for name in ("positions", "ids", "weights")
        }
        return self.rows() | masked

    def assert_equal(self, ours, name: str, tolerance: float):
        """On the tokens; what stands in padding counts nowhere."""
        there = self.inputs["input_mask"] > 0
        theirs = self.outputs[name]
        np.testing.assert_allclose(np.asarray(ours)[there], theirs[there], atol=tolerance)


@pytest.fixture(scope="module")
def case() -> Case:
    return Case(CASES / "electric")


def test_every_variable_of_the_original_is_used_once(case):
    names = [
        name for variable in case.model.trainable_variables for name in names_of(variable.path)
    ]
    assert sorted(names) == sorted(case.gradients.files)


def test_towers_and_their_predictions(case):
    batch = case.rows()
    for name in ("ltr", "rtl"):
        hidden = getattr(case.model, f"generator_{name}")(batch)
        # In padding too: the state after the last [SEP] is used.
        np.testing.assert_allclose(hidden, case.outputs[f"generator_{name}_hidden"], atol=1e-4)
    states = case.model.cloze(batch)
    np.testing.assert_allclose(states, case.outputs["cloze_hidden"], atol=1e-4)
    vectors, table, bias = case.model.generator_head.factors(states)
    logits = tf.reshape(tf.matmul(vectors, table, transpose_b=True) + bias, (*states.shape[:2], -1))
    case.assert_equal(logits, "cloze_logits", 1e-4)


def test_noise_and_its_probabilities(case):
    noisy, log_q, _, counts = case.objective._generate(
        case.model, case.prepared(), case.draws, None
    )
    np.testing.assert_array_equal(noisy, case.outputs["fake_input_ids"])
    case.assert_equal(log_q, "log_q", 1e-4)
    assert float(counts["cloze/total"]) == case.outputs["cloze_weights"].sum()
    metrics = float(counts["masked_lm/loss"]) / float(counts["masked_lm/total"])
    assert metrics == pytest.approx(case.outputs["mlm_loss"], abs=1e-5)


def test_energies_and_pseudo_log_likelihoods(case):
    noisy = case.model(case.rows(case.outputs["fake_input_ids"]))
    case.assert_equal(noisy, "discriminator_raw_logits", 1e-4)
    clean = case.model(case.rows())
    case.assert_equal(clean, "clean_raw_logits", 1e-4)
    candidates = case.outputs["cloze_weights"]
    np.testing.assert_allclose(
        -np.sum(clean * candidates, axis=-1),
        case.outputs["pseudo_log_likelihood_candidates"],
        atol=1e-4,
    )

    class NoMasks(Given):
        def uniform(self, name, rows, shape):
            return tf.zeros((rows, *shape)) + 0.5

    counts = case.objective.eval_counts(
        case.model, case.rows(), NoMasks(case.inputs["sampled_ids"], case.config.model.vocab_size)
    )
    counts = {name: value.numpy() for name, value in counts.items()}
    assert case.objective.metrics(counts)["pseudo_log_likelihood"] == pytest.approx(
        case.outputs["pseudo_log_likelihood_candidates"].sum() / candidates.sum(), abs=1e-5
    )


def test_losses_and_gradients(case):
    batch, objective = case.prepared(), case.objective
    weights = objective.loss_weights(batch)
    variables = [variable.value for variable in case.model.trainable_variables]
    with tf.GradientTape() as tape:
        sums, _ = objective.loss_sums(case.model, batch, case.draws, None)
        losses = {term: sums[term] / weights[term] for term in sums}
        total = sum(objective.terms[term] * losses[term] for term in sums)
    for term, loss in losses.items():
        np.testing.assert_allclose(loss, case.outputs[f"{term}_loss"], atol=1e-5)
    gradients = tape.gradient(total, variables)
    for variable, gradient in zip(case.model.trainable_variables, gradients, strict=True):
        theirs = np.concatenate([case.gradients[name] for name in names_of(variable.path)], -1)
        np.testing.assert_allclose(
            tf.convert_to_tensor(gradient), theirs, atol=5e-5, err_msg=variable.path
        )
