"""What a generator shares with its discriminator (section 3.2 of the paper).

The one place that knows what `config.model.sharing` means for the networks. A new mode is a class
here, and its name in `config.sections.SHARING`.
"""

from electra_tf.config import Config, ModelConfig
from electra_tf.models.embeddings import Embeddings
from electra_tf.models.encoder import Encoder


class SharedEmbeddings:
    """All embeddings are the discriminator's. Other modes change what they must."""

    def embeddings(self, config: ModelConfig, dtype) -> Embeddings:
        """The discriminator's embeddings, in fine-tuning and serving too."""
        return Embeddings(config, dtype=dtype)

    def generator(self, config: Config, discriminator: Encoder, dtype) -> Encoder:
        """The generator of a discriminator."""
        small = config.generator_model()
        embeddings = self.generator_embeddings(small, discriminator.embeddings, dtype)
        return Encoder(small, embeddings, name="generator", dtype=dtype)

    def generator_embeddings(self, small: ModelConfig, embeddings: Embeddings, dtype) -> Embeddings:
        """The embeddings of a generator, from its sizes and the discriminator's embeddings."""
        return embeddings


class SharedNetwork(SharedEmbeddings):
    """Generator and discriminator are one encoder."""

    def generator(self, config, discriminator, dtype):
        return discriminator


class SharedTokens(SharedEmbeddings):
    """The token table is the discriminator's; positions and segments are the generator's own."""

    def generator_embeddings(self, small, embeddings, dtype):
        return BorrowedTokens(small, embeddings, name="generator_embeddings", dtype=dtype)


class NothingShared(SharedEmbeddings):
    """The generator has embeddings of its own, of its own size."""

    def generator_embeddings(self, small, embeddings, dtype):
        return Embeddings(small, name="generator_embeddings", dtype=dtype)


class BorrowedTokens(Embeddings):
    """Embeddings whose tokens are those of others, which train them too."""

    def __init__(self, config: ModelConfig, owner: Embeddings, *, name: str, dtype=None):
        super().__init__(config, name=name, dtype=dtype)
        self._owner = owner

    def build_tokens(self):
        pass

    def lookup(self, ids, layout):
        return self._owner.lookup(ids, layout)

    def output_weights(self, dtype):
        return self._owner.output_weights(dtype)


MODES = {
    "all": SharedNetwork,
    "embeddings": SharedEmbeddings,
    "token_embeddings": SharedTokens,
    "none": NothingShared,
}


def sharing_of(config: ModelConfig) -> SharedEmbeddings:
    """The mode of a config."""
    return MODES[config.sharing]()
