"""How alike the vectors of different tokens are: whether an embedding table tells tokens apart."""

import numpy as np


def average_cosine(vectors: np.ndarray) -> float:
    """Mean cosine similarity of two different rows, over all pairs.

    He et al., DeBERTaV3 (arXiv 2111.09543, table 1), where a discriminator's token embeddings come
    out much less alike than its generator's. With unit rows u the sum over all pairs is
    |sum of u|^2 minus the number of rows.

    Args:
        vectors: float32 [V, E], V > 1; a row of zeros is like no other.
    """
    norms = np.linalg.norm(vectors, axis=1)
    weights = np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0)
    total = (weights @ vectors).astype(np.float64)
    number = len(vectors)
    return float((total @ total - np.count_nonzero(norms)) / (number * (number - 1)))
