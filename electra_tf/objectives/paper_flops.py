"""Floating-point operations as the paper counts them (Table 1), beside those of `flops`.

So does the authors' script, `flops_computation.py` of their release: the backward pass costs what
the forward pass costs, an embedding look-up is a product with the whole table, and element-wise
work counts. Everything is per token.

The script gives the paper's numbers in Table 1, but for ELECTRA-Small: 1.29e18 with the generator
of a quarter of the discriminator's size that Table 6 has; the table's 1.4e18, and its parts of it,
are those of a generator of half the size.
"""

from collections.abc import Sequence

from electra_tf.config import ModelConfig
from electra_tf.objectives import flops
from electra_tf.objectives.passes import Pass
from electra_tf.objectives.phases import Phase

FORWARD, TRAINING = 1.0, 2.0
# Operations for each number.
_DROPOUT, _LAYER_NORM, _GELU, _SOFTMAX = 4, 5, 8, 5


def training(passes: Sequence[Pass], phase: Phase, seq_length: int) -> float:
    """Operations per token of a step of a phase: all passes forwards, the trained ones back."""
    return sum(
        (TRAINING if phase.terms is None or each.term in phase.terms else FORWARD)
        * forward(each, seq_length)
        + FORWARD * 2 * flops.sampling_multiply_adds(each, seq_length)
        for each in passes
    )


def forward(each: Pass, seq_length: int) -> float:
    """Operations per token of a network's forward pass, with its head.

    The script knows no two towers and no logits that are computed once more to draw tokens: both
    towers read the same embeddings, and `training` counts the logits as `flops` does.
    """
    model, towers = each.model, each.towers
    layers = sum(
        _layer(model, flops.seen_tokens(model, layer, seq_length))
        for layer in range(model.num_layers)
    )
    layers += _projection(model)
    embeddings = _embeddings(model, seq_length) if towers else 0
    return embeddings + towers * layers + _head(each, seq_length)


def _layer(model: ModelConfig, seen):
    """A layer in which a token sees `seen` others; the script knows BERT's block alone.

    In another one the gate's product counts, a bias only where it is, and rotations as two products
    and a sum of each number of queries and keys.
    """
    hidden, intermediate, elements = model.hidden_size, model.intermediate_size, model.elements()
    bias, turns = int(elements.biases), 6 if elements.positions == "rotary" else 0
    # Bias, dropout, residual: of the attention's output and of the feed-forward layer's.
    after = (bias + _DROPOUT + 1) * hidden
    scores = (_SOFTMAX + _DROPOUT + 1) * seen * model.num_heads
    attention = 8 * hidden**2 + (3 * bias + turns) * hidden + 4 * hidden * seen + scores + after
    # The script's first normalisation counts for one number, not for `hidden`.
    attention += _LAYER_NORM
    matrices = flops.feed_forward_matrices(model)  # with a gate: its bias and its product
    wide = (matrices - 1) * bias + _GELU + matrices - 2
    feed_forward = 2 * matrices * hidden * intermediate + wide * intermediate + after
    return attention + feed_forward + _LAYER_NORM * hidden


def _embeddings(model: ModelConfig, seq_length):
    elements = model.elements()
    tables = model.vocab_size
    tables += seq_length if elements.positions == "absolute" else 0
    tables += model.type_vocab_size if elements.token_types else 0
    return (2 * tables + 2 + _LAYER_NORM + _DROPOUT) * model.embedding_size


def _projection(model: ModelConfig):
    if model.embedding_size == model.hidden_size:
        return 0
    return (2 * model.embedding_size + 1) * model.hidden_size


def _head(each: Pass, seq_length):
    model = each.model
    hidden, embedding = max(each.towers, 1) * model.hidden_size, model.embedding_size
    if each.predicted is None:
        return 2 * hidden**2 + (1 + _GELU + 2) * hidden
    dense = (2 * hidden + 1 + _GELU + _LAYER_NORM) * embedding
    tokens = model.vocab_size if each.candidates is None else each.candidates
    softmax = (2 * embedding + _SOFTMAX + 2) * tokens
    return each.predicted(seq_length) / seq_length * (dense + softmax)
