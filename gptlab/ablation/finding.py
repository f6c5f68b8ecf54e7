"""What an ablation has found by now, as an `Ablation`."""

from __future__ import annotations

import datetime
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from gptlab.ablation.ablating import Ablating
from gptlab.ablation.arms import Arm
from gptlab.ablation.cells import Cell
from gptlab.ablation.comparable import bits_per_byte
from gptlab.ablation.noise import noise_of
from gptlab.ablation.report.words import mean_loss
from gptlab.ablation.result import Ablation, ArmResult, AtSize, Noise, Setting
from gptlab.ablation.speedup import speedup_of
from gptlab.errors import UserError
from gptlab.runs.equality import code_digest
from gptlab.runs.folder import SweepFolder
from gptlab.runs.resuming import newest_of


def ablation_of(ablating: Ablating, folder: Path, name: str, command: list[str]) -> Ablation:
    question, main = ablating.question, ablating.main
    tunes = question.tunes
    baseline = ablating.baseline_of(None, main, tunes)
    losses = list(baseline.losses.values())
    arms = [
        arm
        for table in ablating.tables
        if (table.size, table.tuned) == (main, tunes)
        for arm, _ in table.arms
    ]
    parts = ablating.cells.baseline(main).parts
    found = [arm_result(ablating, arm) for arm in arms]
    differences = [differences_of(arm.setting, baseline) for arm in found]
    known = len(losses) > 1
    noise = noise_of(losses, len(question.seeds), differences, max(1, len(arms))) if known else None
    if noise is not None:
        noise = with_sampling(noise, ablating.cells.baseline(main), baseline)
    return Ablation(
        question=name,
        command=command,
        date=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        folder=os.path.relpath(folder),
        baseline=baseline,
        noise=noise,
        arms=found,
        seeds=len(question.seeds),
        looks=list(ablating.looks),
        epsilon=question.epsilon,
        match=question.match,
        status=SweepFolder(folder).status,
        notes=[*ablating.cells.notes, *ablating.notes, *token_notes(ablating, found, baseline)],
        baselineOverrides=list(question.base),
        baselineTuning=ablating.tunings.get(("", main)),
        versions={key: text for key, text in parts.versions.items() if text},
        digests={"code": code_digest(), "data": parts.data, **parts.brought},
    )


def arm_result(ablating: Ablating, arm: Arm) -> ArmResult:
    question, main = ablating.question, ablating.main
    own = ablating.setting_of(arm, main, question.tunes)
    sizes = []
    if question.sizes != ((),):
        for size in question.sizes:
            at = ablating.setting_of(arm, size, question.tunes)
            there = ablating.baseline_of(arm, size, question.tunes)
            comparison = ablating.comparison_of(arm, size, question.tunes)
            sizes.append(
                AtSize(list(size), there.costs.parameters, mean_loss(there), mean_loss(at), comparison)
            )
    return ArmResult(
        name=arm.name,
        overrides=list(arm.overrides),
        comparison=ablating.comparison_of(arm, main, question.tunes),
        setting=own,
        speedup=speedup_of(ablating.baseline_of(arm, main, question.tunes), own),
        untuned=ablating.comparison_of(arm, main, tuned=False) if question.tunes else None,
        tuning=ablating.tunings.get((arm.name, main)),
        sizes=sizes,
    )


def token_notes(ablating: Ablating, arms: list[ArmResult], baseline: Setting) -> list[str]:
    """Of the arms that have other tokens than the baseline: in which unit their losses are."""
    main = ablating.main
    others = [arm for arm in arms if ablating.cells.of(arm.name, arm.overrides, main).unit != 1]
    if not others:
        return []
    rate = bits_per_byte(ablating.cells.baseline(main).parts.experiment.data)
    bits = [
        f"{name} {loss * rate:.3f}"
        for name, setting in (("baseline", baseline), *((arm.name, arm.setting) for arm in others))
        if (loss := mean_loss(setting)) is not None
    ]
    return [
        f"{arm.name}: its tokens are not the baseline's; its losses on the same held-out texts are given in nats a "
        "token of the baseline"
        for arm in others
    ] + [f"bits per byte: {', '.join(bits)}"]


def differences_of(arm: Setting, baseline: Setting) -> list[float]:
    """Seed by seed, of the seeds that both have a loss of."""
    before = baseline.losses
    return [loss - before[seed] for seed, loss in arm.losses.items() if seed in before]


def with_sampling(noise: Noise, cell: Cell, baseline: Setting) -> Noise:
    """With what the choice of the held-out documents leaves, by the weights of the first run that is there."""
    from gptlab.launch.sampling_noise import sampling_noise

    for run in baseline.runs:
        with suppress(UserError, OSError):
            experiment, checkpoint = cell.parts.experiment, newest_of(Path(run.folder))
            state = experiment.state(checkpoint)
            found = sampling_noise(experiment, experiment.session, state)
            if found is not None:
                other = None if found.adjusted is None else found.adjusted.error
                return replace(noise, sampling=found.plain.error, adjusted=other)
    return noise
