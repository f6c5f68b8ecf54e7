"""Jobs side by side, in threads of this process: while XLA computes for one, which lets Python go, Python works for
another.

They share what is compiled, tokenized and imported; jobs in processes of their own (`+sweep=joblib`) do not. With
`engine.together` they share the calls, too: those of equal shapes meet, and take their steps in one.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator, Sequence
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gptlab.command.composing import plugins_here
from gptlab.engines.lanes import cores, enter_lane
from gptlab.engines.meeting import Meeting, enter
from gptlab.plugins.registry import LISTENER
from gptlab.signals import PATIENCE
from gptlab.sweeps.job import Job, SweepJob
from gptlab.sweeps.plan import MOST
from gptlab.sweeps.sweep import STOP

if TYPE_CHECKING:
    from omegaconf import DictConfig

LATER = float(
    "inf"
)  # the score of a job that goes on: no sweeper that learns from scores has any beside another


class Lane:
    """One of the threads, and what it has compiled programs for: another one would have to do it again."""

    def __init__(self, number: int, meeting: Meeting) -> None:
        # No more lanes of the engine than cores, else each of hundreds of threads would compile for its own.
        clients = max(cores(), MOST)
        self._executor = ThreadPoolExecutor(1, f"job-{number}", self._enter, ((number - 1) % clients + 1,))
        self._meeting = meeting
        self.known: set[Hashable] = set()
        self.running: Future[None] | None = None

    def _enter(self, number: int) -> None:
        enter_lane(number)
        enter(self._meeting)

    def begin(self, job: Job, config: DictConfig, kind: Hashable) -> None:
        self.known.add(kind)
        asks = meets_others(config)
        self._meeting.begin(asks)
        self.running = self._executor.submit(self._do, job, config, asks)

    def _do(self, job: Job, config: DictConfig, asks: bool) -> None:
        try:
            with suppress(KeyboardInterrupt):  # it was asked to stop: who asked says so
                job.do(config)
        finally:
            self._meeting.end(asks)

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)


class SideBySide:
    """What Hydra calls for each job of a sweep: it begins one and returns, as soon as a thread is free."""

    def __init__(self, job: SweepJob, threads: int) -> None:
        self.job = job
        self._given_up = threading.Event()
        stop = Path(job.folder, STOP)
        self._meeting = Meeting(threads, lambda: self._given_up.is_set() or stop.exists())
        self._lanes = [Lane(number, self._meeting) for number in range(1, threads + 1)]

    def __call__(self, config: DictConfig) -> float:
        """Raises what an earlier job raised, which is a fault of gptlab's own."""
        from hydra.core.hydra_config import HydraConfig

        hydra, lane = HydraConfig.get(), self._free_lane()
        job = self.job.made(self._given_up.is_set)
        if hydra.job.env_set or hydra.callbacks or not may_go_beside(job, config):
            self.settle()
            return self.job(config)
        lane.begin(job, resolved(config), None)
        return LATER

    def choose(self, waiting: Sequence[Sequence[str]]) -> int:
        """Which of the jobs, by their overrides, is to begin next, once a thread is free."""
        lane = self._free_lane()
        others = {kind for other in self._lanes if other is not lane for kind in other.known}
        new: int | None = None
        for i, overrides in enumerate(waiting):
            kind = kind_of(overrides)
            if kind in lane.known:
                return i
            if new is None and kind not in others:
                new = i
        return new or 0

    def begin(self, config: DictConfig, overrides: list[str], number: int, output: Path) -> None:
        """A job of which Hydra itself need know nothing."""
        job = Job(self.job, overrides, number, output, None, self._given_up.is_set)
        if may_go_beside(job, config):
            self._free_lane().begin(job, config, kind_of(overrides))
        else:
            self.settle()
            self.job.done(Job(self.job, overrides, number, output, None), config)

    def settle(self) -> None:
        """Wait for those that go on."""
        self._meeting.fill(False)  # nobody comes until they have ended
        while any(lane.running for lane in self._lanes):
            self._take(ALL_COMPLETED)
        self._meeting.fill(True)

    def _free_lane(self) -> Lane:
        while all(lane.running for lane in self._lanes):
            self._take(FIRST_COMPLETED)
        return next(lane for lane in self._lanes if lane.running is None)

    def _take(self, until: str) -> None:
        ended, _ = wait([lane.running for lane in self._lanes if lane.running], return_when=until)
        for lane in self._lanes:
            if lane.running in ended:
                lane.running = None
        for future in ended:
            future.result()

    @contextmanager
    def open(self) -> Iterator[None]:
        """Where it is left by an error, jobs that go on end after their step, and are waited for for a while."""
        try:
            yield
            self.settle()
        except BaseException:
            self._given_up.set()
            wait([lane.running for lane in self._lanes if lane.running], PATIENCE)
            raise
        finally:
            for lane in self._lanes:
                lane.close()


# What differs from run to run of one compiled program, which takes it as an input.
INPUTS = ("seed=", "train.learningRate=")


def kind_of(overrides: Sequence[str]) -> Hashable:
    """Equal for jobs that share what is compiled, and so differ in no more than its inputs."""
    return tuple(text for text in overrides if not text.startswith(INPUTS))


def may_go_beside(job: Job, config: DictConfig) -> bool:
    """Not what reads another run while Hydra composes the next, unless jobs are to train in one call; nor what nobody
    has said may run beside another."""
    return (
        (meets_others(config) or (job.earlier is None and config.get("initFrom") is None))
        and all(name in plugins_here().registry.names(LISTENER) for name in config.get("listeners", ()))
        and config.engine.name == "xla"
        and config.engine.devices == 1
        and not config.engine.mesh
    )


def meets_others(config: DictConfig) -> bool:
    """Whether it takes its steps in one call with others."""
    return bool(config.engine.name == "xla" and config.engine.get("together", 1) > 1)


def resolved(config: DictConfig) -> DictConfig:
    """With nothing left to look up, if it can be: in another thread Hydra knows of another job."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    with suppress(OmegaConfBaseException):  # the job will meet it, and say what is wrong
        OmegaConf.resolve(config)
    return config
