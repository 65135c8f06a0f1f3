"""metrics.jsonl and TensorBoard's files over a resume, as TensorBoard reads them."""

import numpy as np
import pytest
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.util import tensor_util

from electra_tf.objectives.counts import Histogram
from electra_tf.train.log import MetricsLog, read


def write(log: MetricsLog, step: int, value: float) -> None:
    numbers = np.array([step, 0.0, 1.0])
    shown = {"samples": f"**{value}**", "probability/a": Histogram(np.linspace(0, 1, 4), numbers)}
    log.write(step, "eval", {"loss": value}, lambda: shown)


def board(folder) -> EventAccumulator:
    return EventAccumulator(str(folder / "tensorboard" / "eval")).Reload()


def test_a_resume_repeats_nothing(tmp_path):
    log = MetricsLog(str(tmp_path), 0)
    for step in (10, 20, 30):
        write(log, step, step / 10)
    log.close()
    log = MetricsLog(str(tmp_path), 20)  # the checkpoint is older than the last line
    assert log.had(20, "eval") and log.had(30, "eval") and not log.had(40, "eval")
    for step in (30, 40):
        write(log, step, step / 5)
    log.close()
    losses = {10: 1.0, 20: 2.0, 30: 6.0, 40: 8.0}
    assert {line["step"]: line["loss"] for line in read(f"{tmp_path}/metrics.jsonl")} == losses
    found = board(tmp_path)
    for tag, plugin in (("loss", "scalars"), ("samples", "text"), ("probability/a", "histograms")):
        assert found.SummaryMetadata(tag).plugin_data.plugin_name == plugin
        assert [each.step for each in found.Tensors(tag)] == list(losses)
    numbers = [tensor_util.make_ndarray(it.tensor_proto).item() for it in found.Tensors("loss")]
    assert numbers == pytest.approx(list(losses.values()))
    texts = [tensor_util.make_ndarray(it.tensor_proto).item() for it in found.Tensors("samples")]
    assert texts == [f"**{loss}**".encode() for loss in losses.values()]
    buckets = tensor_util.make_ndarray(found.Tensors("probability/a")[2].tensor_proto)
    np.testing.assert_allclose(buckets, [[0, 1 / 3, 30], [1 / 3, 2 / 3, 0], [2 / 3, 1, 1]])


def test_other_workers_write_nothing(tmp_path):
    log = MetricsLog(str(tmp_path), 0, enabled=False)
    write(log, 10, 1.0)
    log.close()
    assert not list(tmp_path.iterdir())
