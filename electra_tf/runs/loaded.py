"""A model directory of any kind as a Python object: `electra_tf.load`.

Texts are tokenized, cut and computed with by what serves and predicts elsewhere: the serving graph
of a pre-trained model, the task of a fine-tuned one.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from electra_tf import files, objectives
from electra_tf.config import Config
from electra_tf.config.finetuning import FinetuneConfig
from electra_tf.errors import UserError
from electra_tf.models.finetuned import Finetuned
from electra_tf.runs.ranking import Ranker
from electra_tf.runs.text_tokens import tokens_of
from electra_tf.saved import model_directory
from electra_tf.saved.finetuned import is_finetuned, load_network
from electra_tf.serving.client.ranking import TextScore
from electra_tf.serving.graph.pretrained import PretrainedModel
from electra_tf.tasks.base import FinetuningTask
from electra_tf.tasks.finetuning import outputs_function, predict_outputs
from electra_tf.text.tokenizer import Tokenizer
from electra_tf.train.strategy import share_gpus

_BATCH_SIZE = 32  # texts in one call of a pre-trained model


def load(directory: str | os.PathLike) -> "LoadedPretrained | LoadedFinetuned":
    """A model for use from Python, in float32.

    Args:
        directory: a run of `electra_tf pretrain` (its newest checkpoint) or `electra_tf finetune`,
            or a model directory that `electra_tf convert` has written.

    Raises:
        UserError: no model directory, or its weights are not those of its config.

    Example:
        >>> model = electra_tf.load("runs/mine")
        >>> for token in model.predict(["The cat sat on the idea."])[0][:2]:
        ...     print(token)
        {'token': 'the', 'start': 0, 'end': 3, 'replaced_probability': 0...}
        {'token': 'c', 'start': 4, 'end': 7, 'replaced_probability': 0...}
        >>> model = electra_tf.load("runs/rte")
        >>> model.predict([("A man sleeps.", "A man is awake.")])
        [{'id': 0, 'label': ..., 'probabilities': {'entailment': 0..., 'not_entailment': 0...}}]
    """
    directory = files.expand(directory)
    share_gpus()  # or a later training in this process finds none left
    if is_finetuned(directory):
        return LoadedFinetuned(directory, *load_network(directory))
    return load_pretrained(directory)


def load_pretrained(directory: str | os.PathLike) -> "LoadedPretrained":
    """As `load`, of a pre-trained model; a UserError for any other."""
    directory = files.expand(directory)
    share_gpus()
    return LoadedPretrained(directory, model_directory.load_network(directory))


class LoadedPretrained:
    """A pre-trained model.

    The networks are attributes, those of its `Electra`, `Electric`, `MaskedLM` or
    `Corrector`: `discriminator`, `discriminator_head`, `generator`, `generator_head` (None where
    there is none), or `encoder` and `head`.

    Attributes:
        directory: where it was loaded from.
        network: the Keras model.
        config: its `Config`; of a run with sharing=gdes that of the model with the summed tables.
        tokenizer: None where the directory has no vocabulary.

    Example:
        >>> model = electra_tf.load("runs/mine")
        >>> batch = model.tokenizer.batch(["the cat sat", "the model"])
        >>> batch["input_ids"].shape
        TensorShape([2, 9])
        >>> model(batch).shape  # logits; above 0 a token looks replaced
        TensorShape([2, 9])
        >>> model.discriminator(batch).shape  # hidden states
        TensorShape([2, 9, 48])
    """

    config: Config
    tokenizer: Tokenizer | None

    def __init__(self, directory: str, network: keras.Model):
        self.directory, self.network = directory, network
        self.config, self.tokenizer = network.config, network.tokenizer
        self._servable: PretrainedModel | None = None

    def __fspath__(self) -> str:
        return self.directory

    def __call__(self, batch: dict, **settings):
        """What the network gives for a batch, such as `tokenizer.batch` makes.

        Of an `Electra` logits float32 [B, L], positive where a token looks replaced; of an
        `Electric` energies float32 [B, L]; of other networks hidden states [B, L, H].
        """
        return self.network(batch, **settings)

    def __getattr__(self, name: str):
        if name == "network":  # not loaded yet, as in unpickling
            raise AttributeError(name)
        return getattr(self.network, name)

    def predict(self, texts: Sequence[str]) -> list:
        """What the model is made for: `detect_replaced`, `fill_mask`, `score` or `encode`."""
        return getattr(self, objectives.objective_class(self.config).served[0].signature)(texts)

    def detect_replaced(self, texts: Sequence[str]) -> list[list[dict[str, Any]]]:
        """Which tokens do not fit.

        Args:
            texts: strings; the end of one that is longer than the model is not looked at.

        Returns:
            For each text its tokens, in order: `token`; `start` and `end`, where in the text the
            word stands that it came from; `replaced_probability`.

        Raises:
            UserError: the model has no discriminator with its head, or no vocabulary.
        """
        return [
            tokens_of(text, answer, replaced_probability="replaced_probability")
            for text, answer in self._answers("detect_replaced", texts)
        ]

    def score(self, texts: Sequence[str]) -> list[dict[str, Any]]:
        """How plausible texts are, by all of their tokens: more is more plausible.

        A token's score is, by an Electric, its log-probability given all others, up to a constant;
        by a discriminator, the log of the probability that it is the original; by a masked LM its
        log-probability where it alone is masked, for which each token costs a pass.

        Args:
            texts: strings; the end of one that is longer than the model is not looked at.

        Returns:
            For each text `score`, the sum of its tokens', and `tokens`, in order: `token`; `start`
            and `end`, where in the text the word stands that it came from; `score`.

        Raises:
            UserError: the model has none of these networks, or no vocabulary.
        """
        return [
            {
                "score": float(answer["score"]),
                "tokens": tokens_of(text, answer, score="token_scores"),
            }
            for text, answer in self._answers("score", texts)
        ]

    def rank(self, candidates: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
        """Which of some texts is the most plausible, by `score`.

        Args:
            candidates: lists of texts to choose from. The end of a text that is longer than the
                model counts nothing, of which a warning tells.

        Returns:
            For each list `scores` and `best`, as `electra_tf predict` writes them; see
            `serving.client.ranking.rank`.

        Raises:
            UserError: no such lists, a text without a token, or a model that cannot score.

        Example:
            >>> electra_tf.load("runs/mine").rank([["the cat sat", "the cat sad"]])
            [{'scores': [-..., -...], 'best': ...}]
        """
        ranker = Ranker(self)
        rankings = ranker.rank(candidates)
        ranker.warn("candidates")
        return rankings

    def text_scores(self, texts: Sequence[str]) -> Iterator[TextScore]:
        """As `score`, without the tokens."""
        for _, answer in self._answers("score", texts):
            yield TextScore(float(answer["score"]), int((answer["end_offset"] > 0).sum()))

    def require(self, signature: str) -> None:
        """Raises UserError if the model cannot answer a signature, a name of `Served`."""
        objectives.require_signature(self.config, self.network, signature, self.directory)

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Hidden states of the last layer, for each text float32 [L, H], [CLS] and [SEP] included.

        Args:
            texts: strings; the end of one that is longer than the model is not looked at.

        Raises:
            UserError: the model has no vocabulary.
        """
        return [
            answer["sequence_output"][answer["mask"] > 0]
            for _, answer in self._answers("encode", texts)
        ]

    def fill_mask(self, texts: Sequence[str]) -> list[list[dict[str, float]]]:
        """The likeliest tokens for every `[MASK]`, by a generator or a masked LM.

        Args:
            texts: strings; the end of one that is longer than the model is not looked at.

        Returns:
            For each text and each `[MASK]` of it the probabilities of its five likeliest tokens.

        Raises:
            UserError: the model has no generator, or no vocabulary.

        Example:
            >>> model = electra_tf.load("runs/mine")
            >>> [[candidates]] = model.fill_mask(["the [MASK] sat"])
            >>> len(candidates), sum(candidates.values()) < 1
            (5, True)
        """
        return [
            [
                {token.decode(): float(value) for token, value in zip(tokens, values)}
                for tokens, values, is_there in zip(
                    answer["tokens"], answer["probabilities"], answer["mask"]
                )
                if is_there
            ]
            for _, answer in self._answers("fill_mask", texts)
        ]

    def _answers(self, signature: str, texts: Sequence[str]):
        """Pairs of each text and its rows of the signature's outputs."""
        _require_list(texts)
        for text in texts:
            if not isinstance(text, str):
                raise UserError(f"A text must be a string. Received: {text!r:.60}")
        self.require(signature)
        call = getattr(self._serving(), signature)
        for first in range(0, len(texts), _BATCH_SIZE):
            some = texts[first : first + _BATCH_SIZE]
            outputs = call(tf.constant([text.encode(errors="ignore") for text in some]))
            columns = {name: value.numpy() for name, value in outputs.items()}
            for row, text in enumerate(some):
                yield text, {name: column[row] for name, column in columns.items()}

    def _serving(self) -> PretrainedModel:
        """The serving graph of the networks."""
        if self.tokenizer is None:
            raise UserError(
                "A model to predict with must have a vocabulary. Received: "
                f"{self.directory} without"
            )
        if self._servable is None:
            self._servable = PretrainedModel(
                objectives.objective_class(self.config).answerable(self.network),
                self.network,
                self.tokenizer,
                self.config.model.max_positions,
            )
        return self._servable


class LoadedFinetuned:
    """A fine-tuned model.

    Attributes:
        directory: where it was loaded from.
        network: the Keras model, a `Finetuned`.
        task: what it was trained for.
        config: its `FinetuneConfig`.
        tokenizer: of its vocabulary.
    """

    def __init__(
        self,
        directory: str,
        task: FinetuningTask,
        network: Finetuned,
        tokenizer: Tokenizer,
        config: FinetuneConfig,
    ):
        self.directory, self.task, self.network = directory, task, network
        self.tokenizer, self.config = tokenizer, config
        self._outputs_of = outputs_function(task, network)

    def __fspath__(self) -> str:
        return self.directory

    def __call__(self, batch: dict) -> dict[str, Any]:
        """The task's outputs for a batch, such as `tokenizer.batch` makes; see `task.outputs`."""
        return self._outputs_of(batch)

    def predict(self, inputs: Sequence) -> list[dict[str, Any]]:
        """Predictions, as `electra_tf predict` writes them.

        Args:
            inputs: strings, or pairs of strings for a task of pairs; for tagging strings, which
                are split at white space, or lists of words; or dicts with the fields that the
                task's files have, such as `question` and `context`.

        Returns:
            A dict for each input.

        Raises:
            UserError: an input that the task does not take.

        Example:
            >>> electra_tf.load("runs/chunks").predict(["the small model", ["a", "text"]])[1]
            {'words': ['a', 'text'], 'tags': [..., ...], 'spans': [...]}
            >>> electra_tf.load("runs/squad").predict(
            ...     [{"question": "What is it?", "context": "It is a small model."}]
            ... )
            [{'id': '0', 'answer': ...}]
        """
        _require_list(inputs)
        if not len(inputs):
            return []
        examples = self.task.examples_from_rows(inputs)
        return self.task.answers(examples, self.predict_examples(examples))

    def predict_examples(
        self, examples: Any, on_progress: Callable[[float], object] | None = None
    ) -> Any:
        """The task's own predictions for its own examples; `on_progress` gets the share done."""
        encoded = self.task.encode(examples, self.tokenizer, training=False)
        outputs = predict_outputs(
            self.task,
            self.network,
            encoded,
            on_progress=on_progress,
            outputs_of=self._outputs_of,
        )
        return self.task.predict(examples, encoded, outputs)


def _require_list(inputs: Sequence) -> None:
    if isinstance(inputs, str | bytes | dict):
        raise UserError(f"inputs must be a list, one entry each. Received: {inputs!r:.60}")
