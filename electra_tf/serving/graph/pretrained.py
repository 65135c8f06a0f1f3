"""A pre-trained model as a serving graph: text in; probabilities, hidden states or tokens out.

The graph holds its tokenizer and runs where only TensorFlow's and tensorflow-text's ops are
known; nothing of Keras or of this library is needed to load or call it.

What a graph must answer for any bytes: invalid UTF-8 is dropped before anything else, an empty
text is [CLS] [SEP], an empty batch gives empty tensors, a longer text is cut. Given ids must have
one shape, their rows be no longer than the model's positions, and they must be of the vocabulary:
others are an error of that call (of ids beyond the vocabulary a GPU sees nothing, and the answer to
them means nothing).
"""

from collections.abc import Collection

import keras
import tensorflow as tf

from electra_tf import objectives
from electra_tf.config import Config
from electra_tf.errors import UserError
from electra_tf.objectives.objective import Served
from electra_tf.saved import model_directory
from electra_tf.saved.precision import dtype_of
from electra_tf.serving.graph.pretrained_network import PretrainedNetwork
from electra_tf.serving.graph.signatures import SIGNATURES
from electra_tf.text.tokenizer import Tokenizer

SHORTEST = 3  # [CLS], one token, [SEP]


class PretrainedModel(tf.Module):
    """The signatures that a model can answer, each a function and an attribute of its name.

    All their inputs and outputs are dense, with B and L free; L is the longest row's.

    Attributes:
        main_signature: what it is made for, also called `serving_default`.
        max_seq_length: tokens of the longest text, [CLS] and [SEP] included.
        step: updates that the weights have seen.
        tokenizer_files: what the bundle carries beside the graph.

    Args:
        answerable: what can be asked, the main signature first; the model has the networks for it.
        model: its networks.
        tokenizer: of the vocabulary the model was trained with.
        max_seq_length, step: the attributes.
    """

    tokenizer_files: list[tf.saved_model.Asset]

    def __init__(
        self,
        answerable: Collection[Served],
        model: keras.Model,
        tokenizer: Tokenizer,
        max_seq_length: int,
        step: int = 0,
    ):
        super().__init__(name="pretrained_model")
        self.main_signature = next(iter(answerable)).signature
        self.max_seq_length, self.step = max_seq_length, step
        used, networks = set(), {}
        for served in answerable:
            encoder, head = served.layers(model)
            networks[served.signature] = PretrainedNetwork(
                encoder, head, tokenizer, max_seq_length, served.token_score
            )
            used |= {
                variable.path
                for layer in (encoder, head)
                if layer is not None
                for variable in layer.trainable_variables
            }
            function = SIGNATURES[served.signature].build(networks[served.signature])
            setattr(self, served.signature, function)
        self._networks = lambda: networks  # a function, so that no layer becomes an attribute
        self.weights = [
            variable.value for variable in model.trainable_variables if variable.path in used
        ]

    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """Signatures of the SavedModel by name; the first one is also `serving_default`."""
        found = {name: getattr(self, name).get_concrete_function() for name in self._networks()}
        return {"serving_default": found[self.main_signature]} | found

    def warmup_inputs(self, texts: list[str]) -> dict[str, dict]:
        """Inputs of every signature for a warm-up with these texts."""
        inputs = {
            name: SIGNATURES[name].warmup(network, texts)
            for name, network in self._networks().items()
        }
        return {"serving_default": inputs[self.main_signature]} | inputs


def load_pretrained(
    workdir: str,
    max_seq_length: int | None = None,
    precision: str = "float32",
    include_generator: bool = False,
) -> PretrainedModel:
    """The newest checkpoint of a pre-training run as a serving graph.

    Args:
        workdir: of a pre-training run, or a model directory: config.json, vocab.txt,
            checkpoints/.
        max_seq_length: tokens of the longest text; None: as many as the model has positions.
        precision: of PRECISIONS; what networks compute in. Outputs are float32.
        include_generator: so that the bundle can fill in [MASK]; a masked language model always
            can.

    Raises:
        UserError: the workdir is incomplete or has no discriminator, or no generator though one
            is asked for; or the length is not one.
    """
    pretrained = model_directory.read(workdir)
    config = pretrained.config
    length = _length(config, max_seq_length)
    tokenizer = model_directory.tokenizer_of(workdir, config)
    model = pretrained.network(dtype_of(precision))
    objective = objectives.objective_class(config)
    _require_networks(objective, model, include_generator, pretrained, workdir)
    answerable = [
        served
        for served in objective.answerable(model)
        if served.bundled and (include_generator or not served.optional)
    ]
    return PretrainedModel(answerable, model, tokenizer, length, pretrained.step)


def _length(config: Config, max_seq_length: int | None) -> int:
    longest = config.model.max_positions
    length = longest if max_seq_length is None else max_seq_length
    if not SHORTEST <= length <= longest:
        raise UserError(
            f"max_seq_length must be from {SHORTEST} to the model's positions, "
            f"{longest}. Received: {length}"
        )
    return length


def _require_networks(objective, model, include_generator, pretrained, workdir) -> None:
    """Raises UserError if the model lacks what it is exported for."""
    able = objective.answerable(model)
    if include_generator and not any(each.signature == "fill_mask" for each in objective.served):
        raise UserError(
            "--include_generator exports the network that fills [MASK], and this model has none; "
            f"leave the flag out. Received: {workdir}, {objective.description}"
        )
    there = ", ".join(sorted({path.split("/")[0] for path in pretrained.weights}))
    for served in objective.served:
        if served not in able and not served.optional:
            raise UserError(
                f"A pre-trained model to export must have {served.needs}. "
                f"Received: {workdir} with {there}"
            )
        if served not in able and include_generator:
            raise UserError(
                f"A model to export with --include_generator must have {served.needs}; "
                f"leave the flag out to export the rest alone. Received: {workdir} with {there}"
            )
