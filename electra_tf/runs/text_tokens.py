"""What a signature says of the tokens of a text, for Python."""

from typing import Any

import numpy as np


def tokens_of(text: str, answer: dict[str, np.ndarray], **numbers: str) -> list[dict[str, Any]]:
    """The tokens of a text without [CLS] and [SEP], with offsets in characters.

    Args:
        text: what was asked about.
        answer: its row of the outputs.
        **numbers: names of outputs, by what they are called for a token.
    """
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
    sizes = 1 + (points >= 0x80) + (points >= 0x800) + (points >= 0x10000)  # in UTF-8
    sizes[(points >= 0xD800) & (points < 0xE000)] = 0  # halves of pairs have none
    begins = np.concatenate([[0], np.cumsum(sizes)])
    shown = answer["end_offset"] > 0
    return [
        {
            "token": token.decode(),
            "start": int(start),
            "end": int(end),
            **{name: float(value) for name, value in zip(numbers, values)},
        }
        for token, start, end, *values in zip(
            answer["tokens"][shown],
            np.searchsorted(begins, answer["start_offset"][shown], side="right") - 1,
            np.searchsorted(begins, answer["end_offset"][shown], side="left"),
            *(answer[output][shown] for output in numbers.values()),
        )
    ]
