"""What the tests of whole runs share."""

import contextlib
import os
import shutil

import pytest
import tiny_runs

# As a browser for tests: no sandbox, which containers lack, and no calls home.
CHROMIUM = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def interop_python() -> str:
    """Python of the environment that has transformers and no TensorFlow."""
    path = os.environ.get("ELECTRA_TF_INTEROP_PYTHON")
    if not path:
        pytest.skip("ELECTRA_TF_INTEROP_PYTHON is not set: run `make test-slow`")
    return path


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> str:
    """A tiny data set: 240 training examples, so 20 steps of 12 are one epoch; 37 held out."""
    return tiny_runs.write_data(tmp_path_factory.mktemp("data") / "shards")


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium")
    if not path:
        pytest.skip("no chromium on this machine")
    with sync_playwright() as playwright:
        with contextlib.closing(
            playwright.chromium.launch(executable_path=path, args=CHROMIUM)
        ) as started:
            yield started


@pytest.fixture
def open_page(browser):
    """Opens a URL and waits for the first answer; fails at the end if a script failed."""
    problems, pages = [], []

    def note(message):
        refused = message.text.startswith("Failed to load resource")  # which the page shows
        if message.type == "error" and not refused:
            problems.append(message.text)

    def opened(url, wait_for=".word"):
        page = browser.new_page()
        page.set_default_timeout(1000 * tiny_runs.TIME_LIMIT)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", note)
        page.on("dialog", lambda dialog: (problems.append(dialog.message), dialog.dismiss()))
        page.goto(url)
        page.wait_for_selector(wait_for, state="attached")  # empty answers cannot be seen
        pages.append(page)
        return page

    yield opened
    for page in pages:
        page.close()
    assert not problems
