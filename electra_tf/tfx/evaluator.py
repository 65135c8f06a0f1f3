"""The TFX component that evaluates a pre-trained model on held-out text and blesses it.

TFX's own Evaluator feeds examples to a SavedModel. What says how well pre-training went needs the
objective: masked tokens, the generator's samples, and the discriminator's judgement of them.
"""

import json
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
from electra_tf.checks import between
from electra_tf.files import write_text
from electra_tf.text.vocabulary import Vocabulary
from electra_tf.tfx import parameters
from electra_tf.tfx.parameters import Property
from electra_tf.tfx.working_directory import local_path

PROPERTIES = {
    "min_auc": Property(float, "What the first model's disc_auc must be above.",
                        lambda name, value: between(name, value, 0, 1, closed=(True, True))),
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
    """Calls `electra_tf.evaluation.evaluate` on the model and on the baseline.

    It is an Evaluator's executor because on Vertex AI only after such a one TFX notes in the
    blessing which model it is of, as the resolver of the next run asks for it.
    """

    def Do(self, input_dict: dict[str, list[types.Artifact]],
           output_dict: dict[str, list[types.Artifact]],
           exec_properties: dict[str, Any]) -> None:
        self._log_startup(input_dict, output_dict, exec_properties)
        given = parameters.read(PROPERTIES, exec_properties)
        data_dir = local_path(artifact_utils.get_single_uri(input_dict["examples"]))
        model = artifact_utils.get_single_instance(input_dict["model"])
        baselines = input_dict.get("baseline_model")
        baseline = artifact_utils.get_single_instance(baselines) if baselines else None
        evaluation = local_path(artifact_utils.get_single_uri(output_dict["evaluation"]))

        metrics = _evaluate(model, data_dir, os.path.join(evaluation, "eval.json"))
        former, reason = None, "there is no blessed model before this one"
        if baseline is not None:
            reason = _why_not_comparable(model, baseline, data_dir)
            if reason is None:
                former = _evaluate(baseline, data_dir,
                                   os.path.join(evaluation, "baseline_eval.json"))
        blessed, message = _judge(metrics, former, given.min_auc)
        if reason:
            message = f"{message} ({reason})"
        if not blessed:
            logging.warning("The model is not blessed: %s", message)
        _write_blessing(artifact_utils.get_single_instance(output_dict["blessing"]), model,
                        baseline if former else None, blessed, message)


class HeldOutEvaluator(base_component.BaseComponent):
    """Evaluates as `python -m electra_tf.evaluate` does, and blesses what is better than before.

    A model is blessed if its `disc_auc` is above the baseline's on the same examples; a masked
    language model, if its `masked_lm_loss` is below the baseline's. Without a baseline, or with
    one of another vocabulary, objective or shorter inputs, `disc_auc` must be above `min_auc`, and
    of a masked language model only a loss is asked. Each discriminator is tested on the samples of
    its own generator: between models with generators of different size the AUC says little.

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
        ValueError: an impossible parameter.
    """

    SPEC_CLASS = HeldOutEvaluatorSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(HeldOutEvaluatorExecutor)

    def __init__(self, examples: types.BaseChannel, model: types.BaseChannel,
                 baseline_model: types.BaseChannel | None = None,
                 min_auc: float | RuntimeParameter = 0.5):
        super().__init__(spec=HeldOutEvaluatorSpec(
            examples=examples, model=model, baseline_model=baseline_model,
            evaluation=types.Channel(type=standard_artifacts.ModelEvaluation),
            blessing=types.Channel(type=standard_artifacts.ModelBlessing),
            **parameters.checked(type(self).__name__, PROPERTIES, {"min_auc": min_auc})))


def _evaluate(model: types.Artifact, data_dir: str, output: str) -> dict[str, float]:
    from electra_tf.evaluation import evaluate  # TensorFlow: not to build a pipeline

    return evaluate(local_path(model.uri), data_dir=data_dir, output=output)


def _judge(metrics: dict[str, float], former: dict[str, float] | None, min_auc: float
           ) -> tuple[bool, str]:
    """Whether the model is blessed, and the comparison in words. What is not a number loses."""
    if "disc_auc" in metrics:
        auc = metrics["disc_auc"]
        needed, whose = ((min_auc, "min_auc") if former is None
                         else (former["disc_auc"], "the baseline's"))
        return auc > needed, f"disc_auc must be above {whose} {needed:.5f}. Received: {auc:.5f}"
    loss = metrics["masked_lm_loss"]
    needed = float("inf") if former is None else former["masked_lm_loss"]
    return loss < needed, f"masked_lm_loss must be below {needed:.5f}. Received: {loss:.5f}"


def _why_not_comparable(model: types.Artifact, baseline: types.Artifact, data_dir: str
                        ) -> str | None:
    """Why the same examples say nothing about the baseline; None if they do."""
    own, other = local_path(model.uri), local_path(baseline.uri)
    tokens = [Vocabulary.from_file(os.path.join(path, "vocab.txt")).tokens for path in (own, other)]
    configs = [configuration.load(path) for path in (own, other)]
    with open(os.path.join(data_dir, "dataset.json"), encoding="utf-8") as file:
        seq_length = json.load(file)["seq_length"]
    if tokens[0] != tokens[1]:
        return "the last blessed model has another vocabulary"
    if configs[0].objective.name != configs[1].objective.name:
        return "the last blessed model has another objective"
    if configs[1].model.max_positions < seq_length:
        return f"the last blessed model has no {seq_length} positions"
    return None


def _write_blessing(blessing: types.Artifact, model: types.Artifact,
                    baseline: types.Artifact | None, blessed: bool, message: str) -> None:
    """Files and custom properties by the names that TFX's own components look for."""
    name = constants.BLESSED_FILE_NAME if blessed else constants.NOT_BLESSED_FILE_NAME
    write_text(os.path.join(local_path(blessing.uri), name), "")
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY, int(blessed))
    blessing.set_string_custom_property(constants.ARTIFACT_PROPERTY_BLESSING_MESSAGE_KEY, message)
    blessing.set_string_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_URI_KEY,
                                        model.uri)
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY, model.id)
    if baseline is not None:
        blessing.set_string_custom_property(constants.ARTIFACT_PROPERTY_BASELINE_MODEL_URI_KEY,
                                            baseline.uri)
        blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_BASELINE_MODEL_ID_KEY,
                                         baseline.id)
