"""From `config.task` to the task it means."""

import dataclasses

from electra_tf import file_systems
from electra_tf.config.checks import one_of
from electra_tf.config.finetuning import FinetuneConfig, FinetuneDataConfig, TaskConfig
from electra_tf.errors import UserError
from electra_tf.tasks.base import FinetuningTask
from electra_tf.tasks.readers import tfds
from electra_tf.tasks.readers.tfds_source import PREFIX
from electra_tf.tasks.sentence.classification import ClassificationTask
from electra_tf.tasks.sentence.glue import GlueTask
from electra_tf.tasks.sentence.multi_label import MultiLabelTask
from electra_tf.tasks.sentence.regression import RegressionTask
from electra_tf.tasks.squad.task import QuestionAnsweringTask
from electra_tf.tasks.tagging.task import TaggingTask

# Classes by the names of `config.task.kind`.
KINDS: dict[str, type[FinetuningTask]] = {
    "glue": GlueTask,
    "classification": ClassificationTask,
    "multi_label": MultiLabelTask,
    "regression": RegressionTask,
    "tagging": TaggingTask,
    "squad": QuestionAnsweringTask,
}


def kind_of(task: TaskConfig) -> type[FinetuningTask]:
    """The class of a task; raises UserError if there is no such kind."""
    one_of("config.task.kind", task.kind, KINDS)
    return KINDS[task.kind]


def build_task(config: FinetuneConfig) -> FinetuningTask:
    """The task of a config.

    Raises:
        UserError: the kind or its files do not exist, or they cannot be read.
    """
    kind = kind_of(config.task)
    data = dataclasses.replace(config.data, dir=local_directory(config.data.dir, config.task))
    if data.dir and not file_systems.is_dir(data.dir):
        raise UserError(f"config.data.dir must be a directory. Received: {data.dir}")
    return kind.from_config(config.task, data)


def local_directory(name: str, task: TaskConfig) -> str:
    """Where a task's files are: the name itself, or of `tfds:NAME` the copy of that data set.

    Raises:
        UserError: see `tfds.local_copy`.
    """
    if not name.startswith(PREFIX):
        return name
    kind = kind_of(task)
    return tfds.local_copy(name, lambda data: kind.files_of_data_set(data, task))


def task_of_model(config: FinetuneConfig) -> FinetuningTask:
    """The task of a fine-tuned model's config, without any of the files it was trained on."""
    return build_task(dataclasses.replace(config, data=FinetuneDataConfig()))
