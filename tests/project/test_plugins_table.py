"""The table of docs/experiments.md, of an ablation as it comes."""

from dataclasses import replace

from benchmarks.plugins import experiments, page, question
from gptlab.ablation.report.tables import ranked
from tests.ablation_results import plain, tuned


def test_all_experiments_of_plugins_are_asked_but_those_that_only_listen() -> None:
    names = experiments()
    assert {"muon", "moe", "logmul"} <= set(names) and "printer" not in names
    told = question(names, 12, 100)
    arms = next(text for text in told if text.startswith("arms="))
    assert all(f"+experiment={name}" in arms for name in names)
    slow = question(["fixedpoint"], 12, 100)
    assert "arms=[+experiment=fixedpoint]" in slow and "seeds=7" in slow and "train.numSteps=20" in slow
    assert [sum(text.startswith("tune=") for text in asked) for asked in (told, slow)] == [1, 0]


def test_an_arm_s_row_has_its_best_rate_and_both_differences() -> None:
    found = tuned()
    times = {"book": 2.0, found.arms[0].name: 3.0}
    rows = {row[1]: row for row in map(cells, page(found, 5000, times).splitlines()) if len(row) > 2}
    for arm in found.arms:
        assert arm.untuned is not None and arm.comparison.difference is not None
        row, at = rows[f"`{arm.name}`"], arm.untuned.difference
        assert row[3].startswith(f"{arm.comparison.difference:+.3f} (")
        assert row[7].startswith("failed" if at is None else f"{at:+.3f} (")
        assert row[5] == str(arm.comparison.seeds) and row[10] == f"{arm.setting.costs.parameters:,}"
    assert [rows[f"`{name}`"][9] for name in times] == ["1.00x", "1.50x"]
    assert rows["`printer`"][2] == "changes nothing"
    broken = replace(found, arms=[replace(found.arms[0], tuning=None), *found.arms[1:]])
    assert "none works" in page(broken, 5000, times)
    both = [row for row in map(cells, page(found, 5000, times, plain()).splitlines()) if "not tuned" in row]
    assert [row[1] for row in both] == [f"`{arm.name}`" for arm in ranked(plain().arms)]
    assert both[0][7].startswith(f"{ranked(plain().arms)[0].comparison.difference:+.3f} (")


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("|")]
