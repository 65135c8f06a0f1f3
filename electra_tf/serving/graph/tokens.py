"""Texts as rows of tokens that a signature tells something of, one by one."""

from collections.abc import Callable

import tensorflow as tf

from electra_tf.serving.graph.input_checks import fitting
from electra_tf.serving.graph.long_texts import shorten
from electra_tf.serving.graph.pretrained_network import PretrainedNetwork
from electra_tf.text.framing import batch_of, place


def token_reader(network: PretrainedNetwork) -> Callable[[tf.Tensor], tuple[dict, dict]]:
    """What a graph calls: `text` string [B] to the network's inputs and outputs about tokens.

    The outputs: `tokens` string [B, L], `token_ids` int32 [B, L], `start_offset` and `end_offset`
    int32 [B, L], `mask` int32 [B, L].

    Offsets are bytes of the text without its invalid UTF-8 and delimit what a token came from, see
    `Tokenizer.ids_with_offsets`; 0 and 0 for [CLS], [SEP] and padding.
    """
    tokenizer, longest = network.tokenizer, network.max_seq_length
    tokens = tf.constant(tokenizer.vocabulary.tokens)

    def read(text):
        [text] = fitting(rank=1, text=text)
        text = shorten(text, tokenizer, longest)
        ids, starts, ends = tokenizer.ids_with_offsets(text)
        rows = place([ids], longest)
        batch = batch_of(rows, [ids], tokenizer.vocabulary)
        starts, ends = (rows.fill(part.values, [0, 0, 0]) for part in (starts, ends))
        return batch, {
            "tokens": tf.gather(tokens, batch["input_ids"]),
            "token_ids": batch["input_ids"],
            "start_offset": starts,
            "end_offset": ends,
            "mask": batch["input_mask"],
        }

    return read
