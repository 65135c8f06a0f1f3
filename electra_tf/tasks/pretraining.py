"""Pre-training as a task of the training loop: an objective on token shards."""

import json
import os

import tensorflow as tf

from electra_tf.config import Config
from electra_tf.data import dataset
from electra_tf.objectives import build_objective
from electra_tf.objectives.flops import training_flops_per_token
from electra_tf.text.vocabulary import Vocabulary


class PretrainingTask:
    """Gives the loop a model, batches, loss sums and metrics; the loop knows nothing else.

    Args:
        config: the experiment; `model.vocab_size` 0 becomes the vocabulary's size, and the
            tokenizer settings become the data set's.

    Raises:
        ValueError: data, vocabulary and model do not fit together.
    """

    def __init__(self, config: Config):
        self.config = config
        self.vocab_file = find_vocabulary(config)
        vocabulary = Vocabulary.from_file(self.vocab_file)
        config.model.vocab_size = config.model.vocab_size or len(vocabulary)
        if config.model.vocab_size < len(vocabulary):
            raise ValueError(
                f"config.model.vocab_size must be 0 or at least the vocabulary's size, "
                f"{len(vocabulary)}. Received: {config.model.vocab_size}")
        self.train_split = dataset.open_split(config.data.dir, "train")
        _take_tokenizer_settings(config)
        self.seq_length = self.train_split.seq_length
        if self.seq_length > config.model.max_positions:
            raise ValueError(
                f"config.model.max_positions must be at least the data's sequence length, "
                f"{self.seq_length}. Received: {config.model.max_positions}")
        self.objective = build_objective(config, vocabulary)
        self.terms = self.objective.terms
        self.flops_per_token = training_flops_per_token(config, self.seq_length)

    def new_model(self, seed: int, dtype: str):
        """Freshly initialised networks; call under the strategy's scope."""
        return self.objective.new_model(seed, dtype)

    @property
    def random_replacements(self) -> tuple[str, ...]:
        """Names of the random replacements that the objective can be tested on."""
        return self.objective.random_replacements

    def num_layers(self) -> dict[str, int]:
        """Depth of each network by its name in variable paths."""
        return self.config.num_layers()

    def train_batches(self, start_step: int, rows: tuple[int, int], rows_per_batch: int):
        """Endless data set of int32 [rows_per_batch, L] features; see `dataset.train_batches`."""
        train, data = self.config.train, self.config.data
        return dataset.train_batches(
            self.train_split, seed=train.seed, batch_size=train.batch_size,
            start_step=start_step, shuffle_examples=data.shuffle_examples, rows=rows,
            rows_per_batch=rows_per_batch)

    def train_batch(self, step: int) -> dict:
        """The whole global batch of a step, NumPy int32 [batch_size, L]."""
        train = self.config.train
        return dataset.batch_at(self.train_split, seed=train.seed, batch_size=train.batch_size,
                                step=step, shuffle_examples=self.config.data.shuffle_examples)

    def eval_batches(self, batch_size: int, worker: int, num_workers: int, *,
                     data_dir: str | None = None, split: str = "eval") -> tf.data.Dataset:
        """Finite data set with every held-out example once; see `dataset.eval_batches`."""
        opened = dataset.open_split(data_dir or self.config.data.dir, split)
        return dataset.eval_batches(opened, batch_size=batch_size, worker=worker,
                                    num_batches=self.config.train.eval_batches,
                                    num_workers=num_workers)

    def prepare(self, batch, random):
        return self.objective.prepare(batch, random)

    def weights(self, batch):
        return self.objective.weights(batch)

    def loss_sums(self, model, batch, random, rng):
        return self.objective.loss_sums(model, batch, random, rng)

    def eval_counts(self, model, batch, random, replacements=()):
        """Counts of held-out rows: fresh masks and samples, no dropout.

        Args:
            replacements: names out of `random_replacements`, detected besides the generator's.
        """
        batch = self.prepare(batch, random)
        counts = self.objective.loss_sums(model, batch, random, None)[1]
        for name in replacements:
            counts |= self.objective.detection_counts(model, batch, random, name)
        return counts

    def metrics(self, counts):
        return self.objective.metrics(counts)


def find_vocabulary(config: Config) -> str:
    """Path of the vocabulary: as configured, or in the data directory (or above it)."""
    directory = config.data.dir
    if not directory:
        raise ValueError("config.data.dir must be a data set, which `python -m "
                         "pipelines.build_dataset` makes. Received: nothing")
    if config.data.vocab_file:
        return config.data.vocab_file
    for folder in (directory, os.path.dirname(directory.rstrip("/"))):
        path = os.path.join(folder, "vocab.txt")
        if tf.io.gfile.exists(path):
            return path
    raise ValueError(f"A data set must hold vocab.txt, or config.data.vocab_file must name the "
                     f"vocabulary. Received: {directory}, which has none")


def _take_tokenizer_settings(config: Config) -> None:
    """Puts the data set's tokenizer settings into the config; the original's files have none."""
    path = os.path.join(config.data.dir, "dataset.json")
    if not tf.io.gfile.exists(path):
        return
    with tf.io.gfile.GFile(path) as file:
        settings = json.load(file)["tokenizer"]
    config.data.lower_case = settings["lower_case"]
    config.data.strip_accents = settings["strip_accents"]
