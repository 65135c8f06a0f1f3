"""Pre-training as a task of the training loop: an objective on token shards."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from electra_tf import config as configuration
from electra_tf.config import Config
from electra_tf.config.sections import DataConfig
from electra_tf.data import dataset
from electra_tf.data.description import read_description
from electra_tf.data.split import Mixture
from electra_tf.data.token_counts import count_tokens
from electra_tf.errors import UserError
from electra_tf.models.randomness import Draws
from electra_tf.objectives import build_objective
from electra_tf.objectives.counts import DETECTION_HISTOGRAM, Histogram, by_probability
from electra_tf.tasks import samples
from electra_tf.text import tokenization
from electra_tf.text.vocabulary import Vocabulary

_INTERVALS = 20  # of probability, in a histogram


class PretrainingTask:
    """Gives the loop an objective and batches; the loop knows nothing else.

    Attributes:
        objective: the `Objective`.
        seq_length: tokens of an example.
        flops_per_token: operations of a training step.

    Args:
        config: the experiment; `model.vocab_size` 0 becomes the vocabulary's size, and the
            tokenizer's settings and fingerprint become the data set's.
        model: directory of a run or model; the data must have its vocabulary and settings.

    Raises:
        UserError: data, vocabulary and model do not fit together.
    """

    def __init__(self, config: Config, model: str | None = None):
        self.config = config
        if not all(config.data.sources()):
            raise UserError(
                "config.data.dir must be a data set, which `electra_tf build_dataset`"
                " makes. Received: nothing"
            )
        self.vocab_file, self.vocabulary = _take_tokenizer(config, model)
        config.model.vocab_size = config.model.vocab_size or len(self.vocabulary)
        if config.model.vocab_size < len(self.vocabulary):
            raise UserError(
                f"config.model.vocab_size must be 0 or at least the vocabulary's size, "
                f"{len(self.vocabulary)}. Received: {config.model.vocab_size}"
            )
        self._splits: dict[str, Mixture] = {}
        self.train_split = self.open_split("train")
        self.seq_length = self.train_split.seq_length
        dataset.require_ids_below(self.train_split, len(self.vocabulary), self.vocab_file)
        if self.seq_length > config.model.max_positions:
            raise UserError(
                f"config.model.max_positions must be at least the data's sequence length, "
                f"{self.seq_length}. Received: {config.model.max_positions}"
            )
        self.objective = build_objective(
            config,
            self.vocabulary,
            lambda: count_tokens(self.train_split, len(self.vocabulary)),
        )
        self.flops_per_token = self.objective.training_flops_per_token(self.seq_length)

    def open_split(self, name: str) -> Mixture:
        """A part of the data, as `dataset.open_mixture` has opened it when it was first needed."""
        if name not in self._splits:
            self._splits[name] = dataset.open_mixture(self.config.data.sources(), name)
        return self._splits[name]

    def train_batches(self, start_step: int, rows: tuple[int, int], rows_per_batch: int):
        """Endless data set of int32 [rows_per_batch, L] features; see `dataset.train_batches`.

        All batches are as large as that of `start_step`.
        """
        return dataset.train_batches(
            self.train_split,
            **self._order(start_step),
            start_step=start_step,
            rows=rows,
            rows_per_batch=rows_per_batch,
        )

    def train_batch(self, step: int) -> dict:
        """The whole global batch of a step, NumPy int32 [batch_size, L]."""
        return dataset.batch_at(self.train_split, **self._order(step), step=step)

    def _order(self, step: int) -> dict[str, int]:
        """What decides which examples the batches have that are as large as that of a step."""
        stretch = self.config.train.batch_sizes().at(step)
        return {
            "seed": self.config.train.seed,
            "batch_size": stretch.size,
            "offset": stretch.examples(0),
            "shuffle_examples": self.config.data.shuffle_examples,
        }

    def eval_batches(
        self, batch_size: int, worker: int, num_workers: int, split: str = "eval"
    ) -> tf.data.Dataset:
        """Finite data set with every example of a split once; see `dataset.eval_batches`."""
        return dataset.eval_batches(
            self.open_split(split),
            batch_size=batch_size,
            worker=worker,
            num_batches=self.config.train.eval_batches,
            num_workers=num_workers,
        )

    def show(
        self, model: keras.Model, batch: dict, draws: Draws, counts: Mapping[str, Any]
    ) -> dict[str, str | Histogram]:
        """Samples of a few rows, and how suspicious all held-out tokens are.

        Args:
            model: of the objective.
            batch: held-out rows, int32 [b, L].
            draws: of these rows.
            counts: of all held-out rows; without a discriminator there are no histograms.
        """
        found = self.objective.samples(model, batch, draws)
        shown: dict[str, str | Histogram] = {
            "samples": samples.markdown(samples.words_of(batch, found, self.vocabulary))
        }
        if DETECTION_HISTOGRAM in counts:
            both = by_probability(counts[DETECTION_HISTOGRAM], _INTERVALS)
            names = "original_tokens", "replaced_tokens"
            shown |= {f"probability/{name}": each for name, each in zip(names, both, strict=True)}
        return shown


def _take_tokenizer(config: Config, model: str | None) -> tuple[str, Vocabulary]:
    """Where the vocabulary is, and what it is; config.data gets its settings and fingerprint."""
    data = config.data
    sources = [_Tokenizer.of(directory) for directory in data.sources()]
    known = [each for each in sources if each.settings]
    for other in known[1:]:
        known[0].require_same(other)
    for each in known[:1]:
        tokenization.put(each.settings, data)
        data.check_fields("config.data")
    settings = tokenization.settings_of(data)
    places = [place for each in sources for place in each.places]
    its_own = tokenization.find(settings, *places)
    path = data.vocab_file or its_own or (model and tokenization.find(settings, model))
    if not path:
        raise UserError(
            f"A data set must hold {', '.join(tokenization.file_names(settings))}, or "
            f"config.data.vocab_file must name the vocabulary. Received: {sources[0].directory}, "
            "which has none"
        )
    vocabulary = tokenization.read_vocabulary(path, settings)
    data.tokenizer_fingerprint = vocabulary.fingerprint(settings)
    sources = [each.with_own(settings) for each in sources]
    for each in sources:
        if model is not None:
            fingerprint = each.fingerprint or data.tokenizer_fingerprint
            _require_tokenizer_of(model, fingerprint, each.directory)
        tokenization.require_same(
            each.fingerprint,
            data.tokenizer_fingerprint,
            f"A data set must be read with the vocabulary that it was built with. Received: {path} "
            f"for {each.directory}",
        )
    return path, vocabulary


@dataclasses.dataclass(frozen=True)
class _Tokenizer:
    """What a data set tells of its tokenizer.

    Attributes:
        directory: of the data set.
        settings: of the tokenizer; empty: the original's files tell nothing.
        fingerprint: None where nothing tells it.
    """

    directory: str
    settings: dict[str, Any]
    fingerprint: str | None

    @classmethod
    def of(cls, directory: str) -> "_Tokenizer":
        description = read_description(directory)
        if description is None:
            return cls(directory, {}, None)
        config = DataConfig()
        tokenization.put(description["tokenizer"], config)
        settings = tokenization.settings_of(config)
        found = cls(directory, settings, description.get("tokenizer_fingerprint"))
        return found.with_own(settings)

    def with_own(self, settings: dict[str, Any]) -> "_Tokenizer":
        """The same, with the fingerprint of the vocabulary beside it where nothing else tells it.

        Args:
            settings: of the tokenizer.
        """
        own = None if self.fingerprint else tokenization.find(settings, *self.places)
        if own is None:
            return self
        fingerprint = tokenization.read_vocabulary(own, settings).fingerprint(settings)
        return dataclasses.replace(self, fingerprint=fingerprint)

    @property
    def places(self) -> list[str]:
        """Where its files may lie."""
        return [self.directory, os.path.dirname(self.directory.rstrip("/"))]

    def require_same(self, other: "_Tokenizer") -> None:
        """Raises UserError if another data set of a mixture has another tokenizer."""
        message = (
            "All data sets of config.data.mixture must have the same tokenizer and vocabulary; "
            f"build one again with those of the other. Received: {self.directory} and "
            f"{other.directory}"
        )
        if self.settings != other.settings:
            raise UserError(f"{message}, with {self.settings} and {other.settings}")
        tokenization.require_same(self.fingerprint, other.fingerprint, message)


def _require_tokenizer_of(model: str, fingerprint: str, data_dir: str) -> None:
    """Raises UserError if the data in `data_dir` have not the tokenizer of a run or model."""
    config = configuration.load(model).data
    vocabulary = tokenization.find(tokenization.settings_of(config), model)
    tokenization.require_same(
        tokenization.fingerprint_of(model, config),
        fingerprint,
        f"The data must have the vocabulary and the tokenizer settings of {model}; build it again "
        f"with --vocab={vocabulary} and the settings in {model}/config.json. Received: {data_dir}",
    )
