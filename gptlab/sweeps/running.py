"""A sweep, from the process that launches it: planned, run by Hydra, summed up, closed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from gptlab.calling import quoted, warn
from gptlab.command.composing import explained
from gptlab.command.line import CommandLine, choices_of
from gptlab.errors import TrainingStopped, UserError
from gptlab.files import read_json
from gptlab.plugins.code import refuse_changed_plugins
from gptlab.plugins.loading import Plugins
from gptlab.runs.checkpoint.folder import checkpoint_folders
from gptlab.runs.files import LOCK, PLUGINS, SWEEP, SWEEP_PAGE
from gptlab.runs.folder import SweepFolder
from gptlab.signals import Stopped, handled, received_so_far
from gptlab.streams import guarded
from gptlab.sweeps.closing import (
    Conclude,
    OpenSweep,
    close_sweep,
    mark_unfinished,
    summed_up,
    take_back_sweep,
)
from gptlab.sweeps.job import SweepJob
from gptlab.sweeps.plan import Plan, plan_sweep
from gptlab.sweeps.record import DONE, FAILED, FINISHED, KILLED, RUNNING, read_records, record_files
from gptlab.sweeps.side_by_side import SideBySide
from gptlab.sweeps.sweep import (
    STOP,
    Sweep,
    command_to_go_on,
    hold_sweep,
    read_sweep,
    refuse_other_command,
)
from gptlab.tracking.connection import connections
from gptlab.tracking.orphans import own_process


def run_sweep(line: CommandLine, arguments: list[str], plugins: Plugins) -> int:
    """Run it; 0, or 1 if a job failed. Raises what `carry_out` does."""
    plan = plan_sweep(line, plugins)
    choices = [text for override in line.overrides for text in choices_of(override)]

    def jobs(sweep: OpenSweep) -> None:
        from gptlab.command.hydra_insides import multirun

        with running_jobs(sweep, choices, plugins) as job:
            beside = job if isinstance(job, SideBySide) else None
            multirun(with_folder(line, arguments, plan.folder), job, beside)

    return carry_out(plan, plugins, arguments, jobs)


def carry_out(
    plan: Plan,
    plugins: Plugins,
    arguments: list[str],
    jobs: Callable[[OpenSweep], None],
    conclude: Conclude = summed_up,
    page: str = SWEEP_PAGE,
) -> int:
    """Open the sweep, have its `jobs` done, close it; 0, or 1 if a job failed. conclude: what its jobs' records show.
    page: the name of the page that it leaves then, empty for none.

    Raises UserError if no job can be trained, and leaves nothing then; Stopped, with the command that goes
    on, once the sweep is closed.
    """
    tracked = plan.tracking["name"] == "mlflow"
    if tracked:
        connections.warm_up()  # MLflow loads meanwhile, in a process of its own
        if plan.in_process:
            load_for_training(plan.engine)
    with hold_sweep(plan.folder, new=not plan.resume):
        if plan.resume:
            refuse_other_plugins(plan, plugins)
        sweep = open_sweep(plan, tracked, page)
        try:
            jobs(sweep)
        except KeyboardInterrupt as stop:
            records = mark_unfinished(plan.folder, "stopped with the sweep")
            close_sweep(sweep, KILLED, conclude)
            again = command_to_go_on(arguments, plan.folder)
            if isinstance(stop, Stopped):
                done = sum(record.status in DONE for record in records)
                stop.told = [f"with {done} job{'' if done == 1 else 's'} finished; go on with: {again}"]
            raise
        except UserError:
            if mark_unfinished(plan.folder) or plan.resume:
                close_sweep(sweep, FAILED, conclude)
            else:
                take_back_sweep(sweep)
            raise
        except BaseException as error:
            mark_unfinished(plan.folder)
            close_sweep(sweep, FAILED, conclude)
            if plan.in_process or not isinstance(error, Exception):
                raise
            again = command_to_go_on(arguments, plan.folder)
            raise TrainingStopped(
                f"the launcher gave up ({type(error).__name__}: {error}). Go on with: {again}"
            ) from None
        records = mark_unfinished(plan.folder)
        if records and all(record.refused for record in records) and not plan.resume:
            take_back_sweep(sweep)
            raise UserError(f"none of the jobs can be trained. The first: {records[0].reason}")
        status = FINISHED if all(record.status in DONE for record in records) else FAILED
        status = close_sweep(sweep, status, conclude)
    return 1 if status == FAILED else 0


def load_for_training(engine: str) -> None:
    """What the first job would wait for, loaded while MLflow's process, which takes longer, loads MLflow."""
    import gptlab.launch.launch

    if engine == "xla":
        from gptlab.engines.xla_settings import begin

        with suppress(UserError):  # the job says it
            begin()
            import gptlab.engines.xla_session  # noqa: F401


def with_folder(line: CommandLine, arguments: list[str], folder: Path) -> list[str]:
    """The arguments, with the sweep's folder as it is known by now; what was said of it before gives way."""
    given = [text for text in line.flags.overrides if not text.startswith("hydra.sweep.dir=")]
    # Beside the other overrides: argparse takes only one row of them, before or after the flags.
    first = min((arguments.index(text) for text in line.flags.overrides), default=len(arguments))
    others = [text for text in arguments if text not in line.flags.overrides]
    return [*others[:first], quoted("hydra.sweep.dir", str(folder)), *given, *others[first:]]


def refuse_other_plugins(plan: Plan, plugins: Plugins) -> None:
    """Raises UserError if a plugin is not what it was for the jobs that have begun, unless that is to be anyway."""
    brought: dict[str, Any] = {}
    for record in read_records(plan.folder, running=True):
        if not checkpoint_folders(plan.folder / record.folder):
            continue  # it begins anew
        with suppress(UserError):  # none was used, or the job's own resuming says what is wrong
            found = read_json(plan.folder / record.folder / PLUGINS)
            brought = (found if isinstance(found, dict) else {}) | brought
    refuse_changed_plugins(plugins.registry, brought, os.path.relpath(plan.folder), plan.anyway)


def open_sweep(plan: Plan, tracked: bool, page: str) -> OpenSweep:
    """The sweep with its parent run, made or opened again, and sweep.json.

    Raises UserError if jobs of another lie in its folder, the one to resume was begun with another command, or
    MLflow refuses.
    """
    folder = plan.folder
    there = () if plan.resume else tuple(path.name for path in folder.iterdir())
    if plan.resume:
        sweep = read_sweep(folder)
        refuse_other_command(sweep, plan.command, folder)
    elif there and (other := next(record_files(folder), None)) is not None:
        raise UserError(
            f"a new sweep needs a folder of its own: {os.path.relpath(folder)} has a job of another, "
            f"{os.path.relpath(other)}. Choose another with hydra.sweep.dir="
        )
    else:
        sweep = Sweep(plan.name, plan.command, list(plan.swept))
    told = SweepFolder(folder)
    (folder / STOP).unlink(missing_ok=True)
    replace(sweep, status=RUNNING, page=page).write(folder)
    told.update(reason="", ended=None)
    parent = None
    if tracked:
        from gptlab.tracking.parent import open_parent

        try:
            parent = open_parent(
                plan.tracking, plan.description, told, waits=plan.resume or not plan.in_process
            )
        except UserError:
            if not plan.resume:
                for name in (LOCK, SWEEP):
                    (folder / name).unlink(missing_ok=True)
            raise
    return OpenSweep(plan, read_sweep(folder), parent, there, told.identity())


@contextmanager
def running_jobs(sweep: OpenSweep, choices: list[str], plugins: Plugins) -> Iterator[SweepJob | SideBySide]:
    """What a launcher is to call for each job, while it does. choices: the overrides, for what Hydra says of them.

    Raises Stopped, UserError, or whatever the launcher raises.
    """
    from gptlab.launch.provenance import git_commit

    plan = sweep.plan
    job = SweepJob(
        str(plan.folder),
        None if sweep.parent is None else sweep.parent.known,
        plan.swept,
        plan.tracking,
        own_process(),
        os.getcwd(),
        str(time.time_ns()) if plan.resume else "",
        sweep.there,
        plan.rank,
        git_commit(),
    )
    try:
        explaining = explained(plugins, choices, runs_jobs=True)
        with stopping(plan), connections.in_background(), explaining:
            if plan.at_once == 1:
                yield job
            else:
                beside = SideBySide(job, plan.at_once)
                with guarded(forgives=True), beside.open():
                    yield beside
    except (OSError, ValueError) as error:
        # Of a job it would be a fault of gptlab's; before the first it is what Hydra could not read or write.
        if read_records(plan.folder, running=True):
            raise
        raise UserError(f"Hydra cannot begin: {error}") from None


@contextmanager
def stopping(plan: Plan) -> Iterator[None]:
    """Where jobs run in other processes, or threads, a signal asks them to end after their step; a second one ends at
    once."""
    if plan.in_process and plan.at_once == 1:
        yield
        return
    received = received_so_far()

    def ask(number: int, frame: FrameType | None) -> None:
        if not received.takes(number):
            return
        stopped = received.stopped(number)
        if len(received) > 1:
            raise stopped
        (plan.folder / STOP).touch()
        warn("the jobs stop after the current step; stop once more to end at once")

    with handled(ask):
        try:
            yield
        except (Exception, KeyboardInterrupt):
            if not received:
                raise
    if received:
        raise Stopped(received[0])
