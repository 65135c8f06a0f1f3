"""What the playground's page makes of answers that no good model gives, and of its keyboard."""

import contextlib
import json
import threading

import pytest

from electra_tf.serving.client.playground import listening

pytestmark = pytest.mark.slow  # a browser

HOSTILE = "<img src=x onerror=\"alert('label')\"><script>alert(1)</script>"
LABELS = ["labels", "probabilities"]
TAGS = ["words", "tags", "probability", "start_offset", "end_offset", "mask"]
TOKENS = ["tokens", "start_offset", "end_offset"]
ANSWER = ["answer", "score", "start_offset", "end_offset", "null_score"]
FILL = ["positions", "tokens", "probabilities", "mask"]


class Made:
    """A model whose answers are given.

    Args:
        signatures: names of the inputs and the outputs by the name of the signature.
        answer: the row for every text, changed as a test goes on.
    """

    name, source = "electra", "made up"

    def __init__(self, signatures, answer):
        self.row, self.status, self._definitions = answer, 200, {
            name: {
                "inputs": {each: {"dtype": "DT_STRING"} for each in inputs},
                "outputs": {each: {"dtype": "DT_FLOAT"} for each in outputs},
            }
            for name, (inputs, outputs) in signatures.items()
        }  # fmt: skip
        self.bodies = []

    def answer(self, asked, body=b""):
        if asked.verb == "metadata":
            return {"metadata": {"signature_def": {"signature_def": self._definitions}}}, 200
        self.bodies.append(json.loads(body))
        if self.status != 200:
            return {"error": self.row}, self.status
        return {"predictions": [self.row for _ in self.bodies[-1]["instances"]]}, 200


@pytest.fixture
def shown(open_page):
    """Opens the page of a model whose answers are given."""
    with contextlib.ExitStack() as stack:

        def opened(model, wait_for="#answer > *"):
            server, url = stack.enter_context(listening(model))
            threading.Thread(target=server.serve_forever, daemon=True).start()
            stack.callback(server.shutdown)
            return open_page(url, wait_for)

        yield opened


def of_text(outputs, answer):
    return Made({"serving_default": (["text"], outputs)}, answer)


def write(page, text, label="Text"):
    with page.expect_response(lambda response: response.url.endswith(":predict")):
        page.get_by_label(label, exact=True).fill(text)
    page.wait_for_selector("#answer:not([aria-busy])", state="attached")


def tagged(text, tags, probability=0.5):
    """The answer of a tagger to words with one space between."""
    ends = [len(" ".join(text.split()[: number + 1]).encode()) for number in range(len(tags))]
    words = text.split()
    return {
        "words": [*words, ""],
        "tags": [*tags, ""],
        "probability": [probability] * len(tags) + [0],
        "start_offset": [end - len(word.encode()) for word, end in zip(words, ends)] + [0],
        "end_offset": [*ends, 0],
        "mask": [1] * len(tags) + [0],
    }


@pytest.mark.parametrize("probability", [7, None, "url(https://example.org)"])
def test_what_a_server_says_stays_text(shown, probability):
    word = {"start_offset": [0], "end_offset": [1], "mask": [1]}
    for outputs, answer in (
        ([*LABELS, "label"],
         {"label": HOSTILE, "labels": [HOSTILE], "probabilities": [probability]}),
        (TAGS, {"words": [HOSTILE], "tags": [HOSTILE], "probability": [probability], **word}),
        ([*TOKENS, "replaced_probability"],
         {"tokens": [HOSTILE, HOSTILE], "replaced_probability": [probability] * 2,
          "start_offset": [0, 0], "end_offset": [1, 1]}),
        (FILL, {"positions": [1], "tokens": [[HOSTILE]], "probabilities": [[probability]],
                "mask": [1]}),
        (["anything"], {"anything": HOSTILE, HOSTILE: probability}),
        ([HOSTILE], HOSTILE),
    ):  # fmt: skip
        page = shown(of_text(outputs, answer))
        write(page, "[MASK]")
        assert page.locator("#problem").is_hidden()
        assert HOSTILE.replace('"', "") in page.inner_text("#answer").replace('\\"', "").replace(
            '"', ""
        )
        assert page.locator("main :is(script, img, svg, a, iframe)").count() == 0
        shares = page.locator("#answer .number").all_text_contents()
        assert set(shares) <= {"100\xa0%" if probability == 7 else "0\xa0%"}


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        ("B-PER I-PER O B-PER", [("a b", "PER"), ("d", "PER")]),
        ("I-PER I-PER B-PER I-LOC", [("a b", "PER"), ("c", "PER"), ("d", "LOC")]),
        ("B-PER E-PER S-LOC S-LOC", [("a b", "PER"), ("c", "LOC"), ("d", "LOC")]),
        ("S-PER I-PER O E-LOC", [("a", "PER"), ("b", "PER"), ("d", "LOC")]),
        ("B I O B", [("a b", "span"), ("d", "span")]),
        ("DT NN IN B-?", [("a", "DT"), ("b", "NN"), ("c", "IN"), ("d", "B-?")]),
        ("O O O O", []),
    ],
)
def test_tags_of_every_scheme_become_spans(shown, tags, spans):
    page = shown(of_text(TAGS, tagged("a b c d", tags.split())))
    write(page, "a b c d")
    rows = page.locator("#answer tbody tr").evaluate_all(
        "rows => rows.map(row => [row.cells[0].textContent, row.cells[1].textContent])"
    )
    assert [tuple(row) for row in rows] == spans
    if spans:  # every word having its tag, there is less to see in a table
        is_open = page.locator("#answer details").get_attribute("open") is not None
        assert is_open == ("DT" not in tags)
    hues = {}
    for (_, type), name in zip(
        spans, page.locator("#answer .tagged").evaluate_all("all => all.map(one => one.className)")
    ):
        assert hues.setdefault(type, name) == name  # the same label has the same colour
    assert len(set(hues.values())) == len(hues)


def test_offsets_are_bytes(shown):
    page = shown(of_text(TAGS, tagged("Über Ö 日本 x", ["O", "O", "B-LOC", "O"])))
    write(page, "Über Ö 日本 x")
    assert page.locator("#answer tbody th").inner_text() == "日本"


def test_an_unanswerable_question(shown):
    signature = {"serving_default": (["context", "question"], ANSWER)}
    answer = {"answer": "", "score": -2.5, "start_offset": 4, "end_offset": 9, "null_score": 3}
    model = Made(signature, answer)
    page = shown(model)
    write(page, "the Ünïx x", "Context")
    assert page.locator("#answer .figure").inner_text() == "No answer"
    assert page.locator("#answer .note").inner_text() == "The likeliest span would be “Ünï”."
    assert page.locator("#answer mark").count() == 0
    assert page.locator("#answer .text").inner_text() == "the Ünïx x"
    told = "No answer. Score −2.50, of having no answer 3.00."
    assert page.locator("#status").inner_text() == told
    model.row = answer | {"answer": "Ünï"}
    write(page, "which?", "Question")
    assert page.locator("#answer mark").inner_text() == "Ünï"


def test_no_label_may_be_chosen(shown):
    answer = {"labels": ["a", "b"], "probabilities": [0.4, 0.2], "chosen": [0, 0]}
    page = shown(of_text([*LABELS, "chosen"], answer))
    assert page.locator("#status").inner_text() == "0 labels chosen."
    assert page.locator("#answer .chosen").count() == 0


def test_a_broken_answer_is_told_and_forgotten(shown):
    model = of_text([*LABELS, "label"], {"label": "a", "labels": ["a"], "probabilities": [1]})
    page = shown(model)
    good, model.row = model.row, {"label": "a"}
    write(page, "one")
    told = "The model's answer is not one that this page can draw."
    assert page.get_by_role("alert").inner_text() == told
    model.row, model.status = HOSTILE, 503
    write(page, "two")
    assert page.get_by_role("alert").inner_text() == HOSTILE
    model.row, model.status = good, 200
    write(page, "three")
    assert page.locator("#problem").is_hidden()
    assert page.locator("#status").inner_text() == "Label: “a”, 100\xa0%."


def test_tabs_follow_the_keyboard(shown):
    outputs = [*TOKENS, "replaced_probability", "token_scores", "score", "mask", "positions"]
    answer = {name: [] for name in [*outputs, "probabilities"]} | {"score": -1}
    model = Made(
        {
            "score": (["text"], [*TOKENS, "score", "token_scores"]),
            "encode": (["text"], ["sequence_output", "mask"]),
            "detect_replaced": (["text"], [*TOKENS, "replaced_probability"]),
            "fill_mask": (["text"], FILL),
            "serving_default": (["text"], [*TOKENS, "replaced_probability"]),
        },
        answer,
    )
    page = shown(model)

    def selected():
        page.wait_for_selector("#answer:not([aria-busy])", state="attached")
        [tab] = page.get_by_role("tab", selected=True).all()
        assert page.get_by_role("tabpanel").get_attribute("aria-labelledby") == tab.get_attribute(
            "id"
        )
        assert page.locator("[role=tab][tabindex='0']").all_inner_texts() == [tab.inner_text()]
        return tab.inner_text()

    assert selected() == "Replaced words" and "signature_name" not in model.bodies[-1]
    page.keyboard.press("Tab")
    kept = "typed before"
    for key, title, signature in (
        ("ArrowRight", "Fill masks", "fill_mask"),
        ("ArrowRight", "Plausibility", "score"),
        ("ArrowRight", "Replaced words", None),
        ("ArrowLeft", "Plausibility", "score"),
        ("Home", "Replaced words", None),
        ("End", "Plausibility", "score"),
    ):
        with page.expect_response(lambda response: response.url.endswith(":predict")):
            page.keyboard.press(key)
        assert selected() == title
        assert page.evaluate("document.activeElement.textContent") == title
        assert model.bodies[-1].get("signature_name") == signature
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.tagName") == "TEXTAREA"
    write(page, kept, "Texts, one per line")
    assert model.bodies[-1]["instances"] == [{"text": kept}]
    page.get_by_role("tab", name="Fill masks").click()
    page.get_by_role("tab", name="Plausibility").click()
    assert page.get_by_label("Texts, one per line").input_value() == kept
    page.reload()
    page.wait_for_selector("[role=tab]")
    assert selected() == "Plausibility"  # the address has it
    number = len(model.bodies)
    page.get_by_label("Texts, one per line").fill(" \n")
    page.get_by_text("Type a text.").wait_for()
    assert len(model.bodies) == number  # there is nothing to ask


def test_nothing_moves(shown):
    page = shown(of_text([*TOKENS, "replaced_probability"],
                         {"tokens": ["a"], "start_offset": [0], "end_offset": [1],
                          "replaced_probability": [0.5]}))  # fmt: skip
    moving = page.evaluate("document.getAnimations().length")
    durations = page.evaluate("""[...document.querySelectorAll("*")].map(
        element => getComputedStyle(element).transitionDuration)""")
    assert moving == 0 and set(durations) == {"0s"}
