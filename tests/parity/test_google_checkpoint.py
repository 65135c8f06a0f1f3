"""A checkpoint made with the original code, through the converter and back."""

import json

import numpy as np
import pytest
import tensorflow as tf

from electra_tf.conversion import convert, google
from tests.conftest import REFERENCE, shipped_and_whole


@pytest.mark.parametrize(
    "folder", shipped_and_whole("original_model", "parity/official_small_style")
)
def test_there_and_back_every_tensor_is_the_same(folder, tmp_path):
    source, settings = folder / "checkpoint", str(folder / "config.json")
    convert(str(source), "google", str(tmp_path / "ours"), "electra_tf", config_json=settings)
    convert(str(tmp_path / "ours"), "electra_tf", str(tmp_path / "theirs"), "google")
    before, after = (tf.train.load_checkpoint(str(path)) for path in (source, tmp_path / "theirs"))
    assert after.get_variable_to_shape_map() == before.get_variable_to_shape_map()
    for name in before.get_variable_to_shape_map():
        np.testing.assert_array_equal(after.get_tensor(name), before.get_tensor(name), strict=True)

    with open(settings, encoding="utf-8") as file:
        given = json.load(file)
    with open(tmp_path / "theirs" / "config.json", encoding="utf-8") as file:
        written = json.load(file)
    assert given["model_hparam_overrides"].items() <= written["model_hparam_overrides"].items()
    for key in ("embedding_size", "vocab_size", "generator_hidden_size"):
        assert written[key] == given[key]
    ours = google.read(str(source), settings)
    again = google.read(str(tmp_path / "theirs"))
    assert again.config == ours.config


def test_nothing_is_written_for_a_checkpoint_that_does_not_fit(tmp_path):
    source = tf.train.load_checkpoint(str(REFERENCE / "original_model" / "checkpoint"))
    names = [
        name
        for name in source.get_variable_to_shape_map()
        if name != "electra/encoder/layer_1/output/LayerNorm/beta"
    ]
    tf.raw_ops.SaveV2(
        prefix=str(tmp_path / "model"),
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=[source.get_tensor(name) for name in names],
    )
    before = sorted(tmp_path.iterdir())
    missing = r"1 missing: electra/encoder/layer_1/output/LayerNorm/beta \[64\]"
    for output_format in ("electra_tf", "google", "huggingface"):
        with pytest.raises(ValueError, match=missing):
            convert(str(tmp_path / "model"), "google", str(tmp_path / "output"), output_format)
    assert sorted(tmp_path.iterdir()) == before
