"""The page of an ablation in a real browser. GPTLAB_SCREENSHOTS names a folder that keeps pictures of it."""

import os
from pathlib import Path

import pytest

from gptlab.ablation.report.page import page
from tests.ablation_results import hostile, tuned
from tests.browser import MISSING, running_browser

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"a real browser is needed: there is no {MISSING}"),
]

COLOR = "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]"
WIDE = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
DRAWN = "return [...document.querySelectorAll('figure svg')].map(svg => svg.getBoundingClientRect().height)"


def test_it_is_drawn_in_light_and_dark_wide_and_narrow(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(page(tuned()), encoding="utf-8")
    with running_browser(tmp_path) as browser:
        inks = {}
        for scheme in ("light", "dark"):
            browser.prefer(scheme)
            browser.resize(1400, 1800)
            browser.open(file.as_uri())
            assert "+experiment=muon is better than the baseline by 0.043 nats" in browser.text()
            assert browser.script(WIDE) == 0
            assert all(height > 100 for height in browser.script(DRAWN))
            # The pictures have the page's ink.
            inks[scheme] = browser.script(COLOR, "figure svg path[style*='--ink']", "stroke")
            assert inks[scheme] == browser.script(COLOR, "body", "color")
            if folder := os.environ.get("GPTLAB_SCREENSHOTS"):
                browser.screenshot(Path(folder) / f"ablation-{scheme}.png")
        assert inks["light"] != inks["dark"]
        browser.resize(500, 900)
        assert browser.script(WIDE) == 0
        browser.click("//summary[starts-with(., '+experiment=muon')]")
        assert "multirun/ablate/+experiment=muon/11" in browser.text()
        file.write_text(page(hostile()), encoding="utf-8")
        browser.open(file.as_uri())
        assert browser.script("return document.scripts.length + document.images.length") == 0
        assert browser.script(WIDE) == 0
