"""Losses element by element; that of a softmax over the vocabulary is in `vocabulary`.

Section 2 of the paper, and 3.5 for the copying. Everything is float32.
"""

from keras import ops

from electra_tf.objectives.sampling import IMPOSSIBLE


def binary_cross_entropy(logits, labels):
    """Cross-entropy of sigmoid(logits) against labels from 0 to 1, element by element, float32."""
    return ops.maximum(logits, 0.0) - logits * labels + ops.log1p(ops.exp(-ops.abs(logits)))


def log_original(logits):
    """Log of a discriminator's probability that a token is the original, log(1 - sigmoid(logits)).

    Args:
        logits: float32 [B, L], positive where a token looks replaced.

    Returns:
        float32 [B, L], at most 0.
    """
    return -binary_cross_entropy(logits, 0.0)


def copy_or_predict(logits, is_input, losses):
    """Negative log-likelihood of tokens that are copied from the input or drawn from a softmax.

    -log(D * is_input + (1 - D) * exp(-losses)) for D = sigmoid(logits), in log space.

    Args:
        logits: float32, of copying.
        is_input: bool of the same shape, whether the right token is the one in the input.
        losses: float32 of the same shape, -log softmax of the right token.
    """
    copied = ops.where(is_input, -ops.softplus(-logits), IMPOSSIBLE)
    drawn = -ops.softplus(logits) - losses
    return -ops.logsumexp(ops.stack([copied, drawn]), axis=0)
