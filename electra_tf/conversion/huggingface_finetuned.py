"""Fine-tuned models of Hugging Face that ours can hold: classes, numbers or tags out of text.

Questions are not among them: an ElectraForQuestionAnswering finds an answer's end without looking
at its start.
"""

import dataclasses
import json
from collections.abc import Callable

import numpy as np

from electra_tf.config import ModelConfig
from electra_tf.config.checks import one_of
from electra_tf.config.finetuning import FinetuneConfig
from electra_tf.conversion import (
    huggingface,
    huggingface_config,
    huggingface_tokenizer,
    modernbert,
)
from electra_tf.conversion.huggingface_names import BASE, from_tensors
from electra_tf.conversion.huggingface_state import open_network, unwrapped
from electra_tf.conversion.huggingface_tensors import open_tensors
from electra_tf.errors import UserError
from electra_tf.models.finetuned import Finetuned
from electra_tf.models.initialization import shapes_of
from electra_tf.saved.model_directory import Pretrained, check_vocabulary
from electra_tf.saved.weights import compare_shapes
from electra_tf.tasks import registry
from electra_tf.text import tokenization

_SENTENCES, _TAGS = "classifier.out_proj.weight", "classifier.weight"
# Heads of pre-training, which a fine-tuned file may still hold.
_PRETRAINING = ("discriminator_predictions.", "generator_predictions.", "generator_lm_head.")
# Kinds of task by problem_type, which many models lack.
_KINDS = {
    "regression": "regression",
    "single_label_classification": "classification",
    "multi_label_classification": "multi_label",
}


@dataclasses.dataclass
class FinetunedModel(Pretrained):
    """As `Pretrained`, with a FinetuneConfig as `config` and the head's weights below task/."""

    config: FinetuneConfig

    def check(self, source: str) -> "FinetunedModel":
        self.config.validate()
        compare_shapes(
            _shapes(self.config),
            {path: value.shape for path, value in self.weights.items()},
            source,
        )
        if self.vocabulary is None:
            raise UserError(
                f"A fine-tuned model must have its vocabulary: give --vocab=vocab.txt."
                f" Received: {source}, which has none that ours can use"
            )
        check_vocabulary(self.vocabulary, self.config.model.vocab_size, source)
        return self

    def parts(self) -> str:
        return "fine-tuned model"


def holds_head(directory: str, allow_pickle: bool) -> bool:
    """Whether a model is an ElectraForSequenceClassification or …TokenClassification."""
    if modernbert.is_one(directory):
        return False
    names = unwrapped(open_tensors(directory, allow_pickle)).shapes
    return (_SENTENCES in names or _TAGS in names) and not any(
        name.startswith("sequence_summary.") for name in names
    )


def read(
    directory: str, *, allow_pickle: bool = False, say: Callable[[str], None] = print
) -> FinetunedModel:
    """Reads a model whose `holds_head` is true.

    Args:
        directory: config.json, the tensors, tokenizer files.
        allow_pickle: permits to read pytorch_model.bin.
        say: receives what the user should know.

    Raises:
        UserError: as `huggingface.read`.
    """
    model, tensors = open_network(directory, allow_pickle, say)
    is_tagger = _SENTENCES not in tensors.shapes
    config = _config(directory, model, is_tagger)
    vocabulary, settings = huggingface_tokenizer.read(directory, say)
    tokenization.put(settings, config.data)
    # Ours has a tagger's tags in sorted order.
    labels = config.task.label_names()
    order = np.argsort(labels) if is_tagger else None
    left_out = {name for name in tensors.shapes if name.startswith(_PRETRAINING)}
    if left_out:
        say(f"{tensors.path}: left out {', '.join(sorted(left_out))}")
    names = huggingface.names_in_file(
        {
            path.replace("task/logit", "tags") if is_tagger else path: shape
            for path, shape in _shapes(config).items()
        },
        BASE,
        tensors,
        left_out,
    )
    weights = {}
    for path, those in names.items():
        value = from_tensors(path, [tensors.read(name) for name in those])
        if path.startswith("tags/"):
            path = path.replace("tags", "task/logit")
            value = np.ascontiguousarray(value[..., order])
        weights[path] = value
    say(
        f"{directory}: fine-tuned for {config.task.kind}"
        + (f" of {', '.join(labels[:10])}{', …' if len(labels) > 10 else ''}" if labels else "")
        + ("" if is_tagger else "; for pairs of texts set task.pair_field in config.json")
    )
    return FinetunedModel(config, weights, vocabulary)


def _config(directory: str, model: ModelConfig, is_tagger: bool) -> FinetuneConfig:
    content = huggingface_config.content_of(directory)
    config = FinetuneConfig(model=model)
    labels = _labels(content, directory)
    task = config.task
    task.max_seq_length = config.model.max_positions
    task.set_label_names(labels)
    if is_tagger:
        task.kind, task.scheme = "tagging", "plain"
        return config
    usual = "regression" if len(labels) == 1 else "single_label_classification"
    problem = str(content.get("problem_type") or usual)
    one_of("problem_type", problem, _KINDS)
    task.kind, task.hidden_layer = _KINDS[problem], True
    if problem == "regression":
        task.labels, task.low, task.high = "", 0.0, 1.0
    return config


def _labels(content: dict, directory: str) -> list[str]:
    """The names of the classes, in the order of the logits; made as transformers makes them."""
    names = content.get("id2label")
    if names is None:
        number = content.get("num_labels")
        number = 2 if number is None else number
        if type(number) is not int or number < 1:
            raise UserError(
                f"num_labels must be the number of the classes. Received: {number!r:.60} in "
                f"{directory}/config.json"
            )
        return [f"LABEL_{label}" for label in range(number)]
    if not (isinstance(names, dict) and names and set(names) == set(map(str, range(len(names))))):
        raise UserError(
            "id2label must be an object with the names of the classes by their numbers, from 0. "
            f"Received: {json.dumps(names):.80} in {directory}/config.json"
        )
    return [str(names[str(label)]) for label in range(len(names))]


def _shapes(config: FinetuneConfig) -> dict[str, tuple[int, ...]]:
    return shapes_of(lambda: Finetuned(config.model, registry.task_of_model(config).new_head))
