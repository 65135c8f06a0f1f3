"""Floating-point operations of a training step.

Counted are the matrix products of forward and backward pass (3 x forward), a multiply-add as two
operations: dense layers, attention scores and context, and the vocabulary projection at masked
positions; neither embedding look-ups nor element-wise work. The paper's count: `paper_flops`.
"""

from collections.abc import Sequence

from electra_tf.config import ModelConfig
from electra_tf.objectives.passes import Pass
from electra_tf.objectives.phases import Phase

FORWARD, BACKWARD = 2.0, 4.0  # operations for each multiply-add of the forward pass
TRAINING = FORWARD + BACKWARD


def multiply_adds(model: ModelConfig, seq_length: int) -> float:
    """Multiply-adds per token of an encoder's forward pass."""
    hidden = model.hidden_size
    layer = 4 * hidden * hidden + feed_forward_matrices(model) * hidden * model.intermediate_size
    seen = sum(seen_tokens(model, index, seq_length) for index in range(model.num_layers))
    project = model.embedding_size * hidden if model.embedding_size != hidden else 0
    return model.num_layers * layer + 2 * seen * hidden + project


def feed_forward_matrices(model: ModelConfig) -> int:
    """Number of matrices [H, F] of a layer: a gate has one of its own."""
    return 3 if model.elements().feed_forward == "geglu" else 2


def seen_tokens(model: ModelConfig, layer: int, seq_length: int) -> int:
    """Number of tokens that one sees in a layer, away from the ends of its row."""
    window = model.window(layer)
    return min(seq_length, 2 * window + 1) if window else seq_length


def pass_multiply_adds(each: Pass, seq_length: int) -> float:
    """Multiply-adds per token of a network's forward pass, with its head."""
    model = each.model
    if each.predicted is None:
        head = model.hidden_size * (model.hidden_size + 1)
    else:
        share = each.predicted(seq_length) / seq_length
        states = max(each.towers, 1) * model.hidden_size
        tokens = model.vocab_size if each.candidates is None else each.candidates
        head = share * model.embedding_size * (states + tokens)
    return each.towers * multiply_adds(model, seq_length) + head


def sampling_multiply_adds(each: Pass, seq_length: int) -> float:
    """Multiply-adds per token of the logits that are computed once more, to draw tokens."""
    if each.sampled is None:
        return 0.0
    return each.sampled(seq_length) / seq_length * each.model.embedding_size * each.model.vocab_size


def training(passes: Sequence[Pass], phase: Phase, seq_length: int) -> float:
    """Operations per token of a step of a phase: all passes forwards, the trained ones back."""
    return sum(
        (TRAINING if phase.terms is None or each.term in phase.terms else FORWARD)
        * pass_multiply_adds(each, seq_length)
        + FORWARD * sampling_multiply_adds(each, seq_length)
        for each in passes
    )
