"""SIGTERM and SIGINT as a question between two calls: should the run stop?"""

import signal

from electra_tf.train.strategy import Runtime


class Interrupted(Exception):
    """A signal asked the run to stop and the state is saved. `signum` says which signal."""

    def __init__(self, signum: int):
        super().__init__(signal.Signals(signum).name)
        self.signum = signum


class StopSignals:
    """Remembers a signal until the loop asks; several workers answer alike.

    Args:
        runtime: devices; with several workers each asks at the same step.
    """

    def __init__(self, runtime: Runtime):
        self._received = 0
        self._runtime = runtime
        self._previous = {
            number: signal.signal(number, self._remember)
            for number in (signal.SIGTERM, signal.SIGINT)
        }

    def agreed(self) -> int:
        """The signal that any worker has received, or 0."""
        return -self._runtime.least(-self._received)

    def restore(self) -> None:
        """Gives the signals back to whoever had them before."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _remember(self, number, frame):
        del frame
        if self._received:  # asked twice: do not wait for the end of the call
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self._received = number
