"""Ranking of alternatives by a pre-trained model, of Python lists and of files."""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from absl import logging
from tqdm import tqdm

from electra_tf import files
from electra_tf.errors import UserError
from electra_tf.serving.client import ranking
from electra_tf.serving.client.ranking import TextScore
from electra_tf.tasks.readers import tables

if TYPE_CHECKING:
    from electra_tf.runs.loaded import LoadedPretrained

CANDIDATES = "candidates"
_WRITTEN = ("scores", "best")
_AT_ONCE = 128  # texts, or a list of more


class Ranker:
    """Ranks by a model's scores, and counts the texts that are longer than it.

    Args:
        model: can score.
    """

    def __init__(self, model: "LoadedPretrained"):
        self._model = model
        self._longest = model.config.model.max_positions - 2  # without [CLS] and [SEP]
        self._num_texts = self._num_cut = 0

    def rank(
        self, lists: Sequence[Sequence[str]], places: Sequence[str] | None = None
    ) -> list[dict[str, Any]]:
        """As `serving.client.ranking.rank`, by the model."""
        return ranking.rank(lists, self._scores_of, places)

    def warn(self, source: str) -> None:
        """Tells of the texts in `source` whose ends no score has seen."""
        if self._num_cut:
            logging.warning(
                "%s: %d of %d texts are longer than the model's %d tokens and are cut; "
                "their scores are those of their beginnings",
                source,
                self._num_cut,
                self._num_texts,
                self._longest + 2,
            )

    def _scores_of(self, texts: list[str]) -> list[TextScore]:
        scores = list(self._model.text_scores(texts))
        full = [text for text, each in zip(texts, scores) if each.num_tokens == self._longest]
        self._num_texts += len(texts)
        if full:
            assert self._model.tokenizer is not None, "it has scored"
            lengths = map(len, self._model.tokenizer.tokenize(full))
            self._num_cut += sum(length > self._longest for length in lengths)
        return scores


def rank_file(model: "LoadedPretrained", source: str, output: str) -> int:
    """Ranks the candidates of every line of a file; returns how many lines there are.

    The whole file is looked at before the first text is scored.

    Args:
        model: can score.
        source: JSON lines with `candidates`, a list of texts; other fields are kept.
        output: file to write, complete or not at all: the same lines with `scores` and `best`.

    Raises:
        UserError: the model cannot score, or a line is another; names it.
    """
    model.require("score")
    if not source.removesuffix(".gz").endswith(".jsonl"):
        raise UserError(
            f"For a pre-trained model, which ranks texts, the input must be .jsonl with "
            f'{{"{CANDIDATES}": [texts]}} in each line, plain or with .gz; files of a task are for '
            f"a fine-tuned model. Received: {source} for {model.directory}"
        )
    if os.path.exists(source) and not os.path.isfile(source):
        raise UserError(
            f"The input must be a file, as it is read twice. Received: {source}, which is none"
        )
    number = sum(1 for _ in _rows(source))
    if not number:
        raise UserError(f"A file must have at least one line. Received: {source}")
    ranker = Ranker(model)
    with (
        files.new_file(output) as temporary,
        open(temporary, "w", encoding="utf-8") as file,
        tqdm(
            total=number, unit=" lists", desc="ranking", disable=not sys.stderr.isatty()
        ) as progress,
    ):
        for places, rows in _some(source):
            rankings = ranker.rank([row[CANDIDATES] for row in rows], places)
            for row, ranked in zip(rows, rankings):
                file.write(json.dumps(row | ranked, ensure_ascii=False) + "\n")
            progress.update(len(rows))
    ranker.warn(source)
    return number


def _some(source: str) -> Iterator[tuple[list[str], list[dict[str, Any]]]]:
    """(places, rows) of a file's lines, about `_AT_ONCE` texts at a time."""
    places, rows, num_texts = [], [], 0
    for place, row in _rows(source):
        places.append(place)
        rows.append(row)
        num_texts += len(row[CANDIDATES])
        if num_texts >= _AT_ONCE:
            yield places, rows
            places, rows, num_texts = [], [], 0
    if rows:
        yield places, rows


def _rows(source: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(place, row) of a file's lines that can be ranked."""
    for number, row in tables.json_objects(source):
        place = tables.at(source, number)
        if CANDIDATES not in row:
            raise UserError(
                f"A line must have the field {CANDIDATES!r}. "
                f"Received: {place}, with the fields {tables.listed(row)}"
            )
        ranking.require_candidates(row[CANDIDATES], place)
        for name in _WRITTEN:
            if name in row:
                raise UserError(
                    f"A line must not have the field {name!r}, which is written; rename it. "
                    f"Received: {place}"
                )
        yield place, row
