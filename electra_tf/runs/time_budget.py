"""How long a run of several stages may take: the steps that fit, and the time that is left."""

import copy
import dataclasses
import time

from electra_tf import objectives
from electra_tf.config import Config
from electra_tf.durations import estimate
from electra_tf.errors import UserError
from electra_tf.tasks.pretraining import PretrainingTask
from electra_tf.train import strategy
from electra_tf.train.host_loop import HostLoop
from electra_tf.train.loop import require_even_batches
from electra_tf.train.optimizers import build_network_optimizers
from electra_tf.train.state import TrainState
from electra_tf.train.step import TrainStep

FEWEST_STEPS = 1000  # with fewer the quickstart's model has hardly begun to learn
# What `step_seconds` needs to trace the quickstart's step on the machine of all estimates.
TRACING_SECONDS = 4.0
# Numbers of steps, by section, that a run with a time to end by has in proportion.
SHORTENED = (
    ("train", "num_steps"),
    ("optimizer", "warmup_steps"),
    ("generator_optimizer", "warmup_steps"),
    ("objective", "generator_steps"),
)
_ROUND_TO = 100
_TIMED_SECONDS, _STEPS_IN_A_CALL = 3.0, 5


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

    def describe(self, most: int, minutes: float) -> str:
        """A line about it.

        Args:
            most: as of `choose_steps`.
            minutes: the budget that this is for.
        """
        rate = self.num_steps / self.seconds
        line = f"about {estimate(self.seconds)} at {rate:.1f} steps/s"
        if self.num_steps == most:
            line = f"all {most:,} steps, {line}"
        else:
            line = f"{self.num_steps:,} of {most:,} steps, {line}"
        if not self.fits:
            return f"{line}: the fewest of use, which --minutes={minutes:g} has no time for"
        return (
            line if self.num_steps == most else f"{line}: what --minutes={minutes:g} has time for"
        )


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

    def left(self, seconds: float) -> str:
        """How long is left, in words: the budget, until the machine's speed is known.

        Args:
            seconds: of what is left, on the machine of the estimates.
        """
        if self._minutes is not None and self._slowness is None:
            rest = 60 * self._minutes - self.elapsed
            return f"at most {estimate(rest)} left" if rest > 0 else "over the time of --minutes"
        return f"about {estimate(self.estimate(seconds))} left"


def shorten(config: Config, runtime: strategy.Runtime, begun: float) -> None:
    """Makes a run so short that it ends with config.train.max_minutes.

    Its numbers of steps become smaller alike: those of training, warm-up and generator alone.
    Evaluations come on top of the time.

    Args:
        config: of a new run.
        runtime: what `strategy.start` has given.
        begun: when the minutes began, by `time.monotonic`.

    Raises:
        UserError: what happens at given steps cannot follow; or as a run of the config would.
    """
    for name in ("mask_fraction_by_step", "discriminator_weight_by_step"):
        if given := getattr(config.objective, name):
            raise UserError(
                f"With config.train.max_minutes, config.objective.{name} must be empty: nobody "
                f"knows at which step the run ends. Received: {given}"
            )
    tracing, step = step_seconds(config, runtime)
    most = config.train.num_steps
    left = 60 * config.train.max_minutes - (time.monotonic() - begun) - tracing
    share = runtime.least(max(1, min(most, int(left / step)))) / most
    for section, name in SHORTENED:
        number = getattr(getattr(config, section), name)
        if number > 0:
            setattr(getattr(config, section), name, max(1, round(share * number)))


def step_seconds(config: Config, runtime: strategy.Runtime | None = None) -> tuple[float, float]:
    """Seconds that it takes to trace a training step, and to do one, with fresh weights.

    Args:
        config: of the run.
        runtime: its devices. None: started here, and blocks are not compiled, which would take
            longer than the measurement: the steps of the run may be a little faster.

    Raises:
        UserError: as a run of the config would.
    """
    config = objectives.validate(copy.deepcopy(config))
    runtime = runtime or strategy.start(config.runtime, config.train.seed, num_steps=0)
    task, settings = PretrainingTask(config), config.train
    objective = task.objective
    require_even_batches(settings, objective, runtime.num_replicas)
    optimizers = build_network_optimizers(
        objective.optimizers(), settings.num_steps, objective.num_layers()
    )
    with runtime.strategy.scope():
        model = objective.new_model(settings.seed, runtime.precision)
        state = TrainState(model, optimizers, runtime.precision, objective.phases())
    loop = HostLoop(TrainStep(objective, model, optimizers, state, runtime, settings))
    rows = settings.batch_size // runtime.num_replicas
    batches = iter(
        runtime.strategy.distribute_datasets_from_function(
            lambda context: task.train_batches(0, (0, settings.batch_size), rows)
        )
    )
    start = time.perf_counter()
    loop(batches, 1)[1]["ok"].numpy()
    tracing, start, number = time.perf_counter() - start, time.perf_counter(), 0
    while time.perf_counter() - start < _TIMED_SECONDS:
        loop(batches, _STEPS_IN_A_CALL)[1]["ok"].numpy()
        number += _STEPS_IN_A_CALL
    return tracing, (time.perf_counter() - start) / number
