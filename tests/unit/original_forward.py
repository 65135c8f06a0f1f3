"""google-research/electra from its names: variables, checkpoints and forward pass, in NumPy.

Written from the original's run_pretraining.py and model/modeling.py, without a look at
`electra_tf`: an independent reference for models of any size.
"""

import dataclasses
import math

import numpy as np
import tensorflow as tf


@dataclasses.dataclass
class Original:
    """Sizes as in the original's hyper-parameters; the generator's are absolute here."""

    hidden: int = 192
    embedding: int = 192
    layers: int = 2
    intermediate: int = 768
    heads: int = 3
    generator_hidden: int = 64
    generator_layers: int = 2
    generator_heads: int = 1
    vocab: int = 61
    positions: int = 24
    segments: int = 2
    electra_objective: bool = True
    untied_generator: bool = True
    untied_generator_embeddings: bool = False

    @property
    def generator(self) -> str:
        """Scope of the generator."""
        return "generator" if self.electra_objective and self.untied_generator else "electra"

    @property
    def generator_tables(self) -> str:
        """Scope of the generator's embeddings."""
        return (
            "generator"
            if self.generator == "generator" and self.untied_generator_embeddings
            else "electra"
        )


def dense(scope, inputs, outputs):
    return {f"{scope}/kernel": (inputs, outputs), f"{scope}/bias": (outputs,)}


def norm(scope, size):
    return {f"{scope}/LayerNorm/beta": (size,), f"{scope}/LayerNorm/gamma": (size,)}


def tables(scope, sizes: Original, width):
    scope = f"{scope}/embeddings"
    return {
        f"{scope}/word_embeddings": (sizes.vocab, width),
        f"{scope}/token_type_embeddings": (sizes.segments, width),
        f"{scope}/position_embeddings": (sizes.positions, width),
    } | norm(scope, width)


def transformer(scope, width, hidden, layers, intermediate):
    shapes = {} if width == hidden else dense(f"{scope}/embeddings_project", width, hidden)
    for index in range(layers):
        layer = f"{scope}/encoder/layer_{index}"
        for name in ("query", "key", "value"):
            shapes |= dense(f"{layer}/attention/self/{name}", hidden, hidden)
        shapes |= dense(f"{layer}/attention/output/dense", hidden, hidden)
        shapes |= norm(f"{layer}/attention/output", hidden)
        shapes |= dense(f"{layer}/intermediate/dense", hidden, intermediate)
        shapes |= dense(f"{layer}/output/dense", intermediate, hidden)
        shapes |= norm(f"{layer}/output", hidden)
    return shapes


def variables(sizes: Original) -> dict[str, tuple]:
    """Shapes of all variables of a pre-training run, by name."""
    shapes = tables("electra", sizes, sizes.embedding)
    width, hidden = sizes.embedding, sizes.hidden
    if sizes.generator == "generator":
        hidden = sizes.generator_hidden
        if sizes.untied_generator_embeddings:
            width = hidden
            shapes |= tables("generator", sizes, width)
        shapes |= transformer("generator", width, hidden, sizes.generator_layers, 4 * hidden)
    shapes |= dense("generator_predictions/dense", hidden, width)
    shapes |= norm("generator_predictions", width)
    shapes |= {"generator_predictions/output_bias": (sizes.vocab,)}
    shapes |= transformer(
        "electra", sizes.embedding, sizes.hidden, sizes.layers, sizes.intermediate
    )
    if sizes.electra_objective:
        shapes |= dense("discriminator_predictions/dense", sizes.hidden, sizes.hidden)
        shapes |= dense("discriminator_predictions/dense_1", sizes.hidden, 1)
    return shapes


def random_weights(shapes, seed=0) -> dict[str, np.ndarray]:
    """Weights large enough that every one of them moves the outputs."""
    random = np.random.default_rng(seed)
    return {
        name: (
            name.endswith("gamma")
            + random.normal(0, 1.5 / math.sqrt(shape[0]) if len(shape) == 2 else 0.3, shape)
        ).astype(np.float32)
        for name, shape in shapes.items()
    }


def save(prefix, tensors) -> str:
    """Writes a checkpoint as TensorFlow 1 does; returns its prefix."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        made = [
            tf.compat.v1.get_variable(name, initializer=value, use_resource=False)
            for name, value in tensors.items()
        ]
        session.run(tf.compat.v1.global_variables_initializer())
        return tf.compat.v1.train.Saver(made).save(session, str(prefix), write_meta_graph=False)


def affine(weights, scope, inputs):
    return inputs @ weights[f"{scope}/kernel"] + weights[f"{scope}/bias"]


def normalized(weights, scope, inputs):
    centered = inputs - inputs.mean(-1, keepdims=True)
    variance = (centered**2).mean(-1, keepdims=True)
    return (
        centered / np.sqrt(variance + 1e-12) * weights[f"{scope}/LayerNorm/gamma"]
        + weights[f"{scope}/LayerNorm/beta"]
    )


def gelu(inputs):
    return inputs * 0.5 * (1 + np.vectorize(math.erf)(inputs / math.sqrt(2)))


def attention(weights, scope, inputs, mask, heads):
    batch, length, hidden = inputs.shape
    query, key, value = (
        affine(weights, f"{scope}/{name}", inputs)
        .reshape(batch, length, heads, hidden // heads)
        .transpose(0, 2, 1, 3)
        for name in ("query", "key", "value")
    )
    scores = query @ key.transpose(0, 1, 3, 2) / math.sqrt(hidden // heads)
    scores = scores - 10000.0 * (1 - mask[:, None, None, :])
    probabilities = np.exp(scores - scores.max(-1, keepdims=True))
    probabilities /= probabilities.sum(-1, keepdims=True)
    return (probabilities @ value).transpose(0, 2, 1, 3).reshape(inputs.shape)


def encode(weights, scope, tables_of, heads, batch) -> np.ndarray:
    """Hidden states [B, L, H], in float64, of the encoder in a scope."""
    weights = {name: value.astype(np.float64) for name, value in weights.items()}
    ids, mask, segments = (batch[key] for key in ("input_ids", "input_mask", "segment_ids"))
    embeddings = f"{tables_of}/embeddings"
    hidden = (
        weights[f"{embeddings}/word_embeddings"][ids]
        + weights[f"{embeddings}/token_type_embeddings"][segments]
        + weights[f"{embeddings}/position_embeddings"][: ids.shape[1]]
    )
    hidden = normalized(weights, embeddings, hidden)
    if f"{scope}/embeddings_project/kernel" in weights:
        hidden = affine(weights, f"{scope}/embeddings_project", hidden)
    index = 0
    while f"{(layer := f'{scope}/encoder/layer_{index}')}/output/dense/bias" in weights:
        context = attention(weights, f"{layer}/attention/self", hidden, mask, heads)
        context = affine(weights, f"{layer}/attention/output/dense", context)
        hidden = normalized(weights, f"{layer}/attention/output", hidden + context)
        wide = gelu(affine(weights, f"{layer}/intermediate/dense", hidden))
        wide = affine(weights, f"{layer}/output/dense", wide)
        hidden = normalized(weights, f"{layer}/output", hidden + wide)
        index += 1
    return hidden


def token_logits(weights, tables_of, hidden) -> np.ndarray:
    """The generator's logits [B, L, V]."""
    hidden = gelu(affine(weights, "generator_predictions/dense", hidden))
    hidden = normalized(weights, "generator_predictions", hidden)
    return (
        hidden @ weights[f"{tables_of}/embeddings/word_embeddings"].T
        + weights["generator_predictions/output_bias"]
    )


def replaced_logits(weights, hidden) -> np.ndarray:
    """The discriminator's logits [B, L]."""
    hidden = gelu(affine(weights, "discriminator_predictions/dense", hidden))
    return affine(weights, "discriminator_predictions/dense_1", hidden)[..., 0]
