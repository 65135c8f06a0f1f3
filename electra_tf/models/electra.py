"""The networks that objectives train: generator with discriminator, or one masked LM."""

import dataclasses
import math

import keras

from electra_tf.config import Config
from electra_tf.models.encoder import Embeddings, Encoder
from electra_tf.models.heads import MaskedLMHead, ReplacedTokenHead
from electra_tf.models.initialization import initialize


class Electra(keras.Model):
    """Generator and discriminator (section 2 of the paper).

    Attributes:
        generator, discriminator: `Encoder`s; the same object with `sharing=all`.
        generator_head: `MaskedLMHead`; discriminator_head: `ReplacedTokenHead`.
    """

    def __init__(self, config: Config, *, dtype=None):
        super().__init__(name="electra", dtype=dtype)
        model, sharing = config.model, config.model.sharing
        self.embeddings = Embeddings(model, dtype=dtype)
        self.discriminator = Encoder(model, self.embeddings, name="discriminator", dtype=dtype)
        if sharing == "all":
            self.generator, embeddings = self.discriminator, self.embeddings
        else:
            small, embeddings = config.generator_model(), self.embeddings
            if sharing == "token_embeddings":
                embeddings = Embeddings(small, tokens=self.embeddings,
                                        name="generator_embeddings", dtype=dtype)
            elif sharing == "none":  # the original then needs no projection either
                small = dataclasses.replace(small, embedding_size=small.hidden_size)
                embeddings = Embeddings(small, name="generator_embeddings", dtype=dtype)
            self.generator_embeddings = embeddings
            self.generator = Encoder(small, embeddings, name="generator", dtype=dtype)
        self.generator_head = MaskedLMHead(self.generator.config, embeddings,
                                           name="generator_head", dtype=dtype)
        self.discriminator_head = ReplacedTokenHead(model, name="discriminator_head", dtype=dtype)
        _build(self, self.embeddings, embeddings, self.generator, self.discriminator,
               self.generator_head, self.discriminator_head)

    def call(self, batch, rng=None):
        """Detects replaced tokens.

        Args:
            batch: `input_ids`, `input_mask`, `segment_ids` int32 [B, L].

        Returns:
            float32 [B, L] logits.
        """
        return self.discriminator_head(self.discriminator(batch, rng=rng))


class MaskedLM(keras.Model):
    """One encoder with a token prediction head: BERT without next-sentence prediction."""

    def __init__(self, config: Config, *, dtype=None):
        super().__init__(name="mlm", dtype=dtype)
        self.embeddings = Embeddings(config.model, dtype=dtype)
        self.encoder = Encoder(config.model, self.embeddings, name="encoder", dtype=dtype)
        self.head = MaskedLMHead(config.model, self.embeddings, name="head", dtype=dtype)
        _build(self, self.embeddings, self.encoder, self.head)

    def call(self, batch, rng=None):
        """Args: batch with `input_ids`, … int32 [B, L]. Returns [B, L, H]."""
        return self.encoder(batch, rng=rng)


def new_electra(config: Config, seed: int, dtype: str | None = None) -> Electra:
    """An Electra with the original's initialisation, a function of the seed."""
    return initialize(Electra(config, dtype=dtype), config.model.initializer_range, seed)


def new_masked_lm(config: Config, seed: int, dtype: str | None = None) -> MaskedLM:
    """A MaskedLM with the original's initialisation, a function of the seed."""
    return initialize(MaskedLM(config, dtype=dtype), config.model.initializer_range, seed)


def count_parameters(model: keras.Model) -> int:
    """Number of trained weights, shared ones once."""
    return sum(math.prod(variable.shape) for variable in model.trainable_variables)


def _build(model: keras.Model, *layers) -> None:
    for layer in layers:
        if not layer.built:
            layer.build()
    model.built = True

