"""The TFX component that evaluates a pre-trained model on held-out text and blesses it.

TFX's own Evaluator feeds examples to a SavedModel. What says how well pre-training went needs the
objective: masked tokens, the generator's samples, and the discriminator's judgement of them.
"""

import os
from typing import Any

from absl import logging
from tfx import types
from tfx.components.evaluator import constants
from tfx.components.evaluator import executor as tfx_evaluator
from tfx.dsl.components.base import base_component, executor_spec
from tfx.orchestration.data_types import RuntimeParameter
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec
from tfx.types.system_executions import Evaluate

from electra_tf import config as configuration
from electra_tf.config.checks import between
from electra_tf.files import write_text
from electra_tf.json_files import read_json
from electra_tf.objectives import objective_class
from electra_tf.text import tokenization
from electra_tf.tfx import parameters
from electra_tf.tfx.components.working_directory import local_path
from electra_tf.tfx.parameters import Property

PROPERTIES = {
    "min_auc": Property(
        float,
        "What the first model's disc_auc must be above.",
        lambda name, value: between(name, value, 0, 1, closed=(True, True)),
    ),
}


class HeldOutEvaluatorSpec(ComponentSpec):
    """Inputs, outputs and parameters of `HeldOutEvaluator`."""

    PARAMETERS = parameters.specification(PROPERTIES)
    INPUTS = {
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "model": ChannelParameter(type=standard_artifacts.Model),
        "baseline_model": ChannelParameter(type=standard_artifacts.Model, optional=True),
    }
    OUTPUTS = {
        "evaluation": ChannelParameter(type=standard_artifacts.ModelEvaluation),
        "blessing": ChannelParameter(type=standard_artifacts.ModelBlessing),
    }
    TYPE_ANNOTATION = Evaluate


class HeldOutEvaluatorExecutor(tfx_evaluator.Executor):
    """Calls `electra_tf.runs.evaluation.evaluate` on the model and on the baseline.

    It is an Evaluator's executor because on Vertex AI only after such a one TFX notes in the
    blessing which model it is of, as the resolver of the next run asks for it.
    """

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        self._log_startup(input_dict, output_dict, exec_properties)
        given = parameters.read(PROPERTIES, exec_properties)
        data_dir = local_path(artifact_utils.get_single_uri(input_dict["examples"]))
        model = artifact_utils.get_single_instance(input_dict["model"])
        baselines = input_dict.get("baseline_model")
        baseline = artifact_utils.get_single_instance(baselines) if baselines else None
        evaluation = local_path(artifact_utils.get_single_uri(output_dict["evaluation"]))

        metrics = _evaluate(model, data_dir, os.path.join(evaluation, "eval.json"))
        former, reason = None, "there is no blessed model before this one to compare with"
        if baseline is not None:
            reason = _why_not_comparable(model, baseline, data_dir)
            if reason is None:
                former = _evaluate(
                    baseline, data_dir, os.path.join(evaluation, "baseline_eval.json")
                )
        blessed, message = _judge(local_path(model.uri), metrics, former, given.min_auc)
        if reason:
            message = f"{message} ({reason})"
        if not blessed:
            logging.warning("The model is not blessed: %s", message)
        _write_blessing(
            artifact_utils.get_single_instance(output_dict["blessing"]),
            model,
            baseline if former else None,
            blessed,
            message,
        )


class HeldOutEvaluator(base_component.BaseComponent):
    """Evaluates as `electra_tf evaluate` does, and blesses what is better than before.

    A model is blessed if the main metric of its objective is better than the baseline's on the same
    examples: `disc_auc` above it, of a masked language model `masked_lm_loss` below it. Without a
    baseline, or with one of another vocabulary, objective or shorter inputs, `disc_auc` must be
    above `min_auc`, and of a masked language model only a loss is asked. Each discriminator is
    tested on the samples of its own generator: between models with generators of different size
    the AUC says little.

    Args:
        examples: channel of `ElectraExampleGen`'s output; its split `eval` is used.
        model: channel of `ElectraPretrainer`'s output.
        baseline_model: channel of a Resolver's output, the last blessed model; None or empty for
            none.
        min_auc: may be a RuntimeParameter.

    Outputs:
        evaluation: ModelEvaluation with eval.json and, if there is a baseline, baseline_eval.json.
        blessing: ModelBlessing as TFX's Evaluator writes it, for Pusher and resolvers.

    Raises:
        UserError: an impossible parameter.
    """

    SPEC_CLASS = HeldOutEvaluatorSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(HeldOutEvaluatorExecutor)

    def __init__(
        self,
        examples: types.BaseChannel,
        model: types.BaseChannel,
        baseline_model: types.BaseChannel | None = None,
        min_auc: float | RuntimeParameter = 0.5,
    ):
        super().__init__(
            spec=HeldOutEvaluatorSpec(
                examples=examples,
                model=model,
                baseline_model=baseline_model,
                evaluation=types.Channel(type=standard_artifacts.ModelEvaluation),
                blessing=types.Channel(type=standard_artifacts.ModelBlessing),
                **parameters.checked(type(self).__name__, PROPERTIES, {"min_auc": min_auc}),
            )
        )


def _evaluate(model: types.Artifact, data_dir: str, output: str) -> dict[str, float]:
    from electra_tf.runs.evaluation import evaluate  # TensorFlow: not to build a pipeline

    return evaluate(local_path(model.uri), data_dir=data_dir, output=output)


def _judge(
    workdir: str, metrics: dict[str, float], former: dict[str, float] | None, min_auc: float
) -> tuple[bool, str]:
    """Whether the model is blessed, and the comparison in words. What is not a number loses."""
    main = objective_class(configuration.load(workdir)).main_metric
    value = metrics[main.name]
    if main.is_loss:
        needed = float("inf") if former is None else former[main.name]
        return value < needed, f"{main.name} must be below {needed:.5f}. Received: {value:.5f}"
    needed, whose = (
        (min_auc, "min_auc") if former is None else (former[main.name], "the baseline's")
    )
    return value > needed, f"{main.name} must be above {whose} {needed:.5f}. Received: {value:.5f}"


def _why_not_comparable(
    model: types.Artifact, baseline: types.Artifact, data_dir: str
) -> str | None:
    """Why the same examples say nothing about the baseline; None if they do."""
    own, other = local_path(model.uri), local_path(baseline.uri)
    configs = [configuration.load(path) for path in (own, other)]
    fingerprints = [
        tokenization.fingerprint_of(path, config.data)
        for path, config in zip((own, other), configs)
    ]
    seq_length = read_json(os.path.join(data_dir, "dataset.json"))["seq_length"]
    if fingerprints[0] != fingerprints[1]:
        return "the last blessed model has another vocabulary or other tokenizer settings"
    if configs[0].objective.name != configs[1].objective.name:
        return "the last blessed model has another objective"
    if configs[0].objective.generator != configs[1].objective.generator:
        return "the last blessed model has another kind of generator"
    if configs[1].model.max_positions < seq_length:
        return f"the last blessed model has no {seq_length} positions"
    return None


def _write_blessing(
    blessing: types.Artifact,
    model: types.Artifact,
    baseline: types.Artifact | None,
    blessed: bool,
    message: str,
) -> None:
    """Files and custom properties by the names that TFX's own components look for."""
    name = constants.BLESSED_FILE_NAME if blessed else constants.NOT_BLESSED_FILE_NAME
    write_text(os.path.join(local_path(blessing.uri), name), "")
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY, int(blessed))
    blessing.set_string_custom_property(constants.ARTIFACT_PROPERTY_BLESSING_MESSAGE_KEY, message)
    blessing.set_string_custom_property(
        constants.ARTIFACT_PROPERTY_CURRENT_MODEL_URI_KEY, model.uri
    )
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY, model.id)
    if baseline is not None:
        blessing.set_string_custom_property(
            constants.ARTIFACT_PROPERTY_BASELINE_MODEL_URI_KEY, baseline.uri
        )
        blessing.set_int_custom_property(
            constants.ARTIFACT_PROPERTY_BASELINE_MODEL_ID_KEY, baseline.id
        )
