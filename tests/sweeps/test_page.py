"""The page of a sweep: what stands in it, where it leads, and that a stranger's names are but texts."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from gptlab.files import write_json
from gptlab.runs.folder import SweepFolder
from gptlab.sweeps.inline_curves import marks, thinned
from gptlab.sweeps.record import JobRecord
from gptlab.sweeps.summary import summarize
from tests.browser import MISSING, running_browser
from tests.page_reader import Reader
from tests.sweep_records import failed, rates_and_seeds, record, thousand, with_metrics

MEGABYTE = 1_000_000
HOSTILE = "</td><script>alert('{{style}}')</script>\" onload=x \x1b[31m\u202e&amp;"


def page_of(folder: Path, jobs: Sequence[JobRecord], name: str = "rates of tiny") -> str:
    return summarize(folder, jobs, name).files["sweep.html"].decode()


def rows_of(html: str) -> list[list[str]]:
    """The cells of the table of jobs, as texts."""
    table = html.partition('<table class="jobs">')[2].partition("</table>")[0].partition("<tbody>")[2]
    return [
        [re.sub("<[^>]*>", "", cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", row)]
        for row in re.findall(r"<tr[^>]*>(.*?)</tr>", table)
    ]


@pytest.mark.slow
def test_the_rows_are_the_records_best_first(tmp_path: Path) -> None:
    jobs = rates_and_seeds()
    summary = summarize(tmp_path, jobs, "rates of tiny")
    html = (tmp_path / "sweep.html").read_text()
    rows = rows_of(html)
    assert len(rows) == 15
    assert rows[0] == [
        "1",
        "5",
        "0.01",
        "0",
        "4,192",
        "2.1800",
        "2.1800",
        "1,000",
        "2.1800",
        "1.5 s",
        "finished",
        "-",
    ]
    assert [row[5] for row in rows[:13]] == sorted(
        f"{job.valLoss:.4f}" for job in jobs if job.valLoss is not None
    )
    assert [row[10] for row in rows[13:]] == ["failedthe loss is no longer finite at step 200"] * 2
    text = Reader(html).text
    assert summary.said in text and "more than seeds alone would." in text
    assert "failed: learningRate=0.1 seed=0 and 1 more: the loss is no longer finite at step 200" in text
    assert "train.learningRate 0.001, 0.01, 0.1 seed 0, 1, 2, 3, 4" in text
    # The numbers that a column is sorted by are the records' own.
    assert f'data-v="{jobs[5].valLoss:.12g}"' in html


@pytest.mark.slow
def test_the_curves_are_the_records_and_the_best_is_marked(tmp_path: Path) -> None:
    jobs = [record(i, {"model.nEmbd": str(8 + i)}, 2.0 + i / 10) for i in range(3)]
    read = Reader(page_of(tmp_path, jobs))
    runs = [path for path in read.of("path") if (path["class"] or "").startswith("run")]
    assert [path["class"] for path in runs] == 2 * ["run r3", "run r2", "run r1 best"]
    for path, points in zip(runs, [20, 20, 20, 4, 4, 4], strict=True):
        places = [
            tuple(map(float, place)) for place in re.findall(r"(\S+) (\S+)", (path["d"] or "")[1:].strip())
        ]
        assert len(places) == points and places == sorted(places)
    labels = [picture["aria-label"] for picture in read.of("svg") if "aria-label" in picture]
    assert labels == [
        f"{name} against the step: 3 runs" for name in ("training loss, smoothed", "validation loss")
    ]


@pytest.mark.slow
def test_of_many_jobs_the_page_is_no_large_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "gptlab.sweeps.summary.pictures", lambda *_: {f"by-{i}.png": b"a" * 70_000 for i in "abcde"}
    )
    jobs = thousand()
    assert len(page_of(tmp_path, jobs[:150] + jobs[-150:])) < MEGABYTE
    html = page_of(tmp_path, [*jobs, *jobs[:10]])
    assert len(rows_of(html)) == 1000 and len(html) < 1.5 * MEGABYTE
    assert "... and 10 more, all in summary.csv" in html
    assert html.count('class="run ') < 900, "of a thousand curves not all can be told apart"


def test_one_job_none_and_only_failures(tmp_path: Path) -> None:
    one = Reader(page_of(tmp_path, [record(0, {"seed": "1"}, 2.0)])).text
    assert (
        "Nothing: all jobs have the same config." in one
        and "best: seed=1, last validation loss 2.0000" in one
    )
    nothing = Reader(page_of(tmp_path, [])).text
    assert "No job has finished." in nothing and "The jobs" not in nothing
    html = page_of(tmp_path, [failed(i, {"seed": str(i)}, "no memory") for i in range(3)])
    assert "While they train" not in html and "failed: seed=0 and 2 more: no memory" in Reader(html).text


@pytest.mark.slow
def test_a_diverged_job_is_told_and_leaves_the_frame(tmp_path: Path) -> None:
    reason = "diverged: the validation loss at its end is above that of a uniform guess."
    lost = record(3, {"train.learningRate": "9"}, 1e18)
    jobs = [record(i, {"train.learningRate": str(i)}, 2.0 + i) for i in range(3)]
    html = page_of(tmp_path, [*jobs, replace(lost, diverged=reason)])
    assert rows_of(html)[-1][-2] == f"finished, diverged{reason}"
    path = next(path for path in Reader(html).of("path") if path["class"] == "run r4 lost")
    assert all(-1000 < float(number) < 1000 for number in re.findall(r"-?[\d.]+", path["d"] or ""))


@pytest.mark.slow
def test_a_single_point_and_a_metric_are_drawn(tmp_path: Path) -> None:
    job = with_metrics(record(0, {"seed": "0"}, 2.0), val__accuracy=0.5)
    single = replace(job, curves={**job.curves, "val/loss": [(1000, 2.0)]})
    html = page_of(tmp_path, [single, replace(single, number=1, folder="1")])
    assert "validation accuracy" in html and re.search(r'd="M[\d.]+ [\d.]+h.1"', html)
    assert rows_of(html)[0][6] == "0.5000"


@pytest.mark.slow
def test_hostile_names_stay_texts_and_the_page_asks_nobody(tmp_path: Path) -> None:
    jobs = [
        replace(record(i, {HOSTILE: f"{HOSTILE}{i}"}, 2.0 + i), folder=f"{HOSTILE}{i}".replace("/", ""))
        for i in range(2)
    ]
    jobs.append(failed(2, {HOSTILE: "3"}, HOSTILE))
    write_json(tmp_path / "sweep.json", {"command": [HOSTILE, "a b"]})
    html = page_of(tmp_path, jobs, HOSTILE)
    read = Reader(html)
    assert html.count("<script") == 1 and "\x1b" not in html and "\u202e" not in html
    assert "{{style}}" in read.text, "a placeholder in a name stays a text"
    for _, attributes in read.elements:
        assert not [key for key in attributes if key.startswith("on")]
        for key in ("href", "src"):
            address = attributes.get(key)
            assert address is None or address.startswith(("./", "data:"))
    assert not re.findall(r"url\(|@import", html)
    assert "default-src 'none'" in html


@pytest.mark.slow
def test_each_job_leads_to_its_folder_and_its_inspect_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path("runs/one two")
    jobs = [replace(record(i, {"seed": str(i)}, 2.0 + i), folder=f"{i} a") for i in range(4)]
    for step in (50, 1000):
        (folder / f"0 a/inspect/step-{step:06d}").mkdir(parents=True)
        (folder / f"0 a/inspect/step-{step:06d}/inspect.html").write_text("")
    (folder / "0 a/inspect/step-002000").mkdir()  # which could not be drawn
    (folder / "1 a/inspect").mkdir(parents=True)
    (folder / "1 a/inspect/step-000300.npz").touch()  # which MLflow's process is about to draw
    for job in jobs[:3]:
        (folder / job.folder / "checkpoints").mkdir(parents=True)
    (folder / "1 a/samples.txt").write_text('step 50: a "dog"\nstep 50: the dog eats\n')
    SweepFolder(folder).update(command=["+experiment=tiny", "seed=range(0,4)"])
    html = page_of(folder, jobs)
    addresses = [link["href"] for link in Reader(html).of("a")]
    assert [address for address in addresses if address and address.startswith("./0")] == [
        "./0%20a/",
        "./0%20a/inspect/step-001000/inspect.html",
    ]
    assert "./1%20a/inspect/step-000300/inspect.html" in addresses
    cells = [row[-1] for row in rows_of(html)]
    assert cells[:2] == ["step 1,000", "step 300"]
    command = (
        "python -m gptlab inspect &#x27;run=runs/one two/2 a&#x27; &#x27;text=the dog eats&#x27; to=html"
    )
    assert cells[2] == f"command{command}" and cells[3] == "-", "one without weights has nothing to look into"
    text = Reader(html).text
    assert "python -m gptlab -m +experiment=tiny 'seed=range(0,4)'" in text
    assert (
        "python -m gptlab inspect 'run=runs/one two' steps=true 'output=runs/one two/inspect.html'" in text
    ), "over the pages that two runs have kept"


def test_marks_are_round_and_within() -> None:
    assert marks(2.13, 3.02) == pytest.approx([2.2, 2.4, 2.6, 2.8, 3.0])
    assert marks(0, 1010) == pytest.approx([0, 250, 500, 750, 1000])
    for low, high in ((1e-9, 2e-9), (-3, 4), (1e9, 3e9)):
        found = marks(low, high)
        assert 2 < len(found) < 10 and all(low <= mark <= high * 1.001 for mark in found)


def test_a_thinned_curve_keeps_its_ends() -> None:
    points = [(step, 1.0 * step) for step in range(1, 201)]
    short = thinned(points, 30)
    assert len(short) <= 30 and (short[0], short[-1]) == (points[0], points[-1])
    assert thinned(points[:20], 30) == points[:20] and thinned(points[:1], 30) == points[:1]


@pytest.mark.slow
@pytest.mark.skipif(bool(MISSING), reason=f"a real browser is needed: there is no {MISSING}")
def test_a_click_sorts_and_a_row_points_at_its_curves(tmp_path: Path) -> None:
    page_of(tmp_path, rates_and_seeds())
    first = (
        "return [...document.querySelectorAll('table.jobs tbody tr')].slice(0, 2).map(row => row.dataset.r)"
    )
    wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    with running_browser(tmp_path) as browser:
        browser.open((tmp_path / "sweep.html").as_uri())
        assert browser.script(first) == ["1", "2"]
        browser.click("//th/button[.='last val']")
        assert browser.script(first) == ["1", "2"]
        browser.click("//th/button[.='last val']")
        assert browser.script(first) == ["13", "12"], "what has no loss is last, whichever way it goes"
        browser.click("//th/button[.='seed']")
        seeds = browser.script(
            "return [...document.querySelectorAll('table.jobs tbody tr')].map(r => r.cells[3].innerText)"
        )
        assert seeds == sorted(seeds)
        browser.hover("//tr[@data-r='3']")
        assert browser.script("return document.querySelectorAll('.run.near').length") == 2
        assert browser.script("return document.querySelector('.run.near').classList.contains('r3')")
        for width in (1400, 500):
            browser.resize(width, 900)
            assert browser.script(wide) == 0
        # A copy elsewhere, such as MLflow's, leads nowhere instead of to what is not there.
        copy = tmp_path / "copy.html"
        copy.write_bytes((tmp_path / "sweep.html").read_bytes())
        browser.open(copy.as_uri())
        assert browser.script("return document.querySelectorAll('a[href]').length") == 0
