"""Fine-tuned sentence models as serving graphs: one or two texts in; labels or a number out."""

import abc
from typing import ClassVar

import tensorflow as tf

from electra_tf.models.finetuned import Finetuned
from electra_tf.serving.graph.input_checks import fitting
from electra_tf.serving.graph.long_texts import shorten
from electra_tf.serving.graph.network import graph_outputs
from electra_tf.serving.graph.servable import Servable
from electra_tf.tasks.sentence.multi_label import THRESHOLD
from electra_tf.tasks.sentence.task import SentenceTask
from electra_tf.text.tokenizer import Tokenizer

INPUTS = ("text", "text_pair")


class SentencePredictor(Servable):
    """What all sentence models share; a longer text is cut.

    `serving_default` takes `text` and, where the task has pairs, `text_pair`, string [B].
    `examples_signature`, for the RPC and URL of that name, takes `inputs` string [B], serialized
    tf.Examples with the task's text fields.

    Attributes:
        examples_signature: classify or regress.
    """

    examples_signature: ClassVar[str]

    def __init__(self, task: SentenceTask, model: Finetuned, tokenizer: Tokenizer):
        super().__init__(task, model, tokenizer)
        # Keras layers and the tokenizer stay in closures, see `PretrainedNetwork`.
        outputs_of, labels = graph_outputs(task, model), list(task.labels)

        def outputs_for(texts):
            texts = [shorten(part, tokenizer, task.max_seq_length) for part in texts]
            return outputs_of(tokenizer.batch(*texts, max_seq_length=task.max_seq_length))

        def predict(*texts):
            texts = fitting(rank=1, **dict(zip(INPUTS, texts)))
            return self.answer(outputs_for(texts), labels)

        def predict_examples(inputs):
            [inputs] = fitting(rank=1, inputs=inputs)
            fields = {name: tf.io.FixedLenFeature([], tf.string) for name in task.text_fields}
            parsed = tf.io.parse_example(inputs, fields)
            outputs = outputs_for([parsed[name] for name in task.text_fields])
            return self.answer_examples(outputs, labels)

        self._text_fields = tuple(task.text_fields)
        self.predict = tf.function(
            predict,
            autograph=False,
            input_signature=[
                tf.TensorSpec([None], tf.string, name) for name, _ in zip(INPUTS, task.text_fields)
            ],
        )
        self.predict_examples = tf.function(
            predict_examples,
            autograph=False,
            input_signature=[tf.TensorSpec([None], tf.string, "inputs")],
        )

    @staticmethod
    @abc.abstractmethod
    def answer(outputs: dict[str, tf.Tensor], labels: list[str]) -> dict[str, tf.Tensor]:
        """Outputs of `serving_default`, from the task's; `labels` are the task's."""

    @staticmethod
    @abc.abstractmethod
    def answer_examples(outputs: dict[str, tf.Tensor], labels: list[str]) -> dict[str, tf.Tensor]:
        """Outputs of `examples_signature`, by the names that its RPC asks for."""

    def signatures(self):
        return {
            "serving_default": self.predict.get_concrete_function(),
            self.examples_signature: self.predict_examples.get_concrete_function(),
        }

    def warmup_inputs(self, texts):
        columns = [texts, texts[::-1]][: len(self._text_fields)]
        examples = [
            tf.train.Example(
                features=tf.train.Features(
                    feature={
                        field: tf.train.Feature(
                            bytes_list=tf.train.BytesList(value=[text.encode()])
                        )
                        for field, text in zip(self._text_fields, row)
                    }
                )
            )
            for row in zip(*columns)
        ]
        return {"serving_default": dict(zip(INPUTS, columns)), self.examples_signature: examples}


class Scorer(SentencePredictor):
    """A number.

    | signature         | outputs                                                    |
    | ----------------- | ---------------------------------------------------------- |
    | `serving_default` | `score` float32 [B], in the units of the training labels   |
    | `regress`         | `outputs` float32 [B, 1], the same                         |
    """

    examples_signature = "regress"

    @staticmethod
    def answer(outputs, labels):
        return {"score": outputs["scores"][:, 0]}

    @staticmethod
    def answer_examples(outputs, labels):
        return {"outputs": outputs["scores"]}

    @staticmethod
    def comparisons(answers, expected):
        yield "score", answers["score"], expected.outputs["scores"][:, 0]


class _LabelPredictor(SentencePredictor):
    """A probability for each label.

    `labels` are all of them in the order of the probabilities, the same in every row.

    | signature         | outputs                                                           |
    | ----------------- | ----------------------------------------------------------------- |
    | `serving_default` | `labels` string [B, C], `probabilities` float32 [B, C], and more  |
    | `classify`        | `classes` string [B, C], `scores` float32 [B, C]: the same        |
    """

    examples_signature = "classify"

    @staticmethod
    def answer(outputs, labels):
        probabilities = outputs["probabilities"]
        return {"labels": _in_every_row(labels, probabilities), "probabilities": probabilities}

    @staticmethod
    def answer_examples(outputs, labels):
        probabilities = outputs["probabilities"]
        return {"classes": _in_every_row(labels, probabilities), "scores": probabilities}

    @staticmethod
    def comparisons(answers, expected):
        yield "probabilities", answers["probabilities"], expected.outputs["probabilities"]

    @staticmethod
    def ids_network(task: SentenceTask, model):
        return SentencePredictor.ids_network(task, model)[0], task.labels


class Classifier(_LabelPredictor):
    """One label: `label` string [B] and `score` float32 [B], its probability, come beside."""

    @staticmethod
    def answer(outputs, labels):
        probabilities = outputs["probabilities"]
        best = tf.argmax(probabilities, axis=-1)
        return _LabelPredictor.answer(outputs, labels) | {
            "label": tf.gather(tf.constant(labels), best),
            "score": tf.reduce_max(probabilities, axis=-1),
        }


class MultiLabelClassifier(_LabelPredictor):
    """Any number of labels: `chosen` int32 [B, C], 1 where one is predicted, comes beside."""

    @staticmethod
    def answer(outputs, labels):
        chosen = tf.cast(outputs["probabilities"] >= THRESHOLD, tf.int32)
        return _LabelPredictor.answer(outputs, labels) | {"chosen": chosen}


def _in_every_row(labels: list[str], probabilities: tf.Tensor) -> tf.Tensor:
    return tf.broadcast_to(tf.constant(labels), tf.shape(probabilities))
