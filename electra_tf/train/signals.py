"""SIGTERM and SIGINT as a question between two calls: should the run stop?"""

import signal

import tensorflow as tf

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
        self._strategy = runtime.strategy
        self._several = isinstance(runtime.strategy, tf.distribute.MultiWorkerMirroredStrategy)
        self._previous = {number: signal.signal(number, self._remember)
                          for number in (signal.SIGTERM, signal.SIGINT)}
        self._agree = tf.function(self._maximum)

    def agreed(self) -> int:
        """The signal that any worker has received, or 0."""
        if not self._several:
            return self._received
        return int(self._agree(tf.constant(self._received)))

    def restore(self) -> None:
        """Gives the signals back to whoever had them before."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _maximum(self, received):
        def of_replica():
            # Signal numbers are below 64: a sum of powers would overflow, so gather and compare.
            context = tf.distribute.get_replica_context()
            return tf.reduce_max(context.all_gather(received[None], axis=0))

        results = self._strategy.run(of_replica)
        return self._strategy.experimental_local_results(results)[0]

    def _remember(self, number, frame):
        del frame
        if self._received:  # asked twice: do not wait for the end of the call
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self._received = number
