"""Which words of texts a discriminator takes for replaced, as lines for people."""

from collections.abc import Callable

from electra_tf.errors import UserError
from electra_tf.serving.client.answers import rows_of
from electra_tf.serving.client.local_bundle import LocalBundle
from electra_tf.serving.client.replaced_words import Word, compare, render, words_of

ARROW = " => "
SIGNATURE = "detect_replaced"

Detect = Callable[[list[str]], list[list[Word]]]  # texts to their words, with probabilities


def pairs_of(texts: list[str]) -> list[tuple[str, str]]:
    """`ORIGINAL => CHANGED` becomes (ORIGINAL, CHANGED); a text alone stands for both.

    Raises:
        UserError: there is no text.
    """
    if not texts:
        raise UserError("There must be a text, as an argument or in --file. Received: none")
    pairs = []
    for text in texts:
        original, arrow, new = text.partition(ARROW)
        pairs.append((original, new) if arrow else (text, text))
    return pairs


def load(path: str) -> Detect:
    """Detection by a bundle; raises UserError for one that cannot."""
    bundle = LocalBundle(path)
    if SIGNATURE not in bundle.signatures:
        raise UserError(
            f"A bundle must have the signature {SIGNATURE}. Received: {path} with "
            f"{', '.join(bundle.signatures)}"
        )

    def detect(texts):
        answers = rows_of(bundle.predict({"text": texts}, SIGNATURE))
        return [words_of(text, answer) for text, answer in zip(texts, answers)]

    return detect


def show(pairs: list[tuple[str, str]], detect: Detect, threshold: float, colour: bool) -> None:
    """Prints every text; for pairs, how suspicious each changed word is, before and after."""
    originals, changed = (detect(list(texts)) for texts in zip(*pairs))
    comparisons = [compare(*both) for both in zip(originals, changed)]
    for (_, text), words, of_text in zip(pairs, changed, comparisons):
        print(render(text, words, threshold, colour))
        for old, new, rank, number in of_text:
            print(
                f"    {old.text} ({old.probability:.2f}) -> {new.text} ({new.probability:.2f}): "
                f"suspicion {rank} of {number}"
            )
    found = [comparison for of_text in comparisons for comparison in of_text]
    if found:
        first = sum(comparison.rank == 1 for comparison in found)
        chance = sum(1 / comparison.num_words for comparison in found)
        rose = sum(comparison.new.probability > comparison.old.probability for comparison in found)
        print(
            f"Of {len(found)} swapped words {rose} became more suspicious (chance: "
            f"{len(found) / 2:g}), {first} are their text's most suspicious word (chance: "
            f"{chance:.1f})."
        )
