"""What of a corpus is not used: counted, and refused where no healthy corpus loses so much.

`Reading` counts while documents are read. What the making of examples drops is counted in
`data/shards.py`, under the names that `shares` takes.
"""

import collections
import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NoReturn

from electra_tf import first_bytes
from electra_tf.errors import UserError
from electra_tf.text.corpus import Document, Source, first_objects, read_source

# Shares above these are refused.
# Text that was written as UTF-8 has no such line, unless it was cut or mixed with something else;
# of English in Latin-1 a line in ten has one.
MOST_DAMAGED_LINES = 0.01
# A field without text here and there is a document without text; one in ten is another layout.
MOST_LOST_JSON_LINES = 0.1
# Words end, also those of a language without blanks: at punctuation. What does not is data.
MOST_LONG_WORD_CHARACTERS = 0.5
# Fewer than these are refused only if they are more than half.
_FEW = 10

_DAMAGED = (
    "invalid_utf8_lines_mended",
    "lines_with_nul_bytes_mended",
    "lines_with_replacement_characters",
)
_LOST_JSON = ("bad_json_lines_skipped", "json_lines_without_text_skipped")


@dataclasses.dataclass
class Reading:
    """Counts of what was read.

    Attributes:
      amounts: how much there was, by name.
      problems: by the index of the source, how often something was skipped or mended.
    """

    amounts: Counter = dataclasses.field(default_factory=Counter)
    problems: dict[int, Counter] = dataclasses.field(
        default_factory=lambda: collections.defaultdict(Counter)
    )

    @classmethod
    def sum(cls, results: Iterable[Mapping]) -> "Reading":
        """Of what `as_json` gave."""
        total = cls()
        for result in results:
            total.amounts.update(result["amounts"])
            for source, problems in result["problems"].items():
                total.problems[int(source)].update(problems)
        return total

    def as_json(self) -> dict[str, dict]:
        return {"amounts": self.amounts, "problems": self.problems}

    def documents(self, source: Source) -> Iterator[Document]:
        """The documents of a source, see `corpus.read_source`."""
        for document in read_source(source, self.problems[source.index]):
            self.add(document, source.kind)
            yield document

    def add(self, document: Document, kind: str) -> None:
        """Counts a document of a source of this kind."""
        if kind == "jsonl":
            self.amounts["json_documents"] += 1
        else:
            self.amounts["lines"] += len(document)

    def skipped(self) -> dict[str, int]:
        """How often something was skipped or mended, by what it was."""
        total = sum(self.problems.values(), Counter(long_words_unknown=self.amounts["long_words"]))
        return {reason: total[reason] for reason in sorted(total) if total[reason]}

    def shares(self) -> dict[str, dict[str, int | float]]:
        """What is not used: of each kind the `count`, `of` how many, and their quotient, `share`.

        Returns:
          `tokens`: in no example, of the text's tokens.
          `unknown_tokens`: unknown ones, of the text's tokens.
          `long_word_characters`: in words that are too long for the tokenizer, of all words'.
          `damaged_lines`: with NUL bytes, U+FFFD or what is not UTF-8, of lines and JSON lines.
          `json_lines`: not read, of JSON lines.
        """
        amounts, skipped = self.amounts, Counter(self.skipped())
        num_lost = sum(skipped[reason] for reason in _LOST_JSON)
        num_json = amounts["json_documents"] + skipped["empty_documents_skipped"] + num_lost
        counts = {
            "tokens": (amounts["tokens"] - amounts["tokens_in_examples"], amounts["tokens"]),
            "unknown_tokens": (amounts["unknown_tokens"], amounts["tokens"]),
            "long_word_characters": (amounts["long_word_characters"], amounts["characters"]),
            "damaged_lines": (
                sum(skipped[reason] for reason in _DAMAGED),
                amounts["lines"] + num_json,
            ),
            "json_lines": (num_lost, num_json),
        }
        return {
            name: {
                "count": min(count, total),  # a JSON line may have several lines of text
                "of": total,
                "share": round(min(count, total) / max(total, 1), 6),
            }
            for name, (count, total) in counts.items()
        }

    def require_healthy(self, sources: Sequence[Source]) -> None:
        """Raises UserError if more was left out than any healthy corpus would have.

        Args:
          sources: all, in the order of their indices.
        """
        shares = self.shares()
        if _is_above(shares["damaged_lines"], MOST_DAMAGED_LINES):
            worst = self._worst(sources, _DAMAGED).name
            raise UserError(
                f"Text must be UTF-8. Received: {_told(shares['damaged_lines'])} lines with NUL "
                f"bytes, U+FFFD or what is not UTF-8, most in {worst}; if it, or what it was made "
                "of, is Latin-1, convert that: iconv -f LATIN1 -t UTF-8 FILE > NEW; to leave the "
                "bytes out: iconv -c -f UTF-8 -t UTF-8 FILE > NEW"
            )
        if _is_above(shares["json_lines"], MOST_LOST_JSON_LINES):
            self._refuse_json(self._worst(sources, _LOST_JSON), _told(shares["json_lines"]))
        if _is_above(shares["long_word_characters"], MOST_LONG_WORD_CHARACTERS):
            raise UserError(
                "Words must be separated by blanks. Received: "
                f"{_told(shares['long_word_characters'])} characters in words that are longer than "
                "the tokenizer takes, so unknown; put blanks between words, or learn a "
                "SentencePiece model: electra_tf learn_vocab --kind=sentencepiece"
            )

    def _refuse_json(self, source: Source, lost: str) -> NoReturn:
        bad, without = (self.problems[source.index][reason] for reason in _LOST_JSON)
        if bad > without:
            raise UserError(
                "A .jsonl file must hold one JSON object per line. "
                f"Received: {lost} lines without it, most in {source.name}"
            )
        found = first_objects(source)
        seen = [each for each in found if not isinstance(each.get(source.text_field), str)]
        raise UserError(
            first_bytes.without_text(
                source.text_field,
                f"{lost} lines without it, most in {source.name}, with the fields "
                f"{first_bytes.fields(seen or found)}",
            )
        )

    def _worst(self, sources: Sequence[Source], reasons: Iterable[str]) -> Source:
        """The source with most of these problems."""
        return sources[
            max(self.problems, key=lambda s: (sum(self.problems[s][r] for r in reasons), -s))
        ]


def _is_above(share: Mapping, most: float) -> bool:
    return share["share"] > (most if share["count"] >= _FEW else max(most, 0.5))


def _told(share: Mapping) -> str:
    return f"{share['count']:,} of {share['of']:,}"
