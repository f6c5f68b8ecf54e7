"""Which inspect pages a run has, and the sweep that it is a job of."""

from pathlib import Path

import pytest

from gptlab.files import write_json
from gptlab.runs.inspected import inspection_page, inspections_of, page_of_sweep, sweep_over


def test_pages_that_are_there_and_those_that_are_about_to_be(tmp_path: Path) -> None:
    assert inspections_of(tmp_path) == []
    for step in (1000, 50):
        page = tmp_path / inspection_page(step)
        page.parent.mkdir(parents=True)
        page.touch()
    (tmp_path / "inspect/step-000060").mkdir()
    (tmp_path / "inspect/step-000070.npz").touch()
    (tmp_path / "inspect/notes.txt").touch()
    assert inspections_of(tmp_path) == [50, 70, 1000]


@pytest.mark.parametrize(
    ("told", "there", "page"),
    [
        ("sweep.html", "", "sweep.html"),
        ("report.html", "sweep.html", "report.html"),
        ("", "", ""),
        ("../../secret.html", "", ""),
        (["sweep.html"], "", ""),
        (None, "report.html", "report.html"),
    ],
)
def test_the_page_of_the_sweep_over_a_run(tmp_path: Path, told: object, there: str, page: str) -> None:
    write_json(tmp_path / "sweep.json", {"page": told})
    if there:
        (tmp_path / there).touch()
    run = tmp_path / "of a size" / "0"
    run.mkdir(parents=True)
    sweep = sweep_over(run)
    assert sweep is not None and sweep.path == tmp_path and page_of_sweep(sweep) == page
    assert sweep_over(tmp_path) is None, "a sweep is no job of itself"
