"""The site of the docs as a reader has it: built by `make docs`, opened in Chromium, nothing from another machine."""

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import gptlab
from gptlab.command.verbs import VERBS
from tests.browser import MISSING, Browser, running_browser
from tests.repository import ROOT
from website import links

SITE = ROOT / "site"


@pytest.fixture(scope="module")
def site() -> Path:
    """Built anew, as what is there may be an older one."""
    environment = {
        k: v for k, v in os.environ.items() if k not in ("PYTHON", "VENV", "MAKEFLAGS", "MAKELEVEL")
    }
    done = subprocess.run(
        ["make", "docs"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=540, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return SITE


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        """What is asked for is of no interest."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


# What a page has fetched, and what a script has complained of; kept from its first line on.
WATCH = """
window.__wrong = [];
const keep = words => __wrong.push(words);
addEventListener('error', event => keep(event.message || `not loaded: ${event.target.src || event.target.href}`), true);
addEventListener('unhandledrejection', event => keep(String(event.reason)));
for (const kind of ['error', 'warn']) console[kind] = (...words) => keep(words.join(' '));
"""


def fetched(browser: Browser) -> list[str]:
    return browser.script("return performance.getEntriesByType('resource').map(entry => entry.name)")


@pytest.mark.slow
def test_the_site_has_every_page_and_no_dead_link(site: Path) -> None:
    assert links.problems(site) == []
    written = {path.relative_to(ROOT / "docs").with_suffix(".html") for path in (ROOT / "docs").glob("*.md")}
    assert written <= {path.relative_to(site) for path in site.rglob("*.html")}
    verbs = links.Page((site / "reference/verbs.html").read_text(encoding="utf-8"))
    assert set(VERBS) <= verbs.ids
    keys = (site / "reference/keys.html").read_text(encoding="utf-8")
    assert "model.nEmbd" in keys and "at least 0 and below 1" in keys and "optimizer.weightDecay" in keys
    names = links.Page((site / "reference/python.html").read_text(encoding="utf-8"))
    assert {*gptlab.__all__} <= names.ids


@pytest.mark.slow
@pytest.mark.skipif(bool(MISSING), reason=f"no {MISSING}")
def test_a_reader_finds_a_page_by_search_and_nothing_leaves_the_machine(site: Path, tmp_path: Path) -> None:
    with served(site) as address, running_browser(tmp_path) as browser:
        browser.run_first(WATCH)
        asked: list[str] = []
        for page, says in {
            "index.html": "gptlab",
            "start.html": "Five minutes",
            "reference/keys.html": "train.learningRate",
            "reference/python.html": "create_model",
            "gallery.html": "reproduced",
        }.items():
            browser.open(f"{address}/{page}")
            browser.wait_for_text(says)
            asked += fetched(browser)
            assert browser.script("return __wrong") == [], page
        browser.open(f"{address}/start.html")
        browser.wait("return document.readyState === 'complete'")
        browser.resize(390, 800)
        wide = browser.script("return document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, "a narrow window scrolls sideways"
        browser.resize(1400, 900)
        found = search(browser, "learningRate")
        assert found[0].endswith("keys.html?h=learningRate#train.learningRate"), found
        assert browser.script("return __wrong") == []
        asked += fetched(browser)
        assert asked and all(one.startswith((address, "data:", "blob:")) for one in asked), asked


def search(browser: Browser, words: str) -> list[str]:
    """Type words where one searches, as with a keyboard; the pages that are offered for all of them."""
    browser.click("//button[contains(@class, 'md-search__button')]")
    root = (
        "const root = [...document.querySelectorAll('*')]"
        ".find(e => e.shadowRoot?.querySelector('dialog'))?.shadowRoot;"
    )
    browser.wait(f"{root} return root?.activeElement?.role === 'combobox'")
    browser.type(words)
    code = (
        f"{root} const found = [...root.querySelectorAll('[role=listbox] a')].map(a => a.href);"
        "return found.length && found.every(link => link.includes(`h=${arguments[0]}#`)) ? found : null"
    )
    # What half of the words had found may stand there for a moment with the links of all of them.
    found, before = browser.wait(code, words), None
    while found != before:
        time.sleep(1.0)
        found, before = browser.wait(code, words), found
    return found
