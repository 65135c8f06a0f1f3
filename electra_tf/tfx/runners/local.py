"""Runs a pipeline on this machine: TFX's LocalDagRunner with one line per component.

    local_runner.run(pipeline, root)

`root` gets metadata.sqlite, the ML Metadata store that caching and resolvers live on. A component
that fails ends the run with one readable UserError; the next run goes on with what was complete.
"""

import contextlib
import datetime
import logging as standard_logging
import os
import signal
import sqlite3
import sys
import time
import warnings
from collections.abc import Iterator

from absl import logging
from ml_metadata.errors import StatusError
from tfx.dsl.compiler import constants
from tfx.orchestration import metadata
from tfx.orchestration.local.local_dag_runner import LocalDagRunner
from tfx.orchestration.pipeline import Pipeline
from tfx.orchestration.portable import runtime_parameter_utils
from tfx.proto.orchestration import pipeline_pb2

import electra_tf
from electra_tf.errors import UserError, one_line
from electra_tf.files import one_writer
from electra_tf.tfx.runners import failures, outputs
from electra_tf.tfx.runners.executions import check, close_killed, executions
from electra_tf.train import strategy
from electra_tf.train.progress import Progress
from electra_tf.train.signals import Interrupted

_LIBRARY = os.path.dirname(os.path.abspath(electra_tf.__file__)) + os.sep
_SHOWN = {"COMPLETE": "done", "CACHED": "cached"}


def metadata_file(root: str) -> str:
    """The sqlite file of the ML Metadata store under a root."""
    return os.path.join(root, "metadata.sqlite")


def run(pipeline: Pipeline, root: str) -> dict[str, str]:
    """Runs all components of a pipeline one after the other, in this process.

    Prints one line per component: its name, done or cached, seconds. What TFX and Apache Beam log
    is shown with --verbosity=0 and above only.

    Args:
        pipeline: its metadata connection is set to the store in `root`.
        root: directory of the store; made if missing. Two runs cannot share it at a time.

    Returns:
        State of every executed node: COMPLETE or CACHED.

    Raises:
        UserError: a component failed, "COMPONENT: cause"; or `root` is no directory here, in use
            by another run, or its store is damaged.
        electra_tf.train.signals.Interrupted: SIGTERM or SIGINT asked the run to stop.
    """
    if "://" in root:
        raise UserError(
            f"--root must be a directory of this machine for a local run. Received: {root}"
        )
    root = os.path.abspath(root)
    if os.path.exists(root) and not os.path.isdir(root):
        raise UserError(f"--root must be a directory. Received: {root}")
    os.makedirs(root, exist_ok=True)
    store, outputs_root = metadata_file(root), pipeline.pipeline_info.pipeline_root
    pipeline.metadata_connection_config = metadata.sqlite_metadata_connection_config(store)
    with one_writer(root), _quiet(), _stoppable():
        runner = _NodeByNode(root)
        try:
            check(store)
            close_killed(store, outputs_root)
            outputs.agree(store, outputs_root)
            strategy.share_gpus()  # all components run in this process, not only training uses them
            runner.run(pipeline)
        except (_Stop, Interrupted) as stop:
            close_killed(store, outputs_root)
            runner.progress.message(
                f"{runner.node or root}: stopped by "
                f"{signal.Signals(stop.signum).name}. The same command goes on "
                "from what is complete"
            )
            raise Interrupted(stop.signum) from None
        except (StatusError, sqlite3.Error) as error:  # a full disk, another process's lock
            raise UserError(
                f"A metadata store must be one to write to. Received: {store} ({one_line(error)})"
            ) from error
        return runner.states


class _NodeByNode(LocalDagRunner):
    """A LocalDagRunner that tells about each node, and which one failed.

    Attributes:
        node: id of the node at work.
        states: of the nodes so far.
        progress: where the lines go.
    """

    def __init__(self, root):
        super().__init__()
        self._root = root
        self.node = ""
        self.states = {}
        self.progress = Progress(num_steps=0, stream=sys.stdout)

    def run_with_ir(self, pipeline: pipeline_pb2.Pipeline, run_options=None) -> None:
        """Runs the compiled pipeline, each node as a run of LocalDagRunner that skips the others.

        The nodes stay in one pipeline run, because its identifier is set here, once for all.
        """
        run_id = datetime.datetime.now().isoformat()
        runtime_parameter_utils.substitute_runtime_parameter(
            pipeline, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: run_id}
        )
        nodes = [item.pipeline_node.node_info.id for item in pipeline.nodes]
        for count, self.node in enumerate(nodes, start=1):
            title = f"[{count}/{len(nodes)}] {self.node}:"
            only = pipeline_pb2.Pipeline()
            only.CopyFrom(pipeline)
            for item in only.nodes:
                if item.pipeline_node.node_info.id != self.node:
                    item.pipeline_node.execution_options.skip.SetInParent()
            self.progress.doing(f"{title} running")
            start = time.monotonic()
            try:
                super().run_with_ir(only, run_options)
            except Interrupted:
                raise
            except Exception as error:
                self.progress.close()
                raise failures.readable(self.node, error, self._log_folder()) from error
            state = self._state(run_id)
            outputs.note(metadata_file(self._root))
            self.progress.message(f"{title} {state}, {time.monotonic() - start:.1f} s")

    def _state(self, run_id):
        """What became of the node; raises the failures that TFX only writes down."""
        done = [
            item
            for item in executions(metadata_file(self._root))
            if (item.run, item.node) == (run_id, self.node)
        ]
        if not done:
            return "skipped"  # its inputs are optional and not there
        if done[-1].state not in _SHOWN:
            self.progress.close()
            lines = done[-1].message.strip().splitlines() or [f"ended as {done[-1].state}"]
            raise failures.unexpected(self.node, lines[-1], done[-1].message, self._log_folder())
        self.states[self.node] = done[-1].state
        return _SHOWN[done[-1].state]

    def _log_folder(self):
        return os.path.join(self._root, "logs")


class _Stop(BaseException):
    """A signal arrived. Not an Exception: nothing between here and there may swallow it."""

    def __init__(self, signum):
        super().__init__(signum)
        self.signum = signum


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """Turns SIGTERM and SIGINT into _Stop. A training loop takes the signals over for its time."""

    def stop(number, frame):
        del frame
        for other in previous:  # asked twice: do not wait until all is tidy
            signal.signal(other, signal.SIG_DFL)
        raise _Stop(number)

    previous = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Holds back what other libraries log and warn of, unless --verbosity asks for it."""
    if logging.get_verbosity() > logging.WARNING:
        yield
        return
    handlers = {logging.get_absl_handler(), *standard_logging.getLogger().handlers}
    for handler in handlers:
        handler.addFilter(_is_own)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            for handler in handlers:
                handler.removeFilter(_is_own)


def _is_own(record: standard_logging.LogRecord) -> bool:
    return os.path.abspath(record.pathname).startswith(_LIBRARY)
