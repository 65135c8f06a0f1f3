"""Multi-word selection: which of a few likely tokens stood at a masked-out position.

Shen et al., "Training ELECTRA Augmented with Multi-word Selection", arXiv 2106.00139.
"""

from keras import ops

from electra_tf import features
from electra_tf.config.checks import one_of
from electra_tf.objectives import counts as counting
from electra_tf.objectives import masking, sampling
from electra_tf.objectives.additions.addition import Addition
from electra_tf.objectives.objective import ACCURACY, Metric
from electra_tf.objectives.passes import Pass
from electra_tf.objectives.vocabulary import predict_tokens

WRONG = 4  # candidates beside the right one


class Selection(Addition):
    """The discriminator picks the masked-out token among itself and four samples.

    The samples are the generator's, at temperature 1, of all tokens but the right one and without
    repeats. What stands in the text was drawn apart from them and need not be among them. No
    gradient goes into the generator.

    Differs from the paper, whose tasks have transformer layers of their own on shared ones: here it
    is a head on the discriminator's last layer.
    """

    head = "selection_head"
    headline = (Metric("selection_accuracy", "masked-out tokens found among five", ACCURACY),)

    def check(self):
        one_of(
            "With config.objective.selection_weight config.objective.generator",
            self.config.objective.generator,
            ("trained", "frozen", "unigram"),
        )

    def loss_weight(self, batch):
        return ops.sum(batch[features.MASKED_WEIGHTS])

    def loss_sum(self, model, batch, detected, draws, dropout):
        candidates = self._candidates(batch, detected.generated.factors, draws)
        logits = model.selection_head(detected.hidden, batch[features.MASKED_POSITIONS], candidates)
        counts = counting.token_counts(
            self.name,
            ops.logsumexp(logits, axis=-1) - logits[:, 0],
            ops.argmax(logits, axis=-1) == 0,
            ops.reshape(batch[features.MASKED_WEIGHTS], (-1,)),
        )
        return counts[f"{self.name}/loss"], counts

    def passes(self):
        slots = masking.slots_of(self.config.objective)
        return (
            Pass(
                self.name,
                self.config.model,
                slots,
                towers=0,
                sampled=lambda length: WRONG * slots(length),
                continues=True,
                candidates=1 + WRONG,
            ),
        )

    def _candidates(self, batch, factors, draws):
        """The right tokens first, then the samples: int32 [B*M, 1 + WRONG].

        Args:
            batch: prepared rows.
            factors: of the generator's logits, see `MaskedLMHead.factors`.
            draws: of the rows.
        """
        ids = batch[features.MASKED_IDS]
        vectors, table, bias = (ops.stop_gradient(factor) for factor in factors)
        found = [ops.reshape(ids, (-1,))]
        for number in range(WRONG):
            noise = sampling.noise(draws, ids.shape, table.shape[0], f"candidate_{number}/")
            sampler = sampling.Sampler(*noise, disallow=ops.stack(found, axis=-1))
            found.append(predict_tokens(vectors, table, bias, found[0], sampler).sampled)
        return ops.stop_gradient(ops.stack(found, axis=-1))
