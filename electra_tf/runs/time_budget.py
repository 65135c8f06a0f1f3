"""How long a run of several stages may take: the steps that fit, and the time that is left."""

import copy
import dataclasses
import gc
import time

from electra_tf import objectives
from electra_tf.config import Config
from electra_tf.durations import duration, estimate
from electra_tf.errors import UserError
from electra_tf.tasks.pretraining import PretrainingTask
from electra_tf.train import strategy
from electra_tf.train.host_loop import HostLoop
from electra_tf.train.loop import enough_memory, require_even_batches
from electra_tf.train.optimizers import build_network_optimizers
from electra_tf.train.state import new_state
from electra_tf.train.step import TrainStep

FEWEST_STEPS = 1000  # with fewer the quickstart's model has hardly begun to learn
# What `step_seconds` needs to trace the quickstart's step on the machine of all estimates.
TRACING_SECONDS = 3.6
# Numbers of steps, by section, that a run with a time to end by has in proportion.
SHORTENED = (
    ("train", "num_steps"),
    ("optimizer", "warmup_steps"),
    ("generator_optimizer", "warmup_steps"),
)
FEWEST_SHORTENED = 10  # steps of such a run
SLACK = 0.1  # of a time budget
_ROUND_TO = 100
_TIMED_SECONDS = 3.0


@dataclasses.dataclass(frozen=True)
class Decision:
    """How long to train.

    Attributes:
        num_steps: how many steps.
        seconds: what they will take.
        fits: whether that is within the budget.
    """

    num_steps: int
    seconds: float
    fits: bool

    def describe(self, most: int, minutes: float, flag: str = "--minutes") -> str:
        """A line about it.

        Args:
            most: as of `choose_steps`.
            minutes: the budget that this is for.
            flag: which sets it.
        """
        rate = self.num_steps / self.seconds
        line = f"about {estimate(self.seconds)} at {rate:.1f} steps/s"
        if self.num_steps == most:
            line = f"all {most:,} steps, {line}"
        else:
            line = f"{self.num_steps:,} of {most:,} steps, {line}"
        if not self.fits:
            return f"{line}: the fewest of use, which {flag}={minutes:g} has no time for"
        return line if self.num_steps == most else f"{line}: what {flag}={minutes:g} has time for"


def choose_steps(most: int, seconds: float, step_seconds: float) -> Decision:
    """As many steps as fit, hundreds of them, but `FEWEST_STEPS` at least.

    Args:
        most: how many there are without a budget, which is never exceeded.
        seconds: there are for them; may be negative.
        step_seconds: one takes.
    """
    fitting = max(0, int(seconds / step_seconds))
    if fitting < most:
        fitting -= fitting % _ROUND_TO
    num_steps = min(most, max(fitting, FEWEST_STEPS))
    return Decision(num_steps, num_steps * step_seconds, num_steps * step_seconds <= seconds)


class TimeBudget:
    """The time since now, and how slow this machine is.

    Args:
        minutes: there are in all; None: as many as it takes.
    """

    def __init__(self, minutes: float | None = None):
        self._minutes, self._start = minutes, time.monotonic()
        self._slowness: float | None = None

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._start

    def estimate(self, seconds: float) -> float:
        """What takes so many seconds on the machine that estimates are of, in seconds here."""
        return seconds * (self._slowness or 1.0)

    def reference(self, seconds: float) -> float:
        """The other way round."""
        return seconds / (self._slowness or 1.0)

    def measure(self, config: Config) -> float:
        """Traces a training step, which tells how slow the machine is; returns a step's seconds."""
        tracing, step = step_seconds(config)
        self._slowness = tracing / TRACING_SECONDS
        return step

    def choose_steps(self, most: int, step_seconds: float, others: float) -> Decision:
        """As many steps as the minutes leave time for; see the function of this name.

        Args:
            most: how many there are without a budget.
            step_seconds: one takes here.
            others: seconds of what is still to be done besides, on the machine of the estimates.
        """
        assert self._minutes is not None
        left = 60 * self._minutes - self.elapsed - self.estimate(others)
        return choose_steps(most, left, step_seconds)

    def leaves_time(self, others: float, spent: float, expected: float) -> bool:
        """Whether there is still time for others, the machine staying as slow as it has become.

        As estimates are no more than that, they may take SLACK longer than the budget.

        Args:
            others: seconds of what is still to be done, on the machine of the estimates.
            spent: seconds of what has been done since the machine was measured.
            expected: seconds that it should have taken.
        """
        assert self._minutes is not None
        slower = max(1.0, spent / expected)
        seconds = 60 * self._minutes * (1.0 + SLACK)
        return self.elapsed + slower * self.estimate(others) < seconds

    def left(self, seconds: float) -> str:
        """How long is left, in words: the budget, until the machine's speed is known.

        Args:
            seconds: of what is left, on the machine of the estimates.
        """
        if self._minutes is not None and self._slowness is None:
            rest = 60 * self._minutes - self.elapsed
            return f"at most {estimate(rest)} left" if rest > 0 else "over the time of --minutes"
        return f"about {estimate(self.estimate(seconds))} left"


def shorten(config: Config, runtime: strategy.Runtime, begun: float) -> str:
    """Makes a run so short that it ends with config.train.max_minutes.

    Its steps and those of its warm-up become fewer alike. Evaluations come on top of the time.

    Args:
        config: of a new run.
        runtime: what `strategy.start` has given.
        begun: when the minutes began, by `time.monotonic`.

    Returns:
        A line about it.

    Raises:
        UserError: the run has to do something at given steps, or has no time for any; or as a run
            of the config would.
    """
    _check_shortened(config)
    tracing, step = step_seconds(config, runtime)
    most, minutes = config.train.num_steps, config.train.max_minutes
    left = 60 * minutes - (time.monotonic() - begun) - tracing
    fitting = runtime.least(max(0, min(most, int(left / step))))
    if fitting < min(most, FEWEST_SHORTENED):
        raise UserError(
            f"config.train.max_minutes must leave time for {FEWEST_SHORTENED} steps. Received: "
            f"{minutes:g}, of which tracing takes {duration(2 * tracing)}, and a step "
            f"{duration(step)}"
        )
    for section, name in SHORTENED:
        number = getattr(getattr(config, section), name)
        if number > 0:
            setattr(getattr(config, section), name, max(1, round(fitting / most * number)))
    gc.collect()  # of the device's memory, what was timed
    decision = Decision(config.train.num_steps, config.train.num_steps * step, True)
    return decision.describe(most, minutes, "config.train.max_minutes")


def _check_shortened(config: Config) -> None:
    """Raises UserError if steps of the run have a meaning of their own."""
    rule = "With config.train.max_minutes, which decides the number of steps,"
    for name in ("mask_fraction_by_step", "discriminator_weight_by_step"):
        if given := getattr(config.objective, name):
            raise UserError(f"{rule} config.objective.{name} must be empty. Received: {given}")
    if given := config.train.batch_warmup:
        raise UserError(f"{rule} config.train.batch_warmup must be empty. Received: {given}")
    if config.init_from and config.init_schedule == "continue":
        raise UserError(
            f"{rule} config.init_schedule must be restart. Received: {config.init_schedule}"
        )
    phases = objectives.build_objective(config).phases()
    if len(phases) > 1:
        raise UserError(
            f"{rule} the objective must have a single phase. Received: {config.objective.name} "
            f"with {len(phases)}"
        )


def step_seconds(config: Config, runtime: strategy.Runtime | None = None) -> tuple[float, float]:
    """Seconds that it takes to trace a training step, and to do one, with fresh weights.

    The step is one with config.train.batch_size rows, whatever comes before.

    Args:
        config: of the run.
        runtime: its devices. None: started here, and blocks are not compiled, which would take
            longer than the measurement: the steps of the run may be a little faster.

    Raises:
        UserError: as a run of the config would.
    """
    config = objectives.validate(copy.deepcopy(config))
    config.train.batch_warmup = ""
    runtime = runtime or strategy.start(config.runtime, config.train.seed, num_steps=0)
    task, settings = PretrainingTask(config), config.train
    objective = task.objective
    require_even_batches(settings, objective, runtime.num_replicas)
    optimizers = build_network_optimizers(
        objective.optimizers(), settings.num_steps, objective.num_layers()
    )
    model, _, state = new_state(objective, optimizers, settings, runtime)
    loop = HostLoop(TrainStep(objective, model, optimizers, state, runtime, settings))
    rows = settings.batch_size // runtime.num_replicas
    batches = iter(
        runtime.strategy.distribute_datasets_from_function(
            lambda context: task.train_batches(0, (0, settings.batch_size), rows)
        )
    )

    def seconds(number: int) -> float:
        start = time.perf_counter()
        with enough_memory(settings.batch_sizes().at(0)):
            loop(batches, number)[1]["ok"].numpy()
        return time.perf_counter() - start

    tracing = seconds(1)
    # All workers do the same steps.
    number = runtime.least(max(1, int(_TIMED_SECONDS / seconds(1))))
    return tracing, seconds(number) / number
