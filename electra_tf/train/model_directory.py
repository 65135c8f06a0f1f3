"""A model on disk: config.json, vocab.txt and checkpoints/. The workdir of a run is one, too.

Everything that starts from a model (evaluation, export, conversion, a run's `config.init_from`)
takes such a directory. A converted one has weights only, a run's also the optimizer's state.
"""

import dataclasses
import os

import numpy as np
import tensorflow as tf

from electra_tf import config as configuration
from electra_tf.config import Config
from electra_tf.files import new_directory, write_text
from electra_tf.models.electra import Electra, MaskedLM, new_uninitialized, variable_shapes
from electra_tf.text.vocabulary import Vocabulary
from electra_tf.text.wordpiece import Tokenizer
from electra_tf.train.checkpoint import SavedWeights, compare_shapes

VOCABULARY = "vocab.txt"


@dataclasses.dataclass
class Pretrained:
    """A pre-trained model in memory, in no framework's format.

    Attributes:
        config: `model`, `generator`, `objective.name` and the tokenizer settings of `data` say
            what the weights are.
        weights: float32 arrays by variable path. Of an `Electra` the generator, the
            discriminator's head or both may be missing, but only as a whole.
        tokens: of the vocabulary, in the order of their ids; None where it is not known.
        step: updates that the weights have seen; 0 where it is not known.
    """

    config: Config
    weights: dict[str, np.ndarray]
    tokens: tuple[str, ...] | None = None
    step: int = 0

    def check(self, source: str) -> "Pretrained":
        """Returns itself; raises ValueError if config, weights and vocabulary do not fit."""
        self.config.validate()
        compare_shapes(variable_shapes(self.config, self.weights),
                       {path: value.shape for path, value in self.weights.items()}, source)
        if self.tokens is not None:
            check_vocabulary(self.tokens, self.config.model.vocab_size, source)
        return self

    def encoder_only(self) -> "Pretrained":
        """Without generator and heads; the encoder of a masked language model becomes one, too."""
        weights = {path.replace("encoder/", "discriminator/", 1): value
                   for path, value in self.weights.items()
                   if path.startswith(("embeddings/", "discriminator/", "encoder/"))}
        config = Config.from_json(self.config.to_json())
        config.objective.name = "electra"
        return Pretrained(config, weights, self.tokens, self.step)

    def parts(self) -> str:
        """Which networks there are, in words."""
        scopes = {path.split("/")[0] for path in self.weights}
        parts = {"encoder": "masked language model", "discriminator": "discriminator",
                 "generator_head": "generator"}
        if "discriminator_head" not in scopes:
            parts["discriminator"] = "encoder without a head"
        return " and ".join(name for scope, name in parts.items() if scope in scopes)

    def summary(self) -> str:
        """What it is, in one line."""
        model = self.config.model
        return (f"{self.parts()}; {model.num_layers} layers, hidden {model.hidden_size}, "
                f"{model.num_heads} heads, embedding {model.embedding_size}, vocabulary "
                f"{model.vocab_size}; {sum(value.size for value in self.weights.values()):,} "
                f"weights, step {self.step}")


def check_vocabulary(tokens: tuple[str, ...], vocab_size: int, source: str) -> None:
    """Raises ValueError if tokens are no WordPiece vocabulary or more than the token table."""
    Vocabulary(tokens, source)
    if len(tokens) > vocab_size:
        raise ValueError(f"A vocabulary must have at most as many tokens as the model, "
                         f"{vocab_size}. Received: {len(tokens)} in {source}")


def load(directory: str) -> Electra | MaskedLM:
    """A model for use from Python, in float32.

    Args:
        directory: a model directory or the workdir of a pre-training run (its newest checkpoint).

    Returns:
        A Keras model: an `Electra`, whose `generator`, `generator_head` or `discriminator_head`
        is None where the directory has none, or a `MaskedLM`. Two attributes come with it:
        `config`, and `tokenizer`, None where there is no vocabulary. For an `Electra`

            batch = model.tokenizer.batch(["a text", "another"])   # int32 [B, L]
            model(batch)                  # logits [B, L], positive where a token looks replaced
            model.discriminator(batch)    # hidden states [B, L, H]
            model.generator(batch)        # the generator's, [B, L, its H]

    Raises:
        ValueError: no model directory, or its weights are not those of its config.
    """
    config, saved = open_directory(directory)
    model = new_uninitialized(config, saved.shapes, dtype="float32")
    saved.assign({variable.path: variable.value for variable in model.trainable_variables})
    model.config, model.tokenizer = config, _tokenizer(directory, config)
    return model


def read(directory: str) -> Pretrained:
    """The newest weights of a model directory, in memory."""
    config, saved = open_directory(directory)
    path = os.path.join(directory, VOCABULARY)
    tokens = Vocabulary.from_file(path).tokens if os.path.exists(path) else None
    weights = {path: saved.read(path) for path in variable_shapes(config, saved.shapes)}
    return Pretrained(config, weights, tokens, saved.step)


def write(pretrained: Pretrained, directory: str) -> None:
    """Writes a model directory, complete or not at all; see `new_directory`."""
    with new_directory(directory) as folder:
        write_text(os.path.join(folder, "config.json"), pretrained.config.to_json())
        if pretrained.tokens is not None:
            write_vocabulary(pretrained.tokens, folder)
        write_weights(pretrained.weights, pretrained.step, os.path.join(folder, "checkpoints"))


def write_weights(weights: dict[str, np.ndarray], step: int, directory: str) -> None:
    """Writes a `checkpoints/` directory without optimizer state."""
    variables = {f"weights/{path}": tf.Variable(value) for path, value in weights.items()}
    variables["step"] = tf.Variable(step, dtype=tf.int64)
    manager = tf.train.CheckpointManager(tf.train.Checkpoint(variables=variables), directory,
                                         max_to_keep=1)
    manager.save(checkpoint_number=step)


def open_directory(directory: str) -> tuple[Config, SavedWeights]:
    """The config of a model directory and its newest weights, checked against each other."""
    config = configuration.load(directory).validate()
    saved = SavedWeights(os.path.join(directory, "checkpoints"))
    compare_shapes(variable_shapes(config, saved.shapes), saved.shapes, directory)
    return config, saved


def write_vocabulary(tokens: tuple[str, ...], directory: str) -> None:
    """Writes vocab.txt."""
    write_text(os.path.join(directory, VOCABULARY), "".join(f"{token}\n" for token in tokens))


def _tokenizer(directory: str, config: Config) -> Tokenizer | None:
    path = os.path.join(directory, VOCABULARY)
    if not os.path.exists(path):
        return None
    return Tokenizer(path, config.data.lower_case, config.data.strip_accents)
