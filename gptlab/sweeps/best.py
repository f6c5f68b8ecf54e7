"""Which job of a sweep is the best, or, where seeds are swept, which setting: the lowest single run is the luckiest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gptlab.sweeps.groups import Group, groups_over_seeds
from gptlab.sweeps.record import JobRecord
from gptlab.sweeps.table import shown_loss
from gptlab.sweeps.values import SEED, finished, ranked


@dataclass(frozen=True)
class Best:
    """run: the best one, or the one that stands for the best `group` over seeds."""

    run: JobRecord
    group: Group | None = None

    @property
    def overrides(self) -> Mapping[str, str]:
        """What to type again: of a group without the seed."""
        return self.run.overrides if self.group is None else self.group.overrides

    def sentence(self, measure: str) -> str:
        if self.group is None:
            return f"best: {self.run.name}, {measure} {shown_loss(self.run.score)}"
        count = len(self.group.losses)
        seeds = f"{count} seeds" if count > 1 else "one seed"
        lost = f", with {self.group.lost} more it failed or diverged" if self.group.lost else ""
        return (
            f"best over seeds: {self.group.name}, mean {measure} {shown_loss(self.group.mean)} over {seeds}{lost}; "
            f"the run nearest to that mean: {self.run.name}, {shown_loss(self.run.score)}"
        )


def best_of(records: Sequence[JobRecord], swept: Sequence[str]) -> Best | None:
    """None if no job has finished."""
    if SEED not in swept:
        run = next(iter(ranked(finished(records))), None)
        return None if run is None else Best(run)
    group = next(iter(groups_over_seeds(records, swept)), None)
    return None if group is None else Best(group.typical, group)
