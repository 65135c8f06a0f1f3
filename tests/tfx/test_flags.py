"""The flags that both TFX command lines share: what is refused before anything is built."""

import pytest

pytest.importorskip("tfx.orchestration", reason="the TFX tests run in .venv-tfx")

from absl import flags
from absl.testing import flagsaver

from pipelines import tfx_runner

LOCAL = "must go with --runner=kubeflow or --runner=vertex. Received: --runner=local"


def settings(arguments: list[str]):
    with flagsaver.flagsaver():
        flags.FLAGS(["tfx_pretrain", *arguments])
        return tfx_runner.settings()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--root="], "--root must be the name of a directory. Received: nothing"),
        (["--root=r", "--output=pipeline.yaml"], f"--output {LOCAL}"),
        (["--root=r", "--image=registry/image"], f"--image {LOCAL}"),
        (["--root=r", "--beam_args=--direkt=1"], "Beam. Received: --direkt=1"),
        (
            ["--root=r", "--beam_args=--direct_num_workers=many"],
            "must have a value that it takes. Received: argument --direct_num_workers: "
            "invalid int value: 'many'",
        ),
    ],
)
def test_refused(arguments, message):
    with pytest.raises(ValueError) as caught:
        settings(arguments)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_versions_are_pushed_below_the_root_unless_told_otherwise():
    assert settings(["--root=r"])["serving_dir"] == "r/serving"
    assert settings(["--root=r", "--serving_dir=s"])["serving_dir"] == "s"
