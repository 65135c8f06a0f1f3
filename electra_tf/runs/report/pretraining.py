"""What is known of a pre-training run: of its directory, its data, its weights."""

import dataclasses
import os
from typing import Any

from electra_tf import config as configuration
from electra_tf import objectives, pretrained
from electra_tf.config import Config
from electra_tf.data.description import read_description
from electra_tf.errors import UserError
from electra_tf.files import expand
from electra_tf.json_files import read_json
from electra_tf.objectives import paper_flops
from electra_tf.objectives.objective import AUC, Objective
from electra_tf.runs.baselines import baselines
from electra_tf.runs.report import detector, parts
from electra_tf.runs.report.detector import Detector
from electra_tf.runs.report.parts import Missing, attempt
from electra_tf.saved.weights import SavedWeights


@dataclasses.dataclass(frozen=True)
class PretrainingRun:
    """Everything that the report shows; a part that the run lacks is `Missing`.

    Attributes:
        directory: of the run.
        config: its config.json.
        objective: what is trained.
        seq_length: tokens of an example; without the data the most that the model reads.
        step: that the run has come to.
        lines: of metrics.jsonl.
        weights: number of trained numbers by network, the first part of their paths.
        evaluation: content of eval.json, its finite numbers.
        baselines: what a model reaches that knows little, as `runs.baselines` tells.
        data: content of dataset.json, by directory.
        detector: what the discriminator makes of held-out text; None without one, or without text.
        differences: fields of the config, (default, value).
        is_packaged: whether it comes with the package, without data and figures of its training.
    """

    directory: str
    config: Config
    objective: Objective
    seq_length: int
    step: int
    lines: list[dict]
    weights: dict[str, int] | Missing
    evaluation: dict[str, float] | Missing
    baselines: dict[str, float] | Missing
    data: dict[str, dict[str, Any]] | Missing
    detector: Detector | Missing | None
    differences: dict[str, tuple[object, object]]
    is_packaged: bool = False

    @property
    def begin(self) -> int:
        """The step at which it has begun: 0, but for one that counts on from another model's."""
        first = next(iter(self.of_split("train")), None)
        if first is None or self.config.init_schedule != "continue":
            return 0
        return max(0, first["step"] - self.config.train.log_steps)

    @property
    def tokens(self) -> int:
        """That the run has read, padding included; at most, where the data is missing."""
        return self.tokens_between(self.begin, self.step)

    def tokens_between(self, begin: int, end: int) -> int:
        """That the steps from `begin` to below `end` read; at most, where the data is missing."""
        examples = self.config.train.batch_sizes().examples
        return (examples(end) - examples(begin)) * self.seq_length

    def flops(self, count=paper_flops.training) -> float:
        """Operations so far, by `paper_flops` or `flops`."""
        return self.tokens * self.objective.training_flops_per_token(self.seq_length, count)

    @property
    def seconds(self) -> float:
        """Of all training steps with a line in metrics.jsonl, without evaluations and pauses."""
        seconds, former = 0.0, self.begin
        for line in self.of_split("train"):
            tokens = self.tokens_between(former, line["step"])
            seconds += tokens / line.get("tokens_per_second", float("inf"))
            former = line["step"]
        return seconds

    def of_split(self, split: str) -> list[dict]:
        """The lines of "train" or "eval", their finite numbers alone."""
        return [parts.numbers_of(line) for line in self.lines if line["split"] == split]


def collect(directory: str) -> PretrainingRun:
    """Reads a run.

    Raises:
        UserError: its config.json or metrics.jsonl cannot be read.
    """
    own = configuration.load(directory)
    changed = parts.differences(own)
    config = objectives.validate(configuration.load(directory))
    config.data.dir = expand(config.data.dir)
    data = attempt("Data statistics", lambda: _data(config))
    lengths = [] if isinstance(data, Missing) else [each["seq_length"] for each in data.values()]
    seq_length = next(iter(lengths), config.model.max_positions)
    lines = parts.read_metrics(directory)
    saved = attempt("Number of weights", lambda: SavedWeights(_checkpoints(directory)))
    step = max((line["step"] for line in lines if line["split"] == "train"), default=0)
    if not isinstance(saved, Missing):
        step = max(step, saved.step)
    objective = objectives.build_objective(config)
    evaluation = attempt("Held-out metrics", lambda: _evaluation(directory, config))
    return PretrainingRun(
        directory=directory,
        config=config,
        objective=objective,
        seq_length=seq_length,
        step=step,
        lines=lines,
        weights=saved if isinstance(saved, Missing) else _sizes(saved),
        evaluation=evaluation,
        baselines=_baselines(evaluation, config, directory),
        data=data,
        detector=None if pretrained.holds(directory) else _detector(objective, directory),
        differences=changed,
        is_packaged=pretrained.holds(directory),
    )


def _checkpoints(directory: str) -> str:
    return os.path.join(directory, "checkpoints")


def _sizes(saved: SavedWeights) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for path, shape in saved.shapes.items():
        size = 1
        for length in shape:
            size *= length
        network = path.partition("/")[0]
        sizes[network] = sizes.get(network, 0) + size
    return dict(sorted(sizes.items()))


def _evaluate(directory: str, config: Config) -> str:
    """The command that measures what is missing."""
    data = "" if all(config.data.sources()) else " --data_dir=SHARDS"
    return f"`electra_tf evaluate --workdir={directory}{data} --random_words`"


def _evaluation(directory: str, config: Config) -> dict[str, float]:
    path = os.path.join(directory, "eval.json")
    if not os.path.exists(path):
        raise UserError(f"{_evaluate(directory, config)} measures them")
    found = parts.numbers_of(read_json(path))
    for name in ("step", "examples"):
        if name not in found:
            raise UserError(
                f"An eval.json must be as `electra_tf evaluate` writes it. Received: {path} "
                f"without {name}"
            )
    return found


def _baselines(evaluation, config: Config, directory: str) -> dict[str, float] | Missing:
    if isinstance(evaluation, Missing) or "most_frequent_token_share" not in evaluation:
        return Missing(f"Simple baselines: {_evaluate(directory, config)} measures what they need.")
    return attempt("Simple baselines", lambda: baselines(evaluation, config))


def _data(config: Config) -> dict[str, dict[str, Any]]:
    found = {}
    for directory in config.data.sources():
        description = read_description(directory) if directory else None
        if description is None:
            raise UserError(
                "A data set must hold dataset.json, which `electra_tf build_dataset` writes. "
                f"Received: {directory or 'no directory'}"
            )
        found[directory] = description
    return found


def _detector(objective: Objective, directory: str) -> Detector | Missing | None:
    if objective.main_metric.kind != AUC:
        return None

    def examine() -> Detector:
        SavedWeights(_checkpoints(directory))  # else the data would be read for nothing
        return detector.examine(directory)

    return attempt("ROC, calibration and examples", examine)
