"""What a generator shares with its discriminator (section 3.2 of the paper).

The one place that knows what `config.model.sharing` means for the networks and their weights. A new
mode is a class here, and its name in `config.sections.SHARING`.

What the discriminator reads with is called embeddings/…, tables that the generator has for itself
generator_embeddings/…. A mode may train other numbers under these names; `published` gives the
tables themselves.
"""

from collections.abc import Iterable, Mapping

import numpy as np
from keras import ops

from electra_tf.config import Config, ModelConfig
from electra_tf.models.embeddings import Embeddings
from electra_tf.models.encoder import Encoder
from electra_tf.models.initialization import TRUNCATED_NORMAL, ZEROS

EMBEDDINGS = ("embeddings/", "generator_embeddings/")  # beginnings of their paths
Weights = Mapping[str, np.ndarray]


class SharedEmbeddings:
    """All embeddings are the discriminator's. Other modes change what they must.

    Attributes:
        name: of the mode.
        own_tokens: whether the generator looks tokens up in another table.
        trains_tables: whether all weights are the tables that the networks read.
        beginning: in words, what `trained` gives for the tables of a mode that does the other.
    """

    name = "embeddings"
    own_tokens = False
    trains_tables = True
    beginning = "the tables of the discriminator start as the sums E_G + E_delta"

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

    def published(self, config: Config) -> Config:
        """The config of a model whose weights are `tables` of this mode's."""
        return config

    def tables(self, weights: Weights) -> dict[str, np.ndarray]:
        """The tables that the networks read, where weights by path are trained in this mode."""
        return dict(weights)

    def trained(self, tables: Weights) -> dict[str, np.ndarray]:
        """What this mode trains, by path, so that the networks read these tables."""
        return dict(tables)


class SharedNetwork(SharedEmbeddings):
    """Generator and discriminator are one encoder."""

    name = "all"

    def generator(self, config, discriminator, dtype):
        return discriminator


class SharedTokens(SharedEmbeddings):
    """The token table is the discriminator's; positions and segments are the generator's own."""

    name = "token_embeddings"

    def generator_embeddings(self, small, embeddings, dtype):
        return BorrowedTokens(small, embeddings, name="generator_embeddings", dtype=dtype)


class NothingShared(SharedEmbeddings):
    """The generator has embeddings of its own, of its own size."""

    name = "none"
    own_tokens = True

    def generator_embeddings(self, small, embeddings, dtype):
        return Embeddings(small, name="generator_embeddings", dtype=dtype)


class GradientDisentangled(NothingShared):
    """Gradient-disentangled embedding sharing (section 3.3 of DeBERTaV3, arXiv 2111.09543).

    The generator trains its tables E_G, the discriminator reads E_D = stop_gradient(E_G) + E_delta
    and trains E_delta alone, which starts as zero. So both read what the generator has learnt of
    the tokens, and the discriminator's loss, which pulls tokens apart, cannot spoil it for the
    generator.

    That is the rule of all tables: tokens, positions, segments. Each network has a layer norm of
    its own. Weight decay draws E_delta to zero, so E_D to E_G. A discriminator without a generator
    has ordinary tables.

    Differs from the original's code, which updates the generator first and has the discriminator
    read the new E_G: here both gradients are of one step's weights. Its models have no segments.
    """

    name = "gdes"
    trains_tables = False
    beginning = (
        "E_G starts as the generator's tables, or the discriminator's where it has none of its "
        "own, E_delta as the difference to the discriminator's"
    )

    def embeddings(self, config, dtype):
        return DisentangledEmbeddings(config, dtype=dtype)

    def generator_embeddings(self, small, embeddings, dtype):
        embeddings.base = super().generator_embeddings(small, embeddings, dtype)
        return embeddings.base

    def published(self, config):
        config = Config.from_json(config.to_json())
        config.model.sharing = NothingShared.name
        config.generator.embedding_size = config.model.embedding_size
        return config

    def tables(self, weights):
        sums = {
            delta: weights[delta] + weights[base]
            for delta, base in _pairs(weights)
            if base in weights
        }
        return {**weights, **sums}

    def trained(self, tables):
        found = dict(tables)
        for delta, base in _pairs(tables):
            found[base] = tables.get(base, tables[delta])
            found[delta] = tables[delta] - found[base]
        for path in tables:
            if path.startswith("embeddings/"):  # the layer norm, where it was shared
                found.setdefault(f"generator_{path}", tables[path])
        return found


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


class DisentangledEmbeddings(Embeddings):
    """Embeddings whose tables are added to those of `base`, which they do not train.

    Attributes:
        base: `Embeddings` of the same size, set before the weights are made; None: these are
            ordinary ones.
    """

    def __init__(self, config: ModelConfig, *, name: str = "embeddings", dtype=None):
        super().__init__(config, name=name, dtype=dtype)
        self.base: Embeddings | None = None

    def add_table(self, name, rows, start=TRUNCATED_NORMAL):
        return super().add_table(name, rows, start if self.base is None else ZEROS)

    def summed(self, input_ids, segment_ids, layout):
        own = super().summed(input_ids, segment_ids, layout)
        if self.base is None:
            return own
        return own + ops.stop_gradient(self.base.summed(input_ids, segment_ids, layout))

    def output_weights(self, dtype):
        if self.base is None:
            return super().output_weights(dtype)
        # The sum in float32: where E_delta is small, 8 bits of each would lose it.
        base = ops.stop_gradient(self.base.output_weights("float32"))
        return ops.cast(super().output_weights("float32") + base, dtype)


MODES = {
    mode.name: mode
    for mode in (SharedNetwork, SharedEmbeddings, SharedTokens, NothingShared, GradientDisentangled)
}


def _pairs(paths: Iterable[str]) -> list[tuple[str, str]]:
    """Paths of tables E_delta and of their E_G."""
    return [
        (path, f"generator_{path}")
        for path in paths
        if path.startswith("embeddings/") and "/layer_norm/" not in path
    ]


def sharing_of(config: ModelConfig) -> SharedEmbeddings:
    """The mode of a config."""
    return MODES[config.sharing]()
