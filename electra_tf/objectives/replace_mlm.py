"""Replace MLM: a masked LM that reads a generator's samples instead of [MASK] (section 3.5)."""

from keras import ops

from electra_tf import features
from electra_tf.models.electra import Corrector
from electra_tf.objectives import counts as counting
from electra_tf.objectives import masking
from electra_tf.objectives.objective import ACCURACY, Metric, Served
from electra_tf.objectives.passes import Pass, nowhere
from electra_tf.objectives.samples import of_predictions
from electra_tf.objectives.vocabulary import predict_tokens
from electra_tf.objectives.with_generator import WithGenerator

_LOSS = Metric("main_lm_loss", "encoder loss, masked-out")


class ReplaceMLM(WithGenerator):
    """The encoder predicts the true tokens at the masked-out positions, by a full softmax.

    Masks, generator and samples are those of replaced-token detection. The encoder reads the
    samples in place of the masked-out tokens and never sees [MASK]; no gradient passes through
    the samples. `config.objective.discriminator_weight` is the factor of its loss, `main_lm`.
    The paper names no factor; 1 gives both losses the same weight.
    """

    description = "replace MLM"
    model_class = Corrector
    encoder = "encoder"
    served = (
        Served("encode", "encoder"),
        Served("fill_mask", "generator", "generator_head", needs="its generator", optional=True),
    )
    headline = (
        Metric("masked_lm_loss", "generator loss"),
        Metric("masked_lm_accuracy", "masked tokens guessed right", ACCURACY),
        _LOSS,
        Metric("main_lm_accuracy", "the same, by the encoder", ACCURACY),
    )
    main_metric = _LOSS
    generators = ("trained",)
    main_term = "main_lm"
    default_weight = 1.0

    def parts(self, paths):
        return "encoder and generator"

    def loss_weights(self, batch):
        masked = ops.sum(batch[features.MASKED_WEIGHTS])
        return {"masked_lm": masked, "main_lm": masked}

    def loss_sums(self, model, batch, draws, dropout):
        sampled, masked_sum, counts = self._generate(model, batch, draws, dropout)
        replaced = masking.replace_masked(batch, sampled)
        hidden = model.encoder({**batch, features.INPUT_IDS: replaced}, dropout=dropout)
        main_sum, main_counts = self._predict(model, batch, replaced, hidden)
        return {"masked_lm": masked_sum, "main_lm": main_sum}, {**counts, **main_counts}

    def samples(self, model, batch, draws):
        batch = self.prepare(batch, draws)
        return of_predictions(batch, self._generate(model, batch, draws, None)[0])

    def metrics(self, counts):
        metrics = counting.generator_metrics(counts) | counting.token_metrics("main_lm", counts)
        metrics["loss"] = self._loss(metrics, metrics["main_lm_loss"])
        return metrics

    def passes(self):
        (generator,) = self._generator.passes()
        return generator, Pass("main_lm", self.config.model, generator.predicted, sampled=nowhere)

    def _predict(self, model, batch, replaced, hidden):
        """Returns (loss sum, counts) of the encoder's hidden states [B, L, H]."""
        ids = ops.reshape(batch[features.MASKED_IDS], (-1,))
        weights = ops.reshape(batch[features.MASKED_WEIGHTS], (-1,))
        factors = model.head.factors(hidden, batch[features.MASKED_POSITIONS])
        losses, best, _ = predict_tokens(*factors, ids=ids)
        counts = counting.token_counts("main_lm", losses, best == ids, weights)
        return counts["main_lm/loss"], counts
