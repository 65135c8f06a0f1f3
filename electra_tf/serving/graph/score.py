"""How plausible texts are, by energies of their tokens, as a serving graph."""

import tensorflow as tf

from electra_tf.serving.graph.pretrained_network import TEXT, PretrainedNetwork
from electra_tf.serving.graph.tokens import token_reader


def score(network: PretrainedNetwork) -> tf.types.experimental.PolymorphicFunction:
    """The signature `score`: `text` string [B] to its pseudo-log-likelihood, in one pass.

    `score` float32 [B], the sum of `token_scores` float32 [B, L]; and what `token_reader` says of
    the tokens. More is more plausible; sums of texts of one length compare best, as energies have
    no fixed zero. [CLS], [SEP] and padding have the score 0.
    """
    read = token_reader(network)

    def score(text):
        batch, tokens = read(text)
        scores = -network.token_logits(**batch)
        scores = tf.where(tokens["end_offset"] > 0, scores, 0.0)
        return {**tokens, "token_scores": scores, "score": tf.reduce_sum(scores, axis=1)}

    return tf.function(score, autograph=False, input_signature=TEXT)
