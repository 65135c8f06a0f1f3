"""The loss of a binary decision, element by element; that of tokens is in `vocabulary`.

Section 2 of the paper. Everything is float32.
"""

from keras import ops


def binary_cross_entropy(logits, labels):
    """Cross-entropy of sigmoid(logits) against labels in {0, 1}, element by element, float32."""
    return ops.maximum(logits, 0.0) - logits * labels + ops.log1p(ops.exp(-ops.abs(logits)))
