"""A pre-trained model as a serving graph: text in; probabilities, hidden states or tokens out.

The graph holds its tokenizer and runs where only TensorFlow's and tensorflow-text's ops are
known; nothing of Keras or of this library is needed to load or call it.

What a graph must answer for any bytes: invalid UTF-8 is dropped before anything else, an empty
text is [CLS] [SEP], an empty batch gives empty tensors, a longer text is cut. Given ids must be
of the vocabulary, and their rows no longer than the model's positions: others are an error of that
call (on a GPU, which does not look, their answers mean nothing).
"""

import os
from collections.abc import Callable

import tensorflow as tf

from electra_tf import config as configuration
from electra_tf.config import Config
from electra_tf.models.electra import Electra, MaskedLM
from electra_tf.models.encoder import Encoder
from electra_tf.serving.graph.fill_mask import fill_mask_function
from electra_tf.serving.graph.inference import hidden_states
from electra_tf.serving.graph.long_texts import shorten
from electra_tf.serving.graph.precision import dtype_of
from electra_tf.text.framing import batch_of, place
from electra_tf.text.vocabulary import MASK
from electra_tf.text.wordpiece import Tokenizer
from electra_tf.train.checkpoint import SavedWeights
from electra_tf.train.model_directory import VOCABULARY

SHORTEST = 3  # [CLS], one token, [SEP]
_TEXT = [tf.TensorSpec([None], tf.string, "text")]
_IDS = [tf.TensorSpec([None, None], tf.int32, name)
        for name in ("input_ids", "input_mask", "segment_ids")]


def hidden_function(encoder: Encoder) -> Callable:
    """What runs a network in every graph of a pre-trained model.

    Returns:
        Maps `input_ids`, `input_mask`, `segment_ids`, int32 [B, L], to hidden states [B, L, H].
    """
    # Keras layers stay in closures: attributes would become part of the saved objects, and loading
    # those needs their libraries. Variables must be attributes.
    def hidden_of(input_ids, input_mask, segment_ids):
        return hidden_states(encoder, {"input_ids": input_ids, "input_mask": input_mask,
                                       "segment_ids": segment_ids})

    return hidden_of


class PretrainedModel(tf.Module):
    """What both kinds of pre-trained models have: an encoder, and a length to cut texts to.

    All inputs and outputs of signatures are dense, with B and L free; L is the longest row's.

    Attributes:
        max_seq_length: tokens of the longest text, [CLS] and [SEP] included.
        step: updates that the weights have seen.

    Args:
        model: the networks.
        hidden_of: of the encoder, see `hidden_function`.
        tokenizer: of the vocabulary the model was trained with.
        max_seq_length, step: the attributes.
    """

    def __init__(self, model: Electra | MaskedLM, hidden_of: Callable, tokenizer: Tokenizer,
                 max_seq_length: int, step: int):
        super().__init__(name="pretrained_model")
        self.max_seq_length, self.step = max_seq_length, step
        self.weights = [variable.value for variable in model.trainable_variables]

        def encode(text):
            text = shorten(text, tokenizer.ids, max_seq_length)
            batch = tokenizer.batch(text, max_seq_length=max_seq_length)
            hidden = tf.cast(hidden_of(**batch), tf.float32)
            # The sum over one token: an empty batch has none to take.
            return {"sequence_output": hidden, "mask": batch["input_mask"],
                    "pooled_output": tf.reduce_sum(hidden[:, :1], axis=1)}

        self._batch_of = tokenizer.batch
        self.encode = tf.function(encode, autograph=False, input_signature=_TEXT)

    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """Signatures of the SavedModel by name.

        `encode`: `text` string [B] to `sequence_output` float32 [B, L, H], the last layer's hidden
        states; `pooled_output` float32 [B, H], that of [CLS]; `mask` int32 [B, L]. Of a row's
        padding the hidden states mean nothing.
        """
        return {"encode": self.encode.get_concrete_function()}

    def warmup_inputs(self, texts: list[str]) -> dict[str, dict]:
        """Inputs of every signature for a warm-up with these texts."""
        masked = [f"{MASK} {text}" for text in texts]
        ids = self._batch_of(texts, max_seq_length=self.max_seq_length)
        named = {"detect_replaced_ids": ids, "fill_mask": {"text": masked}}
        return {name: named.get(name, {"text": texts}) for name in self.signatures()}


class ReplacedTokenDetector(PretrainedModel):
    """Finds the tokens that do not fit.

    Args:
        model: an `Electra` with the discriminator's head; with its generator it also fills in.
        tokenizer, max_seq_length, step: as of `PretrainedModel`.
    """

    def __init__(self, model: Electra, tokenizer: Tokenizer, max_seq_length: int, step: int = 0):
        hidden_of = hidden_function(model.discriminator)
        super().__init__(model, hidden_of, tokenizer, max_seq_length, step)
        tokens = tf.constant(tokenizer.vocabulary.tokens)

        def logits_of(input_ids, input_mask, segment_ids):
            return model.discriminator_head(hidden_of(input_ids, input_mask, segment_ids))

        def detect_replaced(text):
            text = shorten(text, tokenizer.ids, max_seq_length)
            ids, starts, ends = tokenizer.ids_with_offsets(text)
            rows = place([ids], max_seq_length)
            batch = batch_of(rows, [ids], tokenizer.vocabulary)
            ids, mask = batch["input_ids"], batch["input_mask"]
            starts, ends = (rows.fill(part.values, [0, 0, 0]) for part in (starts, ends))
            probability = tf.sigmoid(logits_of(**batch)) * tf.cast(mask, tf.float32)
            return {"tokens": tf.gather(tokens, ids), "token_ids": ids,
                    "replaced_probability": probability, "start_offset": starts,
                    "end_offset": ends, "mask": mask}

        def detect_replaced_ids(input_ids, input_mask, segment_ids):
            return {"logits": logits_of(input_ids, input_mask, segment_ids)}

        self.detect_replaced = tf.function(detect_replaced, autograph=False, input_signature=_TEXT)
        self.detect_replaced_ids = tf.function(detect_replaced_ids, autograph=False,
                                               input_signature=_IDS)
        self.fill_mask = None if model.generator_head is None else fill_mask_function(
            hidden_function(model.generator), model.generator_head, tokenizer, max_seq_length)

    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """Signatures of the SavedModel by name.

        `detect_replaced`, also `serving_default`: `text` string [B] to `tokens` string [B, L],
        `token_ids` int32 [B, L], `replaced_probability` float32 [B, L], `start_offset` and
        `end_offset` int32 [B, L], `mask` int32 [B, L].
        `detect_replaced_ids`: `input_ids`, `input_mask`, `segment_ids` int32 [B, L] to `logits`
        float32 [B, L].
        `encode`: see `PretrainedModel`. `fill_mask`, with a generator: see `fill_mask_function`.

        Offsets are bytes of the text without its invalid UTF-8 and delimit the word, by white
        space and punctuation, that a token came from; 0 and 0 for [CLS], [SEP] and padding. The
        probability is 0 in padding.
        """
        text = self.detect_replaced.get_concrete_function()
        found = {"serving_default": text, "detect_replaced": text,
                 "detect_replaced_ids": self.detect_replaced_ids.get_concrete_function()}
        if self.fill_mask is not None:
            found["fill_mask"] = self.fill_mask.get_concrete_function()
        return found | super().signatures()


class MaskFiller(PretrainedModel):
    """A masked language model of `config.objective.name=mlm`, which detects nothing.

    Args:
        model, tokenizer, max_seq_length, step: as of `PretrainedModel`.
    """

    def __init__(self, model: MaskedLM, tokenizer: Tokenizer, max_seq_length: int, step: int = 0):
        hidden_of = hidden_function(model.encoder)
        super().__init__(model, hidden_of, tokenizer, max_seq_length, step)
        self.fill_mask = fill_mask_function(hidden_of, model.head, tokenizer, max_seq_length)

    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """`fill_mask`, also `serving_default`: see `fill_mask_function`; `encode`."""
        fill_mask = self.fill_mask.get_concrete_function()
        return {"serving_default": fill_mask, "fill_mask": fill_mask} | super().signatures()


def load_pretrained(workdir: str, max_seq_length: int | None = None, precision: str = "float32",
                    include_generator: bool = False) -> PretrainedModel:
    """The newest checkpoint of a pre-training run as a serving graph.

    Args:
        workdir: of a pre-training run, or a model directory: config.json, vocab.txt,
            checkpoints/.
        max_seq_length: tokens of the longest text; None: as many as the model has positions.
        precision: of PRECISIONS; what networks compute in. Outputs are float32.
        include_generator: so that the bundle can fill in [MASK]; a masked language model always
            can.

    Raises:
        ValueError: the workdir is incomplete or has no discriminator, or no generator though one
            is asked for; or the length is not one.
    """
    config = configuration.load(workdir).validate()
    saved = SavedWeights(os.path.join(workdir, "checkpoints"))
    length = _length(config, max_seq_length)
    tokenizer = Tokenizer(os.path.join(workdir, VOCABULARY), config.data.lower_case,
                          config.data.strip_accents)
    if config.objective.name == "mlm":
        model, servable = MaskedLM(config, dtype=dtype_of(precision)), MaskFiller
    else:
        parts = ["discriminator_head", *["generator"] * include_generator]
        _require_parts(saved, parts, workdir)
        model, servable = Electra(config, parts=parts, dtype=dtype_of(precision)), (
            ReplacedTokenDetector)
    saved.assign({variable.path: variable.value for variable in model.trainable_variables})
    return servable(model, tokenizer, length, saved.step)


def _length(config: Config, max_seq_length: int | None) -> int:
    longest = config.model.max_positions
    length = longest if max_seq_length is None else max_seq_length
    if not SHORTEST <= length <= longest:
        raise ValueError(f"max_seq_length must be from {SHORTEST} to the model's positions, "
                         f"{longest}. Received: {length}")
    return length


def _require_parts(saved: SavedWeights, parts: list[str], workdir: str) -> None:
    there = {path.split("/")[0] for path in saved.shapes}
    if "discriminator_head" not in there:
        raise ValueError("A pre-trained model to export must have a discriminator with its head, "
                         f"or be a masked language model. Received: {workdir} with "
                         f"{', '.join(sorted(there))}")
    if "generator" in parts and "generator_head" not in there:
        raise ValueError("A model to export with --include_generator must have its generator; "
                         f"leave the flag out to export the discriminator alone. Received: "
                         f"{workdir} without generator_head")
