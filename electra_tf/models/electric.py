"""The networks of Electric: a discriminator whose logits are energies, and a two-tower generator.

Clark et al., "Pre-Training Transformers as Energy-Based Cloze Models", arXiv 2012.08561.
"""

import dataclasses

import keras
from keras import ops

from electra_tf.config import Config
from electra_tf.models.electra import build_layers
from electra_tf.models.encoder import Encoder
from electra_tf.models.heads import MaskedLMHead, ReplacedTokenHead
from electra_tf.models.sharing import sharing_of
from electra_tf.models.visibility import LEFT_TO_RIGHT, RIGHT_TO_LEFT


class Electric(keras.Model):
    """Discriminator and cloze generator (section 2 of the paper).

    Both towers look up the same embeddings, by default the discriminator's.

    Differs from the original where nothing is shared: there each tower has tables of its own.

    Attributes:
        discriminator: `Encoder`; discriminator_head: `ReplacedTokenHead`, whose logits are
            energies.
        generator_ltr, generator_rtl: `Encoder`s of the generator's sizes, which read in one
            direction each; generator_head: `MaskedLMHead` on what `cloze` gives.

    Args:
        config: the experiment.
        dtype: Keras's dtype policy; not by default the one that a process has set for its own.
    """

    def __init__(self, config: Config, *, dtype="float32"):
        super().__init__(name="electric", dtype=dtype)
        sharing, small = sharing_of(config.model), config.generator_model()
        self.embeddings = sharing.embeddings(config.model, dtype)
        self.discriminator = Encoder(
            config.model, self.embeddings, name="discriminator", dtype=dtype
        )
        self.discriminator_head = ReplacedTokenHead(
            config.model, name="discriminator_head", dtype=dtype
        )
        shared = sharing.generator_embeddings(small, self.embeddings, dtype)
        self.generator_ltr = Encoder(
            small, shared, name="generator_ltr", direction=LEFT_TO_RIGHT, dtype=dtype
        )
        self.generator_rtl = Encoder(
            small, shared, name="generator_rtl", direction=RIGHT_TO_LEFT, dtype=dtype
        )
        both = dataclasses.replace(small, hidden_size=2 * small.hidden_size)
        self.generator_head = MaskedLMHead(both, shared, name="generator_head", dtype=dtype)
        build_layers(
            self,
            self.embeddings,
            shared,
            self.generator_ltr,
            self.generator_rtl,
            self.discriminator,
            self.generator_head,
            self.discriminator_head,
        )

    def call(self, batch, dropout=None):
        """Energies, the less the likelier a token is in its place.

        Args:
            batch: `input_ids`, `input_mask`, `segment_ids` int32 [B, L].

        Returns:
            float32 [B, L], -log p(token | the others) up to a constant.
        """
        return self.discriminator_head(self.discriminator(batch, dropout=dropout))

    def cloze(self, batch, dropout=None):
        """What both towers know of each place without having seen the token there.

        As in the original the neighbours wrap around: the first place takes the left tower's last
        state, and the last place the right tower's first one, which have seen the whole row. In a
        padded row the last token takes the right tower's state at padding, where it sees nothing:
        the softmax is then over all that is masked. So what is predicted in place of [CLS], and of
        the [SEP] that ends a row, depends on that token and on the padding. In rows that hold
        several documents the neighbours of [CLS] and [SEP] may be another document's.

        Args:
            batch: `input_ids`, `input_mask`, `segment_ids` int32 [B, L].

        Returns:
            [B, L, 2*H] in the compute dtype: of place t the left tower's state at t-1 and the
            right one's at t+1.
        """
        before = ops.roll(self.generator_ltr(batch, dropout=dropout), 1, axis=1)
        after = ops.roll(self.generator_rtl(batch, dropout=dropout), -1, axis=1)
        return ops.concatenate([before, after], axis=-1)
