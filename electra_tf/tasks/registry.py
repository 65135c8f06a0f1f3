"""From `config.task` to the task it means, and from a task back to what its files have told."""

import dataclasses
import json
import os
from collections.abc import Sequence

from electra_tf.finetune_config import FinetuneConfig, FinetuneDataConfig, TaskConfig
from electra_tf.tasks import glue, sentences, tfds_data
from electra_tf.tasks.finetuning import FinetuningTask
from electra_tf.tasks.question_answering import QuestionAnsweringTask
from electra_tf.tasks.tagging import TaggingTask


def build_task(config: FinetuneConfig) -> FinetuningTask:
    """The task of a config.

    Raises:
        ValueError: the kind or its files do not exist, or they cannot be read.
    """
    task, data = config.task, config.data
    if data.dir.startswith(tfds_data.PREFIX):
        data = dataclasses.replace(data, dir=tfds_data.local_copy(data.dir, task))
    if data.dir and not os.path.isdir(data.dir):
        raise ValueError(f"config.data.dir must be a directory. Received: {data.dir}")
    files = {"data_dir": data.dir, "train_file": data.train_file, "eval_file": data.eval_file,
             "test_file": data.test_file, "max_seq_length": task.max_seq_length}
    labels = parse_labels(task.labels)
    if task.kind == "glue":
        return glue.task(task.name, **files)
    if task.kind == "squad":
        return QuestionAnsweringTask(task.name, version=task.version, doc_stride=task.doc_stride,
                                     max_query_length=task.max_query_length,
                                     null_threshold=task.null_threshold or None, **files)
    if task.kind == "tagging":
        return TaggingTask(task.name, word_column=task.word_column, tag_column=task.tag_column,
                           tags=labels, scheme=task.scheme, **files)
    value_range = (task.low, task.high) if task.low < task.high else None
    return sentences.custom(task.kind, task.name, text_field=task.text_field,
                            pair_field=task.pair_field, label_field=task.label_field,
                            id_field=task.id_field, labels=labels, value_range=value_range,
                            hidden_layer=task.hidden_layer, **files)


def task_of_model(config: FinetuneConfig) -> FinetuningTask:
    """The task of a fine-tuned model's config, without any of the files it was trained on."""
    return build_task(dataclasses.replace(config, data=FinetuneDataConfig()))


def remember(task: FinetuningTask, config: FinetuneConfig) -> None:
    """Puts into a config what the task's training file has told, so that it is needed no more."""
    labels = getattr(task, "tags", None) or getattr(task, "labels", ())
    set_labels(config.task, labels)
    config.task.scheme = getattr(task, "scheme", config.task.scheme)
    if config.task.kind == "regression":
        config.task.low, config.task.high = task.value_range


def set_labels(task: TaskConfig, labels: Sequence[str]) -> None:
    """Writes labels so that `parse_labels` gives them back, whatever characters they hold."""
    task.labels = json.dumps(list(labels)) if labels else ""


def parse_labels(text: str) -> tuple[str, ...]:
    """Names separated by commas, or a JSON list where names hold commas."""
    if text.startswith("["):
        try:
            return tuple(map(str, json.loads(text)))
        except json.JSONDecodeError:
            pass  # a name may begin with a bracket, too
    return tuple(label.strip() for label in text.split(",")) if text else ()
