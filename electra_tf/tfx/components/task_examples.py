"""The TFX component that turns a task's files into Examples, for fine-tuning and for evaluation.

Its output holds the same sentences twice, because two readers need them:

    URI/files/train.tsv, dev.tsv, …     the original files, for `runs.finetuning.finetune`
    URI/Split-train/, Split-eval/       tf.Examples as the signature `classify` parses them, for
                                        TFX's statistics, validation and Evaluator
"""

import hashlib
import os
import shutil
from typing import Any

from tfx import types
from tfx.components.example_gen.utils import PAYLOAD_FORMAT_PROPERTY_NAME
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.orchestration.data_types import RuntimeParameter
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec
from tfx.types.system_executions import Process

from electra_tf.config.checks import one_of
from electra_tf.config.finetuning import FinetuneConfig
from electra_tf.errors import UserError
from electra_tf.tfx import parameters
from electra_tf.tfx.components.working_directory import local_path
from electra_tf.tfx.parameters import Property

FILES = "files"
LABEL, ID = "label", "id"  # features beside the task's texts
SPLITS = ("train", "eval")
_SHARD = "data_tfrecord-00000-of-00001.gz"
_READ = ("kind", "name", "text_field", "pair_field", "label_field", "id_field", "labels")
_GIVEN = ("train_file", "eval_file", "test_file")


def check_config(name: str, config: FinetuneConfig) -> None:
    """Raises UserError for a task without `classify`, and for places that the pipeline gives."""
    from electra_tf.tasks import registry  # TensorFlow: not on import

    with_classes = [kind for kind, task in registry.KINDS.items() if task.has_classes]
    one_of(f"{name}.task.kind", config.task.kind, with_classes)
    if not registry.task_of_model(config).has_classes:
        raise UserError(
            f"{name}.task.name must be a task with classes: TFX's Evaluator judges"
            f" by accuracy here. Received: {config.task.name}"
        )
    for field, value in (("data.dir", config.data.dir), ("init_from", config.init_from)):
        if value:
            raise UserError(
                f"{name}.{field} must be empty: data and pre-trained model come from "
                f"other components. Received: {value}"
            )
    for field in _GIVEN:
        if os.path.basename(getattr(config.data, field)) != getattr(config.data, field):
            raise UserError(
                f"{name}.data.{field} must be the name of a file in the data "
                f"directory. Received: {getattr(config.data, field)}"
            )


def what_is_read(component: str, config: FinetuneConfig | str) -> FinetuneConfig:
    """Of a config only what says how files are read: other changes need no new Examples.

    Raises:
        UserError: an impossible config; names the component.
    """
    text = parameters.checked(component, {"config": PROPERTIES["config"]}, {"config": config})
    given, read = FinetuneConfig.from_json(text["config"]), FinetuneConfig()
    for field in _READ:
        setattr(read.task, field, getattr(given.task, field))
    for field in _GIVEN:
        setattr(read.data, field, getattr(given.data, field))
    return read


PROPERTIES = {
    "config": Property(
        FinetuneConfig, "The fine-tuning; its task and names of files are used.", check_config
    ),
    "data_dir": Property(str, "Directory of the task's files, or tfds:NAME."),
    "input_fingerprint": Property(
        str, "Of the files, so that changed ones are read again.", optional=True
    ),
}


class TaskExampleGenSpec(ComponentSpec):
    """Output and parameters of `TaskExampleGen`."""

    PARAMETERS = parameters.specification(PROPERTIES)
    INPUTS = {}
    OUTPUTS = {"examples": ChannelParameter(type=standard_artifacts.Examples)}
    TYPE_ANNOTATION = Process


class TaskExampleGenExecutor(base_executor.BaseExecutor):
    """Reads through the task registry, as fine-tuning does."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        from electra_tf.tasks import registry  # TensorFlow: not to build a pipeline

        self._log_startup(input_dict, output_dict, exec_properties)
        given = parameters.read(PROPERTIES, exec_properties)
        examples = artifact_utils.get_single_instance(output_dict["examples"])
        config, directory = given.config, local_path(examples.uri)
        config.data.dir = os.path.join(directory, FILES)
        os.makedirs(config.data.dir)
        for path in files_of(given.config, local_path(given.data_dir)):
            shutil.copy(path, config.data.dir)
        task = registry.build_task(config)
        held_out = [split for split in task.splits if split.startswith("dev")]
        if not held_out:
            raise UserError(
                "A task must have a dev file to evaluate on; config.data.eval_file "
                f"names it. Received: {given.data_dir} without one"
            )
        for name, split in zip(SPLITS, ("train", held_out[0])):
            number = _write(task, task.read(split), os.path.join(directory, f"Split-{name}"))
            examples.set_int_custom_property(f"{name}_examples", number)
        examples.splits = list(SPLITS)
        examples.span = examples.version = 0
        examples.set_string_custom_property(PAYLOAD_FORMAT_PROPERTY_NAME, "FORMAT_TF_EXAMPLE")


class TaskExampleGen(base_component.BaseComponent):
    """Reads a classification task's files, as `electra_tf finetune` does.

    Args:
        config: an electra_tf.config.finetuning.FinetuneConfig, or its JSON, of kind classification
            or of a GLUE task with classes; data.dir and init_from are empty.
        data_dir: directory of the task's files in their original layout, or tfds:NAME; may be a
            RuntimeParameter.
        input_fingerprint: what `files_fingerprint` returns where the files can be read while the
            pipeline is built. TFX answers an unchanged component from its cache, and knows the
            name of the directory only.

    Outputs:
        examples: Examples. The split `train` has the training file's examples, `eval` the dev
            file's (MNLI's matched ones): the task's text fields, `label` and `id`, one string
            each.

    Raises:
        UserError: an impossible parameter.
    """

    SPEC_CLASS = TaskExampleGenSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(TaskExampleGenExecutor)

    def __init__(
        self,
        config: FinetuneConfig | str,
        data_dir: str | RuntimeParameter,
        input_fingerprint: str | None = None,
    ):
        super().__init__(
            spec=TaskExampleGenSpec(
                examples=types.Channel(type=standard_artifacts.Examples),
                **parameters.checked(
                    type(self).__name__,
                    PROPERTIES,
                    {
                        "config": what_is_read(type(self).__name__, config),
                        "data_dir": data_dir,
                        "input_fingerprint": input_fingerprint,
                    },
                ),
            )
        )


def files_of(config: FinetuneConfig, data_dir: str) -> list[str]:
    """Paths of all files in a directory that the task of a config may read.

    Raises:
        UserError: there is no such directory, or a file that the config names is not there.
    """
    from electra_tf.tasks import registry  # TensorFlow: not to build a pipeline
    from electra_tf.tasks.readers import tables
    from electra_tf.tasks.sentence.task import SentenceTask

    data_dir = registry.local_directory(data_dir, config.task)
    if not os.path.isdir(data_dir):
        raise UserError(f"The data must be a directory. Received: {data_dir or 'nothing'}")
    given = [[name] for name in (getattr(config.data, field) for field in _GIVEN) if name]
    found = [tables.require(data_dir, names, "The task's file") for names in given]
    task = registry.task_of_model(config)
    assert isinstance(task, SentenceTask), "only these have classes"
    found += [tables.find(data_dir, names) for names in task.usual_files]
    return sorted({path for path in found if path is not None})


def files_fingerprint(config: FinetuneConfig, data_dir: str) -> str:
    """A digest of the names and the content of what a TaskExampleGen reads.

    Raises:
        UserError: as `files_of`, or an impossible config; names the component.
    """
    config, digest = what_is_read("TaskExampleGen", config), hashlib.sha256()
    try:
        for path in files_of(config, data_dir):
            with open(path, "rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
            digest.update(f"{os.path.basename(path)} {content}\n".encode())
    except UserError as error:
        raise UserError(f"TaskExampleGen: {error}") from error
    return digest.hexdigest()[:32]


def _write(task, sentences, folder: str) -> int:
    """Writes a split's tf.Examples; returns their number."""
    import tensorflow as tf

    os.mkdir(folder)
    columns = dict(zip(task.text_fields, (sentences.texts, sentences.pairs)))
    clash = {LABEL, ID} & columns.keys()
    if clash:
        raise UserError(
            f"A text's field must not be called {LABEL} or {ID}. Received: {', '.join(clash)}"
        )
    columns |= {
        LABEL: [task.labels[number] for number in sentences.labels],
        ID: [str(identity) for identity in sentences.ids],
    }
    with tf.io.TFRecordWriter(os.path.join(folder, _SHARD), "GZIP") as writer:
        for row in zip(*columns.values()):
            features = {
                name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.encode()]))
                for name, value in zip(columns, row)
            }
            writer.write(
                tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
            )
    return len(sentences)
