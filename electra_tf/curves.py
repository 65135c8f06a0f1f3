"""Loss curves of a run as a picture, from its metrics.jsonl."""

import os

import matplotlib

from electra_tf.train import log

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402 (after the choice of a backend without a display)

PANELS = (("masked_lm_loss", "generator loss"), ("disc_loss", "discriminator loss"),
          ("disc_auc", "discriminator AUC"))


def draw(metrics_file: str, picture: str) -> None:
    """Draws training as lines and held-out evaluations as points.

    Args:
        metrics_file: a run's metrics.jsonl.
        picture: the PNG to write; it appears when it is complete.
    """
    lines = log.read(metrics_file)
    panels = [panel for panel in PANELS if any(line.get(panel[0]) is not None for line in lines)]
    figure, axes = pyplot.subplots(1, len(panels), figsize=(5 * len(panels), 3.6),
                                   layout="constrained", squeeze=False)
    for axis, (name, title) in zip(axes[0], panels):
        for split, style in (("train", {"linewidth": 1.5}),
                             ("eval", {"marker": "o", "linestyle": "none"})):
            of_split = [line for line in lines if line["split"] == split
                        and line.get(name) is not None]
            axis.plot([line["step"] for line in of_split], [line[name] for line in of_split],
                      label="held out" if split == "eval" else "training", **style)
        axis.set(title=title, xlabel="step")
        axis.grid(alpha=0.3)
    axes[0][0].legend()
    figure.savefig(picture + ".tmp", format="png", dpi=120)
    pyplot.close(figure)
    os.replace(picture + ".tmp", picture)
