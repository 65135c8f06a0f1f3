"""A model on disk: config.json, vocab.txt and checkpoints/. The workdir of a run is one, too.

Everything that starts from a model (evaluation, export, conversion, a run's `config.init_from`)
takes such a directory. A converted one has weights only, a run's also the optimizer's state.
"""

import dataclasses
import os
from collections.abc import Collection

import keras
import numpy as np
import tensorflow as tf

from electra_tf import config as configuration
from electra_tf import objectives
from electra_tf.config import Config, FinetuneConfig
from electra_tf.errors import UserError
from electra_tf.files import Kind, new_directory, write_text
from electra_tf.models.electra import Corrector, Electra, MaskedLM
from electra_tf.models.electric import Electric
from electra_tf.models.sharing import sharing_of
from electra_tf.saved.weights import SavedWeights, compare_shapes, mean
from electra_tf.text import tokenization
from electra_tf.text.tokenizer import Tokenizer
from electra_tf.text.vocabulary import Vocabulary


@dataclasses.dataclass
class Pretrained:
    """A pre-trained model in memory, in no framework's format.

    Attributes:
        config: `model`, `generator`, `objective.name` and the tokenizer settings of `data` say
            what the weights are.
        weights: float32 arrays by variable path. Of an `Electra` the generator and each of the
            discriminator's heads may be missing, but only as a whole.
        vocabulary: of the tokenizer that `config.data` describes; None where it is not known.
        step: updates that the weights have seen; 0 where it is not known.
    """

    config: Config
    weights: dict[str, np.ndarray]
    vocabulary: Vocabulary | None = None
    step: int = 0

    def check(self, source: str) -> "Pretrained":
        """Returns itself; raises UserError if config, weights and vocabulary do not fit."""
        objectives.validate(self.config)
        compare_shapes(
            objectives.build_objective(self.config).variable_shapes(self.weights),
            {path: value.shape for path, value in self.weights.items()},
            source,
        )
        if self.vocabulary is not None:
            check_vocabulary(self.vocabulary, self.config.model.vocab_size, source)
        return self

    def published(self) -> "Pretrained":
        """The model as all but training reads it: its tables are those that the networks read.

        Itself, except where `config.model.sharing` trains something else, such as differences.
        """
        sharing = sharing_of(self.config.model)
        if sharing.trains_tables:
            return self
        return dataclasses.replace(
            self, config=sharing.published(self.config), weights=sharing.tables(self.weights)
        )

    def network(self, dtype: str = "float32") -> keras.Model:
        """Its networks, as published; the argument is Keras's dtype policy."""
        published = self.published()
        objective = objectives.build_objective(published.config)
        model = objective.build_model(published.weights, dtype)
        for variable in model.trainable_variables:
            variable.value.assign(published.weights[variable.path])
        return model

    def encoder_only(self) -> "Pretrained":
        """The encoder that fine-tuning starts from, as an `Electra` without generator and heads."""
        own = f"{objectives.objective_class(self.config).encoder}/"
        published = self.published()
        weights = {
            path.replace(own, "discriminator/", 1): value
            for path, value in published.weights.items()
            if path.startswith(("embeddings/", own))
        }
        config = Config.from_json(published.config.to_json())
        config.objective.name = objectives.name_of(Electra)
        return Pretrained(config, weights, self.vocabulary, self.step)

    def without(self, scopes: Collection[str]) -> "Pretrained":
        """The same without the networks whose weights' paths begin with these names."""
        weights = {
            path: value for path, value in self.weights.items() if path.split("/")[0] not in scopes
        }
        return dataclasses.replace(self, weights=weights)

    def parts(self) -> str:
        """Which networks there are, in words."""
        return objectives.build_objective(self.config).parts(self.weights)

    def summary(self) -> str:
        """What it is, in one line."""
        model = self.config.model
        return (
            f"{self.parts()}; {model.num_layers} layers, hidden {model.hidden_size}, "
            f"{model.num_heads} heads, embedding {model.embedding_size}, vocabulary "
            f"{model.vocab_size}; {sum(value.size for value in self.weights.values()):,} "
            f"weights, step {self.step}"
        )


def check_vocabulary(vocabulary: Vocabulary, vocab_size: int, source: str) -> None:
    """Raises UserError if there are more tokens than rows of the token table."""
    if len(vocabulary) > vocab_size:
        raise UserError(
            f"A vocabulary must have at most as many tokens as the model, "
            f"{vocab_size}. Received: {len(vocabulary)} in {source}"
        )


def vocabulary_of(directory: str, config: Config | FinetuneConfig) -> Vocabulary | None:
    """The vocabulary in a model's directory; None where there is none.

    Raises:
        UserError: it cannot be read, or is not the model's.
    """
    vocabulary = tokenization.of_directory(directory, config.data)
    if vocabulary is not None:
        check_vocabulary(vocabulary, config.model.vocab_size, directory)
    return vocabulary


def require_vocabulary(directory: str, config: Config | FinetuneConfig) -> Vocabulary:
    """As `vocabulary_of`; a directory without one is a UserError, too."""
    vocabulary = vocabulary_of(directory, config)
    if vocabulary is None:
        raise UserError(
            f"A model must have its vocabulary here. Received: {directory} without "
            f"{', '.join(tokenization.file_names(tokenization.settings_of(config.data)))}"
        )
    return vocabulary


def tokenizer_of(directory: str, config: Config | FinetuneConfig) -> Tokenizer:
    """The tokenizer in a model's directory; errors as of `require_vocabulary`."""
    vocabulary = require_vocabulary(directory, config)
    return tokenization.build(vocabulary, tokenization.settings_of(config.data))


def allow_any_size(config: Config) -> None:
    """Gives the generator that is not there a number of heads that any size permits."""
    small = config.generator_model()
    if small.hidden_size % small.num_heads:
        config.generator.num_heads = 1


def load_network(directory: str) -> Electra | MaskedLM | Corrector | Electric:
    """The networks of a pre-trained model, in float32.

    Args:
        directory: a model directory or the workdir of a pre-training run (its newest checkpoint).

    Returns:
        A Keras model: an `Electra`, whose `generator`, `generator_head` or `discriminator_head`
        is None where the directory has none, a `MaskedLM`, a `Corrector` or an `Electric`. Two
        attributes come with it: `config`, that of the published model (see `Pretrained`), and
        `tokenizer`, None where there is no vocabulary.

    Raises:
        UserError: no model directory, or its weights are not those of its config.
    """
    pretrained = read(directory).published()
    model, config = pretrained.network(), pretrained.config
    model.config, model.tokenizer = config, None
    if pretrained.vocabulary is not None:
        settings = tokenization.settings_of(config.data)
        model.tokenizer = tokenization.build(pretrained.vocabulary, settings)
        model.tokenizer.max_seq_length = config.model.max_positions
    return model


def entries(config: Config | FinetuneConfig) -> tuple[str, ...]:
    """Names of the files and folders that make up the directory of a model with this config."""
    names = tokenization.file_names(tokenization.settings_of(config.data))
    return ("config.json", *names, "checkpoints")


def read(directory: str, average_checkpoints: int = 1) -> Pretrained:
    """The newest weights of a model directory, in memory, as they are trained.

    Args:
        average_checkpoints: of how many checkpoints, up to the newest, the weights are the means.
    """
    config, saved = open_directory(directory)
    vocabulary = vocabulary_of(directory, config)
    if vocabulary is not None:  # older directories do not say
        settings = tokenization.settings_of(config.data)
        config.data.tokenizer_fingerprint = vocabulary.fingerprint(settings)
    paths = objectives.build_objective(config).variable_shapes(saved.shapes)
    if average_checkpoints > 1:
        means = mean(os.path.join(directory, "checkpoints"), average_checkpoints)
        weights = {path: means[path] for path in paths}
    else:
        weights = {path: saved.read(path) for path in paths}
    return Pretrained(config, weights, vocabulary, saved.step)


def write(
    pretrained: Pretrained,
    directory: str,
    replaced: Kind | None = None,
    dtype: str = "float32",
) -> None:
    """Writes a model directory, complete or not at all; see `new_directory`.

    Args:
        dtype: of the weights in the file; float16 halves it.
    """
    config = pretrained.config
    config.data.tokenizer_fingerprint = (
        ""
        if pretrained.vocabulary is None
        else pretrained.vocabulary.fingerprint(tokenization.settings_of(config.data))
    )
    with new_directory(directory, replaced) as folder:
        write_text(os.path.join(folder, "config.json"), pretrained.config.to_json())
        if pretrained.vocabulary is not None:
            pretrained.vocabulary.save(folder)
        weights = {path: value.astype(dtype) for path, value in pretrained.weights.items()}
        write_weights(weights, pretrained.step, os.path.join(folder, "checkpoints"))


def write_weights(weights: dict[str, np.ndarray], step: int, directory: str) -> None:
    """Writes a `checkpoints/` directory without optimizer state."""
    variables = {
        f"weights/{path}": tf.Variable(tf.constant(value)) for path, value in weights.items()
    }
    variables["step"] = tf.Variable(tf.constant(step, tf.int64))
    manager = tf.train.CheckpointManager(
        tf.train.Checkpoint(variables=variables), directory, max_to_keep=1
    )
    manager.save(checkpoint_number=step)


def open_directory(directory: str) -> tuple[Config, SavedWeights]:
    """The config of a model directory and its newest weights, checked against each other."""
    config = objectives.validate(configuration.load(directory))
    saved = SavedWeights(os.path.join(directory, "checkpoints"))
    shapes = objectives.build_objective(config).variable_shapes(saved.shapes)
    compare_shapes(shapes, saved.shapes, directory)
    return config, saved
