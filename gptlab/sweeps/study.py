"""The study of a sweep that Optuna steers: a journal in the sweep's folder that every job's process can open.

Imports optuna: only what a sweep with hydra/sweeper=optuna needs comes here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from gptlab.sweeps.trial import JOURNAL, MARK


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


_open: dict[Path, StudyStorage] = {}  # the last one: it knows what it has read of its journal


def storage_in(folder: Path) -> StudyStorage:
    """The storage of a sweep's study, which is made if it is not there."""
    path = folder.absolute() / JOURNAL
    if path not in _open or not path.exists():
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        _open.clear()
        _open[path] = StudyStorage(JournalFileBackend(str(path)))
    return _open[path]


def begin_study(folder: str, prune: bool = True, startup: int = 5) -> StudyStorage:
    """An empty storage for the sweep of `folder`: what Hydra makes of `hydra.sweeper.storage`.

    A sweep that is resumed begins its study again too: the sampler, which is seeded, asks for the same values
    as before, and is answered from the records of the jobs that are over. `prune` and `startup` are
    for the jobs, which read them in their config: see `trial.trial_of`.
    """
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    (path / JOURNAL).unlink(missing_ok=True)
    _open.clear()
    return storage_in(path)


def study_of(folder: Path, **how: Any) -> optuna.Study:
    """The study of a sweep's folder. Raises ValueError if it holds none."""
    return optuna.load_study(study_name=None, storage=storage_in(folder), **how)
