"""Fine-tuned models of Hugging Face that ours can hold: classes, numbers or tags out of text.

Questions are not among them: an ElectraForQuestionAnswering finds an answer's end without looking
at its start.
"""

import os
from collections.abc import Callable

import numpy as np

from electra_tf.conversion import huggingface, huggingface_config, huggingface_tokenizer
from electra_tf.conversion.huggingface_names import BASE, BUFFERS, from_tensors
from electra_tf.conversion.huggingface_tensors import open_tensors, read_json
from electra_tf.finetune_config import FinetuneConfig
from electra_tf.models.finetuned import Finetuned
from electra_tf.models.initialization import shapes_of
from electra_tf.tasks import registry
from electra_tf.train.checkpoint import compare_shapes
from electra_tf.train.model_directory import Pretrained, check_vocabulary

_SENTENCES, _TAGS = "classifier.out_proj.weight", "classifier.weight"
_KINDS = {"regression": "regression", "multi_label_classification": "multi_label"}


class FinetunedModel(Pretrained):
    """As `Pretrained`, with a FinetuneConfig as `config` and the head's weights below task/."""

    def check(self, source: str) -> "FinetunedModel":
        self.config.validate()
        compare_shapes(_shapes(self.config),
                       {path: value.shape for path, value in self.weights.items()}, source)
        if self.tokens is None:
            raise ValueError(f"A fine-tuned model must have its vocabulary: give --vocab=vocab.txt."
                             f" Received: {source}, which has none that ours can use")
        check_vocabulary(self.tokens, self.config.model.vocab_size, source)
        return self

    def parts(self) -> str:
        return "fine-tuned model"


def holds_head(directory: str, allow_pickle: bool) -> bool:
    """Whether a model is an ElectraForSequenceClassification or …TokenClassification."""
    names = open_tensors(directory, allow_pickle).shapes
    return ((_SENTENCES in names or _TAGS in names)
            and not any(name.startswith("sequence_summary.") for name in names))


def read(directory: str, *, allow_pickle: bool = False, say: Callable[[str], None] = print
         ) -> FinetunedModel:
    """Reads a model whose `holds_head` is true.

    Args:
        directory: config.json, the tensors, tokenizer files.
        allow_pickle: permits to read pytorch_model.bin.
        say: receives what the user should know.

    Raises:
        ValueError: as `huggingface.read`.
    """
    tensors = open_tensors(directory, allow_pickle)
    is_tagger = _SENTENCES not in tensors.shapes
    config = _config(directory, is_tagger)
    data = config.data
    data.lower_case, data.strip_accents = huggingface_tokenizer.read_case(directory, say)
    # Ours has a tagger's tags in sorted order.
    labels = registry.parse_labels(config.task.labels)
    order = np.argsort(labels) if is_tagger else None
    names = huggingface.names_in_file(
        {path.replace("task/logit", "tags") if is_tagger else path: shape
         for path, shape in _shapes(config).items()},
        BASE, tensors, {BASE + name for name in BUFFERS})
    weights = {}
    for path, those in names.items():
        value = from_tensors(path, [tensors.read(name) for name in those])
        if path.startswith("tags/"):
            path = path.replace("tags", "task/logit")
            value = np.ascontiguousarray(value[..., order])
        weights[path] = value
    say(f"{directory}: fine-tuned for {config.task.kind}"
        + (f" of {', '.join(labels[:10])}{', …' if len(labels) > 10 else ''}" if labels else "")
        + ("" if is_tagger else "; for pairs of texts set task.pair_field in config.json"))
    return FinetunedModel(config, weights, huggingface_tokenizer.read_tokens(directory, say))


def _config(directory: str, is_tagger: bool) -> FinetuneConfig:
    content = read_json(os.path.join(directory, "config.json"))
    config = FinetuneConfig(model=huggingface_config.read(directory))
    names = content.get("id2label") or {"0": "LABEL_0", "1": "LABEL_1"}
    labels = [str(names[number]) for number in sorted(names, key=int)]
    task = config.task
    task.max_seq_length = config.model.max_positions
    if is_tagger:
        task.kind, task.scheme = "tagging", "plain"
    else:
        task.hidden_layer = True
        number_out = len(labels) == 1 and not content.get("problem_type")
        task.kind = _KINDS.get("regression" if number_out else content.get("problem_type"),
                               "classification")
    if task.kind == "regression":
        task.low, task.high = 0.0, 1.0
    else:
        registry.set_labels(task, labels)
    return config


def _shapes(config: FinetuneConfig) -> dict[str, tuple[int, ...]]:
    return shapes_of(lambda: Finetuned(config.model, registry.task_of_model(config).new_head))
