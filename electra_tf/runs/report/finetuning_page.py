"""The page of a fine-tuning."""

from collections.abc import Iterator

from electra_tf.config.json_config import RANDOM
from electra_tf.runs.report import page, parts
from electra_tf.runs.report.charts import Series, chart, charts, dots
from electra_tf.runs.report.finetuning import FinetuningRun, Measured
from electra_tf.runs.report.markup import Html, element, join
from electra_tf.runs.report.numbers import short
from electra_tf.runs.report.parts import Missing


def render(run: FinetuningRun) -> str:
    """The whole page."""
    title = run.config.task.name
    main = _main(run)
    if main is not None:
        number = len(main.values)
        of = f"median of {number:,} trials" if number > 1 else "one trial"
        title += f": {main.split} {main.name} {main.median:.4f}, {of}"
    start = run.config.init_from
    source = f"from {start}" if start else "from a model that is not named"
    if start.startswith(RANDOM):
        source = f"from random weights in the sizes of {start.removeprefix(RANDOM)}"
    return page.document(title, f"Fine-tuned {source}, in {run.directory}", _sections(run))


def _main(run: FinetuningRun) -> Measured | None:
    """The main metric on the first split, by which the best trial is chosen."""
    name = None if isinstance(run.summary, Missing) else run.summary["main_metric"]
    return next((each for each in run.metrics if each.name == name), None)


def _sections(run: FinetuningRun) -> Iterator[Html]:
    config, model = run.config, run.config.model
    known: dict[str, object] = {
        "task": f"{config.task.name} ({config.task.kind})",
        "encoder": f"{model.num_layers} layers of {model.hidden_size}, {model.num_heads} heads",
        "trials": f"{len(run.trials):,} of {config.num_trials:,}",
        "epochs": short(config.train.num_epochs),
        "batch": f"{config.train.batch_size:,} rows",
        "learning rate": _or_table_7(config.optimizer.learning_rate),
        "layer decay": _or_table_7(config.optimizer.layer_decay),
        "longest row": f"{config.task.max_seq_length:,} tokens",
        "precision": config.runtime.precision,
    }
    yield page.facts(known)
    yield page.section("Results", page.shown(run.summary, lambda _: _results(run)))
    yield page.section("Training", _curves(run))
    yield page.section("Data, as it was understood", page.shown(run.data, _data))
    yield page.section("Config: what differs from the defaults", page.differences(run.differences))


def _or_table_7(value: float) -> str:
    return short(value) if value else "of Table 7"


def _results(run: FinetuningRun) -> Html:
    """Every metric of every trial, medians and ranges."""
    assert not isinstance(run.summary, Missing)
    best = run.trials[run.summary["best"]]["seed"]
    seeds = [f"seed {trial['seed']}{' (stuck)' if trial['stuck'] else ''}" for trial in run.trials]
    if not run.metrics:
        return page.note(
            "Metrics: there is no split with labels but the training's; config.data.eval_file "
            "names one."
        )
    rows = [
        (
            f"{each.split} {each.name}",
            dots(each.values, min(each.values), max(each.values), each.median),
            f"{each.median:.4f}",
            f"{min(each.values):.4f}–{max(each.values):.4f}",
            *(f"{value:.4f}" for value in each.values),
        )
        for each in run.metrics
    ]
    text = (
        f"The model in this directory is that of seed {best}, the best one by "
        f"{run.summary['main_metric']}. A dot is a trial, from the least to the largest value; the "
        "bar is the median."
    )
    content = [
        element("p", text, class_="faint"),
        page.table(("metric", "trials", "median", "min–max", *seeds), rows, texts=2),
    ]
    if run.stuck:
        content.append(
            page.note(
                f"Stuck: seed {', '.join(run.stuck)} ended no better than a constant guess; the "
                "paper leaves such runs out. Try another seed or a lower learning rate."
            )
        )
    return join(content)


def _curves(run: FinetuningRun) -> Html:
    """Training loss and learning rate of the trials."""
    figures = []
    for name, title in (("loss", "training loss"), ("learning_rate", "learning rate")):
        series = []
        for seed, lines in run.lines.items():
            found = [parts.numbers_of(line) for line in lines if line["split"] == "train"]
            points = [(line["step"], line[name]) for line in found if name in line]
            if points:
                series.append(Series(f"seed {seed}", points))
        if series:
            figures.append(chart(title, series, "step"))
    if not figures:
        return page.note(
            "Curves: there are no lines in trial_N/metrics.jsonl, which `electra_tf finetune` "
            "writes every config.train.log_steps steps."
        )
    return charts(figures)


def _data(lines: dict[str, str]) -> Html:
    return join(element("p", line) for line in lines.values())
