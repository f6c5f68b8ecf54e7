"""The page of an inspection in a real browser: it draws itself, and says the numbers under the mouse.

GPTLAB_SCREENSHOTS names a folder that keeps a picture of it in light and in dark.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gptlab.inspection.interventions import HeadEffects, Intervention
from gptlab.inspection.page import page
from tests.browser import MISSING, Browser, running_browser
from tests.inspection.inspections import made_inspection

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"a real browser is needed: there is no {MISSING}"),
]

INSPECTION = made_inspection(positions=8)
LARGE = "//div[@class='map']//*[name()='svg']/*[@class='hit']"
TIP = "return document.getElementById('tip').hidden ? '' : document.getElementById('tip').innerText"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with running_browser(tmp_path_factory.mktemp("browser")) as running:
        yield running


@pytest.fixture
def shown(browser: Browser, tmp_path: Path) -> Browser:
    file = tmp_path / "inspect.html"
    file.write_text(page(INSPECTION, "made up"), encoding="utf-8")
    return opened(browser, file)


def opened(browser: Browser, file: Path) -> Browser:
    browser.prefer("light")
    browser.resize(1400, 900)
    browser.open(file.as_uri())
    browser.wait("return document.documentElement.dataset.drawn")
    browser.script("window.failures = []; addEventListener('error', event => failures.push(event.message))")
    return browser


def tip(browser: Browser, text: str) -> str:
    """What the box beside the mouse says, once it says `text`."""
    return browser.wait(
        f"const said = (() => {{ {TIP} }})(); return said.includes(arguments[0]) && said", text
    )


def test_the_attention_says_its_numbers(shown: Browser) -> None:
    shown.click("//button[@aria-label='layer 1, head 0']")
    shown.hover(LARGE, across=2.5 / 8, down=5.5 / 8)
    share = f"{100 * INSPECTION.attention[1, 0, 5, 2]:.1f}%"
    assert "layer 1, head 0, [5, 2]" in tip(shown, share)
    shown.hover("//button[@aria-label='layer 0, head 1']", across=0.08, down=0.95)
    tip(shown, f"{100 * INSPECTION.attention[0, 1, 7, 0]:.1f}%")
    shown.hover(LARGE, across=6.5 / 8, down=1.5 / 8)
    tip(shown, "comes later")
    shown.hover("//h1")
    shown.wait(f"return (() => {{ {TIP} }})() === ''")
    assert shown.script("return failures") == []


def test_a_weight_says_its_name_and_number(shown: Browser) -> None:
    shown.hover("//div[@data-name='layers.1.attention.query']//canvas", across=5.5 / 8, down=3.5 / 8)
    value = INSPECTION.weights["layers.1.attention.query"][3, 5]
    assert f"{abs(value):.3f}"[:4] in tip(shown, "layers.1.attention.query[3,5]")
    # Of a matrix that lies on its side, and of one with three axes.
    shown.hover("//div[@data-name='layers.0.mlp.hidden']//canvas", across=20.5 / 32, down=2.5 / 8)
    value = INSPECTION.weights["layers.0.mlp.hidden"][20, 2]
    assert f"{abs(value):.3f}"[:4] in tip(shown, "layers.0.mlp.hidden[20,2]")
    shown.hover("//div[@data-name='experts']//canvas", across=6.5 / 8, down=9.5 / 12)
    tip(shown, "experts[2,1,6]")
    assert shown.script("return failures") == []


def test_lens_norms_and_attributions_say_their_numbers(shown: Browser) -> None:
    best = np.sort(INSPECTION.lens[1, 4])[::-1]
    shown.hover("//section[@id='lens']//tbody/tr[5]/td[2]")
    assert f"{100 * best[2]:.1f}%" in tip(shown, f"{100 * best[0]:.1f}%")
    shown.hover("//section[@id='norms']//*[name()='svg']", across=0.5, down=0.1)
    assert "position" in tip(shown, "Hidden states at")
    shown.hover("(//section[@id='attributions']//*[@class='hit'])[3]", down=0.3)
    assert f"{abs(INSPECTION.attributions[2]):.3f}"[:4] in tip(shown, "mean loss")
    assert shown.script("return failures") == []


def test_a_position_is_chosen_for_the_whole_page(shown: Browser) -> None:
    shown.click("//section[@id='words']//button[4]")
    shown.wait_for_text("Position 2")
    shown.script("dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowRight'}))")
    text = shown.wait_for_text("Position 3")
    assert f"{INSPECTION.losses[3]:.3f} nats" in text
    chosen = (
        "return [...document.querySelectorAll('#lens tbody tr')].findIndex(row => row.className === 'chosen')"
    )
    assert shown.script(chosen) == 3


def test_the_most_surprising_token_is_chosen_first(shown: Browser) -> None:
    shown.wait_for_text(f"Position {int(INSPECTION.losses.argmax())}")


@pytest.mark.parametrize("width", [1400, 900, 420])
def test_it_fits_every_width_in_light_and_in_dark(shown: Browser, width: int) -> None:
    folder = os.environ.get("GPTLAB_SCREENSHOTS")
    pixel = "return [...document.querySelector('.map canvas').getContext('2d').getImageData(0, 0, 1, 1).data]"
    light = shown.script(pixel)
    shown.resize(width, 900)
    shown.wait("return document.documentElement.scrollWidth <= innerWidth")
    shown.prefer("dark")
    shown.wait(
        f"return JSON.stringify((() => {{ {pixel} }})()) !== arguments[0]", str(light).replace(" ", "")
    )
    background = "return getComputedStyle(document.body).backgroundColor"
    assert sum(map(int, shown.script(background)[4:-1].split(","))) < 100
    if folder:
        for scheme in ("light", "dark"):
            shown.prefer(scheme)
            shown.screenshot(Path(folder) / f"inspect-{scheme}-{width}.png")
    assert shown.script("return failures") == []
    assert shown.script("return performance.getEntriesByType('resource').length") == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"positions": 1},
        {"positions": 300, "heads": 1},
        {"attention": np.zeros((2, 0, 6, 6)), "notes": ("nothing to see",)},
        {
            "losses": np.full(6, np.nan),
            "hiddenNorms": np.full((3, 6), np.nan),
            "weights": {"w": np.full((2, 2), np.nan)},
        },
        {"weights": {"w": np.zeros((2, 3)), "one": np.array(1.0)}, "attributions": np.zeros(6)},
        {"layers": 12, "heads": 12, "positions": 64},
    ],
    ids=["one position", "long", "no attention", "diverged", "zeros", "many heads"],
)
def test_what_is_out_of_the_ordinary_is_drawn(browser: Browser, tmp_path: Path, changes: dict) -> None:
    file = tmp_path / "inspect.html"
    file.write_text(page(made_inspection(**changes), "out of the ordinary"), encoding="utf-8")
    text = opened(browser, file).text()
    assert "undefined" not in text and "Infinity" not in text and "[object" not in text
    assert ("nothing to see" in text) == ("notes" in changes)
    assert browser.script("return document.documentElement.scrollWidth <= innerWidth")


def test_what_parts_are_for_is_shown_where_it_was_asked(browser: Browser, tmp_path: Path) -> None:
    one, effects = INSPECTION, np.array([0.25, -0.125, 1.5, np.nan])
    without = one.losses + np.linspace(-0.5, 0.5, 8)
    changed = Intervention(
        one.text,
        ["layers.1.head.0"],
        "zero",
        one.tokens,
        one.targets,
        one.vocabulary,
        one.losses,
        without,
        one.probabilities,
        one.probabilities,
    )
    parts = ["layers.0.head.0", "layers.0.mlp", "layers.1.head.1", "layers.1.attention"]
    heads = HeadEffects(parts, "zero", one.text, one.loss, effects, 200, 2.125, effects[::-1])
    file = tmp_path / "touched.html"
    file.write_text(page(one, "made up", changed, heads), encoding="utf-8")
    shown = opened(browser, file)
    words = "return [...document.querySelectorAll('#without .word small')].map(one => one.innerText)"
    assert shown.script(words) == [f"{change:+.3f}" for change in np.linspace(-0.5, 0.5, 8)]
    table = "return [...document.querySelectorAll(arguments[0])].map(one => one.innerText)"
    assert shown.script(table, "#heads .group:nth-of-type(1) td") == [
        *("+0.250", "", "", "-0.125"),
        *("", "+1.500", "nan", ""),
    ]
    assert shown.script(table, "#heads h3")[1] == "200 held-out documents: mean loss 2.125 nats"
    shown.hover("//section[@id='heads']//td[text()='+1.500']")
    tip(shown, "layers.1.head.1")
    shown.click("//section[@id='without']//button[3]")
    shown.wait_for_text("Position 2")
    assert shown.script("return failures") == []
