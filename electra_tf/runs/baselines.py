"""What a model reaches that knows little, beside what a pre-training run has reached."""

import numpy as np

from electra_tf import features
from electra_tf.config import Config
from electra_tf.data import dataset
from electra_tf.objectives import SpecialTokens, masking
from electra_tf.text import tokenization


def baselines(metrics: dict[str, float], config: Config) -> dict[str, float]:
    """What a model reaches that knows nothing of how words follow each other.

    Args:
        metrics: content of eval.json.
        config: the run's, with the vocabulary's special tokens in its (first) data directory.

    Returns:
        `accuracy`: of copying the masked tokens that are shown and guessing the most frequent one
        elsewhere; `auc`: of knowing that [CLS] and [SEP] are never replaced, chance elsewhere.
    """
    sources = config.data.sources()
    split = dataset.open_mixture(sources, "eval")
    settings = tokenization.settings_of(config.data)
    vocabulary = tokenization.read_vocabulary(next(iter(sources)), settings)
    never_masked = SpecialTokens.of(vocabulary).never_masked
    fraction = masking.final_fraction(config.objective)
    special = num_tokens = num_masked = 0
    for batch in dataset.eval_batches(split, batch_size=256).as_numpy_iterator():
        ids, mask = batch[features.INPUT_IDS], batch[features.INPUT_MASK]
        special += np.isin(ids, never_masked).sum()
        lengths = mask.sum(axis=1, dtype=np.float32)
        num_tokens += lengths.sum()
        num_masked += np.sum(masking.num_masked(lengths, fraction))
    sampled = metrics.get("sampled_masked_lm_accuracy", 0.0)
    num_original = num_tokens - num_masked * (1 - sampled)
    hidden = config.objective.mask_token_fraction
    kept = 1 - hidden - config.objective.random_token_fraction
    return {
        "accuracy": kept + hidden * metrics["most_frequent_token_share"],
        "auc": 0.5 + 0.5 * float(special / num_original),
    }
