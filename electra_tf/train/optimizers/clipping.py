"""Gradient clipping by the norm of many gradients together."""

from collections.abc import Sequence

from keras import ops


def global_norm(gradients: Sequence):
    """Euclidean norm of all gradients together.

    Args:
        gradients: float32 dense tensors of any shapes, at least one.

    Returns:
        float32 scalar; not finite if any element is not.
    """
    return ops.sqrt(ops.sum(ops.stack([ops.sum(ops.square(g)) for g in gradients])))


def clip_by_global_norm(gradients: Sequence, clip_norm: float, norm) -> list:
    """Scales all gradients by one factor so that their global norm is at most `clip_norm`.

    Args:
        gradients: float32 dense tensors.
        clip_norm: largest norm let through; 0 returns the gradients untouched.
        norm: float32 scalar, `global_norm(gradients)` (after the reduction over replicas).

    Returns:
        The scaled gradients.
    """
    if not clip_norm:
        return list(gradients)
    scale = clip_norm / ops.maximum(norm, clip_norm)
    return [gradient * scale for gradient in gradients]
