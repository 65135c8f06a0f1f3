"""`run_fn` for TFX's own Trainer, also on Vertex AI: pre-trains or fine-tunes with this library.

    Trainer(run_fn=trainer_module.RUN_FN,
            examples=ElectraExampleGen(…).outputs["examples"],
            train_args=trainer_pb2.TrainArgs(num_steps=1000),
            eval_args=trainer_pb2.EvalArgs(),
            custom_config={"config": config.to_json()})

`custom_config` holds the JSON of an electra_tf.config.Config, or of a FinetuneConfig with examples
of `TaskExampleGen`. A fine-tuning starts from the Model of `base_model`, whose uri is a model
directory, or from the directory that custom_config["init_from"] names. The bundle goes to the
Trainer's output `model`; the model directory, metrics and TensorBoard's files to `model_run`.

What `ElectraPretrainer` and `ElectraFinetuner` have and Trainer has no place for: metrics as
properties of the model, and a separate export.
"""

import json
import os
from collections.abc import Mapping
from typing import Any

from tfx.components.trainer.fn_args_utils import FnArgs

from electra_tf.config import Config
from electra_tf.config.finetuning import FinetuneConfig
from electra_tf.config.json_config import is_finetuning
from electra_tf.errors import UserError
from electra_tf.tfx import parameters
from electra_tf.tfx.components.exporter import export
from electra_tf.tfx.components.task_examples import FILES
from electra_tf.tfx.components.working_directory import (
    local_path,
    publish,
    what_is_trained,
    working_directory,
)
from electra_tf.tfx.parameters import Property

RUN_FN = f"{__name__}.run_fn"


def run_fn(fn_args: FnArgs) -> None:
    """What Trainer calls. Continues a run that was killed, as `ElectraPretrainer` does.

    Args:
        fn_args: read are train_files, train_steps (in pre-training, in place of
            config.train.num_steps), custom_config, base_model, model_run_dir, serving_model_dir.

    Raises:
        UserError: an impossible config or data.
    """
    given = _read(fn_args.custom_config or {})
    config, data_dir = given.config, _data_dir(fn_args.train_files)
    finetunes = isinstance(config, FinetuneConfig)
    if not finetunes:
        config.train.num_steps = fn_args.train_steps or config.train.num_steps
    elif fn_args.train_steps:
        raise UserError(
            "train_args.num_steps must be 0 in fine-tuning, whose length is "
            f"config.train.num_epochs. Received: {fn_args.train_steps}"
        )
    start = given.init_from or config.init_from
    if not start and fn_args.base_model:
        start = os.path.dirname(local_path(fn_args.base_model))  # Trainer adds Format-Serving
    identity = {"config": what_is_trained(config), "data": data_dir, "start": start}
    config.data.dir = os.path.join(data_dir, FILES) if finetunes else data_dir
    config.init_from = start
    model_run = local_path(fn_args.model_run_dir)
    with working_directory("Trainer", model_run, identity) as workdir:
        _train(config, workdir)
        publish(workdir, os.listdir(workdir), model_run)
        export(model_run, local_path(fn_args.serving_model_dir))


def _read(custom_config: Mapping[str, Any]):
    """The config, of either kind, and init_from."""
    text = custom_config.get("config")
    if not isinstance(text, str):
        raise UserError(
            'custom_config["config"] must be the JSON of a Config or a '
            f"FinetuneConfig. Received: {text!r}"
        )
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        fields = None  # `read` says what is wrong
    kind = FinetuneConfig if isinstance(fields, dict) and is_finetuning(fields) else Config
    return parameters.read(
        {
            "config": Property(kind, "The experiment, without its data."),
            "init_from": Property(str, "Model directory to start from.", optional=True),
        },
        custom_config,
    )


def _data_dir(patterns: list[str]) -> str:
    """The uri of the Examples, from `URI/Split-train/*`."""
    if len(patterns) != 1:
        raise UserError(
            "Examples must be one artifact with one training split. "
            f"Received: {', '.join(patterns)}"
        )
    return local_path(os.path.dirname(os.path.dirname(patterns[0])))


def _train(config: Config | FinetuneConfig, workdir: str) -> None:
    if isinstance(config, FinetuneConfig):
        from electra_tf.runs.finetuning import finetune  # TensorFlow: not to build a pipeline

        finetune(config, workdir)
    else:
        from electra_tf.runs.pretraining import pretrain

        pretrain(config, workdir)
