"""Pages with a slider over the steps of training: of one run, and of the runs of a sweep, two beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gptlab import strict_json
from gptlab.inspection.page import Way, filled

SLIDER, STEPS, SIDES = "slider.js", "steps.js", "sides.js"
Series = Sequence[tuple[int, dict[str, Any]]]  # by step, what `gptlab.inspection.page.numbers` gives


@dataclass(frozen=True)
class RunSteps:
    """One of several runs on a page. told: how it is called in the box that it is chosen in, with its rank and loss.

    href: the relative address of its folder, empty for none.
    """

    name: str
    told: str
    href: str
    series: Series


def page_of_steps(series: Series, title: str, way: Way | None = None) -> str:
    """The page of one run; without weights, or it would be too large."""
    entries = [{"step": step, "numbers": without_weights(shown)} for step, shown in series]
    return filled(title, {}, way, entries, (SLIDER, STEPS))


def page_of_runs(runs: Sequence[RunSteps], title: str, way: Way | None = None) -> str:
    """The page on which a box chooses each of two runs, the best first, and one slider the step of both."""
    vocabularies: dict[str, int] = {}  # those of a sweep mostly have the same, at all steps

    def entry(step: int, shown: dict[str, Any]) -> dict[str, Any]:
        words = strict_json.dumps(shown["vocabulary"])
        place = vocabularies.setdefault(words, len(vocabularies))
        return {"step": step, "vocabulary": place, "numbers": {**without_weights(shown), "vocabulary": {}}}

    entries = [
        {
            "name": run.name,
            "told": run.told,
            "href": run.href,
            "series": [entry(step, shown) for step, shown in sorted(run.series, key=lambda item: item[0])],
        }
        for run in runs
    ]
    told = {"runs": entries, "vocabularies": [strict_json.loads(words) for words in vocabularies]}
    return filled(title, {}, way, told, (SLIDER, SIDES))


def without_weights(shown: dict[str, Any]) -> dict[str, Any]:
    return {**shown, "weights": []}
