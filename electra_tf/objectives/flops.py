"""Floating-point operations of a training step."""

from electra_tf.config import Config, ModelConfig
from electra_tf.objectives.masking import max_masked


def training_flops_per_token(config: Config, seq_length: int) -> float:
    """Matrix-product operations per token of forward and backward pass (3 x forward).

    Counts a multiply-add as two operations: dense layers, attention scores and context, and the
    vocabulary projection at masked positions; neither embedding look-ups nor element-wise work.
    """
    masked_share = max_masked(seq_length, config.objective.mask_fraction) / seq_length
    model = config.model
    if config.objective.name == "mlm":
        head = model.embedding_size * (model.hidden_size + model.vocab_size)
        return 6.0 * (multiply_adds(model, seq_length) + masked_share * head)
    generator = config.generator_model()
    head = generator.embedding_size * (generator.hidden_size + model.vocab_size)
    return 6.0 * (multiply_adds(model, seq_length) + multiply_adds(generator, seq_length)
                  + masked_share * head + model.hidden_size * (model.hidden_size + 1))


def multiply_adds(model: ModelConfig, seq_length: int) -> float:
    """Multiply-adds per token of an encoder's forward pass."""
    hidden = model.hidden_size
    layer = 4 * hidden * hidden + 2 * hidden * model.intermediate_size + 2 * seq_length * hidden
    project = model.embedding_size * hidden if model.embedding_size != hidden else 0
    return model.num_layers * layer + project
