"""The playground: its server's answers and errors, and the page in a browser."""

import contextlib
import functools
import re
import signal
import socket
import subprocess
import sys

import pytest
import requests
import tiny_tasks
from servers import first_line, stand_in

from tests.integration.tiny_runs import ROOT, TIME_LIMIT

pytestmark = pytest.mark.slow  # servers as processes, and a browser

COMMAND = [sys.executable, "-m", "electra_tf", "playground", "--port=0"]
SENTENCE = "The models trained words."
# What is drawn is what was typed; the numbers below the words are not part of it.
DRAWN = """line => {
  const copy = line.cloneNode(true);
  copy.querySelectorAll("small").forEach((percent) => percent.remove());
  return copy.textContent;
}"""


@pytest.fixture(scope="module")
def serving(tmp_path_factory, tiny_vocab_file):
    from electra_tf.serving.bundle import export_run

    folder = tmp_path_factory.mktemp("playground")
    model = tiny_tasks.write_model(folder / "model", tiny_vocab_file)
    export_run(model, str(folder / "serving"))
    return folder / "serving"


@contextlib.contextmanager
def _playground(*flags):
    """The page's URL and the process."""
    with first_line([*COMMAND, *flags]) as (line, process):
        yield re.search(r"http://\S+/", line)[0], process


@pytest.fixture(scope="module")
def url(serving):
    with _playground(f"--model={serving / '1'}") as (url, _):
        yield url


def _type(page, text):
    """Types a text and waits until the model has answered for it."""
    with page.expect_response(lambda response: response.url.endswith(":predict")):
        page.get_by_label("Text", exact=True).fill(text)
    page.wait_for_selector("#answer:not([aria-busy])", state="attached")


def _predicted(url, text):
    return requests.post(
        f"{url}v1/models/electra:predict", json={"instances": [{"text": text}]}
    ).json()["predictions"][0]


def _check_shades(page, url, text):
    """Every token is drawn, in order, as strongly shaded as the model finds it replaced."""
    answer = _predicted(url, text)
    tokens = page.eval_on_selector_all(
        "#answer .token",
        "tokens => tokens.map(token => [token.textContent, "
        "getComputedStyle(token).backgroundColor])",
    )
    expected = [
        (token.removeprefix("##"), probability)
        for token, end, probability in zip(
            answer["tokens"], answer["end_offset"], answer["replaced_probability"]
        )
        if end
    ]
    assert [shown.lower() for shown, _ in tokens] == [token for token, _ in expected]
    for (_, colour), (_, probability) in zip(tokens, expected):
        opacity = float(re.fullmatch(r"color\(srgb .* / ([\d.e-]+)\)", colour)[1])
        assert opacity == pytest.approx(probability, abs=0.01)
    assert len({colour for _, colour in tokens}) > 1


def test_a_typed_sentence_is_shaded(open_page, url):
    page = open_page(url)
    _type(page, SENTENCE)
    _check_shades(page, url, SENTENCE)
    assert page.inner_text("#answer .text").replace("\n", "").startswith("The")
    labels = page.eval_on_selector_all(
        "#answer .word", "words => words.map(word => word.getAttribute('aria-label'))"
    )
    answer = _predicted(url, SENTENCE)
    worst = max(
        probability
        for token, probability in zip(answer["start_offset"], answer["replaced_probability"])
        if token == 4
    )
    assert labels[-1] is None  # a full stop is too small to press
    assert labels[1] == f"models, {round(worst * 100)}\xa0% likely replaced, press to swap"


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert('script')</script>",
        "<img src=x onerror=\"alert('image')\">",
        "</textarea><svg onload=alert(1)>",
        "<a href=javascript:alert(1)>model</a>",
    ],
)
def test_markup_stays_text(open_page, url, hostile):
    page = open_page(url)
    _type(page, f"the {hostile} model")
    assert page.eval_on_selector("#answer .text", DRAWN) == f"the {hostile} model"
    assert page.locator("#answer :is(script, img, svg, a), body > script, iframe").count() == 0
    page.locator("#answer button.word").nth(1).click()
    page.keyboard.type(hostile)
    page.keyboard.press("Enter")
    page.wait_for_selector("#swaps li")
    assert hostile.split(" ")[0][0] in page.inner_text("#swaps li")
    assert page.locator("main :is(script, img, svg, a), iframe").count() == 0


def test_swapping_a_word_with_the_keyboard_updates(open_page, url):
    page = open_page(url)
    _type(page, SENTENCE)
    before = page.get_by_role("button", name="trained,").locator(".token").first
    before = before.get_attribute("data-probability")
    page.get_by_role("button", name="trained,").focus()
    page.keyboard.press("Enter")
    page.keyboard.type("network")
    page.keyboard.press("Enter")
    swapped = SENTENCE.replace("trained", "network")
    page.wait_for_selector("#swaps li")
    assert page.get_by_label("Text", exact=True).input_value() == swapped
    _check_shades(page, url, swapped)
    after = page.get_by_role("button", name="network,").locator(".token").first
    assert after.get_attribute("data-probability") != before
    told = page.inner_text("#swaps li")
    assert re.fullmatch(r"“trained” \d+\s% → “network” \d+\s%: suspicion \d of 5", told)
    assert page.evaluate("document.activeElement.dataset.start") == "11"  # to go on from there
    page.keyboard.press("Enter")
    page.keyboard.type("nothing of this")
    page.keyboard.press("Escape")
    assert page.get_by_label("Text", exact=True).input_value() == swapped
    page.get_by_role("button", name="Undo the last swap").click()
    page.get_by_role("button", name="trained,").wait_for()
    assert page.get_by_label("Text", exact=True).input_value() == SENTENCE
    assert page.locator("#swaps li").count() == 0


@pytest.mark.parametrize(
    "text", ["", " \n ", "日本 Über naïve ﬁne 👩‍💻", "word " * 60, "\x00a \x07 b"]
)
def test_other_texts_are_drawn_as_they_are(open_page, url, text):
    page = open_page(url)
    _type(page, text)
    assert page.eval_on_selector("#answer .text", DRAWN) == text
    assert page.locator("#problem").is_hidden()


def test_half_a_character_has_an_answer(open_page, url):
    page = open_page(url)
    with page.expect_response(lambda response: response.url.endswith(":predict")):
        page.get_by_label("Text", exact=True).evaluate("""field => {
          field.value = "the " + String.fromCharCode(0xD800) + " model";
          field.dispatchEvent(new Event("input"));
        }""")
    page.wait_for_selector("#answer:not([aria-busy])", state="attached")
    assert page.eval_on_selector("#answer .text", DRAWN) == "the \ufffd model"


def test_a_model_server_answers_with_target(serving, open_page):
    with stand_in(serving) as ports:
        with _playground(f"--target={ports['rest']}") as (url, _):
            page = open_page(url)
            _type(page, SENTENCE)
            _check_shades(page, f"http://{ports['rest']}/", SENTENCE)
        code, error = _refused(f"--target={ports['rest']}", "--model_name=elektra")
        assert code == 1 and "must have the model. Received: elektra" in error
        code, error = _refused(f"--target={ports['grpc']}")
        assert code == 1 and f"no server answers at {ports['grpc']}" in error


def test_only_its_own_files_and_names(url):
    response = requests.get(url)
    assert response.headers["Content-Security-Policy"].startswith(
        "default-src 'none'; script-src 'self'; "
    )
    assert not re.search(r"https?://", response.text)
    for path in re.findall(r'(?:href|src)="([^"]+)"', response.text):
        assert requests.get(url + path).status_code == 200
    modules = re.findall(r'from "\./([^"]+)"', requests.get(f"{url}page/page.js").text)
    assert len(modules) > 2
    for path in modules:
        assert requests.get(f"{url}page/{path}").status_code == 200
    assert requests.get(url, headers={"Host": "attacker.example"}).status_code == 400
    assert requests.get(f"{url}page/../playground.py").status_code == 404


@pytest.mark.parametrize(
    ("content", "status", "message"),
    [
        ({"instances": ["a", "b"]}, 200, None),
        ({"inputs": {"text": ["a"]}}, 200, None),
        ({"inputs": []}, 200, None),
        ({"instances": [{"txt": "a"}]}, 400, "must be text. Received: txt"),
        ({"instances": [{"text": 5}]}, 400, "text must be made of strings"),
        ({"instances": [["a"]]}, 400, "text must have the shape"),
        ({"instances": [{"text": "a"}, "b"]}, 400, "same inputs"),
        ({}, 400, "instances or inputs"),
        ({"inputs": ["a"], "signature_name": "x"}, 400, "A signature must be one of"),
        ({"instances": [{"text": "a" * 2**20}]}, 413, "exceeds"),
        ("[", 400, ""),
    ],
)
def test_rest_calls(url, content, status, message):
    send = functools.partial(requests.post, f"{url}v1/models/electra:predict")
    response = (
        send(json=content)
        if isinstance(content, dict)
        else send(data=content, headers={"Content-Type": "application/json"})
    )
    assert response.status_code == status
    if message is not None:
        assert message in response.json()["error"]
    other = requests.post(f"{url}v1/models/other:predict", json={"instances": []})
    assert other.status_code == 404
    assert other.json() == {"error": "Servable not found for request: Latest(other)"}


def test_ctrl_c_leaves_cleanly(serving):
    with _playground(f"--model={serving / '1'}") as (url, process):
        assert requests.get(url).ok
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=TIME_LIMIT)
        assert process.returncode == 0 and error == "\nEnded.\n"


def _refused(*flags):
    result = subprocess.run(
        [*COMMAND, *flags], text=True, capture_output=True, cwd=ROOT, timeout=TIME_LIMIT
    )
    assert "\n" not in result.stderr.strip()
    return result.returncode, result.stderr


def test_errors_are_one_line(serving, tmp_path):
    bundle = f"--model={serving / '1'}"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, error = _refused(bundle, f"--port={port}")
        assert code == 1 and f"The port must be free. Received: {port}" in error
    for flags, message in (
        ([bundle, "--port=70000"], "port must be in [0, 65535]. Received: 70000"),
        ([bundle, "--host=192.0.2.1"], "must be an address of this machine"),
        ([f"--model={tmp_path}"], "A bundle must be a directory with saved_model.pb"),
        ([bundle, "--target=localhost"], "Received: both"),
        ([], "Received: neither"),
        (["--target=localhost:1"], "no server answers at localhost:1"),
    ):
        code, error = _refused(*flags)
        assert code == 1 and message in error
