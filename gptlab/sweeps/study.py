"""The study of a sweep that Optuna steers: a journal in the sweep's folder that every job's process can open.

At its end: the trials as a table, and which keys the loss depends on. Importance: the share of the loss's variance
that each key explains over the whole space, estimated with a random forest (functional ANOVA: Hutter et al., 2014),
by Optuna and scikit-learn, which MLflow brings anyway. Imports optuna: only what a sweep with hydra/sweeper=optuna
needs comes here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from gptlab.drawing.colors import INK
from gptlab.sweeps.style import LABEL, cut, new_figure, plain, shades, style
from gptlab.sweeps.table import csv_of
from gptlab.sweeps.trial import IMPORTANCE, JOURNAL, MARK, PICTURE, TRIALS
from gptlab.sweeps.values import labels

FEWEST = 4  # trials that an importance is computed from
SHOWN = 20  # bars at most


class StudyStorage(JournalStorage):
    """A journal that lets a job say that its trial was pruned.

    Hydra's sweeper knows finished trials and failed ones, and tells Optuna that of each; a trial that its
    job has marked is kept as PRUNED instead of finished.
    """

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        if state == TrialState.COMPLETE and MARK in self.get_trial(trial_id).user_attrs:
            state = TrialState.PRUNED
        return super().set_trial_state_values(trial_id, state, values)


@lru_cache(maxsize=1)  # it knows what it has read of its journal
def storage_at(journal: Path) -> StudyStorage:
    """The storage of a sweep's study, which is made if it is not there."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return StudyStorage(JournalFileBackend(str(journal)))


def begin_study(folder: str, prune: bool = True, startup: int = 5) -> StudyStorage:
    """An empty storage for the sweep of `folder`: what Hydra makes of `hydra.sweeper.storage`.

    A sweep that is resumed begins its study again too: the sampler, which is seeded, asks for the same values
    as before, and is answered from the records of the jobs that are over. `prune` and `startup` are
    for the jobs, which read them in their config: see `trial.trial_of`.
    """
    journal = Path(folder).absolute() / JOURNAL
    journal.parent.mkdir(parents=True, exist_ok=True)
    journal.unlink(missing_ok=True)
    storage_at.cache_clear()
    return storage_at(journal)


def study_of(folder: Path, **how: Any) -> optuna.Study:
    """The study of a sweep's folder. Raises ValueError if it holds none."""
    return optuna.load_study(study_name=None, storage=storage_at(folder.absolute() / JOURNAL), **how)


def study_results(folder: Path) -> tuple[str, dict[str, bytes]]:
    """A sentence for the summary, and files by name, of the study in a sweep's folder.

    Raises ValueError if there is no study in it.
    """
    study = study_of(folder)
    trials = study.get_trials(deepcopy=False)
    files = {TRIALS: trials_table(trials)}
    different = distinct_trials(trials)
    shares = importance_of(different, study.direction)
    pruned = sum(trial.state == TrialState.PRUNED for trial in trials)
    text = f"Optuna: {len(trials):,} trials, {pruned:,} pruned"
    if shares:
        called = labels(key.lstrip("+") for key in shares)
        names = [f"{called[key.lstrip('+')]} {share:.2f}" for key, share in shares.items()]
        text += f"; importance for the loss (fANOVA): {', '.join(names[:SHOWN])}"
        files[IMPORTANCE] = csv_of([("key", "importance"), *shares.items()])
        files[PICTURE] = picture(shares, len(different))
    return text, files


def trials_table(trials: list[FrozenTrial]) -> bytes:
    """As CSV: number, state, value, the last step reported, and a column for each key."""
    keys = sorted({key for trial in trials for key in trial.params})
    rows: list[tuple[Any, ...]] = [("trial", "state", "value", "lastReport", *keys)]
    for trial in trials:
        value = "" if trial.values is None else trial.values[0]
        step = "" if trial.last_step is None else trial.last_step
        params = [trial.params.get(key, "") for key in keys]
        rows.append((trial.number, trial.state.name, value, step, *params))
    return csv_of(rows)


def importance_of(trials: list[FrozenTrial], direction: StudyDirection) -> dict[str, float]:
    """The share of each key, the largest first; empty for too few trials, or if all have the same loss."""
    if len(trials) < FEWEST or len({trial.values[0] for trial in trials}) == 1:
        return {}
    once = optuna.create_study(direction=direction)
    once.add_trials(trials)
    # Of 1,000 trials Optuna's own 64 trees of any depth take most of a minute, and give the same shares.
    evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=32, max_depth=8, seed=0)
    try:
        shares = optuna.importance.get_param_importances(once, evaluator=evaluator)
        return {key: float(share) for key, share in shares.items()}
    except (ValueError, RuntimeError):  # every key has one value only
        return {}


def distinct_trials(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    """Of those that went to their end with a loss, one for each set of values: a sampler may ask for one again."""
    found = {}
    for trial in trials:
        if trial.state == TrialState.COMPLETE and trial.values and math.isfinite(trial.values[0]):
            found[tuple(sorted((key, str(value)) for key, value in trial.params.items()))] = trial
    return list(found.values())


def picture(shares: dict[str, float], trials: int) -> bytes:
    """A bar for each key, the largest on top, as a PNG."""
    shown = dict(list(shares.items())[:SHOWN])
    called = labels(key.lstrip("+") for key in shown)
    figure = new_figure(8, 1.6 + 0.45 * len(shown))
    axes = figure.add_subplot()
    names = [plain(cut(called[key.lstrip("+")], LABEL)) for key in shown]
    bars = axes.barh(range(len(shown)), list(shown.values()), color=shades(1)[0], height=0.6)
    axes.bar_label(bars, [f"{share:.2f}" for share in shown.values()], padding=4, color=INK, fontsize=9)
    axes.set_yticks(range(len(shown)), names)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.08)
    title = f"what the loss depends on (fANOVA over {trials:,} different finished jobs)"
    style(axes, "share of the loss's variance", "", title)
    axes.grid(visible=False)
    return figure.png()
