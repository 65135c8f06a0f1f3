"""The page of a pre-training run."""

from collections.abc import Iterator

from electra_tf.config import TrainConfig
from electra_tf.durations import duration
from electra_tf.objectives import flops
from electra_tf.objectives.objective import ACCURACY, AUC, Metric
from electra_tf.runs.report import detector_page, page
from electra_tf.runs.report.charts import Series, chart, charts
from electra_tf.runs.report.markup import Html, element, join
from electra_tf.runs.report.numbers import large, short
from electra_tf.runs.report.parts import Missing
from electra_tf.runs.report.pretraining import PretrainingRun

# Of a curve without a headline: name in metrics.jsonl, or its beginning, and title.
_OTHER_CURVES = (
    ("disc_accuracy", "accuracy of the discriminator"),
    ("learning_rate", "learning rate"),
    ("gradient_norm", "norm of the gradient"),
    ("tokens_per_second", "tokens per second"),
)
_MOST_INPUTS = 10  # sources of the data that are listed


def render(run: PretrainingRun) -> str:
    """The whole page."""
    config, objective = run.config, run.objective
    title = (
        f"{config.objective.name}: {run.step:,} of {config.train.num_steps:,} steps, "
        f"{_bound(run)}{short(run.tokens)} tokens, {_bound(run)}{large(run.flops())} FLOPs"
    )
    return page.document(
        title, f"{objective.description}, pre-trained in {run.directory}", _sections(run)
    )


def _sections(run: PretrainingRun) -> Iterator[Html]:
    yield _facts(run)
    if run.is_packaged:
        yield page.note(
            "What it reaches: the model comes without data and without the lines of its training; "
            f"{run.directory}/README.md tells what was measured."
        )
    else:
        yield from _measured(run)
    yield page.section("Config: what differs from the defaults", page.differences(run.differences))


def _measured(run: PretrainingRun) -> Iterator[Html]:
    """What the directory of a run and its data tell."""
    yield page.section("Held-out metrics", page.shown(run.evaluation, lambda _: _metrics(run)))
    yield page.section("Training", _curves(run))
    found = run.detector
    if found is not None:
        yield page.section("The discriminator", page.shown(found, detector_page.curves))
        if not isinstance(found, Missing):
            yield page.section("Examples", detector_page.examples(found))
    yield page.section("Data", page.shown(run.data, lambda _: _data(run)))


def _bound(run: PretrainingRun) -> str:
    """Before a number that the length of the examples decides: it is not known without them."""
    return "at most " if isinstance(run.data, Missing) else ""


def _rows(train: TrainConfig) -> str:
    """Rows of a batch, one number or, where they grow, several."""
    return ", then ".join(f"{each.size:,}" for each in train.batch_sizes().stretches)


def _facts(run: PretrainingRun) -> Html:
    config, weights = run.config, run.weights
    known: dict[str, object] = {
        "objective": run.objective.description,
        "encoder": _size(config.model),
        "steps": f"{run.step:,} of {config.train.num_steps:,}",
        "batch": f"{_rows(config.train)} x {_bound(run)}{run.seq_length:,} tokens",
        "tokens read, padding included": _bound(run) + short(run.tokens),
        "FLOPs as the paper counts": _bound(run) + large(run.flops()),
        "FLOPs of matrix products": _bound(run) + large(run.flops(flops.training)),
    }
    if run.objective.trains_generator:
        known["generator"] = _size(config.generator_model())
    if not isinstance(weights, Missing):
        known["weights"] = f"{sum(weights.values()):,}"
    if run.seconds:
        per_token = run.objective.training_flops_per_token(run.seq_length)
        end = sum(line["step"] for line in run.of_split("train")[-1:])
        speed = run.tokens_between(run.begin, end) / run.seconds
        known["time of the training steps"] = _bound(run) + duration(run.seconds)
        known["speed, mean"] = f"{short(round(speed))} tokens/s, {large(speed * per_token)} FLOP/s"
    known |= {
        "precision": config.runtime.precision,
        "devices asked for": config.runtime.tpu or config.runtime.strategy,
        "seed": config.train.seed,
    }
    if isinstance(weights, Missing):
        lines = [page.note(weights.reason)]
    else:
        of_networks = [f"{name.replace('_', ' ')} {size:,}" for name, size in weights.items()]
        lines = [element("p", f"Weights: {', '.join(of_networks)}.", class_="faint")]
    if not run.is_packaged:
        device = (
            "Device and share of its peak: a run does not record them; `electra_tf benchmark` with "
            "the run's `--config` measures them."
        )
        lines.append(page.note(device))
    return join([page.facts(known), *lines])


def _size(model) -> str:
    return (
        f"{model.num_layers} layers of {model.hidden_size}, {model.num_heads} heads, embeddings "
        f"of {model.embedding_size}"
    )


def _metrics(run: PretrainingRun) -> Html:
    """Headline metrics beside chance and baselines, then all others."""
    assert not isinstance(run.evaluation, Missing)
    reached, rows = run.evaluation, []
    headline = [each for each in run.objective.headline if each.name in reached]
    for metric in headline:
        rows.append((metric.title, f"{reached[metric.name]:.4f}", *_beside(metric, run)))
    names = {metric.name for metric in headline} | {"step", "examples"}
    others = [
        (element("code", name), short(reached[name])) for name in reached if name not in names
    ]
    parts = [
        element(
            "p",
            f"{reached['examples']:,} examples that no training step has seen, after step "
            f"{reached['step']:,}. Of losses less is better, of all else more. Chance: "
            "always the most frequent token; for the AUC 0.5. Simple: copies the masked "
            "tokens that stay visible, else the most frequent one; for the AUC, knows "
            "that [CLS] and [SEP] are never replaced and guesses at the rest.",
            class_="faint",
        ),
        page.table(("", "reached", "chance", "simple"), rows),
    ]
    if isinstance(run.baselines, Missing):
        parts.append(page.note(run.baselines.reason))
    if reached["step"] != run.step:
        parts.append(
            page.note(
                f"eval.json is of step {reached['step']:,}, the run is at {run.step:,}: "
                f"`electra_tf evaluate --workdir={run.directory} --random_words` renews it."
            )
        )
    if others:
        parts += [element("h3", "All others"), page.table(("metric", "value"), others)]
    return join(parts)


def _beside(metric: Metric, run: PretrainingRun) -> tuple[str, str]:
    """Chance and the simple baseline of a metric."""
    assert not isinstance(run.evaluation, Missing)
    share = run.evaluation.get("most_frequent_token_share")
    simple = {} if isinstance(run.baselines, Missing) else run.baselines
    if metric.kind == AUC:
        return "0.5000", _four(simple.get("auc"))
    if metric.kind == ACCURACY:
        return _four(share), _four(simple.get("accuracy"))
    return "", ""


def _four(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _curves(run: PretrainingRun) -> Html:
    """A chart for each headline metric and for what steers the training."""
    train, held_out = run.of_split("train"), run.of_split("eval")
    if not train and not held_out:
        return page.note(
            "Curves: there are no lines in metrics.jsonl, which `electra_tf pretrain` writes every "
            "config.train.log_steps steps."
        )
    names = {name for line in (*train, *held_out) for name in line}
    titles = {metric.name: metric.title for metric in run.objective.headline}
    titles = {"loss": "loss, all terms", **titles, **dict(_OTHER_CURVES)}
    figures = []
    for name, title in titles.items():
        same = sorted(each for each in names if each == name or each.startswith(f"{name}/"))
        series = []
        for each in same:
            _, _, part = each.partition("/")
            series.append(Series(part or "training", _points(train, each)))
        if name not in ("learning_rate", "tokens_per_second"):
            series.append(Series("held out", _points(held_out, name), dots=True))
        series = [each for each in series if each.points]
        if series:
            figures.append(chart(title, series, "step"))
    lines = [charts(figures)]
    if not held_out:
        lines.append(
            page.note("Held-out points: a run with config.train.eval_steps above 0 has them.")
        )
    if "gradient_norm" not in names:
        lines.append(page.note("Norm of the gradient: metrics.jsonl does not record it."))
    return join(lines)


def _points(lines: list[dict], name: str) -> list[tuple[float, float]]:
    return [(line["step"], line[name]) for line in lines if name in line]


def _data(run: PretrainingRun) -> Html:
    """What dataset.json tells, of each data set."""
    assert not isinstance(run.data, Missing)
    weights = run.config.data.sources()
    if len(weights) == 1:
        return _described(*run.data.values())
    total = sum(weights.values())
    parts = []
    for directory, weight in weights.items():
        title = f"{directory}: {weight / total:.3g} of the training examples"
        parts += [element("h3", title), _described(run.data[directory])]
    return join(parts)


def _described(description: dict) -> Html:
    """What dataset.json tells."""
    known: dict[str, object] = {
        "tokens of an example": f"{description['seq_length']:,}",
        "packing": description["packing"],
    }
    for name, title in (("vocab_size", "vocabulary"), ("words", "words of the corpus")):
        if isinstance(description.get(name), int):
            known[title] = f"{description[name]:,}"
    if isinstance(description.get("eval_share"), float):
        known["held-out share of the tokens"] = f"{description['eval_share']:.2%}"
    known |= {f"tokenizer: {name}": value for name, value in description["tokenizer"].items()}
    columns = ("documents", "examples", "tokens")
    rows = []
    for name, split in description["splits"].items():
        counts = [split.get(column) for column in columns]
        rows.append((name, *(short(count) if isinstance(count, int) else "" for count in counts)))
    parts = [page.facts(known), page.table(("split", *columns), rows)]
    inputs = [each for each in description.get("inputs") or [] if isinstance(each, dict)]
    if inputs:
        rows = [
            (each.get("name", ""), short(each.get("bytes", ""))) for each in inputs[:_MOST_INPUTS]
        ]
        parts.append(page.table(("made of", "bytes"), rows))
    if len(inputs) > _MOST_INPUTS:
        parts.append(page.note(f"And {len(inputs) - _MOST_INPUTS:,} more sources."))
    dropped, skipped = (description.get(name) or {} for name in ("dropped", "skipped"))
    rows = [
        (name.replace("_", " "), *(short(each.get(key, "")) for key in ("count", "of", "share")))
        for name, each in dropped.items()
        if isinstance(each, dict)
    ]
    if rows:
        parts += [
            element("h3", "Left out of the corpus"),
            page.table(("what", "number", "of", "share"), rows),
        ]
    if skipped:
        parts.append(element("p", f"Skipped: {_named(skipped)}.", class_="faint"))
    return join(parts)


def _named(value: object) -> str:
    """A value of dataset.json in a line."""
    if isinstance(value, dict):
        return ", ".join(f"{key.replace('_', ' ')} {_named(item)}" for key, item in value.items())
    return short(value) if isinstance(value, int | float) else str(value)
