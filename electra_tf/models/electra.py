"""The networks that objectives train: generator with discriminator, or one masked LM."""

import math
from collections.abc import Collection

import keras

from electra_tf.config import Config
from electra_tf.models.encoder import Embeddings, Encoder
from electra_tf.models.heads import MaskedLMHead, ReplacedTokenHead
from electra_tf.models.initialization import initialize, shapes_of

OPTIONAL_PARTS = ("generator", "discriminator_head")  # what a published Electra may lack


class Electra(keras.Model):
    """Generator and discriminator (section 2 of the paper).

    Attributes:
        generator, discriminator: `Encoder`s; the same object with `sharing=all`.
        generator_head: `MaskedLMHead`; discriminator_head: `ReplacedTokenHead`.

    Args:
        config: the experiment.
        parts: which of OPTIONAL_PARTS to have; attributes of the others, with "generator" both
            `generator` and `generator_head`, are None.
        dtype: Keras's dtype policy.
    """

    def __init__(self, config: Config, *, parts: Collection[str] = OPTIONAL_PARTS, dtype=None):
        super().__init__(name="electra", dtype=dtype)
        self.embeddings = Embeddings(config.model, dtype=dtype)
        self.discriminator = Encoder(config.model, self.embeddings, name="discriminator",
                                     dtype=dtype)
        self.generator = self.generator_head = self.discriminator_head = None
        if "generator" in parts:
            self._add_generator(config, dtype)
        if "discriminator_head" in parts:
            self.discriminator_head = ReplacedTokenHead(config.model, name="discriminator_head",
                                                        dtype=dtype)
        _build(self, self.embeddings, self.generator and self.generator.embeddings, self.generator,
               self.discriminator, self.generator_head, self.discriminator_head)

    def _add_generator(self, config, dtype):
        sharing, small, embeddings = config.model.sharing, config.generator_model(), self.embeddings
        if sharing == "all":
            self.generator = self.discriminator
        else:
            if sharing in ("token_embeddings", "none"):
                tokens = self.embeddings if sharing == "token_embeddings" else None
                embeddings = Embeddings(small, tokens=tokens, name="generator_embeddings",
                                        dtype=dtype)
            self.generator = Encoder(small, embeddings, name="generator", dtype=dtype)
        self.generator_head = MaskedLMHead(self.generator.config, embeddings,
                                           name="generator_head", dtype=dtype)

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


def variable_shapes(config: Config, paths: Collection[str]) -> dict[str, tuple[int, ...]]:
    """Every weight that a config's networks have, without making one.

    Args:
        config: the experiment; `model.vocab_size` is set.
        paths: weights that there are: an optional part of which there is none is left out.

    Returns:
        Shapes by variable path.
    """
    return shapes_of(lambda: new_uninitialized(config, paths))


def new_uninitialized(config: Config, paths: Collection[str], dtype: str | None = None
                      ) -> Electra | MaskedLM:
    """The networks of a config, to be filled; arguments as of `variable_shapes`."""
    if config.objective.name == "mlm":
        return MaskedLM(config, dtype=dtype)
    scopes = {path.split("/")[0] for path in paths}
    parts = {"generator": {"generator", "generator_head", "generator_embeddings"} & scopes,
             "discriminator_head": {"discriminator_head"} & scopes}
    return Electra(config, parts=[part for part, there in parts.items() if there], dtype=dtype)


def _build(model: keras.Model, *layers) -> None:
    for layer in layers:
        if layer is not None and not layer.built:
            layer.build()
    model.built = True

