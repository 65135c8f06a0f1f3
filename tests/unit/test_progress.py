"""The lines of a run: what they say of speed."""

import io

import pytest

from electra_tf.objectives.objective import Metric
from electra_tf.train.progress import Progress


@pytest.mark.parametrize(
    ("share", "told"),
    [
        (0.554, "55% of peak"),
        (1.0, "100% of peak"),
        (1.3, "more than the measured peak"),
        (None, ""),
    ],
)
def test_a_share_of_the_peak_is_a_share(share, told):
    stream = io.StringIO()
    progress = Progress(100, [Metric("disc_auc", "AUC")], stream)
    metrics = {"loss": 2.0, "disc_auc": 0.75, "tokens_per_second": 1234.0}
    progress.report(40, metrics, 30.2, share)
    parts = ["step 40/100", "loss 2.000", "disc_auc 0.750", "1,234 tokens/s", told, "ETA 0:00:30"]
    assert stream.getvalue() == "  ".join(filter(None, parts)) + "\n"
