"""Masked language modelling with dynamic masks: BERT's objective, the paper's baseline."""

from keras import ops

from electra_tf import features
from electra_tf.models import electra
from electra_tf.objectives import counts as counting
from electra_tf.objectives import masking, sampling
from electra_tf.objectives.losses import token_cross_entropy
from electra_tf.objectives.objective import Objective


class MaskedLanguageModel(Objective):
    """One encoder predicts the masked tokens.

    As in the original's BERT objective: 85 % [MASK], 15 % kept, no random words, no
    next-sentence prediction, and new masks in every epoch.
    """

    def __init__(self, config, special):
        super().__init__(config, special)
        self.terms = {"masked_lm": config.objective.generator_weight}
        self._block = sampling.block_size(config.model.vocab_size)

    def new_model(self, seed, dtype=None):
        return electra.new_masked_lm(self.config, seed, dtype)

    def prepare(self, batch, random):
        return masking.mask(batch, self.config.objective, self.special, random)

    def weights(self, batch):
        return {"masked_lm": ops.sum(batch[features.MASKED_WEIGHTS])}

    def loss_sums(self, model, batch, random, rng):
        ids = ops.reshape(batch[features.MASKED_IDS], (-1,))
        weights = ops.reshape(batch[features.MASKED_WEIGHTS], (-1,))
        hidden = model.encoder({**batch, features.INPUT_IDS: batch[features.HIDDEN_IDS]}, rng=rng)
        logits = model.head(hidden, batch[features.MASKED_POSITIONS], pad_to=self._block)
        losses, _ = token_cross_entropy(logits, ids, self._block)
        best = sampling.most_probable(ops.stop_gradient(logits), self._block)
        counts = counting.token_counts("masked_lm", losses, best == ids, weights)
        return {"masked_lm": ops.sum(losses * weights)}, counts

    def metrics(self, counts):
        loss = counting.ratio(counts, "masked_lm/loss", "masked_lm/total")
        return {"masked_lm_loss": loss,
                "masked_lm_accuracy": counting.ratio(counts, "masked_lm/correct",
                                                     "masked_lm/total"),
                "loss": self.terms["masked_lm"] * loss}
