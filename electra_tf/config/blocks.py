"""The elements of a transformer's block, and the two combinations of them that have a name."""

import dataclasses

AUTO = "auto"  # of an element's field: as config.model.block has it
POSITIONS = ("absolute", "rotary")
NORMS = ("after", "before")
FEED_FORWARDS = ("gelu", "geglu")
SWITCHES = {"true": True, "false": False}


@dataclasses.dataclass(frozen=True)
class Block:
    """What a block is made of.

    Attributes:
        positions: out of POSITIONS: a learnt table, or rotations of queries and keys.
        norm: out of NORMS: LayerNorm after each residual sum, or before attention and feed-forward
            and once more in the end.
        feed_forward: out of FEED_FORWARDS: GELU, or GELU with a gate beside it.
        biases: whether dense layers and LayerNorms have biases.
        token_types: whether embeddings tell the two texts of a pair apart.
        local_window: tokens that one sees in a local layer, half of them to each side; 0: every
            layer is global.
    """

    positions: str
    norm: str
    feed_forward: str
    biases: bool
    token_types: bool
    local_window: int

    def differences(self, other: "Block") -> str:
        """What this block has where another one has something else, as text."""
        return ", ".join(
            f"{field.name}={getattr(self, field.name)}".lower()
            for field in dataclasses.fields(self)
            if getattr(self, field.name) != getattr(other, field.name)
        )


BLOCKS = {
    "bert": Block("absolute", "after", "gelu", True, True, 0),  # arXiv 1810.04805
    "modern": Block("rotary", "before", "geglu", False, False, 128),  # arXiv 2412.13663
}


def resolved(block: str, fields: dict[str, object]) -> Block:
    """A named block with the elements that fields change.

    Args:
        block: out of BLOCKS.
        fields: values by the names of a `Block`'s attributes; AUTO and -1 change nothing.
    """
    changes = {
        name: SWITCHES.get(value, value) if isinstance(value, str) else value
        for name, value in fields.items()
        if value not in (AUTO, -1)
    }
    return dataclasses.replace(BLOCKS[block], **changes)
