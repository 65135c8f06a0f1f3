"""The networks that objectives train: a generator with what reads its samples, or one masked LM."""

from collections.abc import Collection

import keras

from electra_tf.config import Config
from electra_tf.models.embeddings import Embeddings
from electra_tf.models.encoder import Encoder
from electra_tf.models.heads import (
    BaselineHead,
    CopyHead,
    MaskedLMHead,
    ReplacedTokenHead,
    SelectionHead,
)
from electra_tf.models.sharing import sharing_of

OPTIONAL_PARTS = ("generator", "discriminator_head")  # what a published Electra may lack
# What only terms that are added to its loss train: on the discriminator, tied to its embeddings.
ADDED_HEADS = {"corrective_head": MaskedLMHead, "selection_head": SelectionHead}


class Electra(keras.Model):
    """Generator and discriminator (section 2 of the paper).

    Attributes:
        generator, discriminator: `Encoder`s; the same object with `sharing=all`.
        generator_head: `MaskedLMHead`; discriminator_head: `ReplacedTokenHead`.
        corrective_head, selection_head: `MaskedLMHead`, `SelectionHead` of `objectives.additions`.

    Args:
        config: the experiment.
        parts: which of OPTIONAL_PARTS and ADDED_HEADS to have; attributes of the others, with
            "generator" both `generator` and `generator_head`, are None.
        dtype: Keras's dtype policy; not by default the one that a process has set for its own.
    """

    def __init__(self, config: Config, *, parts: Collection[str] = OPTIONAL_PARTS, dtype="float32"):
        super().__init__(name="electra", dtype=dtype)
        sharing = sharing_of(config.model)
        self.embeddings = sharing.embeddings(config.model, dtype)
        self.discriminator = Encoder(
            config.model, self.embeddings, name="discriminator", dtype=dtype
        )
        self.generator = self.generator_head = self.discriminator_head = None
        if "generator" in parts:
            self.generator = sharing.generator(config, self.discriminator, dtype)
            self.generator_head = MaskedLMHead(
                self.generator.config, self.generator.embeddings, name="generator_head", dtype=dtype
            )
        if "discriminator_head" in parts:
            self.discriminator_head = ReplacedTokenHead(
                config.model, name="discriminator_head", dtype=dtype
            )
        for name, head in ADDED_HEADS.items():
            made = None
            if name in parts:
                made = head(config.model, self.embeddings, name=name, dtype=dtype)
            setattr(self, name, made)
        build_layers(
            self,
            self.embeddings,
            self.generator and self.generator.embeddings,
            self.generator,
            self.discriminator,
            self.generator_head,
            self.discriminator_head,
            *(getattr(self, name) for name in ADDED_HEADS),
        )

    def call(self, batch, dropout=None):
        """Detects replaced tokens.

        Args:
            batch: `input_ids`, `input_mask`, `segment_ids` int32 [B, L].

        Returns:
            float32 [B, L] logits.
        """
        assert self.discriminator_head is not None, "it has no head"
        return self.discriminator_head(self.discriminator(batch, dropout=dropout))


class AdversarialElectra(Electra):
    """An `Electra` whose generator learns from rewards; `generator_baseline` expects them."""

    def __init__(self, config: Config, *, dtype="float32"):
        super().__init__(config, dtype=dtype)
        assert self.generator is not None, "it has all parts"
        self.generator_baseline = BaselineHead(
            self.generator.config, name="generator_baseline", dtype=dtype
        )
        build_layers(self, self.generator_baseline)


class MaskedLM(keras.Model):
    """One encoder with a token prediction head: BERT without next-sentence prediction."""

    def __init__(self, config: Config, *, dtype="float32"):
        super().__init__(name="mlm", dtype=dtype)
        self.embeddings = Embeddings(config.model, dtype=dtype)
        self.encoder = Encoder(config.model, self.embeddings, name="encoder", dtype=dtype)
        self.head = MaskedLMHead(config.model, self.embeddings, name="head", dtype=dtype)
        build_layers(self, self.embeddings, self.encoder, self.head)

    def call(self, batch, dropout=None):
        """Args: batch with `input_ids`, … int32 [B, L]. Returns [B, L, H]."""
        return self.encoder(batch, dropout=dropout)


class Corrector(keras.Model):
    """A generator, and an encoder that predicts tokens of the text with its samples in it.

    Attributes:
        generator, encoder: `Encoder`s; the same object with `sharing=all`.
        generator_head, head: `MaskedLMHead`s.
    """

    def __init__(self, config: Config, *, dtype="float32"):
        super().__init__(name="corrector", dtype=dtype)
        sharing = sharing_of(config.model)
        self.embeddings = sharing.embeddings(config.model, dtype)
        self.encoder = Encoder(config.model, self.embeddings, name="encoder", dtype=dtype)
        self.head = MaskedLMHead(config.model, self.embeddings, name="head", dtype=dtype)
        self.generator = sharing.generator(config, self.encoder, dtype)
        self.generator_head = MaskedLMHead(
            self.generator.config, self.generator.embeddings, name="generator_head", dtype=dtype
        )
        build_layers(
            self,
            self.embeddings,
            self.generator.embeddings,
            self.generator,
            self.encoder,
            self.generator_head,
            self.head,
        )

    def call(self, batch, dropout=None):
        """Args: batch with `input_ids`, … int32 [B, L]. Returns [B, L, H] of the encoder."""
        return self.encoder(batch, dropout=dropout)


class CopyingCorrector(Corrector):
    """A `Corrector` that may keep a token; `copy_head`, a `CopyHead`, tells where."""

    def __init__(self, config: Config, *, dtype="float32"):
        super().__init__(config, dtype=dtype)
        self.copy_head = CopyHead(config.model, name="copy_head", dtype=dtype)
        build_layers(self, self.copy_head)


def parts_of(paths: Collection[str]) -> list[str]:
    """Which of OPTIONAL_PARTS and ADDED_HEADS an `Electra` with these weights has."""
    scopes = {path.split("/")[0] for path in paths}
    parts = {
        "generator": {"generator", "generator_head", "generator_embeddings"} & scopes,
        "discriminator_head": {"discriminator_head"} & scopes,
        **{name: {name} & scopes for name in ADDED_HEADS},
    }
    return [part for part, there in parts.items() if there]


def build_layers(model: keras.Model, *layers) -> None:
    """Makes the weights of a model's layers, in this order; None and built ones are passed over."""
    for layer in layers:
        if layer is not None and not layer.built:
            layer.build()
    model.built = True
