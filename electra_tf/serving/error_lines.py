"""What errors of TensorFlow say, without its pages on where."""

import re

_LONGEST = 300


def reason(error: Exception) -> str:
    """An error as one line; of a check in a graph its rule and what it received."""
    text = getattr(error, "message", None) or str(error)
    lines = text.partition("\n\t [[")[0].strip().split("\n")
    line = lines[-1] if lines[0].startswith("Graph execution error") else lines[0]
    line = re.sub(r"\{\{.*?\}\} ?", "", line)
    line = re.sub(r"^assertion failed: \[(.*?)\]", r"\1", line).strip()
    return line[:_LONGEST] or type(error).__name__
