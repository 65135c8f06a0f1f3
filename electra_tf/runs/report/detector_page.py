"""ROC, calibration and examples of a discriminator as HTML."""

from electra_tf.runs.report.charts import Series, chart, charts
from electra_tf.runs.report.detector import Detector
from electra_tf.runs.report.markup import Html, element, join
from electra_tf.tasks.samples import Word

_DIAGONAL = ((0.0, 0.0), (1.0, 1.0))
_SMALLEST, _LARGEST = 3.0, 10.0  # radius of a dot of the calibration


def curves(found: Detector) -> Html:
    """ROC and calibration."""
    some = (
        f"On the first {found.num_examples:,} of {found.of_examples:,} held-out examples"
        if found.num_examples < found.of_examples
        else f"On all {found.of_examples:,} held-out examples"
    )
    text = (
        f"{some}, with the weights of step {found.step:,} and the masks and samples of "
        "electra_tf evaluate. Dashed: chance, and perfect calibration. A dot of the calibration is "
        "larger the more tokens have about this probability."
    )
    total = sum(each.number for each in found.intervals)
    calibration = Series(
        "",
        [(each.predicted, each.observed) for each in found.intervals],
        dots=True,
        notes=[
            f"{each.number:,} tokens: predicted {each.predicted:.3f}, replaced {each.observed:.3f}"
            for each in found.intervals
        ],
        sizes=[
            _SMALLEST + (_LARGEST - _SMALLEST) * (each.number / total) ** 0.5
            for each in found.intervals
        ],
    )
    figures = [
        chart(
            f"ROC: AUC {found.auc:.3f}",
            [Series("", found.roc)],
            "share of the original tokens that are suspected",
            "share of the replaced tokens that are found",
            unit=True,
            chance=_DIAGONAL,
        ),
        chart(
            f"Calibration: error {found.calibration_error:.3f}",
            [calibration],
            "probability of being a replacement",
            "share that is replaced",
            unit=True,
            chance=_DIAGONAL,
        ),
    ]
    return join([element("p", text, class_="faint"), charts(figures)])


def examples(found: Detector) -> Html:
    """Texts as generator and discriminator have them."""
    text = (
        "The first held-out examples. The generator reads the text with its masked words in grey, "
        "of which some stay visible, and puts a sample in the place of each, underlined: green "
        "where it is the original word, orange where it is another, which stands behind it, struck "
        "through. The discriminator reads the result; the stronger the red, the more probable it "
        "finds a replacement there."
    )
    texts = element("div", *map(_example, found.examples), class_="examples")
    return join([element("p", text, class_="faint"), texts])


def _example(words: list[Word]) -> Html:
    return element(
        "div",
        element("h4", "the generator reads"),
        element("p", *_spaced(map(_shown, words))),
        element("h4", "the generator puts, the discriminator suspects"),
        element("p", *_spaced(map(_judged, words))),
        class_="example",
    )


def _shown(word: Word) -> Html:
    return element("span", word.shown, class_="mask" if word.is_masked else None)


def _judged(word: Word) -> Html:
    kind, probability = None, word.probability or 0.0
    if word.is_masked:
        kind = "right" if word.put == word.original else "wrong"
    marked = element(
        "span",
        word.put,
        class_=kind,
        style=f"background:rgb(222 60 40/{0.8 * probability:.2f})",
        title=f"{probability:.2f}",
    )
    if kind != "wrong":
        return marked
    return join([marked, " ", element("span", word.original, class_="was")])


def _spaced(parts):
    for part in parts:
        yield part
        yield " "
