"""A run in two phases: the generator alone, then the discriminator as its copy."""

import numpy as np
import pytest
import tiny_runs

pytestmark = pytest.mark.slow
BOUNDARY, END = 6, 12
FIELDS = {
    "objective.name": "two_stage",
    "objective.generator_steps": BOUNDARY,
    "model.sharing": "none",
    "generator.hidden_fraction": 1.0,
    "generator.num_heads": 2,
    "generator.intermediate_size": 64,
    "generator.embedding_size": 16,
    "optimizer.name": "adamw",  # whose bias correction counts updates
    "optimizer.learning_rate": 1e-5,  # so that weights stay where they were copied to
    "optimizer.warmup_steps": 0,
    "runtime.deterministic": True,
    "train.num_steps": END,
    "train.checkpoint_steps": 2,
    "train.keep_checkpoints": 10,
    "train.log_steps": 4,
}


@pytest.fixture(scope="module")
def runs(data, tmp_path_factory):
    """A whole run, one with two replicas, and continued copies from before and at the boundary."""
    root = tmp_path_factory.mktemp("two_stage")
    done, _ = tiny_runs.together(
        data, (root / "whole", FIELDS), (root / "two", FIELDS, {"runtime.strategy": "mirrored"})
    )
    steps = (BOUNDARY - 2, BOUNDARY)
    for step in steps:
        tiny_runs.rewind(root / "whole", root / str(step), step)
    tiny_runs.together(data, *((root / str(step), FIELDS) for step in steps))
    return root, done, steps


def at(workdir, step):
    return tiny_runs.saved(str(workdir / "checkpoints" / f"ckpt-{step}"))


def changed(before, after, *parts):
    """Names of weights that differ between two checkpoints; slots must begin with `parts`, too."""
    names = {name for name in before if not np.array_equal(before[name], after[name])}
    names -= {"step", "good_steps"}
    assert all(name.split("/", 1)[1].startswith(parts) for name in names), names
    return {name for name in names if name.startswith("weights/")}


def test_each_phase_trains_its_network(runs):
    root, done, _ = runs
    assert done["error"] is None and done["traces"] == 2  # one for each phase
    first, middle, last = (at(root / "whole", step) for step in (2, BOUNDARY, END))
    generator = ("generator/", "generator_head/", "generator_embeddings/")
    assert len(changed(first, middle, *generator)) > 10
    later = at(root / "whole", BOUNDARY + 2)
    assert len(changed(later, last, "embeddings/", "discriminator/", "discriminator_head/")) > 10
    for name, value in middle.items():
        if name.startswith("slots/") and not name.startswith("slots/generator"):
            assert not value.any(), name
        if name.startswith(("weights/generator", "slots/generator")):
            np.testing.assert_array_equal(value, last[name], err_msg=name)


@pytest.mark.parametrize("name", ["whole", "two"])
def test_the_discriminator_starts_as_a_copy(runs, name):
    root, _, _ = runs
    before, after = at(root / name, BOUNDARY), at(root / name, BOUNDARY + 2)
    compared = 0
    for name, value in after.items():
        source = name.replace("/discriminator/", "/generator/")
        source = source.replace("/embeddings/", "/generator_embeddings/")
        if name.startswith("weights/") and source != name:
            np.testing.assert_allclose(value, before[source], atol=1e-4, err_msg=name)
            compared += 1
            if name.endswith("kernel"):
                assert np.abs(before[name] - before[source]).max() > 0.01
    assert compared > 10


def test_a_resume_at_any_step_is_exact(runs):
    root, _, steps = runs
    whole = at(root / "whole", END)
    for step in steps:
        for name, value in at(root / str(step), END).items():
            np.testing.assert_array_equal(value, whole[name], err_msg=f"{step}: {name}")
