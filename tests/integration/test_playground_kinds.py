"""The playground's page for every kind of exported model, of random weights, in a browser.

What the page draws is compared with what the model answers over REST. With ELECTRA_TF_AXE, the path
of axe.min.js from the npm package axe-core, axe looks for barriers on each page.
"""

import contextlib
import os
import pathlib
import threading

import pytest
import requests

from electra_tf.tasks.tagging import spans
from tests.integration.random_finetuned import write_finetuned
from tests.integration.random_models import random_electra
from tests.integration.test_export_finetuned import KINDS, LABELS

pytestmark = pytest.mark.slow  # an export of each kind, and a browser

MASKED = "the [MASK] of the small [MASK] text"
CONTEXT = "the small model has words of data"
PRETRAINED = {  # objective, parts of the weights beside the encoder
    "electra": ("electra", {}),
    "electric": ("electric", {"parts": ("discriminator_head/",)}),
    "mlm": ("mlm", {"parts": ()}),
}
FINETUNED = {
    **KINDS,
    "classification": {**KINDS["classification"], "pair_field": "second"},
}
# What to type into which field, and the headings of the kinds that the page then shows.
TYPED = {
    "electra": (
        {"Text": "the small model"},
        ["Replaced words", "Fill masks", "Plausibility"],
    ),
    "electric": ({"Texts, one per line": "the small model\nmodel\n"}, ["Plausibility"]),
    "mlm": ({"Text": MASKED}, ["Fill masks"]),
    "classification": ({"First text": "the model", "Second text": "of data"}, ["Classification"]),
    "multi_label": ({"Text": "the model"}, ["Labels"]),
    "regression": ({"First text": "the model", "Second text": "of data"}, ["Regression"]),
    "tagging": ({"Text": "the model of data, at which they train"}, ["Tagging"]),
    "squad": ({"Question": "which model?", "Context": CONTEXT}, ["Question answering"]),
}
# Of WCAG 2.2 all that axe can tell by itself, and what it holds to be good practice.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.fixture(scope="module")
def urls(tmp_path_factory, tiny_vocab_file):
    """Gives the URL of a playground for a kind of model, which it makes when first asked."""
    from electra_tf.saved import model_directory
    from electra_tf.serving.bundle import export_run
    from electra_tf.serving.client.local_bundle import LocalBundle
    from electra_tf.serving.client.playground import LocalModel, listening

    folder, known = tmp_path_factory.mktemp("models"), {}
    with contextlib.ExitStack() as stack:

        def url_of(kind):
            if kind not in known:
                path = str(folder / kind)
                if kind in PRETRAINED:
                    objective, parts = PRETRAINED[kind]
                    model = random_electra(tiny_vocab_file, "embeddings", objective, **parts)
                    model_directory.write(model, path)
                else:
                    write_finetuned(path, tiny_vocab_file, **FINETUNED[kind])
                bundle = export_run(path, f"{path}.serving", include_generator=kind == "electra")
                model = LocalModel(LocalBundle(bundle), "electra")
                server, known[kind] = stack.enter_context(listening(model))
                threading.Thread(target=server.serve_forever, daemon=True).start()
                stack.callback(server.shutdown)
            return known[kind]

        yield url_of


@pytest.fixture
def show(urls, open_page):
    """Opens the page of a kind and types; gives the page and what asks its model."""

    def shown(kind):
        page = open_page(urls(kind), "#answer > *")
        write(page, TYPED[kind][0])
        return page, ask_at(urls(kind))

    return shown


def ask_at(url):
    def ask(signature="serving_default", **texts):
        content = {"signature_name": signature, "instances": [texts]}
        return requests.post(f"{url}v1/models/electra:predict", json=content).json()["predictions"][
            0
        ]

    return ask


def write(page, texts):
    """Types texts and waits for the answer to all of them."""
    for label, text in texts.items():
        with page.expect_response(lambda response: response.url.endswith(":predict")):
            page.get_by_label(label, exact=True).fill(text)
        answered(page)


def answered(page):
    page.wait_for_selector("#answer:not([aria-busy])", state="attached")


def cells(page, table="#answer table"):
    """What the cells of a table's body show, without what only screen readers tell."""
    return page.locator(f"{table} tbody tr").evaluate_all("""rows => rows.map(row =>
        [...row.cells].map(cell => {
          const copy = cell.cloneNode(true);
          copy.querySelectorAll(".unseen, small").forEach(part => part.remove());
          return copy.textContent.trim();
        }))""")


def percent(probability):
    return f"{int(probability * 100 + 0.5)}\N{NO-BREAK SPACE}%"


def decimal(number, digits=2):
    shown = f"{number:.{digits}f}"
    return shown.replace("-", "−" if float(shown) else "")


def drawn(page):
    """The text of the answer without labels and numbers."""
    return page.locator("#answer .text").first.evaluate("""line => {
        const copy = line.cloneNode(true);
        copy.querySelectorAll("small").forEach(part => part.remove());
        return copy.textContent;
    }""")


@pytest.mark.parametrize("kind", TYPED)
def test_the_page_shows_what_the_model_can(show, kind):
    page, _ = show(kind)
    tabs = page.get_by_role("tab").all_inner_texts()
    headings = TYPED[kind][1]
    assert tabs == (headings if len(headings) > 1 else [])
    for heading in headings:
        if tabs:
            page.get_by_role("tab", name=heading).click()
            answered(page)
        assert page.get_by_role("heading", level=2).inner_text() == heading
        assert page.locator("#status").inner_text()
    assert page.locator("#problem").is_hidden()


def test_masks_are_filled(show):
    page, ask = show("mlm")
    answer = ask(text=MASKED)
    tables = page.locator("#answer table")
    assert tables.count() == 2
    for number in range(2):
        rows = zip(answer["tokens"][number], answer["probabilities"][number])
        expected = [[token, percent(probability)] for token, probability in rows]
        assert cells(page, f"#answer table >> nth={number} >> ") == expected
    (first, *others), (second, *_) = answer["tokens"]
    assert page.locator("#answer mark").all_inner_texts() == [first, second]
    assert drawn(page) == MASKED.replace("[MASK]", first, 1).replace("[MASK]", second, 1)
    place = f"{others[0]}, press to put it in place of mask 1"
    page.get_by_role("button", name=place, exact=True).click()
    answered(page)
    (other,) = [others[0].removeprefix("##")]
    start = "the" if others[0].startswith("##") else "the "
    written = f"{start}{other} of the small [MASK] text"
    assert page.get_by_label("Text", exact=True).input_value() == written
    assert tables.count() == 1
    page.get_by_label("Text", exact=True).fill("the")
    page.get_by_role("button", name="Insert [MASK]").click()
    assert page.get_by_label("Text", exact=True).input_value() == "the[MASK]"
    write(page, {"Text": "the model"})
    assert page.locator("#status").inner_text() == "There is no [MASK] in the text."


def test_what_is_cut_off_is_not_filled(show):
    page, _ = show("mlm")
    write(page, {"Text": "[MASK] " + "word " * 60 + "[MASK]"})
    assert page.locator("#answer mark").count() == 1
    assert page.locator("#answer .cut").inner_text() == "[MASK]"


@pytest.mark.parametrize("kind", ["electric", "electra"])
def test_alternatives_are_ranked(show, kind):
    page, ask = show(kind)
    if kind == "electra":
        page.get_by_role("tab", name="Plausibility").click()
        answered(page)
    texts = ["the model is small", "the small is model", "they are words of data"]
    write(page, {"Texts, one per line": "\n".join(texts[:2]) + "\n \n" + texts[2]})
    answers = {text: ask("score" if kind == "electra" else "serving_default", text=text)
               for text in texts}  # fmt: skip
    ranked = sorted(texts, key=lambda text: -answers[text]["score"])
    best = answers[ranked[0]]["score"]
    behind = ["✓ best", *(decimal(best - answers[text]["score"]) for text in ranked[1:])]
    assert cells(page) == [
        [text, decimal(answers[text]["score"]), far] for text, far in zip(ranked, behind)
    ]
    assert f"“{ranked[0]}”" in page.locator("#status").inner_text()
    for text, row in zip(ranked, page.locator("#answer tbody tr").all()):
        scores = {}  # of words: the tokens of one begin at the same place
        for start, end, score in zip(
            *(answers[text][name] for name in ("start_offset", "end_offset", "token_scores"))
        ):
            if end:
                scores[start] = scores.get(start, 0) + score
        small = [each.strip() for each in row.locator("small").all_text_contents()]
        assert small == [decimal(score) for score in scores.values()]
        assert row.locator(".least").count() == 1
        least = text[min(scores, key=scores.__getitem__) :].split()[0]
        assert row.locator(".least").inner_text().startswith(least)


@pytest.mark.parametrize("kind", ["classification", "multi_label"])
def test_labels_have_bars(show, kind):
    page, ask = show(kind)
    inputs = {"Text": "text", "First text": "text", "Second text": "text_pair"}
    answer = ask(**{inputs[label]: text for label, text in TYPED[kind][0].items()})
    chosen = [
        label == answer["label"] if "label" in answer else bool(answer["chosen"][index])
        for index, label in enumerate(LABELS)
    ]
    assert cells(page) == [
        [label + " ✓" * is_chosen, percent(probability)]
        for label, is_chosen, probability in zip(LABELS, chosen, answer["probabilities"])
    ]
    bars = page.locator("#answer .bar").evaluate_all(
        "bars => bars.map(bar => Number(bar.style.getPropertyValue('--share')))"
    )
    assert bars == pytest.approx(answer["probabilities"], abs=1e-6)
    told = page.locator("#status").inner_text()
    assert all((label in told) == here for label, here in zip(LABELS[1:3], chosen[1:3]))


def test_a_number_is_shown(show):
    page, ask = show("regression")
    expected = decimal(ask(text="the model", text_pair="of data"), 3)
    assert page.locator("#answer .figure").inner_text() == expected
    write(page, {"Second text": "the model"})
    expected = decimal(ask(text="the model", text_pair="the model"), 3)
    assert page.locator("#answer .figure").inner_text() == expected


def test_spans_are_drawn_in_the_text(show):
    page, ask = show("tagging")
    text = TYPED["tagging"][0]["Text"]
    answer = ask(text=text)
    expected = [
        [
            " ".join(text.split()[span.start : span.end]),
            span.type,
            percent(min(answer["probability"][span.start : span.end])),
        ]
        for span in spans.spans_of(answer["tags"])
    ]
    assert expected and cells(page) == expected
    assert page.locator("#answer .tagged small").all_text_contents() == [
        f" {type}" for _, type, _ in expected
    ]
    assert drawn(page) == text


def test_the_answer_is_marked_in_its_context(show):
    page, ask = show("squad")
    seen = set()
    for context in (CONTEXT, "Über naïve models were trained", "a b c d e f", ""):
        write(page, {"Context": context})
        answer = ask(question="which model?", context=context)
        figure, marks = page.locator("#answer .figure"), page.locator("#answer mark")
        assert figure.inner_text() == (answer["answer"] or "No answer")
        assert marks.all_inner_texts() == [answer["answer"]] * bool(answer["answer"])
        assert drawn(page) == context
        status = page.locator("#status").inner_text()
        assert f"Score {decimal(answer['score'])}" in status
        assert f"no answer {decimal(answer['null_score'])}" in status
        seen.add(bool(answer["answer"]))
    assert True in seen


@pytest.mark.parametrize("kind", TYPED)
def test_axe_finds_no_barrier(show, kind):
    path = os.environ.get("ELECTRA_TF_AXE")
    if not path:
        pytest.skip("ELECTRA_TF_AXE is not set: the path of axe.min.js of the npm package axe-core")
    axe = pathlib.Path(path).read_text(encoding="utf-8")
    page, _ = show(kind)
    page.evaluate(axe)  # by the debugger, which the page's policy does not concern
    for number in range(max(page.get_by_role("tab").count(), 1)):
        if page.get_by_role("tab").count():
            page.get_by_role("tab").nth(number).click()
            answered(page)
            if number == 0:
                swap(page)
        for colours in ("light", "dark"):
            for width in (390, 1280):
                page.emulate_media(color_scheme=colours)
                page.set_viewport_size({"width": width, "height": 900})
                result = page.evaluate("rules => axe.run({runOnly: rules})", RULES)
                told = [
                    (each["id"], node["html"][:120], node["failureSummary"])
                    for each in result["violations"]
                    for node in each["nodes"]
                ]
                assert not told, f"{colours}, {width} pixels: {told}"
                assert len(result["passes"]) > 20
                assert page.evaluate("document.documentElement.scrollWidth") <= width


def swap(page):
    page.locator("#answer .word").first.click()
    page.keyboard.type("network")
    page.keyboard.press("Enter")
    page.wait_for_selector("#swaps li")
