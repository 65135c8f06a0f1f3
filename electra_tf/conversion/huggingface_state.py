"""Which tensors of a Hugging Face file are a model's, under the names that its classes give them.

As in transformers: the prefix of a wrapper is taken off, a tied weight may stand under either of
its names, and tensors that no class of this kind reads are left out.
"""

import re
from collections.abc import Callable

from electra_tf.config import ModelConfig
from electra_tf.conversion import huggingface_config
from electra_tf.conversion.huggingface_names import BASE, TIED, TOKEN_TABLE
from electra_tf.conversion.huggingface_tensors import Tensors, open_tensors
from electra_tf.errors import UserError

# Of torch.nn.DataParallel and torch.compile.
_WRAPPERS = ("module.", "_orig_mod.")
# Constants of older files.
_BUFFERS = ("embeddings.position_ids", "embeddings.token_type_ids")
# What other models of BERT's family have; no Electra reads it.
_POOLER = ("pooler.dense.weight", "pooler.dense.bias")
_PROJECTION = ("embeddings_project.weight", "embeddings_project.bias")


def open_network(
    directory: str, allow_pickle: bool, say: Callable[[str], None]
) -> tuple[ModelConfig, Tensors]:
    """The sizes of a model, and its tensors by transformers' names.

    Args:
        directory: of the model.
        allow_pickle: see `open_tensors`.
        say: receives which tensors are left out, but for constants.

    Raises:
        UserError: a file cannot be read, or ours cannot compute the network.
    """
    model = huggingface_config.read(directory)
    tensors = unwrapped(open_tensors(directory, allow_pickle))
    names = {name: name for name in tensors.shapes}
    if TIED in names and TOKEN_TABLE not in names and huggingface_config.is_tied(directory):
        names[TOKEN_TABLE] = names.pop(TIED)
    # A projection is only made between sizes that differ.
    unread = _POOLER + (_PROJECTION if model.embedding_size == model.hidden_size else ())
    left_out = [name for name in names if name.removeprefix(BASE) in unread]
    if left_out:
        say(f"{tensors.path}: left out {', '.join(left_out)}, which no Electra reads")
    tensors = tensors.renamed(
        {
            name: there
            for name, there in names.items()
            if name.removeprefix(BASE) not in (*unread, *_BUFFERS)
        }
    )
    _check_num_layers(model, tensors)
    return model, tensors


def unwrapped(tensors: Tensors) -> Tensors:
    """The tensors without the prefixes that wrappers of a model give to all of them."""
    names = {name: name for name in tensors.shapes}
    for wrapper in _WRAPPERS * len(_WRAPPERS):  # one may be inside the other
        if names and all(name.startswith(wrapper) for name in names):
            names = {name.removeprefix(wrapper): there for name, there in names.items()}
    return tensors.renamed(names)


def _check_num_layers(model: ModelConfig, tensors: Tensors) -> None:
    """Raises UserError if layers are missing as a whole: to list all their tensors is no help."""
    numbers = [re.search(r"encoder\.layer\.(\d+)\.", name) for name in tensors.shapes]
    there = 1 + max((int(match[1]) for match in numbers if match), default=-1)
    if model.num_layers > there:
        raise UserError(
            f"config.json must have the num_hidden_layers of the tensors, {there}. "
            f"Received: {model.num_layers} for {tensors.path}"
        )
