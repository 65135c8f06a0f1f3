"""How plausible texts are, by scores of their tokens, as a serving graph."""

from collections.abc import Callable

import tensorflow as tf

from electra_tf.models.layers import for_inference
from electra_tf.serving.graph.pretrained_network import TEXT, PretrainedNetwork
from electra_tf.serving.graph.tokens import token_reader

# Of the copies of texts that are computed at once, each with another token masked: logits over the
# vocabulary are what a copy costs beside its tokens.
_COPIES, _TOKENS = 64, 4096


def score(network: PretrainedNetwork) -> tf.types.experimental.PolymorphicFunction:
    """The signature `score`: `text` string [B] to how plausible each is, by all of its tokens.

    `score` float32 [B], the sum of `token_scores` float32 [B, L]; and what `token_reader` says of
    the tokens. More is more plausible; texts of one length compare best. What a token's score is
    says the objective, see `Served.token_score`:

    - of energies their negative: the token's log-probability given all others, up to a constant;
    - of a discriminator the log of the probability that the token is the original;
    - of a masked LM the log-probability of the token where it alone is masked, in a pass of its
      own (Salazar et al., arXiv 1910.14659).

    [CLS], [SEP] and padding have the score 0: no objective ever replaces them, so that what a
    network says of them means nothing.
    """
    read = token_reader(network)
    scores_of = _one_by_one(network) if network.token_score is None else _at_once(network)

    def score(text):
        batch, tokens = read(text)
        scores = scores_of(batch, tokens["end_offset"] > 0)
        return {**tokens, "token_scores": scores, "score": tf.reduce_sum(scores, axis=1)}

    return tf.function(score, autograph=False, input_signature=TEXT)


def _at_once(network: PretrainedNetwork) -> Callable:
    """Function of int32 [B, L] inputs and bool [B, L] `scored`: float32 [B, L], in one pass."""
    token_score = network.token_score
    assert token_score is not None

    def scores(batch, scored):
        return tf.where(scored, token_score(network.token_logits(**batch)), 0.0)

    return scores


def _one_by_one(network: PretrainedNetwork) -> Callable:
    """As `_at_once`, with each token masked in turn: a copy of its text for each."""
    mask_id, head = network.tokenizer.vocabulary.mask_id, network.head
    assert head is not None, "the objective names one"

    def some(places, input_ids, input_mask, segment_ids):
        """Scores float32 [N] of the tokens at int32 [N, 2] places: row, position."""
        row, position = tf.unstack(places, axis=1)
        ids = tf.gather(input_ids, row)
        masked = tf.one_hot(position, tf.shape(ids)[1], on_value=True, off_value=False)
        hidden = network.hidden(
            tf.where(masked, mask_id, ids), tf.gather(input_mask, row), tf.gather(segment_ids, row)
        )
        with for_inference():
            logits = head(hidden, position[:, None])  # [N, V]
        true_ids = tf.gather_nd(input_ids, places)
        return -tf.nn.sparse_softmax_cross_entropy_with_logits(true_ids, logits)

    def scores(batch, scored):
        places = tf.cast(tf.where(scored), tf.int32)
        shape = tf.shape(scored)
        copies = tf.clip_by_value(_TOKENS // tf.maximum(shape[1], 1), 1, _COPIES)

        def more(first, _):
            return first < tf.shape(places)[0]

        def go_on(first, done):
            part = some(places[first : first + copies], **batch)
            return first + copies, tf.concat([done, part], 0)

        start = tf.constant(0), tf.zeros([0])
        kept = tf.TensorShape([]), tf.TensorShape([None])
        done = tf.while_loop(more, go_on, start, kept, parallel_iterations=1)[1]
        return tf.scatter_nd(places, done, shape)

    return scores
