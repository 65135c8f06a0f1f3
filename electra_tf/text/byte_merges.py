"""Byte pair encoding of many words at once, in graph: https://arxiv.org/abs/1508.07909.

The two neighbours in a word whose merge has the lowest rank become one token, the leftmost first,
until none are left that could. A step of the loop does so in all words that are unfinished.

Where every token takes part in merges only after those that make it, as in all that were learned,
a step does all merges of a word's lowest rank. In a long word it even does all those that are the
lowest within the length of two tokens on both sides: what merges before them farther away becomes
no token that reaches them. So the number of steps does not grow with the length of a word.
"""

from collections import defaultdict
from typing import Any

import numpy as np
import tensorflow as tf

from electra_tf.text.byte_pair_vocabulary import BytePairVocabulary

_RAGGED: Any = tf.RaggedTensor  # the stubs lack its constructors
_NEVER = np.iinfo(np.int32).max  # rank of a pair that cannot merge
_ONE_BLOCK = np.iinfo(np.int32).max // 2


class Merges:
    """The merges of a vocabulary; they are constants of the graph."""

    def __init__(self, vocabulary: BytePairVocabulary):
        merges = vocabulary.merges
        self._size = len(vocabulary)
        self._byte_ids = np.array(vocabulary.byte_ids, np.int32)
        pairs = np.array([(each.left, each.right) for each in merges], np.int64).reshape(-1, 2)
        keys = pairs[:, 0] * self._size + pairs[:, 1]
        order = np.argsort(keys)
        # One more that no pair has, so that there always is one.
        self._keys = np.append(keys[order], np.iinfo(np.int64).max)
        self._ranks = np.append(np.array([each.rank for each in merges])[order], _NEVER)
        self._ranks = self._ranks.astype(np.int32)
        self._wholes = np.zeros(max([each.rank for each in merges], default=0) + 1, np.int32)
        for each in merges:
            self._wholes[each.rank] = each.whole
        self._in_order = _in_order(merges)
        longest = max((int(vocabulary.lengths[each.whole]) for each in merges), default=1)
        self._block = 2 * longest if self._in_order else _ONE_BLOCK

    def ids(self, words: tf.Tensor) -> tf.RaggedTensor:
        """The tokens of each word: string [W] to int32 [W, None]."""
        lengths = tf.strings.length(words)
        content = tf.io.decode_raw(tf.strings.reduce_join(words), tf.uint8)
        symbols = tf.gather(self._byte_ids, tf.cast(content, tf.int32))
        word = tf.repeat(tf.range(tf.size(words)), lengths)
        place = tf.range(tf.size(symbols))  # of its first byte
        # Blocks of different words are not neighbours: one lies between them.
        blocks = (lengths - 1) // self._block + 2
        first_block = tf.cumsum(blocks, exclusive=True) + 1
        first_place = tf.cumsum(lengths, exclusive=True)
        block = tf.gather(first_block, word)
        block += (place - tf.gather(first_place, word)) // self._block
        num_blocks, num_words = tf.reduce_sum(blocks) + 2, tf.size(words)

        def goes_on(symbols, *_):
            return tf.size(symbols) > 0

        def step(symbols, place, word, block, done, done_place):
            pair_ranks = self._pair_ranks(symbols, word)
            # Words without a pair that could merge are done.
            is_open = tf.math.unsorted_segment_min(pair_ranks, word, num_words) < _NEVER
            is_open = tf.gather(is_open, word)
            done = tf.concat([done, tf.boolean_mask(symbols, ~is_open)], 0)
            done_place = tf.concat([done_place, tf.boolean_mask(place, ~is_open)], 0)
            pair_ranks = tf.where(is_open, pair_ranks, _NEVER)
            merges = self._chosen(pair_ranks, block, num_blocks)
            wholes = tf.gather(self._wholes, tf.where(merges, pair_ranks, 0))
            symbols = tf.where(merges, wholes, symbols)
            is_merged = tf.concat([[False], merges], 0)[:-1]
            is_left = tf.where(is_open & tf.logical_not(is_merged))[:, 0]
            kept = (tf.gather(each, is_left) for each in (symbols, place, word, block))
            return *kept, done, done_place

        nothing = tf.zeros([0], tf.int32)
        state = [symbols, place, word, block, nothing, nothing]
        *_, done, done_place = tf.while_loop(
            goes_on, step, state, shape_invariants=[tf.TensorShape([None])] * len(state)
        )
        order = tf.argsort(done_place)
        ends = tf.searchsorted(tf.gather(done_place, order), tf.cumsum(lengths), out_type=tf.int64)
        splits = tf.concat([[0], ends], 0)
        return _RAGGED.from_row_splits(tf.gather(done, order), splits, validate=False)

    def _pair_ranks(self, symbols: tf.Tensor, word: tf.Tensor) -> tf.Tensor:
        """Rank of the merge of each symbol with the next one of its word, int32 [N]."""
        left, right = (tf.cast(each, tf.int64) for each in (symbols[:-1], symbols[1:]))
        keys = left * self._size + right
        found = tf.searchsorted(self._keys, keys)
        is_pair = (tf.gather(self._keys, found) == keys) & (word[:-1] == word[1:])
        ranks = tf.where(is_pair, tf.gather(self._ranks, found), _NEVER)
        return tf.concat([ranks, tf.fill([tf.minimum(tf.size(symbols), 1)], _NEVER)], 0)

    def _chosen(self, ranks: tf.Tensor, block: tf.Tensor, num_blocks: tf.Tensor) -> tf.Tensor:
        """Which of the pairs merge in this step, bool [N]; of their ranks and blocks, int32 [N]."""
        lowest = tf.math.unsorted_segment_min(ranks, block, num_blocks)
        before, after = lowest[:-2], lowest[2:]
        around = tf.minimum(lowest[1:-1], tf.minimum(before, after))
        is_lowest = (ranks < _NEVER) & (ranks == tf.gather(around, block - 1))
        if not self._in_order:  # one at a time, as others may come between
            place = tf.range(tf.size(ranks))
            first = tf.where(is_lowest, place, _NEVER)
            first = tf.math.unsorted_segment_min(first, block, num_blocks)
            return is_lowest & (tf.gather(first, block) == place)
        # In `aaaa` pairs with the same rank overlap: every second one of them.
        overlaps = (ranks < _NEVER) & (tf.concat([[_NEVER], ranks], 0)[:-1] == ranks)
        begins = tf.logical_not(overlaps)
        start = tf.gather(tf.where(begins)[:, 0], tf.cumsum(tf.cast(begins, tf.int32)) - 1)
        distance = tf.range(tf.size(ranks, tf.int64)) - start
        return is_lowest & tf.gather(is_lowest, start) & (distance % 2 == 0)


def _in_order(merges) -> bool:
    """Whether every token takes part in merges only after all that make it."""
    made: dict[int, int] = defaultdict(lambda: -1)
    for each in merges:
        made[each.whole] = max(made[each.whole], each.rank)
    return all(max(made[each.left], made[each.right]) < each.rank for each in merges)
