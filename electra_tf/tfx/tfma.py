"""What TFX's Evaluator measures on the signature `classify`, and when it blesses a model.

The signature answers `classes` string [B, C], the same labels in every row, and `scores` float32
[B, C]. TensorFlow Model Analysis takes exactly these two names for a vocabulary of labels and their
probabilities, so labels stay the strings of the task's files.
"""

import functools
import json
from collections.abc import Callable, Sequence
from typing import Any

from tensorflow_model_analysis.proto import config_pb2

from electra_tf.tfx.components.task_examples import LABEL

MODULE = __name__  # for `Evaluator(module_path=…)`
SIGNATURE = "classify"


def eval_config(
    labels: Sequence[str], min_accuracy: float = 0.0, min_change: float = 0.0
) -> config_pb2.EvalConfig:
    """The configuration of an Evaluator for a classification task.

    Metrics have the names of `electra_tf.tasks.sentence.metrics` where they are the same:

    | metric        | what it is                                                     | for         |
    | ------------- | -------------------------------------------------------------- | ----------- |
    | example_count |                                                                | all tasks   |
    | accuracy      | share of examples whose likeliest label is the right one       | all tasks   |
    | log_loss      | cross-entropy of the probabilities, in nats                    | all tasks   |
    | matthews      | Matthews correlation, of the second label                      | two labels  |
    | f1            | F1 of the second label                                         | two labels  |
    | auc           | area under the ROC curve of the second label                   | two labels  |

    and a confusion matrix as a plot.

    Args:
        labels: the task's, in the order of the head's outputs; only their number matters. Empty
            where it is not known yet: no metrics for two labels then.
        min_accuracy: a model is blessed if its accuracy is at least this,
        min_change: and at least this much above the baseline's, if there is a baseline.
    """
    overall = config_pb2.MetricsSpec()
    _add(overall, "ExampleCount", "example_count")
    _add(overall, "SparseCategoricalCrossentropy", "log_loss")
    _add(overall, "MultiClassConfusionMatrixPlot", "confusion")
    # Each example has one label and one likeliest class: precision over these is the accuracy. It
    # is computed from whole numbers, Keras's own in float32, in which 0.65 is below 0.65.
    likeliest = config_pb2.MetricsSpec()
    likeliest.binarize.top_k_list.values.append(1)
    accuracy = _add(likeliest, "Precision", "accuracy")
    accuracy.threshold.value_threshold.lower_bound.value = min_accuracy
    accuracy.threshold.change_threshold.direction = config_pb2.MetricDirection.HIGHER_IS_BETTER
    accuracy.threshold.change_threshold.absolute.value = min_change
    specs = [overall, likeliest]
    if len(labels) == 2:
        second = config_pb2.MetricsSpec()
        second.binarize.class_ids.values.append(1)
        for kind, name in (
            ("MatthewsCorrelationCoefficient", "matthews"),
            ("F1Score", "f1"),
            ("AUC", "auc"),
        ):
            _add(second, kind, name)
        specs.append(second)
    return config_pb2.EvalConfig(
        model_specs=[config_pb2.ModelSpec(signature_name=SIGNATURE, label_key=LABEL)],
        slicing_specs=[config_pb2.SlicingSpec()],
        metrics_specs=specs,
    )


def custom_eval_shared_model(**arguments: Any):
    """What Evaluator calls, by this name, to load a model.

    The graph tokenizes: whichever process loads it must know the ops of tensorflow_text, this one
    as well as Apache Beam's workers.
    """
    import tensorflow_model_analysis as tfma  # with Beam: not to build a pipeline

    shared = tfma.default_eval_shared_model(**arguments)
    loader = shared.model_loader
    return shared._replace(
        model_loader=tfma.ModelLoader(
            functools.partial(_construct, loader.construct_fn), loader.tags
        )
    )


def overall_metrics(evaluation: str) -> dict[str, float]:
    """The metrics over all examples that an Evaluator has written; NaN where one is undefined.

    Args:
        evaluation: uri of its output of that name.
    """
    import tensorflow_model_analysis as tfma

    ((_, outputs),) = tfma.load_eval_result(evaluation).slicing_metrics
    return {
        name: float(value["doubleValue"])
        for by_class in outputs.values()
        for metrics in by_class.values()
        for name, value in metrics.items()
        if "doubleValue" in value
    }


def _construct(construct: Callable[[], Any]):
    import tensorflow_text  # noqa: F401 (registers the tokenizer's ops)

    return construct()


def _add(spec: config_pb2.MetricsSpec, class_name: str, name: str) -> config_pb2.MetricConfig:
    return spec.metrics.add(class_name=class_name, config=json.dumps({"name": name}))
