"""The original's other objectives: forward pass, losses and gradients against its arrays.

Each case is a folder with config.json, which gives sizes and settings, a checkpoint, inputs.npz
(masks and samples), outputs.npz and gradients.npz; see the README.md beside them.
"""

import json
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

import electra_tf
from electra_tf.conversion import google
from electra_tf.models.randomness import Draws
from electra_tf.objectives import build_objective, masking, validate
from electra_tf.saved import model_directory
from tests.conftest import SHARED

FOLDERS = sorted((SHARED / "parity").glob("official_variants*"))
NAMES = (
    "bert",
    "disallow_correct",
    "tied_generator",
    "uniform_generator",
    "untied_generator_embeddings",
)
# Our field of config.objective by the original's setting.
FIELDS = {
    "mask_prob": "mask_fraction",
    "gen_weight": "generator_weight",
    "disc_weight": "discriminator_weight",
    "temperature": "temperature",
    "disallow_correct": "disallow_correct",
}
CASES = [
    pytest.param(folder / name, id=f"{folder.name}/{name}")
    for folder in FOLDERS
    for name in NAMES
    if (folder / name).is_dir()
]
pytestmark = pytest.mark.skipif(not CASES, reason=f"needs {SHARED}/parity")


class Case(NamedTuple):
    """A case of the original, and our objective and model of it."""

    settings: dict
    objective: electra_tf.objectives.Objective
    model: tf.keras.Model
    inputs: dict
    outputs: dict
    gradients: dict


class NoNoise:
    """Draws for a generator whose samples are given."""

    def uniform(self, name, rows, shape):
        return tf.fill((rows, *shape), 0.5)

    gumbel = uniform


@pytest.fixture(scope="module", params=CASES)
def case(request, tmp_path_factory):
    """A case, its checkpoint converted to a model directory and loaded from there."""
    return load(request.param, tmp_path_factory.mktemp("converted") / "model")


def load(folder, directory) -> Case:
    settings = json.loads((folder / "config.json").read_text())
    pretrained = google.read(str(folder / "checkpoint"), str(folder / "config.json"))
    for theirs, ours in FIELDS.items():
        if theirs in settings:
            setattr(pretrained.config.objective, ours, settings[theirs])
    if settings.get("uniform_generator"):
        pretrained.config.objective.generator = "uniform"
    model_directory.write(pretrained, str(directory))
    model = electra_tf.load(str(directory))
    objective = build_objective(validate(model.config), vocabulary_of(settings))
    arrays = (dict(np.load(folder / f"{name}.npz")) for name in ("inputs", "outputs", "gradients"))
    return Case(settings, objective, model, *arrays)


def vocabulary_of(settings):
    ids = {
        name: settings[f"{name.removesuffix('_id')}_token_id"]
        for name in ("cls_id", "sep_id", "mask_id")
    }
    return type("V", (), ids | {"__len__": lambda self: settings["vocab_size"]})()


def batch_of(inputs) -> dict:
    """The prepared batch, with the original's masks."""
    same = "input_ids", "input_mask", "segment_ids", "masked_input_ids"
    renamed = {
        f"masked_{name}": inputs[f"masked_lm_{name}"] for name in ("positions", "ids", "weights")
    }
    batch = {name: inputs[name] for name in same} | renamed
    return {name: tf.constant(value) for name, value in batch.items()}


def seen(inputs, ids) -> dict:
    """What a network reads."""
    return batch_of(inputs) | {"input_ids": tf.constant(ids)}


def losses_of(case, monkeypatch):
    """(losses by term, total, gradients by path) with the original's samples for our draws."""
    replace = masking.replace_masked
    if "sampled_ids" in case.inputs:
        sampled = tf.constant(case.inputs["sampled_ids"])
        monkeypatch.setattr(masking, "replace_masked", lambda batch, _: replace(batch, sampled))
    batch, variables = batch_of(case.inputs), case.model.trainable_variables
    weights = case.objective.loss_weights(batch)
    with tf.GradientTape() as tape:
        sums, _ = case.objective.loss_sums(case.model, batch, NoNoise(), None)
        losses = {term: sums[term] / weights[term] for term in sums}
        total = sum(case.objective.terms[term] * losses[term] for term in sums)
    gradients = tape.gradient(total, [variable.value for variable in variables])
    paths = [variable.path for variable in variables]
    return losses, total, dict(zip(paths, gradients, strict=True))


def test_every_variable_of_the_original_is_used_once(case):
    names = [
        name
        for variable in case.model.trainable_variables
        for name in google.variable_names(variable.path)
    ]
    assert sorted(names) == sorted(case.gradients)


def test_hidden_states_and_logits(case):
    """Of the networks that the case has, by the objective's declaration."""
    inputs, outputs = case.inputs, case.outputs
    compared = 0
    for served in case.objective.answerable(case.model):
        encoder, head = served.layers(case.model)
        if served.signature == "fill_mask":
            hidden = encoder(seen(inputs, inputs["masked_input_ids"]))
            logits = head(hidden, tf.constant(inputs["masked_lm_positions"]))
            logits, name = tf.reshape(logits, outputs["generator_logits"].shape), "generator"
        elif served.signature == "detect_replaced":
            hidden = encoder(seen(inputs, outputs["fake_input_ids"]))
            logits, name = head(hidden), "discriminator"
        else:
            continue
        np.testing.assert_allclose(hidden, outputs[f"{name}_hidden"], atol=1e-4)
        np.testing.assert_allclose(logits, outputs[f"{name}_logits"], atol=1e-4)
        compared += 1
    assert compared == ("generator_hidden" in outputs) + ("discriminator_hidden" in outputs)


def test_replaced_tokens(case):
    if "sampled_ids" not in case.inputs:
        pytest.skip("nothing is replaced")
    sampled = tf.constant(case.inputs["sampled_ids"])
    replaced = masking.replace_masked(batch_of(case.inputs), sampled)
    np.testing.assert_array_equal(replaced, case.outputs["fake_input_ids"])


def test_losses(case, monkeypatch):
    losses, total, _ = losses_of(case, monkeypatch)
    for term, name in (("masked_lm", "mlm_loss"), ("disc", "disc_loss")):
        assert (term in losses) == (name in case.outputs)
        if term in losses:
            np.testing.assert_allclose(losses[term], case.outputs[name], atol=1e-5)
    np.testing.assert_allclose(total, case.outputs["total_loss"], rtol=1e-5)


def test_gradients(case, monkeypatch):
    for path, gradient in losses_of(case, monkeypatch)[2].items():
        theirs = [case.gradients[name] for name in google.variable_names(path)]
        np.testing.assert_allclose(
            tf.convert_to_tensor(gradient), np.concatenate(theirs, -1), atol=2e-5, err_msg=path
        )


def test_samples_have_the_originals_probabilities(case):
    """Where the case records them: after temperature and without the right token."""
    if "sampling_probabilities" not in case.outputs:
        pytest.skip("the case has no probabilities")
    number, rows = 2000, len(case.inputs["input_ids"])
    batch = {
        name: tf.repeat(value, number, axis=0) for name, value in batch_of(case.inputs).items()
    }
    objective, draws = case.objective, Draws(0, 0, number * rows)
    sampled = objective._generate(case.model, batch, draws, None)[0].numpy()
    expected = case.outputs["sampling_probabilities"].astype(np.float64)
    sampled = sampled.reshape(rows, number, -1)
    for row, slot in zip(*np.nonzero(case.inputs["masked_lm_weights"]), strict=True):
        wanted = expected[row, slot] * number
        observed = np.bincount(sampled[row, :, slot], minlength=len(wanted))
        assert observed[case.inputs["masked_lm_ids"][row, slot]] == 0
        frequent = wanted >= 5
        grouped = np.append(observed[frequent], observed[~frequent].sum())
        hoped = np.append(wanted[frequent], wanted[~frequent].sum())
        assert stats.chisquare(grouped, hoped * grouped.sum() / hoped.sum()).pvalue > 1e-4
