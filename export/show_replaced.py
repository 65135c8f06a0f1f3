"""Shows which words of a text an exported discriminator takes for replaced.

    python -m export.show_replaced SERVING_DIR/1 "The cat sat on the mat."
    python -m export.show_replaced SERVING_DIR/1 "The cat sat. => The cat flew." --file more.txt

In a terminal every word is shaded by its probability; elsewhere suspicious words carry theirs,
like word[0.87]. A text may be a pair, ORIGINAL => CHANGED: then the changed one is shown, with
what the discriminator makes of each changed word.

Like a server, this needs nothing but TensorFlow and tensorflow_text.
"""

import argparse
import contextlib
import difflib
import logging
import os
import sys
from typing import NamedTuple

ARROW = " => "
# Backgrounds of the terminal's 256 colours, from no suspicion to the strongest.
_SHADES = (None, 230, 229, 223, 216, 209, 203)


class Word(NamedTuple):
    """A word of a text: its bytes and the largest probability of its tokens."""

    start: int
    end: int
    text: str
    probability: float


class Comparison(NamedTuple):
    """A changed word: before and after, and its rank (1: the most suspicious) among all words."""

    old: Word
    new: Word
    rank: int
    num_words: int


def load(bundle: str):
    """The function text string [B] → {name: [B, L]} of a bundle.

    Raises:
        ValueError: the directory holds no such SavedModel.
    """
    if not os.path.isfile(os.path.join(bundle, "saved_model.pb")):
        raise ValueError(f"A bundle must be a directory with saved_model.pb, such as "
                         f"SERVING_DIR/1. Received: {bundle}")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # TensorFlow says on loading that gradients were not saved; nobody wants any here.
    logging.getLogger("absl").setLevel(logging.ERROR)
    with _quiet_start():
        import tensorflow as tf
        import tensorflow_text  # noqa: F401 (registers the tokenizer's ops)

        signatures = tf.saved_model.load(bundle).signatures
    if "detect_replaced" not in signatures:
        raise ValueError(f"A bundle must have the signature detect_replaced. Received: {bundle} "
                         f"with {', '.join(sorted(signatures))}")
    return lambda texts: {name: value.numpy() for name, value in
                          signatures["detect_replaced"](text=tf.constant(texts)).items()}


def words_of(texts: list[str], detect) -> list[list[Word]]:
    """The words of each text with their probabilities."""
    answers = detect(texts)
    results = []
    for row, text in enumerate(texts):
        data, words = text.encode(), {}
        for start, end, probability in zip(answers["start_offset"][row].tolist(),
                                           answers["end_offset"][row].tolist(),
                                           answers["replaced_probability"][row].tolist()):
            if end:  # not [CLS], [SEP] or padding
                known = words.get((start, end))
                if known is None or known.probability < probability:
                    words[start, end] = Word(start, end, data[start:end].decode(), probability)
        results.append([words[place] for place in sorted(words)])
    return results


def compare(original: list[Word], changed: list[Word]) -> list[Comparison]:
    """The words that stand in the changed text in the place of others."""
    matcher = difflib.SequenceMatcher(None, [word.text for word in original],
                                      [word.text for word in changed], autojunk=False)
    found = []
    for kind, first, last, new_first, _ in matcher.get_opcodes():
        if kind == "replace":
            for old, new in zip(original[first:last], changed[new_first:]):
                rank = 1 + sum(word.probability > new.probability for word in changed)
                found.append(Comparison(old, new, rank, len(changed)))
    return found


def render(text: str, words: list[Word], threshold: float, colour: bool) -> str:
    """The text with its suspicious words marked."""
    data, parts, position = text.encode(), [], 0
    for word in words:
        parts.append(data[position:word.start].decode())
        shade = _SHADES[min(int(word.probability / threshold * 2), len(_SHADES) - 1)]
        if colour and shade:
            parts.append(f"\x1b[30;48;5;{shade}m{word.text}\x1b[0m")
        elif not colour and word.probability >= threshold:
            parts.append(f"{word.text}[{word.probability:.2f}]")
        else:
            parts.append(word.text)
        position = word.end
    return "".join(parts) + data[position:].decode()


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
        show(_pairs(options), load(options.bundle), options.threshold,
             options.colour == "always" or options.colour == "auto" and sys.stdout.isatty())
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")


def show(pairs: list[tuple[str, str]], detect, threshold: float, colour: bool) -> None:
    """Prints every text; for pairs, how suspicious each changed word is, before and after."""
    originals = words_of([pair[0] for pair in pairs], detect)
    changed = words_of([pair[1] for pair in pairs], detect)
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


@contextlib.contextmanager
def _quiet_start():
    """Hides what TensorFlow's C++ side says on every start, whatever its log level."""
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


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
