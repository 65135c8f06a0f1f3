"""Masked language modelling with dynamic masks: BERT's objective, the paper's baseline."""

from keras import ops

from electra_tf import features
from electra_tf.errors import UserError
from electra_tf.models.electra import MaskedLM
from electra_tf.objectives import counts as counting
from electra_tf.objectives import masking
from electra_tf.objectives.objective import ACCURACY, Metric, Objective, Served
from electra_tf.objectives.passes import Pass, nowhere
from electra_tf.objectives.samples import of_predictions
from electra_tf.objectives.vocabulary import predict_tokens

_LOSS = Metric("masked_lm_loss", "masked LM loss")


class MaskedLanguageModel(Objective):
    """One encoder predicts the masked tokens.

    As in the original's BERT objective: 85 % [MASK], 15 % kept, no random words, no
    next-sentence prediction, and new masks in every epoch. BERT's own 80 % [MASK], 10 % random
    tokens and 10 % kept are `mask_token_fraction=0.8` and `random_token_fraction=0.1`.
    """

    description = "masked language model"
    model_class = MaskedLM
    encoder = "encoder"
    served = (
        Served("fill_mask", "encoder", "head", needs="its head"),
        Served("encode", "encoder"),
        Served("score", "encoder", "head", needs="its head", bundled=False),  # a pass per token
    )
    headline = (
        _LOSS,
        Metric("masked_lm_accuracy", "masked tokens guessed right", ACCURACY),
    )
    main_metric = _LOSS

    def __init__(self, config, special=None):
        super().__init__(config, special)
        self.terms = {"masked_lm": config.objective.generator_weight}

    @classmethod
    def check(cls, config):
        if config.objective.discriminator_weight_by_step:
            raise UserError(
                "config.objective.discriminator_weight_by_step must be empty for "
                "config.objective.name=mlm, which has no discriminator. "
                f"Received: {config.objective.discriminator_weight_by_step!r:.80}"
            )

    def prepare(self, batch, draws):
        return masking.mask(batch, self.config.objective, self.special, draws)

    def loss_weights(self, batch):
        return {"masked_lm": ops.sum(batch[features.MASKED_WEIGHTS])}

    def loss_sums(self, model, batch, draws, dropout):
        ids = ops.reshape(batch[features.MASKED_IDS], (-1,))
        weights = ops.reshape(batch[features.MASKED_WEIGHTS], (-1,))
        losses, best, _ = self._predict(model, batch, ids, dropout)
        counts = counting.token_counts("masked_lm", losses, best == ids, weights)
        return {"masked_lm": ops.sum(losses * weights)}, counts

    def samples(self, model, batch, draws):
        batch = self.prepare(batch, draws)
        ids = batch[features.MASKED_IDS]
        best = self._predict(model, batch, ops.reshape(ids, (-1,)), None).best
        return of_predictions(batch, ops.reshape(best, ids.shape))

    def metrics(self, counts):
        metrics = counting.token_metrics("masked_lm", counts)
        return metrics | {"loss": self.terms["masked_lm"] * metrics["masked_lm_loss"]}

    def passes(self):
        predicted = masking.slots_of(self.config.objective)
        return (Pass("masked_lm", self.config.model, predicted, sampled=nowhere),)

    def _predict(self, model, batch, ids, dropout):
        """The `Prediction` of all mask slots, whose right tokens are int32 [B * M] ids."""
        hidden = model.encoder(
            {**batch, features.INPUT_IDS: batch[features.MASKED_INPUT_IDS]}, dropout=dropout
        )
        factors = model.head.factors(hidden, batch[features.MASKED_POSITIONS])
        return predict_tokens(*factors, ids=ids)
