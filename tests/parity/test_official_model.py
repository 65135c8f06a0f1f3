"""Forward pass, losses and gradients against arrays made with the original code."""

import numpy as np
import pytest
import tensorflow as tf

import electra_tf
from electra_tf.conversion import google
from electra_tf.objectives import build_objective
from electra_tf.saved import model_directory
from tests.conftest import shipped_and_whole


@pytest.fixture(
    scope="module", params=shipped_and_whole("original_model", "parity/official_small_style")
)
def reference(request, tmp_path_factory):
    """The checkpoint, converted to a model directory and loaded from there."""
    folder = request.param
    pretrained = google.read(str(folder / "checkpoint"), str(folder / "config.json"))
    converted = str(tmp_path_factory.mktemp("converted") / "model")
    model_directory.write(pretrained, converted)
    model = electra_tf.load(converted)
    return model.config, model, np.load(folder / "outputs.npz"), np.load(folder / "gradients.npz")


def batch_of(outputs, ids="input_ids"):
    return {
        "input_ids": tf.constant(outputs[ids]),
        "input_mask": tf.constant(outputs["input_mask"]),
        "segment_ids": tf.constant(outputs["segment_ids"]),
    }


def test_every_variable_of_the_original_is_used_once(reference):
    _, model, _, gradients = reference
    names = [
        name
        for variable in model.trainable_variables
        for name in google.variable_names(variable.path)
    ]
    assert sorted(names) == sorted(gradients.files)


def test_hidden_states_and_logits(reference):
    _, model, outputs, _ = reference
    generator_hidden = model.generator(batch_of(outputs, "masked_input_ids"))
    logits = model.generator_head(generator_hidden, tf.constant(outputs["masked_lm_positions"]))
    hidden = model.discriminator(batch_of(outputs, "fake_input_ids"))
    detected = model.discriminator_head(hidden)
    np.testing.assert_allclose(generator_hidden, outputs["generator_hidden"], atol=1e-4)
    np.testing.assert_allclose(
        tf.reshape(logits, outputs["generator_logits"].shape),
        outputs["generator_logits"],
        atol=1e-4,
    )
    np.testing.assert_allclose(hidden, outputs["discriminator_hidden"], atol=1e-4)
    np.testing.assert_allclose(detected, outputs["discriminator_logits"], atol=1e-4)


def loss_and_gradients(reference, monkeypatch):
    """The objective on the original's masks and samples, in place of its own draws."""
    config, model, outputs, _ = reference
    size = config.model.vocab_size
    vocabulary = type(
        "V", (), {"cls_id": 2, "sep_id": 3, "mask_id": 4, "__len__": lambda self: size}
    )()
    objective = build_objective(config, vocabulary)
    batch = batch_of(outputs) | {
        "masked_input_ids": tf.constant(outputs["masked_input_ids"]),
        "masked_positions": tf.constant(outputs["masked_lm_positions"]),
        "masked_ids": tf.constant(outputs["masked_lm_ids"]),
        "masked_weights": tf.constant(outputs["masked_lm_weights"]),
    }
    # The original may draw one position twice; its replaced ids are given, so put them in whole.
    monkeypatch.setattr(
        "electra_tf.objectives.masking.replace_masked",
        lambda *_: tf.constant(outputs["fake_input_ids"]),
    )

    class NoNoise:
        def gumbel(self, name, rows, shape):
            return tf.zeros((rows, *shape))

    variables = [variable.value for variable in model.trainable_variables]
    weights = objective.loss_weights(batch)
    with tf.GradientTape() as tape:
        sums, counts = objective.loss_sums(model, batch, NoNoise(), None)
        losses = {term: sums[term] / weights[term] for term in sums}
        total = sum(objective.terms[term] * losses[term] for term in sums)
    return losses, tape.gradient(total, variables), counts


def test_losses(reference, monkeypatch):
    losses, _, _ = loss_and_gradients(reference, monkeypatch)
    outputs = reference[2]
    np.testing.assert_allclose(losses["masked_lm"], outputs["mlm_loss"], atol=1e-5)
    np.testing.assert_allclose(losses["disc"], outputs["disc_loss"], atol=1e-5)


def test_gradients(reference, monkeypatch):
    _, gradients, _ = loss_and_gradients(reference, monkeypatch)
    _, model, _, expected = reference
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        theirs = np.concatenate(
            [expected[name] for name in google.variable_names(variable.path)], axis=-1
        )
        np.testing.assert_allclose(
            tf.convert_to_tensor(gradient), theirs, atol=2e-5, err_msg=variable.path
        )
