"""What an ablation has found: differences by their seeds, and what the choice of held-out documents leaves."""

from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gptlab.ablation.finding import differences_of, with_sampling
from gptlab.ablation.result import Costs, Noise, SeedRun, Setting
from gptlab.errors import UserError
from gptlab.launch import sampling_noise

NOISE = Noise(deviation=0.02, seeds=12, detectable=0.03, needed=80)


def setting(losses: dict[int, float | None]) -> Setting:
    runs = [SeedRun(seed, "FINISHED", loss, f"runs/{seed}") for seed, loss in losses.items()]
    return Setting({}, runs, Costs(1, 1, 1.0, 1.0))


def test_differences_are_of_the_seeds_that_both_have_a_loss_of() -> None:
    baseline = setting({0: 2.0, 1: 3.0, 2: None, 3: 4.0})
    arm = setting({3: 4.5, 2: 1.0, 1: None, 0: 1.75, 9: 1.0})
    assert differences_of(arm, baseline) == [0.5, -0.25]
    assert differences_of(setting({}), baseline) == differences_of(arm, setting({})) == []


@dataclass
class FakeExperiment:
    """states: the checkpoints that it was asked for."""

    states: list[Path]
    session: str = "session"

    def state(self, checkpoint: Any) -> Any:
        self.states.append(checkpoint)
        return checkpoint


def sampled(monkeypatch: pytest.MonkeyPatch, found: Any, there: set[str]) -> tuple[Noise, list[Path]]:
    """With the weights of those runs alone that are there."""

    def newest(run: Path) -> Path:
        if run.name not in there:
            raise UserError("there is no checkpoint")
        return run

    experiment = FakeExperiment([])
    cell: Any = SimpleNamespace(parts=SimpleNamespace(experiment=experiment))
    monkeypatch.setattr("gptlab.ablation.finding.newest_of", newest)
    monkeypatch.setattr(sampling_noise, "sampling_noise", lambda *_: found)
    return with_sampling(NOISE, cell, setting({0: 2.0, 1: 2.1, 2: 2.2})), experiment.states


def estimate(adjusted: float | None) -> Any:
    other = None if adjusted is None else SimpleNamespace(error=adjusted)
    return SimpleNamespace(plain=SimpleNamespace(error=0.004), adjusted=other)


@pytest.mark.parametrize("adjusted", [None, 0.002])
def test_the_noise_of_the_held_out_documents_is_told_by_the_first_run_that_is_there(
    monkeypatch: pytest.MonkeyPatch, adjusted: float | None
) -> None:
    found, states = sampled(monkeypatch, estimate(adjusted), {"1", "2"})
    assert found == replace(NOISE, sampling=0.004, adjusted=adjusted)
    assert states == [Path("runs/1")]


def test_without_weights_or_probabilities_nothing_is_said_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sampled(monkeypatch, estimate(0.002), set())[0] == NOISE
    assert sampled(monkeypatch, None, {"0"})[0] == NOISE
