"""Corrective language modelling: the discriminator also predicts the masked-out tokens.

Meng et al., "COCO-LM: Correcting and Contrasting Text Sequences for Language Model Pretraining",
arXiv 2102.08473, section 3.1.
"""

import functools

from keras import ops

from electra_tf import features
from electra_tf.objectives import counts as counting
from electra_tf.objectives import masking
from electra_tf.objectives.additions.addition import Addition
from electra_tf.objectives.losses import copy_or_predict
from electra_tf.objectives.objective import Metric
from electra_tf.objectives.passes import Pass, nowhere
from electra_tf.objectives.vocabulary import predict_tokens


class Corrective(Addition):
    """Masked-out tokens are copied from the text with replacements, or drawn from a softmax.

    D_t, the probability that the discriminator gives a token to be the original one, is that of
    copying it:

        p(x_t | h_t) = sg(D_t) 1[x_t = input_t] + (1 - sg(D_t)) softmax(e(x) · g(h_t))

    and the loss the mean of -log p over the masked-out positions. No gradient goes through D (sg):
    it is taught by the detection alone, the paper's copy loss. For `corrective_accuracy` the guess
    is the input where D_t > 0.5, else the softmax's best token.

    Differs from the paper, whose g is the identity: here it is the head of a masked LM, as the
    embeddings may be narrower than the states.
    """

    head = "corrective_head"
    headline = (Metric("corrective_loss", "corrective loss, masked-out"),)

    def loss_weight(self, batch):
        return ops.sum(batch[features.MASKED_WEIGHTS])

    def loss_sum(self, model, batch, detected, draws, dropout):
        ids, positions = batch[features.MASKED_IDS], batch[features.MASKED_POSITIONS]
        at_masked = functools.partial(ops.take_along_axis, indices=positions, axis=1)
        factors = model.corrective_head.factors(detected.hidden, positions)
        losses, best, _ = predict_tokens(*factors, ids=ops.reshape(ids, (-1,)))
        losses, best = ops.reshape(losses, ids.shape), ops.reshape(best, ids.shape)
        copy_logits = ops.stop_gradient(-at_masked(detected.logits))
        is_input = at_masked(detected.replaced) == ids
        counts = counting.token_counts(
            self.name,
            copy_or_predict(copy_logits, is_input, losses),
            ops.where(copy_logits > 0, is_input, best == ids),
            batch[features.MASKED_WEIGHTS],
        )
        return counts[f"{self.name}/loss"], counts

    def passes(self):
        slots = masking.slots_of(self.config.objective)
        return (
            Pass(self.name, self.config.model, slots, towers=0, sampled=nowhere, continues=True),
        )
