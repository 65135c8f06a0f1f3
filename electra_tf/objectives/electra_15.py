"""ELECTRA 15 %: the discriminator learns from the masked-out positions alone (section 3.5)."""

from keras import ops

from electra_tf import features
from electra_tf.objectives import counts as counting
from electra_tf.objectives.objective import Metric
from electra_tf.objectives.rtd import ReplacedTokenDetection


class MaskedOutDetection(ReplacedTokenDetection):
    """Replaced-token detection with the discriminator's loss at the masked-out positions only.

    These are the positions that were selected for masking, whether the sample there equals the
    original or not. `disc_masked_loss` is their mean loss, the one that is trained. All other
    metrics of the discriminator, `disc_loss` and `disc_auc` too, are over all tokens, as
    ELECTRA's: they tell how well it does where it was not taught.
    """

    headline = tuple(
        Metric("disc_masked_loss", "discriminator loss, masked-out")
        if metric.name == "disc_loss"
        else metric
        for metric in ReplacedTokenDetection.headline
    )

    def loss_weights(self, batch):
        return super().loss_weights(batch) | {"disc": ops.sum(batch[features.MASKED_WEIGHTS])}

    def loss_sums(self, model, batch, draws, dropout):
        sums, counts = super().loss_sums(model, batch, draws, dropout)
        return sums, {**counts, "disc_masked/loss": sums["disc"]}

    def metrics(self, counts):
        trained = counting.ratio(counts, "disc_masked/loss", "masked_lm/total")
        metrics = super().metrics(counts) | {"disc_masked_loss": trained}
        metrics["loss"] = self._loss(metrics, trained)
        return metrics

    def _detection_loss(self, batch, losses):
        chosen = ops.take_along_axis(losses, batch[features.MASKED_POSITIONS], axis=1)
        return ops.sum(chosen * batch[features.MASKED_WEIGHTS])
