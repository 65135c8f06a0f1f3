"""Loss curves of a run as a picture, from its metrics.jsonl."""

from collections.abc import Sequence

from electra_tf import extras, files
from electra_tf.objectives.objective import Metric
from electra_tf.train import log

with extras.needed("plots"):
    import matplotlib

    matplotlib.use("Agg")  # needs no display; chosen before the next import
    from matplotlib import pyplot


def draw(metrics_file: str, picture: str, shown: Sequence[Metric]) -> None:
    """Draws training as lines and held-out evaluations as points.

    Args:
        metrics_file: a run's metrics.jsonl.
        picture: the PNG to write; it appears when it is complete, also in place of a former one.
        shown: metrics, a panel each; those that the file does not have are left out.
    """
    picture = files.output(picture, inputs=[metrics_file], overwrite=True)
    lines = log.read(metrics_file)
    panels = [
        (metric.name, metric.title)
        for metric in shown
        if any(line.get(metric.name) is not None for line in lines)
    ]
    figure, axes = pyplot.subplots(
        1, len(panels), figsize=(5 * len(panels), 3.6), layout="constrained", squeeze=False
    )
    for axis, (name, title) in zip(axes[0], panels):
        for split, style in (
            ("train", {"linewidth": 1.5}),
            ("eval", {"marker": "o", "linestyle": "none"}),
        ):
            of_split = [
                line for line in lines if line["split"] == split and line.get(name) is not None
            ]
            axis.plot(
                [line["step"] for line in of_split],
                [line[name] for line in of_split],
                label="held out" if split == "eval" else "training",
                **style,
            )
        axis.set(title=title, xlabel="step")
        axis.grid(alpha=0.3)
    axes[0][0].legend()
    with files.new_file(picture) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
    pyplot.close(figure)
