"""A pre-trained discriminator as a serving graph: text in, a probability for every token out.

The graph holds its tokenizer and runs where only TensorFlow's and tensorflow-text's ops are
known; nothing of Keras or of this library is needed to load or call it.
"""

import os

import tensorflow as tf

from electra_tf import config as configuration
from electra_tf.models.electra import Electra
from electra_tf.text.wordpiece import Tokenizer
from electra_tf.train.checkpoint import SavedWeights

SHORTEST = 3  # [CLS], one token, [SEP]


class ReplacedTokenDetector(tf.Module):
    """Finds the tokens that do not fit; all inputs and outputs are dense, B and L free.

    What a graph must answer for any bytes: invalid UTF-8 is dropped before anything else, an
    empty text is [CLS] [SEP], an empty batch gives empty tensors, a longer text is cut.

    Args:
        model: an `Electra` in float32, without its generator.
        tokenizer: of the vocabulary the model was trained with.
        max_seq_length: tokens of the longest text, [CLS] and [SEP] included.
    """

    def __init__(self, model: Electra, tokenizer: Tokenizer, max_seq_length: int):
        super().__init__(name="replaced_token_detector")
        vocabulary = tokenizer.vocabulary
        tokens = tf.constant(vocabulary.tokens)

        # Keras layers and the tokenizer stay in closures: attributes would become part of the
        # saved objects, and loading those needs their libraries. Variables must be attributes.
        def logits_of(input_ids, input_mask, segment_ids):
            return model({"input_ids": input_ids, "input_mask": input_mask,
                          "segment_ids": segment_ids})

        def detect_replaced(text):
            ids, starts, ends = (part[:, :max_seq_length - 2]
                                 for part in tokenizer.ids_with_offsets(text))
            ids = _framed(ids, vocabulary.cls_id, vocabulary.sep_id)
            mask = tf.ones_like(ids).to_tensor(0)
            ids = ids.to_tensor(vocabulary.pad_id)
            probability = tf.sigmoid(logits_of(ids, mask, tf.zeros_like(ids)))
            return {"tokens": tf.gather(tokens, ids), "token_ids": ids,
                    "replaced_probability": probability * tf.cast(mask, tf.float32),
                    "start_offset": _framed(starts, 0, 0).to_tensor(0),
                    "end_offset": _framed(ends, 0, 0).to_tensor(0), "mask": mask}

        def detect_replaced_ids(input_ids, input_mask, segment_ids):
            return {"logits": logits_of(input_ids, input_mask, segment_ids)}

        self.weights = [variable.value for variable in model.trainable_variables]
        self.detect_replaced = tf.function(
            detect_replaced, autograph=False,
            input_signature=[tf.TensorSpec([None], tf.string, "text")])
        self.detect_replaced_ids = tf.function(
            detect_replaced_ids, autograph=False,
            input_signature=[tf.TensorSpec([None, None], tf.int32, name)
                             for name in ("input_ids", "input_mask", "segment_ids")])

    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """Signatures of the SavedModel by name.

        `detect_replaced`, also `serving_default`: `text` string [B] to `tokens` string [B, L],
        `token_ids` int32 [B, L], `replaced_probability` float32 [B, L], `start_offset` and
        `end_offset` int32 [B, L], `mask` int32 [B, L].
        `detect_replaced_ids`: `input_ids`, `input_mask`, `segment_ids` int32 [B, L] to `logits`
        float32 [B, L].

        Offsets are bytes of the text without its invalid UTF-8 and delimit the word, by white
        space and punctuation, that a token came from; 0 and 0 for [CLS], [SEP] and padding. The
        probability is 0 in padding.
        """
        text = self.detect_replaced.get_concrete_function()
        ids = self.detect_replaced_ids.get_concrete_function()
        return {"serving_default": text, "detect_replaced": text, "detect_replaced_ids": ids}


def load_detector(workdir: str, max_seq_length: int | None = None) -> ReplacedTokenDetector:
    """The newest checkpoint of a pre-training run as a serving graph.

    Args:
        workdir: of a pre-training run, or a model directory: config.json, vocab.txt,
            checkpoints/.
        max_seq_length: tokens of the longest text; None: as many as the model has positions.

    Raises:
        ValueError: the workdir is incomplete or has no discriminator, or the length is not one.
    """
    config = configuration.load(workdir).validate()
    if config.objective.name != "electra":
        raise ValueError("A discriminator to export must come from a run with "
                         f"config.objective.name=electra. Received: {config.objective.name} "
                         f"in {workdir}")
    longest = config.model.max_positions
    length = longest if max_seq_length is None else max_seq_length
    if not SHORTEST <= length <= longest:
        raise ValueError(f"max_seq_length must be from {SHORTEST} to the model's positions, "
                         f"{longest}. Received: {length}")
    tokenizer = Tokenizer(os.path.join(workdir, "vocab.txt"), config.data.lower_case,
                          config.data.strip_accents)
    model = Electra(config, parts=["discriminator_head"], dtype="float32")
    detector = ReplacedTokenDetector(model, tokenizer, length)
    SavedWeights(os.path.join(workdir, "checkpoints")).assign(
        {variable.path: variable.value for variable in model.trainable_variables})
    return detector


def _framed(parts: tf.RaggedTensor, first: int, last: int) -> tf.RaggedTensor:
    """Puts a value before and one after each row: int32 [B, None] to int32 [B, None]."""
    rows = parts.nrows()
    return tf.concat([tf.fill([rows, 1], first), parts, tf.fill([rows, 1], last)], axis=1)
