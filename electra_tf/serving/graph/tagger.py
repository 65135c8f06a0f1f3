"""A fine-tuned tagger as a serving graph: text in; words, their tags and their places out."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tensorflow_text as tf_text
from keras import ops

from electra_tf.models.finetuned import Finetuned
from electra_tf.serving.graph.input_checks import fitting
from electra_tf.serving.graph.network import graph_outputs
from electra_tf.serving.graph.servable import Servable
from electra_tf.tasks.tagging import spans
from electra_tf.tasks.tagging.rows import WordRows
from electra_tf.tasks.tagging.task import PLAIN, TaggingTask
from electra_tf.text.framing import frame
from electra_tf.text.tokenizer import Tokenizer
from electra_tf.text.words import valid_utf8

# What Python's str.split() splits at.
_SPACE = (
    r"[\t-\r\x{1C}- \x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}"
    r"\x{3000}]"
)
_RAGGED: Any = tf.RaggedTensor  # the stubs lack its constructors
_LETTERS = "OBIES"  # a tag's letter as a number
_O, _B, _I, _E, _S = range(len(_LETTERS))


class Tagger(Servable):
    """Tags words.

    Words are what lies between white space, in the text without its invalid UTF-8. As in training
    a text of more than `max_seq_length` tokens becomes several rows of similar length, however
    many it needs; the memory of a call grows with them.
    """

    def __init__(self, task: TaggingTask, model: Finetuned, tokenizer: Tokenizer):
        super().__init__(task, model, tokenizer)
        # Keras layers and the tokenizer stay in closures, see `PretrainedNetwork`.
        outputs_of, tags_of = graph_outputs(task, model), _tags_function(task)
        room = task.max_seq_length - 2

        def tag(text):
            [text] = fitting(rank=1, text=text)
            words, starts, ends = _split_with_offsets(valid_utf8(text))
            pieces = _pieces(words.values, tokenizer, room)
            num_pieces = pieces.row_lengths()
            row = _rows(words.with_values(tf.cast(num_pieces, tf.int32)), room)
            tokens = _RAGGED.from_value_rowids(
                pieces.values,
                tf.repeat(row, num_pieces),
                nrows=tf.reduce_max(tf.concat([row, [-1]], 0)) + 1,
            )
            outputs = outputs_of(frame(tokens, None, tokenizer.vocabulary, task.max_seq_length))
            first = pieces.row_starts() - tf.gather(tokens.row_starts(), row) + 1  # after [CLS]
            best, probability = (
                words.with_values(tf.gather_nd(outputs[name], tf.stack([row, first], axis=1)))
                for name in ("best", "probability")
            )
            mask = tf.ones_like(words, tf.int32).to_tensor(0)
            return {
                "words": words.to_tensor(""),
                "probability": probability.to_tensor(0.0),
                "tags": tf.where(mask > 0, tags_of(best.to_tensor(0)), ""),
                "start_offset": starts.to_tensor(0),
                "end_offset": ends.to_tensor(0),
                "mask": mask,
            }

        self.tag = tf.function(
            tag, autograph=False, input_signature=[tf.TensorSpec([None], tf.string, "text")]
        )

    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """Signatures of the SavedModel by name.

        `serving_default`: `text` string [B] to `words` string [B, W], `tags` string [B, W] in the
        scheme of the training files, `probability` float32 [B, W], `start_offset` and
        `end_offset` int32 [B, W], `mask` int32 [B, W].

        Offsets are bytes of the text without its invalid UTF-8. The probability is that of the
        likeliest class; the tag is that class, put right where it does not fit those beside it.
        Where the mask is 0 there is no word, and all else is 0 or "".
        """
        return {"serving_default": self.tag.get_concrete_function()}

    def warmup_inputs(self, texts):
        return {"serving_default": {"text": texts}}

    @staticmethod
    def comparisons(answers, expected):
        there = answers["mask"] > 0
        yield (
            "tags",
            [tag.decode() for tag in answers["tags"][there]],
            [tag for row in expected.predictions for tag in row],
        )
        assert isinstance(expected.encoded, WordRows)
        probability = expected.outputs["probability"][expected.encoded.starts]
        yield "probability", answers["probability"][there], probability

    @staticmethod
    def ids_network(task: TaggingTask, model):
        # Keras's argmax, of task.outputs, needs an op that TFLite has not.
        return lambda batch: {"probabilities": ops.softmax(model.head(model(batch)))}, task.classes


def _split_with_offsets(
    text: tf.Tensor,
) -> tuple[tf.RaggedTensor, tf.RaggedTensor, tf.RaggedTensor]:
    """Words string [B, None], first byte of each and the one after it, int32 [B, None]."""
    # The op stops at a zero byte, so it sees another character that is no space there.
    splits = tf_text.regex_split_with_offsets(
        tf.strings.regex_replace(text, r"\x00", "\x01"), _SPACE
    )
    starts, ends = (tf.cast(offsets, tf.int32) for offsets in splits[1:])
    return (
        starts.with_values(
            tf.strings.substr(
                tf.gather(text, starts.value_rowids()), starts.values, ends.values - starts.values
            )
        ),
        starts,
        ends,
    )


def _pieces(words: tf.Tensor, tokenizer: Tokenizer, room: int) -> tf.RaggedTensor:
    """The ids of each word, 1 to `room` of them: string [N] to int32 [N, None]."""
    ids = tokenizer.ids(words)[:, :room]
    is_empty = tf.cast(ids.row_lengths() == 0, tf.int64)
    unknown = tf.fill([tf.reduce_sum(is_empty)], tokenizer.vocabulary.unk_id)
    return tf.concat([ids, _RAGGED.from_row_lengths(unknown, is_empty)], axis=1)


def _rows(num_pieces: tf.RaggedTensor, room: int) -> tf.Tensor:
    """The model's row that each word is in; see `tagging.rows.windows`, whose rule this is.

    Args:
        num_pieces: int32 [B, None], of each word.
        room: pieces of the longest row.

    Returns:
        int64 [words], ascending from 0; texts without words have no row.
    """
    lengths = num_pieces.to_tensor(0)
    total = tf.reduce_sum(lengths, axis=1)
    num_windows = -(-total // room)

    def next_word(state, length):
        used, window = state
        cut = (used > 0) & ((used * num_windows >= total) | (used + length > room))
        return tf.where(cut, 0, used) + length, window + tf.cast(cut, tf.int64)

    # A column more, as there must be one.
    columns = tf.transpose(tf.pad(lengths, [[0, 0], [0, 1]]))
    _, window = tf.scan(next_word, columns, (tf.zeros_like(total), tf.zeros_like(total, tf.int64)))
    window = _RAGGED.from_tensor(tf.transpose(window), num_pieces.row_lengths()).values
    text = num_pieces.value_rowids()
    is_new = (text[1:] != text[:-1]) | (window[1:] != window[:-1])
    return tf.cumsum(tf.concat([[0], tf.cast(is_new, tf.int64)], 0)[: tf.size(text)])


def _tags_function(task: TaggingTask) -> Callable:
    """What makes tags of classes, int32 [B, W] to string [B, W]; see `TaggingTask.predict`.

    Spans are read and written word by word: to know whether a word continues the span of the one
    before it, these two are enough.
    """
    if task.scheme == PLAIN:
        return lambda best: tf.gather(tf.constant(task.classes), best)
    types = list(dict.fromkeys(tag.partition("-")[2] for tag in task.classes))
    letter_of = [_LETTERS.index(tag[0]) for tag in task.classes]
    type_of = [types.index(tag.partition("-")[2]) for tag in task.classes]
    table = [["O", *(spans.tag_of(letter, type) for letter in _LETTERS[1:])] for type in types]

    def tags_of(best):
        letter, type = tf.gather(letter_of, best), tf.gather(type_of, best)
        letter_before, type_before = _one_later(letter), _one_later(type)
        same_type = type == type_before
        continues = (
            same_type
            & ((letter_before == _B) | (letter_before == _I))
            & ((letter == _I) | (letter == _E))
        )
        continued = tf.pad(continues, [[0, 0], [0, 1]])[:, 1:]
        if task.scheme == "BIO":
            written = tf.where(continues, _I, _B)
        elif task.scheme == "IOB1":
            written = tf.where(~continues & same_type & (letter_before != _O), _B, _I)
        else:
            written = tf.where(continues, tf.where(continued, _I, _E), tf.where(continued, _B, _S))
        written = tf.where(letter == _O, _O, written)
        return tf.gather_nd(tf.constant(table), tf.stack([type, written], axis=-1))

    return tags_of


def _one_later(values: tf.Tensor) -> tf.Tensor:
    """[B, W] moved to the right by one, with 0 in front."""
    return tf.pad(values, [[0, 0], [1, 0]])[:, :-1]
