"""TensorBoard's event files: numbers, texts and histograms by step."""

import os
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.plugins.histogram import metadata as histograms
from tensorboard.plugins.text.summary_v2 import text_pb
from tensorboard.util.tensor_util import make_tensor_proto

from electra_tf import file_systems
from electra_tf.objectives.counts import Histogram

Content = float | str | Histogram  # a text is Markdown


class Board:
    """An event file. tf.summary cannot write the mark that starts a session.

    Args:
        directory: what TensorBoard calls a run; each `Board` adds a file.
        step: TensorBoard forgets what former files say of later steps.
    """

    def __init__(self, directory: str, step: int = 0):
        file_systems.make_dirs(directory)
        now = time.time()
        self._writer = tf.io.TFRecordWriter(
            os.path.join(directory, f"events.out.tfevents.{now:017.6f}.electra_tf")
        )
        session = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        self._add(wall_time=now, file_version="brain.Event:2")
        self._add(wall_time=now, step=step + 1, session_log=session)

    def write(self, step: int, contents: Mapping[str, Content]) -> None:
        """Writes contents by their tags, all of them in one record."""
        summary = summary_pb2.Summary()
        for tag, content in contents.items():
            summary.MergeFrom(_summary(tag, content))
        self.write_summary(step, summary)

    def write_summary(self, step: int, summary: Any) -> None:
        """Writes what one of TensorBoard's plug-ins has made, TensorFlow's class or its own."""
        own = summary_pb2.Summary.FromString(summary.SerializeToString())
        self._add(wall_time=time.time(), step=step, summary=own)
        self._writer.flush()

    def close(self) -> None:
        """Closes the file."""
        self._writer.close()

    def _add(self, **fields):
        self._writer.write(event_pb2.Event(**fields).SerializeToString())


def _summary(tag: str, content: Content) -> summary_pb2.Summary:
    if isinstance(content, str):
        return text_pb(tag, content)
    if isinstance(content, Histogram):
        buckets = np.stack([content.edges[:-1], content.edges[1:], content.numbers], axis=1)
        value = summary_pb2.Summary.Value(
            tag=tag,
            metadata=histograms.create_summary_metadata(display_name=None, description=None),
            tensor=make_tensor_proto(buckets, dtype=np.float64),
        )
    else:
        value = summary_pb2.Summary.Value(tag=tag, simple_value=content)
    return summary_pb2.Summary(value=[value])
