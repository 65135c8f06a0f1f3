"""All-Tokens MLM: replace MLM at every position, with a copy mechanism (section 3.5)."""

import functools

from keras import ops

from electra_tf import features
from electra_tf.models.electra import CopyingCorrector
from electra_tf.objectives import counts as counting
from electra_tf.objectives.losses import copy_or_predict
from electra_tf.objectives.objective import Metric
from electra_tf.objectives.passes import Pass, every_position, nowhere
from electra_tf.objectives.replace_mlm import ReplaceMLM
from electra_tf.objectives.vocabulary import predict_tokens


class AllTokensMLM(ReplaceMLM):
    """The encoder predicts every token: it copies the one it reads, or draws from its softmax.

    D_t = sigmoid(w · h_t) is the probability to copy the token that stands in the input, so that

        p(x_t | h_t) = D_t 1[x_t = input_t] + (1 - D_t) softmax(e(x) · h_t)

    Trained is -log p over all tokens, `all_tokens_loss`; `main_lm_loss` is its mean over the
    masked-out positions, which compares with that of replace MLM. For accuracies the model's guess
    is the input where D_t > 0.5, else the softmax's best token.

    The gradient flows into D and the softmax alike, as in the paper. COCO-LM found the mixture
    unstable and detaches D in it; that is not done here.
    """

    description = "all-tokens MLM"
    model_class = CopyingCorrector
    headline = (*ReplaceMLM.headline, Metric("all_tokens_loss", "encoder loss, all tokens"))

    def loss_weights(self, batch):
        return {
            "masked_lm": ops.sum(batch[features.MASKED_WEIGHTS]),
            "main_lm": ops.sum(ops.cast(batch[features.INPUT_MASK], "float32")),
        }

    def metrics(self, counts):
        metrics = super().metrics(counts) | counting.token_metrics("all_tokens", counts)
        metrics["loss"] = self._loss(metrics, metrics["all_tokens_loss"])
        return metrics

    def passes(self):
        generator, _ = super().passes()  # of D, H multiply-adds a token are not counted
        return generator, Pass("main_lm", self.config.model, every_position, sampled=nowhere)

    def _predict(self, model, batch, replaced, hidden):
        ids, is_input = batch[features.INPUT_IDS], batch[features.INPUT_IDS] == replaced
        losses, best, _ = predict_tokens(*model.head.factors(hidden), ids=ops.reshape(ids, (-1,)))
        copy_logits = model.copy_head(hidden)
        losses = copy_or_predict(copy_logits, is_input, ops.reshape(losses, ids.shape))
        correct = ops.where(copy_logits > 0, is_input, ops.reshape(best, ids.shape) == ids)
        weights = ops.cast(batch[features.INPUT_MASK], "float32")
        counts = counting.token_counts("all_tokens", losses, correct, weights)
        at_masked = functools.partial(
            ops.take_along_axis, indices=batch[features.MASKED_POSITIONS], axis=1
        )
        counts |= counting.token_counts(
            "main_lm",
            at_masked(losses),
            at_masked(ops.cast(correct, "float32")),
            batch[features.MASKED_WEIGHTS],
        )
        return counts["all_tokens/loss"], counts
