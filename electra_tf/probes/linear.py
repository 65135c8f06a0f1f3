"""What the frozen hidden states of a pre-trained model's last layer tell, in seconds.

`tags`: the tag of each word, by a linear classifier on the state of its first piece. `similarity`:
how alike two sentences are, by the cosine of their mean states, without any training.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from electra_tf import features, objectives
from electra_tf.errors import UserError
from electra_tf.probes import ridge
from electra_tf.serving.graph.inference import hidden_states
from electra_tf.tasks.sentence import metrics
from electra_tf.tasks.sentence.glue import GlueTask
from electra_tf.tasks.tagging.rows import LABELS, WordRows
from electra_tf.tasks.tagging.task import TaggingTask

if TYPE_CHECKING:
    from electra_tf.runs.loaded import LoadedPretrained

_BATCH_SIZE, _WIDTHS = 64, 32  # rows of a batch, and what its length is a multiple of
_VALIDATION = 10  # every 10th row of the training file chooses the penalty


def tags(model: "LoadedPretrained", data_dir: str, max_seq_length: int = 128) -> dict[str, float]:
    """Predicts tags of words by ridge regression on frozen states.

    The penalty is the one that is best on a tenth of the training file, after which all of it is
    learnt from.

    Args:
        model: with a vocabulary.
        data_dir: files as `electra_tf finetune --config=configs/tagging.py:chunk` takes them, of
            which the dev file is scored, or where there is none the test file.
        max_seq_length: tokens of a row; longer sentences are cut between words.

    Returns:
        `f1`, `precision`, `recall` of spans unless the tags make up none, `accuracy` of words, and
        the `penalty`.

    Raises:
        UserError: the model or the files lack something.
    """
    tokenizer = _tokenizer(model)
    length = min(max_seq_length, model.config.model.max_positions)
    task = TaggingTask("tags", data_dir, max_seq_length=length)
    scored = next((split for split in ("dev", "eval_test") if split in task.splits), None)
    if scored is None:
        raise UserError(f"There must be a dev or test file with tags. Received: {data_dir} without")
    examples = task.read(scored)
    train = task.encode(task.read("train"), tokenizer, training=True)
    hidden = _hidden_function(model)
    size, classes = model.config.model.hidden_size, len(task.classes)
    rest, validation = (ridge.Moments(size, classes) for _ in range(2))
    kept = []
    for rows, states in _states(hidden, train):
        labels = train.features[LABELS][rows]
        is_kept = (rows % _VALIDATION == 0)[:, None]
        starts = train.starts[rows]
        rest.add(*_at(states, labels, starts & ~is_kept))
        part = _at(states, labels, starts & is_kept)
        validation.add(*part)
        kept.append(part)
    inputs, right = (np.concatenate(parts) for parts in zip(*kept))
    accuracy = {
        penalty: float(np.mean(ridge.predict(rest.solve(penalty), inputs) == right))
        for penalty in ridge.PENALTIES
    }
    penalty = max(accuracy, key=lambda each: accuracy[each])
    weights = rest.plus(validation).solve(penalty)
    encoded = task.encode(examples, tokenizer, training=False)
    assert isinstance(encoded, WordRows)
    best = np.zeros(encoded.starts.shape, np.int32)
    for rows, states in _states(hidden, encoded):
        starts = encoded.starts[rows][:, : states.shape[1]]
        found = np.zeros(starts.shape, np.int32)
        found[starts] = ridge.predict(weights, states[starts])
        best[rows, : states.shape[1]] = found
    predictions = task.predict(examples, encoded, {"best": best})
    return task.score(examples, predictions) | {"penalty": penalty}


def similarity(model: "LoadedPretrained", data_dir: str) -> dict[str, float]:
    """Compares sentences by the cosine of their mean states.

    Args:
        model: with a vocabulary.
        data_dir: STS-B's files, as GLUE has them, of which the dev file is scored.

    Returns:
        `spearman` and `pearson` correlation with the file's scores.

    Raises:
        UserError: the model or the files lack something.
    """
    examples = GlueTask("sts-b", data_dir).read("dev")
    assert examples.pairs is not None, "STS-B has pairs"
    first, second = (
        np.stack([_mean(states) for states in model.encode(texts)])
        for texts in (examples.texts, examples.pairs)
    )
    norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    cosines = np.sum(first * second, axis=1) / np.maximum(norms, 1e-12)
    return metrics.score(("spearman", "pearson"), examples.required_labels, cosines)


def _mean(states: np.ndarray) -> np.ndarray:
    """The mean of a text's states [L, H], in float64, without [CLS] and [SEP] if it has others."""
    own = states[1:-1] if len(states) > 2 else states
    return own.astype(np.float64).mean(axis=0)


def _tokenizer(model: "LoadedPretrained"):
    if model.tokenizer is None:
        raise UserError(
            f"A model to probe must have a vocabulary. Received: {model.directory} without"
        )
    return model.tokenizer


def _hidden_function(model: "LoadedPretrained") -> Callable[[dict], tf.Tensor]:
    """Maps a batch to hidden states float32 [B, L, H] of the network that is fine-tuned."""
    encoder = getattr(model.network, objectives.objective_class(model.config).encoder)

    @tf.function(autograph=False)
    def hidden(batch):
        return tf.cast(hidden_states(encoder, batch), tf.float32)

    return hidden


def _states(hidden: Callable, encoded: WordRows) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(numbers of some rows [B], their hidden states float32 [B, L, H]), of all rows once."""
    lengths = encoded.features[features.INPUT_MASK].sum(axis=1)
    total, longest = encoded.starts.shape
    for first in range(0, total, _BATCH_SIZE):
        rows = np.minimum(np.arange(first, first + _BATCH_SIZE), total - 1)
        width = min(longest, -(-int(lengths[rows].max()) // _WIDTHS) * _WIDTHS)
        batch = {
            name: tf.constant(encoded.features[name][rows, :width])
            for name in features.data_features(packed=False)
        }
        states = hidden(batch).numpy()
        number = min(_BATCH_SIZE, total - first)
        yield rows[:number], states[:number]


def _at(states: np.ndarray, labels: np.ndarray, places: np.ndarray):
    """States and labels where `places` [B, L'] says so, of which states have the first L."""
    places = places[:, : states.shape[1]]
    return states[places], labels[:, : states.shape[1]][places]
