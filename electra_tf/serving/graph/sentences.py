"""A fine-tuned sentence model as a serving graph: one or two texts in; labels or a number out."""

import tensorflow as tf

from electra_tf.models.finetuned import Finetuned
from electra_tf.serving.graph.long_texts import shorten
from electra_tf.serving.graph.network import outputs_function
from electra_tf.tasks.sentences import SentenceTask
from electra_tf.text.wordpiece import Tokenizer

INPUTS = ("text", "text_pair")


class SentencePredictor(tf.Module):
    """Predicts as `electra_tf.predict` does, for any bytes.

    Invalid UTF-8 is dropped before anything else, a longer text is cut, and an empty batch gives
    empty tensors. All inputs and outputs are dense.

    Args:
        task: its labels, its text fields and its longest row.
        model: with the task's head, in float32.
        tokenizer: of the vocabulary the model was trained with.
    """

    def __init__(self, task: SentenceTask, model: Finetuned, tokenizer: Tokenizer):
        super().__init__(name="sentence_predictor")
        # Keras layers and the tokenizer stay in closures, see `ReplacedTokenDetector`.
        outputs_of, kind, labels = outputs_function(task, model), task.kind, list(task.labels)

        def outputs_for(texts):
            texts = [shorten(part, tokenizer.ids, task.max_seq_length) for part in texts]
            return outputs_of(tokenizer.batch(*texts, max_seq_length=task.max_seq_length))

        def predict(*texts):
            if kind == "regression":
                return {"score": outputs_for(texts)["scores"][:, 0]}
            probabilities = outputs_for(texts)["probabilities"]
            answer = {"labels": _in_every_row(labels, probabilities),
                      "probabilities": probabilities}
            if kind == "multi_label":
                return answer | {"chosen": tf.cast(probabilities >= 0.5, tf.int32)}
            best = tf.argmax(probabilities, axis=-1)
            return answer | {"label": tf.gather(tf.constant(labels), best),
                             "score": tf.reduce_max(probabilities, axis=-1)}

        def predict_examples(inputs):
            fields = {name: tf.io.FixedLenFeature([], tf.string) for name in task.text_fields}
            parsed = tf.io.parse_example(inputs, fields)
            outputs = outputs_for([parsed[name] for name in task.text_fields])
            if kind == "regression":
                return {"outputs": outputs["scores"]}
            probabilities = outputs["probabilities"]
            return {"classes": _in_every_row(labels, probabilities), "scores": probabilities}

        self._text_fields = tuple(task.text_fields)
        self._examples_signature = "regress" if kind == "regression" else "classify"
        self.weights = [variable.value for variable in model.trainable_variables]
        self.predict = tf.function(predict, autograph=False, input_signature=[
            tf.TensorSpec([None], tf.string, name) for name, _ in zip(INPUTS, task.text_fields)])
        self.predict_examples = tf.function(predict_examples, autograph=False, input_signature=[
            tf.TensorSpec([None], tf.string, "inputs")])

    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """Signatures of the SavedModel by name.

        `serving_default`: `text` and, where the task has pairs, `text_pair`, string [B], to

        | kind           | outputs                                                             |
        | -------------- | ------------------------------------------------------------------- |
        | classification | `label` string [B], `score` float32 [B], its probability;           |
        |                | `labels` string [B, C], `probabilities` float32 [B, C]              |
        | multi_label    | `labels`, `probabilities` as above; `chosen` int32 [B, C], 1 where  |
        |                | the probability is at least 0.5                                     |
        | regression     | `score` float32 [B] in the units of the training labels             |

        `labels` are all labels in the order of the probabilities, the same in every row.

        `classify`, or `regress` in regression, for the RPCs and URLs of that name: `inputs`
        string [B], serialized tf.Examples with the task's text fields, to `classes` string
        [B, C] and `scores` float32 [B, C], or to `outputs` float32 [B, 1].
        """
        return {"serving_default": self.predict.get_concrete_function(),
                self._examples_signature: self.predict_examples.get_concrete_function()}

    def warmup_inputs(self, texts: list[str]) -> dict[str, dict | list[tf.train.Example]]:
        """Inputs of every signature for a warm-up with these texts; examples for the RPCs."""
        columns = [texts, texts[::-1]][:len(self._text_fields)]
        examples = [tf.train.Example(features=tf.train.Features(feature={
            field: tf.train.Feature(bytes_list=tf.train.BytesList(value=[text.encode()]))
            for field, text in zip(self._text_fields, row)})) for row in zip(*columns)]
        return {"serving_default": dict(zip(INPUTS, columns)), self._examples_signature: examples}


def _in_every_row(labels: list[str], probabilities: tf.Tensor) -> tf.Tensor:
    return tf.broadcast_to(tf.constant(labels), tf.shape(probabilities))
