"""The table of docs/experiments.md, of an ablation as it comes."""

from dataclasses import replace

from benchmarks.plugins import experiments, page, question
from tests.ablation_results import tuned


def test_all_experiments_of_plugins_are_asked_but_those_that_only_listen() -> None:
    names = experiments()
    assert {"muon", "bpe", "moe", "logmul"} <= set(names) and "printer" not in names
    arms = next(text for text in question(names, 12, 100) if text.startswith("arms="))
    assert all(f"+experiment={name}" in arms for name in names)


def test_an_arm_s_row_has_its_best_rate_and_both_differences() -> None:
    found = tuned()
    rows = {row[1]: row for row in map(cells, page(found, 5000).splitlines()) if len(row) > 2}
    for arm in found.arms:
        assert arm.untuned is not None and arm.comparison.difference is not None
        row, at = rows[f"`{arm.name}`"], arm.untuned.difference
        assert row[3].startswith(f"{arm.comparison.difference:+.3f} (")
        assert row[7].startswith("failed" if at is None else f"{at:+.3f} (")
        assert row[5] == str(arm.comparison.seeds) and row[10] == f"{arm.setting.costs.parameters:,}"
    assert rows["`book`"][9] == "1.00x" and rows["`printer`"][2] == "changes nothing"
    broken = replace(found, arms=[replace(found.arms[0], tuning=None), *found.arms[1:]])
    assert "none works" in page(broken, 5000)


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("|")]
