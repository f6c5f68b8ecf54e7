"""Which runs are wanted next, by what the last ones left: seeds for what is undecided, tuning, a budget, a stack."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gptlab.ablation import ablating as module
from gptlab.ablation.ablating import APART, TUNING_SEEDS, Ablating
from gptlab.ablation.arms import Arm
from gptlab.ablation.question import Question
from gptlab.ablation.result import Costs, SeedRun, Setting
from gptlab.errors import UserError

Loss = Callable[[str, dict[str, str], int], float | None]  # of an arm, its overrides by key, and a seed
STEPS, SPEEDS = 100, {"slow": 5.0, "stack: slow + fast": 4.0}  # steps a second; others make ten


@dataclass(frozen=True)
class FakeCell:
    """What an Ablating asks of a cell."""

    name: str
    overrides: tuple[str, ...]
    setting: tuple[str, ...] = ()
    steps: int = STEPS

    @property
    def config(self) -> Any:
        return SimpleNamespace(
            train=SimpleNamespace(numSteps=self.steps), own=[o for o in self.overrides if o != "size=2"]
        )

    @property
    def values(self) -> dict[str, str]:
        return dict(text.split("=") for text in self.overrides)

    def job(self, seed: int) -> list[str]:
        return [f"arm={self.name}", *self.overrides, f"steps={self.steps}", f"seed={seed}"]


class FakeCells:
    def baseline(self, size: Sequence[str] = (), setting: Sequence[str] = ()) -> FakeCell:
        return FakeCell("", (*size, *setting), tuple(setting))

    def of(
        self, name: str, overrides: Sequence[str], size: Sequence[str] = (), setting: Sequence[str] = ()
    ) -> FakeCell:
        return FakeCell(name, (*size, *overrides, *setting), tuple(setting))

    def with_steps(self, cell: FakeCell, steps: float) -> FakeCell:
        return replace(cell, steps=round(steps))


@dataclass
class FakeRuns:
    """Jobs that are trained by being asked for. asked: in batches, each its (arm, values, steps, seed)."""

    loss: Loss
    folder: Path = Path("sweep")
    trained: set[tuple[FakeCell, int]] = field(default_factory=set)
    wanted: list[tuple[FakeCell, int]] = field(default_factory=list)

    def missing(self, wanted: Iterable[tuple[FakeCell, int]]) -> list[tuple[FakeCell, int]]:
        self.wanted = [one for one in dict.fromkeys(wanted) if one not in self.trained]
        return self.wanted

    def read(self) -> None:
        self.trained |= set(self.wanted)

    def setting(self, cell: FakeCell, seeds: Iterable[int]) -> Setting:
        there = [seed for seed in seeds if (cell, seed) in self.trained]
        losses = {seed: self.loss(cell.name, cell.values, seed) for seed in there}
        runs = [
            SeedRun(seed, "FAILED" if loss is None else "FINISHED", loss, f"{seed}")
            for seed, loss in losses.items()
        ]
        seconds = cell.steps / SPEEDS.get(cell.name, 10.0)
        tuned = dict(text.split("=") for text in cell.setting)
        return Setting(tuned, runs, Costs(1, cell.steps, 1.0, seconds))


def asked(*arms: str, **changes: Any) -> Question:
    values: dict[str, Any] = {
        "base": (),
        "arms": tuple(Arm(name, (f"{name}=on",)) for name in arms),
        "stack": False,
        "seeds": tuple(range(12)),
        "settings": ((),),
        "sizes": ((),),
        "match": "steps",
        "epsilon": 0.01,
        "budget": None,
        "again": False,
    }
    return Question(**{**values, **changes})


def noise(seed: int) -> float:
    """Of the paired differences: a thousandth of a nat, of both signs, other than the seeds' own."""
    return 0.001 * ((seed * 7919) % 11 - 5) / 5


def losses(effects: dict[str, float | None]) -> Loss:
    """An arm's effect is over whatever seeds do to all; None: its runs break down."""

    def loss(name: str, values: dict[str, str], seed: int) -> float | None:
        found = 2.0 + 0.1 * ((seed * 31) % 7)
        for arm, effect in effects.items():
            if values.get(arm) == "on":
                if effect is None:
                    return None
                found += effect + noise(seed) * (100 if arm == "doubtful" else 1)
        return found

    return loss


def run(question: Question, loss: Loss) -> tuple[Ablating, list[list[list[str]]], list[str]]:
    """Ends with what is known, the batches that were asked for, and what was said."""
    said: list[str] = []
    made = Ablating(question, FakeCells(), FakeRuns(loss), said.append)  # type: ignore[arg-type]
    batches = list(made.batches())
    assert all(batches)
    jobs = [tuple(job) for batch in batches for job in batch]
    assert len(jobs) == len(set(jobs))  # none is trained twice
    return made, batches, said


def seeds_of(batches: list[list[list[str]]], name: str) -> list[int]:
    return [int(job[-1][5:]) for batch in batches for job in batch if job[0] == f"arm={name}"]


def verdicts(made: Ablating, table: int = 0) -> list[str]:
    return [judged.comparison.verdict for judged in made.tables[table].judged]


def test_it_begins_with_the_noise_and_goes_on_with_few_seeds_for_what_is_undecided_alone() -> None:
    made, batches, said = run(
        asked("good", "same", "doubtful"), losses({"good": -0.5, "same": 0.0, "doubtful": 0.0})
    )
    first = made.looks[0]
    assert seeds_of(batches[:1], "") == list(range(first)) and len(batches[0]) == first  # the baseline alone
    assert said[0].startswith("noise: ") and len(made.looks) > 1
    assert verdicts(made) == ["better", "equivalent", "worse"] or verdicts(made)[2] in (
        "undecided",
        "equivalent",
    )
    counts = {name: len(seeds_of(batches, name)) for name in ("good", "same", "doubtful")}
    assert counts["good"] < counts["doubtful"] == 12
    assert [made.setting_of(arm, (), False).losses.keys() for arm in made.question.arms] == [
        dict.fromkeys(range(count)).keys() for count in counts.values()
    ]
    assert len(seeds_of(batches, "")) == max(counts.values())
    assert [line for line in said if ": good: -0." in line and line.endswith("better")], said


def test_an_arm_that_breaks_down_has_failed_and_gets_no_more_seeds() -> None:
    made, batches, _ = run(asked("broken", "good"), losses({"broken": None, "good": -0.5}))
    assert verdicts(made) == ["failed", "better"]
    assert len(seeds_of(batches, "broken")) == made.looks[0]


def test_a_baseline_that_cannot_be_trained_ends_it() -> None:
    with pytest.raises(UserError, match=r"a baseline that can be trained: of its first \d+ seeds 0 ended"):
        run(asked("good"), lambda name, values, seed: None)


def test_winners_alone_are_stacked_and_the_stack_is_judged_like_an_arm() -> None:
    made, batches, _ = run(asked("a", "b", "c", stack=True), losses({"a": -0.5, "b": -0.3, "c": 0.5}))
    ((arm, _),) = made.tables[-1].arms
    assert arm == Arm("stack: a + b", ("a=on", "b=on")) and verdicts(made, -1) == ["better"]
    fresh = seeds_of(batches, arm.name)  # those that chose the winners have been lucky for them
    assert fresh and min(fresh) == APART // 2 and set(fresh) <= set(seeds_of(batches, ""))


def test_one_winner_is_no_stack() -> None:
    made, _, _ = run(asked("a", "c", stack=True), losses({"a": -0.5, "c": 0.5}))
    assert len(made.tables) == 1 and made.notes == ["stack: 1 arm better, nothing to stack"]


def rated(name: str, values: dict[str, str], seed: int) -> float | None:
    """The arm `slow` is better at the small rate, and breaks down at the largest."""
    best = {"": 0.1, "slow": 0.01}[name]
    rate = float(values.get("rate", 0.1))
    if name and rate == 1:
        return None
    return 2 + abs(rate - best) + (-0.05 if name else 0) + noise(seed) + 0.01 * (seed % 3)


def test_each_arm_is_tuned_alike_on_seeds_of_their_own_and_judged_on_fresh_ones() -> None:
    settings = tuple((f"rate={rate}",) for rate in ("0.01", "0.1", "1"))
    made, batches, said = run(asked("slow", settings=settings), rated)
    for name in ("", "slow"):
        (first,) = batches[:1]
        tuned = sorted(seeds_of([first], name))
        assert tuned == sorted([APART + i for i in range(TUNING_SEEDS)] * 3)
        assert max(seeds_of(batches[1:], name)) < 12
    assert dict(made.tunings["", ()].best) == {"rate": "0.1"}
    assert dict(made.tunings["slow", ()].best) == {"rate": "0.01"}
    assert made.tunings["slow", ()].points[-1][1] is None  # where it broke down
    assert [note for note in made.notes if note.startswith("slow: the best value is at the edge")]
    assert not [note for note in made.notes if note.startswith("baseline")]
    plain, tuned = made.tables
    assert (plain.tuned, tuned.tuned) == (False, True)
    assert (verdicts(made, 0), verdicts(made, 1)) == (["worse"], ["better"])  # what tuning is for
    assert {"tuned baseline: rate=0.1", "tuned slow: rate=0.01"} <= set(said)


def test_at_each_size_there_is_a_table_and_the_question_s_own_is_the_last_if_none_is_the_baseline_s() -> None:
    made, batches, _ = run(asked("a", sizes=(("size=1",), ("size=3",))), losses({"a": -0.5}))
    assert [table.size for table in made.tables] == [("size=1",), ("size=3",)] and made.main == ("size=3",)
    assert {job[2] for batch in batches for job in batch if job[0] == "arm=a"} == {"a=on"}
    own, _, _ = run(asked("a", sizes=(("size=2",), ("size=3",))), losses({"a": -0.5}))
    assert own.main == ("size=2",)


def test_with_match_seconds_an_arm_takes_as_many_steps_as_the_baseline_s_time_allows() -> None:
    effects = losses({"slow": -0.5, "quick": 0.5, "fast": -0.3})
    _, batches, _ = run(asked("slow", "quick", "fast", match="seconds", stack=True), effects)
    assert {job[-1] for job in batches[0]} == {f"seed={2 * APART}"}
    steps = {job[0]: job[-2] for batch in batches[1:] for job in batch}
    plain = "steps=100"
    stack = "arm=stack: slow + fast"
    assert steps == {
        **dict.fromkeys(("arm=", "arm=quick", "arm=fast"), plain),
        **{"arm=slow": "steps=50", stack: "steps=40"},
    }


@dataclass
class Clock:
    """Seconds, of which each job takes one."""

    now: float = 0.0

    def monotonic(self) -> float:
        return self.now


def within(budget: float, monkeypatch: pytest.MonkeyPatch, loss: Loss) -> tuple[Ablating, int]:
    """With jobs of a second each; what is known in the end, and how many were trained."""
    clock, count = Clock(), 0
    monkeypatch.setattr(module, "time", clock)
    made = Ablating(asked("doubtful", budget=budget), FakeCells(), FakeRuns(loss), lambda line: None)  # type: ignore[arg-type]
    for batch in made.batches():
        clock.now += len(batch)
        count += len(batch)
    return made, count


def test_a_budget_ends_it_between_two_looks_and_that_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    doubtful = losses({"doubtful": 0.0})
    unhurried, most = within(1000, monkeypatch, doubtful)
    assert unhurried.notes == [] and most > 2 * unhurried.looks[0]
    budget = 2 * unhurried.looks[0] + 1
    made, count = within(budget, monkeypatch, doubtful)
    assert count <= budget and made.tables[0].seen == [made.looks[0]]
    assert [
        note
        for note in made.notes
        if f"the budget of {budget} s ended it before {made.looks[1]} seeds" in note
    ]


def test_a_budget_that_is_spent_before_the_first_look_leaves_arms_undecided(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    doubtful = losses({"doubtful": -0.5})
    first = within(1000, monkeypatch, doubtful)[0].looks[0]
    made, count = within(first, monkeypatch, doubtful)
    assert count == first
    (arm,) = made.question.arms
    comparison = made.comparison_of(arm, made.tables[0].size, made.tables[0].tuned)
    assert (comparison.verdict, comparison.seeds, comparison.difference) == ("undecided", 0, None)


def test_a_budget_too_small_for_the_noise_of_the_baseline_is_refused_after_one_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(UserError, match="budget=2s is too small for the noise of the baseline alone"):
        within(2, monkeypatch, losses({"doubtful": 0.0}))
