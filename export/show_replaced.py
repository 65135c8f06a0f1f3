"""Shows which words of a text an exported discriminator takes for replaced.

    python -m export.show_replaced SERVING_DIR/1 "The cat sat on the mat."
    python -m export.show_replaced SERVING_DIR/1 "The cat sat. => The cat flew." --file more.txt

In a terminal every word is shaded by its probability; elsewhere suspicious words carry theirs,
like word[0.87]. A text may be a pair, ORIGINAL => CHANGED: then the changed one is shown, with
what the discriminator makes of each changed word.

Like a server, this needs nothing of the models: only TensorFlow and tensorflow_text.
"""

import argparse
import sys

from electra_tf.serving.client.answers import rows_of
from electra_tf.serving.client.local_bundle import LocalBundle
from electra_tf.serving.client.replaced_words import Word, compare, render, words_of

ARROW = " => "
SIGNATURE = "detect_replaced"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m export.show_replaced", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", help="directory of one version, such as SERVING_DIR/1")
    parser.add_argument("text", nargs="*", help=f"a text, or a pair: ORIGINAL{ARROW}CHANGED")
    parser.add_argument("--file", help="more texts, one per line")
    parser.add_argument("--threshold", type=float, default=0.5,
                        help="probability from which a word is suspicious (default: 0.5)")
    parser.add_argument("--colour", choices=("auto", "always", "never"), default="auto",
                        help="auto: in a terminal only")
    options = parser.parse_args(arguments)
    try:
        if not 0 < options.threshold <= 1:
            raise ValueError(f"--threshold must be in (0, 1]. Received: {options.threshold}")
        show(_pairs(options), _load(options.bundle), options.threshold,
             options.colour == "always" or options.colour == "auto" and sys.stdout.isatty())
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")


def show(pairs: list[tuple[str, str]], bundle: LocalBundle, threshold: float,
         colour: bool) -> None:
    """Prints every text; for pairs, how suspicious each changed word is, before and after."""
    originals, changed = (_detect(bundle, list(texts)) for texts in zip(*pairs))
    comparisons = [compare(*both) for both in zip(originals, changed)]
    for (_, text), words, of_text in zip(pairs, changed, comparisons):
        print(render(text, words, threshold, colour))
        for old, new, rank, number in of_text:
            print(f"    {old.text} ({old.probability:.2f}) -> {new.text} ({new.probability:.2f}): "
                  f"suspicion {rank} of {number}")
    found = [comparison for of_text in comparisons for comparison in of_text]
    if found:
        first = sum(comparison.rank == 1 for comparison in found)
        chance = sum(1 / comparison.num_words for comparison in found)
        rose = sum(comparison.new.probability > comparison.old.probability for comparison in found)
        print(f"Of {len(found)} swapped words {rose} became more suspicious (chance: "
              f"{len(found) / 2:g}), {first} are their text's most suspicious word (chance: "
              f"{chance:.1f}).")


def _load(path: str) -> LocalBundle:
    bundle = LocalBundle(path)
    if SIGNATURE not in bundle.signatures:
        raise ValueError(f"A bundle must have the signature {SIGNATURE}. Received: {path} with "
                         f"{', '.join(bundle.signatures)}")
    return bundle


def _detect(bundle: LocalBundle, texts: list[str]) -> list[list[Word]]:
    answers = rows_of(bundle.predict({"text": texts}, SIGNATURE))
    return [words_of(text, answer) for text, answer in zip(texts, answers)]


def _pairs(options) -> list[tuple[str, str]]:
    texts = list(options.text)
    if options.file:
        with open(options.file, encoding="utf-8") as file:
            texts += [line.strip() for line in file if line.strip()]
    if not texts:
        raise ValueError("There must be a text, as an argument or in --file. Received: none")
    pairs = []
    for text in texts:
        original, arrow, new = text.partition(ARROW)
        pairs.append((original, new) if arrow else (text, text))
    return pairs


if __name__ == "__main__":
    main()
