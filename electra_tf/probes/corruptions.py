"""Rules that make a right sentence a wrong one of equally many words: minimal pairs of English.

A rule takes a sentence as lower-case words and gives the places where it applies, each with the
words that it puts there. What it puts there is, but for rare readings, ungrammatical; and most
rules work in both directions, so that it is not enough to know which words are frequent.
"""

from collections.abc import Callable, Iterator, Sequence

Change = tuple[int, tuple[str, ...]]  # first place, and the words that stand from there on
Rule = Callable[[Sequence[str]], Iterator[Change]]

_PLURALS = {"is": "are", "was": "were", "has": "have"}
_SINGULARS = {plural: singular for singular, plural in _PLURALS.items()}
_ONE, _MANY = {"he", "she", "it"}, {"they", "we", "these", "those"}
_ARTICLES = {"the", "a", "an"}
_DETERMINERS = _ARTICLES | {"his", "her", "its", "their", "our", "this", "that", "these", "those"}
_MOVED = _ARTICLES | {"his", "their", "its"}
# Heads that have a verb of either number after "of the …s", or are none.
_COLLECTIVE = set(
    "number majority group pair couple rest variety set series half all most some none one each "
    "any part lot total percentage minority range host bulk remainder team few first last case "
    "addition".split()
)
_PREPOSITIONS = {"of", "in", "for", "from", "with", "between", "on", "about", "by"}
_DO = {"did": "was", "does": "is", "do": "are"}
_BE = {"was": "did", "is": "does", "are": "do"}
# Verbs whose base form is a participle or an adjective, too: "was not put" is right.
_AMBIGUOUS = (
    set(
        "put set come become run cut let read hit cost shut hurt overcome open clear complete free "
        "correct perfect present like own mean last live separate dry warm cool slow subject "
        "even always yet so all".split()
    )
    | _DETERMINERS
)
_NO_BASE = ("ed", "ing", "ly")
_LICENSED = {"any", "ever", "either", "yet"}
_PLAIN = {"did", "does", "do", "has", "have", "had", "was", "is", "are", "were"}


def agreement(words: Sequence[str]) -> Iterator[Change]:
    """A pronoun and its verb: they were / they was."""
    for place, (subject, verb) in enumerate(zip(words, words[1:])):
        other = _PLURALS.get(verb) if subject in _ONE else None
        other = _SINGULARS.get(verb) if subject in _MANY else other
        if other:
            yield place + 1, (other,)


def distant_agreement(words: Sequence[str]) -> Iterator[Change]:
    """A noun and its verb, with a plural between them: the age of the trees is / are."""
    for place in range(2, len(words) - 2):
        head = words[place - 1]
        if words[place] not in _PREPOSITIONS or words[place - 2] not in _ARTICLES:
            continue
        if head in _COLLECTIVE or head.endswith("s"):
            continue
        for verb in range(place + 2, min(place + 5, len(words))):
            if words[verb] in _PLURALS and _is_plural(words[verb - 1]):
                yield verb, (_PLURALS[words[verb]],)


def word_order(words: Sequence[str]) -> Iterator[Change]:
    """A determiner and the word after it: in the house / in house the."""
    for place in range(1, len(words) - 1):
        first, second = words[place : place + 2]
        if first in _MOVED and second.isalpha() and second not in _DETERMINERS:
            yield place, (second, first)


def negation(words: Sequence[str]) -> Iterator[Change]:
    """The auxiliary of a negation: did not go / was not go; was not asked / did not asked."""
    for place in range(1, len(words) - 2):
        auxiliary, negated, verb = words[place : place + 3]
        if negated != "not" or not verb.isalpha():
            continue
        is_participle = verb.endswith("ed")
        if auxiliary in _BE and is_participle:
            yield place, (_BE[auxiliary],)
        elif auxiliary in _DO and verb not in _AMBIGUOUS and not verb.endswith(_NO_BASE):
            yield place, (_DO[auxiliary],)


def polarity(words: Sequence[str]) -> Iterator[Change]:
    """What only a negation allows: did not ever / did also ever."""
    for place in range(2, len(words) - 2):
        is_negation = words[place] == "not" and words[place - 1] in _PLAIN
        if is_negation and not _LICENSED.isdisjoint(words[place + 1 : place + 5]):
            yield place, ("also",)


RULES: dict[str, Rule] = {
    rule.__name__: rule for rule in (agreement, distant_agreement, word_order, negation, polarity)
}


def _is_plural(word: str) -> bool:
    return len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is"))
