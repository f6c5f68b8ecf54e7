"""One run from its config to its end: built, trained, saved, told to its listeners."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from gptlab.calling import command_with, shown
from gptlab.config.typed import Config, as_dict
from gptlab.engines.hosts import joined, lost
from gptlab.errors import TrainingStopped, UserError
from gptlab.files import write_json
from gptlab.launch import reports
from gptlab.launch.budget import Budget
from gptlab.launch.experiment import Experiment
from gptlab.launch.observers import Notifier, Poller, Recorder, Reporter, watch_of
from gptlab.launch.progress import make_progress
from gptlab.launch.provenance import tags_of
from gptlab.optim.plateau import LookingBack
from gptlab.plugins.listeners import Listeners, maker_of
from gptlab.plugins.loading import Plugins
from gptlab.plugins.registry import build
from gptlab.runs import resuming
from gptlab.runs.checkpoint.folder import Checkpoint
from gptlab.runs.checkpoint.newest import remove_leftovers
from gptlab.runs.claiming import claimed
from gptlab.runs.files import METRICS, PLUGINS
from gptlab.runs.folder import RunFolder
from gptlab.runs.foothold import Foothold
from gptlab.runs.recording import FolderListener, IdentityListener, keep_rows
from gptlab.runs.run import Run
from gptlab.runs.saving import Saver
from gptlab.signals import ending_between_steps
from gptlab.streams import show
from gptlab.training.divergence import divergence
from gptlab.training.loop import Plan, Rows, Training


@dataclass(frozen=True)
class JobContext:
    """What a job of a sweep brings to its run. tags: for MLflow. listeners: by name, beside those of the config.

    stop: called between chunks of steps; what it raises (Stopped, TrainingStopped) ends the run in order.
    id: the MLflow run to go on with, if any. alone: whether nothing else of this process shows its progress meanwhile.
    commit: that its sweep began with, see `tags_of`.
    """

    tags: Mapping[str, str] = field(default_factory=dict)
    listeners: Mapping[str, Any] = field(default_factory=dict)
    stop: Callable[[], None] = lambda: None
    id: str = ""
    alone: bool = True
    commit: str | None = None


def launch(
    config: Config,
    plugins: Plugins,
    folder: Path,
    name: str,
    checkpoint: Checkpoint | None = None,
    requested: Mapping[str, Any] | None = None,
    job: JobContext | None = None,
    held: bool = False,
) -> Run:
    """Train what the config describes, in `folder`; from a checkpoint of the run in it on, if one is given.

    requested: what of the model is no default, for initFrom to refuse if it must. job: what a job of a
    sweep brings with it. held: whether the caller has claimed the folder; who gives
    a checkpoint holds the run in it.
    Raises UserError before step 1; TrainingStopped, Stopped and whatever else ends the loop after it has
    saved what there is and closed the run.
    """
    if not held:
        with claimed(folder):
            return launch(config, plugins, folder, name, checkpoint, requested, job, held=True)
    if job is not None and config.engine.get("hosts") is not None:
        raise UserError(
            "engine.hosts is for a single run: got a sweep. Leave engine.hosts out, or the sweep (-m)."
        )
    in_sweep, job = job is not None, job or JobContext()
    listeners = Listeners()
    listening = {name: maker_of(plugins, name, config.listener.get(name, {})) for name in config.listeners}
    if checkpoint is not None and not in_sweep:
        resuming.check_not_over(checkpoint, config.train.numSteps)
    # What is wrong shows before data is read.
    experiment = Experiment.of(config, plugins.registry, requested, checkpoint)
    tracker = build(plugins.registry, "tracking", config.tracking).start()
    tracker.prepare()  # MLflow loads meanwhile, in a process of its own
    state = experiment.state(checkpoint)
    run = run_of(experiment, folder, name, job)
    watch = watch_of(experiment, run, listeners, in_sweep)
    brought = experiment.brought_by_plugins()
    if checkpoint is None:
        RunFolder(folder).begin(run, experiment.tokenizer_state, brought)
    else:
        take_up(run, checkpoint, brought)
    listeners.add("folder", FolderListener())
    for name_of, make in listening.items():
        listeners.begin(name_of, make, run)
    listeners.add("identity", IdentityListener())
    listeners.add(f"tracking={config.tracking.name}", tracker)
    for name_of, listener in job.listeners.items():
        listeners.add(name_of, listener)
    if joined().number > 1 and config.engine.get("mesh") and listeners.hear("gptlab_evaluated"):
        raise UserError(
            "a listener cannot evaluate weights that are split over several hosts: got engine.hosts, engine.mesh "
            f"and listeners=[{','.join(config.listeners)}]. Leave one of them out."
        )
    budget = Budget(run, config.train.budget, 0.0 if checkpoint is None else resuming.seconds_of(checkpoint))
    saver = saver_of(experiment, run, listeners, brought, checkpoint, budget)
    error: BaseException | None = None
    plan, data = experiment.plan, experiment.data
    # Until the run is closed: a signal must not cut off what is being written.
    with ending_between_steps() as signalled, Foothold(folder) as foothold:
        beside = "" if job.alone else name
        progress = make_progress(config.progress, plan.numSteps, run.resumed_from or 0, beside)
        try:
            listeners.run_started(run)
            foothold.note()
            saver.has_folder = foothold.is_there
            tracker.wait_until_reachable()
            progress.note(reports.opening(run, data.tokenizer.vocabSize))
            if checkpoint is not None:
                progress.note(reports.resumed(checkpoint.step, plan.numSteps))
            for note in experiment.notes:
                progress.note(note)
                if not job.alone and config.progress != "none":
                    show(f"{name}: {note}")
            observers = [
                Poller(signalled, foothold.check, job.stop),
                Recorder(run, experiment),
                Reporter(run, progress, plan.numSteps),
                Notifier(run, listeners, experiment),
                saver,
                watch,
            ]
            training = experiment.training(
                state, observers, saver.smoothed, budget.stops, evaluations_of(run, plan)
            )
            if config.initFrom and checkpoint is None:
                first = training.evaluate()
                training.tell_evaluated(0, first)
                run.metrics.append((0, first))
                progress.note(reports.before(first))
                listeners.step_ended(run, 0, first)
            budget.begin()
            train(training, saver, foothold)
            if training.state.step == plan.numSteps:
                run.stopped = ""  # that would have been its end anyway
            watch.ended(training.state)
            run.diverged = divergence(run.metrics, data.tokenizer.vocabSize, plan.learningRate)
            return run
        except BaseException as reason:
            error = lost(reason) or reason
            if error is not reason:
                raise error from None
            raise
        finally:
            with signalled.closing():
                try:
                    progress.close()
                finally:
                    listeners.run_ended(run, error)


def evaluations_of(run: Run, plan: Plan) -> Rows:
    """Those of the rows that a resumed run has by now. Raises UserError if one is lost that its schedule needs."""
    rows = {step: row for step, row in run.metrics if step and plan.is_evaluated(step)}
    if isinstance(plan.schedule, LookingBack) and run.resumed_from:
        lost = [s for s in range(plan.evalEvery, run.resumed_from + 1, plan.evalEvery) if s not in rows]
        if lost:
            raise UserError(
                f"a schedule that looks back needs every evaluation of the run: {shown(run.folder / METRICS)} "
                f"lacks the one at step {lost[0]}. To begin another run from its weights: "
                f"initFrom={shown(run.folder)}"
            )
    return list(rows.items())


def run_of(experiment: Experiment, folder: Path, name: str, job: JobContext) -> Run:
    """The run as listeners see it."""
    config, facts = experiment.config, experiment.data.facts
    origin = {} if experiment.start is None else experiment.start.tags()
    return Run(
        name=name,
        description=config.description or f"{name}, on {facts.name}",
        folder=folder,
        config=as_dict(config),
        matrices=[
            replace(matrix, trainable=matrix.name not in experiment.frozen)
            for matrix in experiment.definition.matrices()
        ],
        dataset=facts,
        tags=tags_of(config, job.commit) | origin | dict(job.tags),
        id=job.id,
    )


def take_up(run: Run, checkpoint: Checkpoint, brought: dict[str, str]) -> None:
    """Bring the run and its folder to where they were at the checkpoint."""
    resuming.check_writable(run.folder)
    remove_leftovers(run.folder)
    resuming.cut_back(checkpoint, run)
    if brought != checkpoint.state["plugins"]:
        write_json(run.folder / PLUGINS, brought)
    # Of its folder first: the store that had the other may be gone.
    run.id = RunFolder(run.folder).id or checkpoint.state["run"]["id"]
    run.resumed_from = checkpoint.step


def saver_of(
    experiment: Experiment,
    run: Run,
    listeners: Listeners,
    brought: dict[str, str],
    checkpoint: Checkpoint | None,
    budget: Budget,
) -> Saver:
    config, data = experiment.config, experiment.data
    facts = {
        "random": {"seed": config.seed},
        "config": run.config,
        "tokenizer": experiment.tokenizer_state,
        "plugins": brought,
        "start": data.start,
        "dataset": {"digest": data.facts.digest, "documents": data.facts.documents, "split": data.split},
    }
    every, keep = config.checkpoint.every, config.checkpoint.keep
    losses = {} if checkpoint is None else resuming.losses_of(checkpoint)
    smoothed = resuming.smoothed_of(checkpoint)
    batchSize, on_saved = experiment.batchSize, partial(listeners.checkpoint_saved, run)
    return Saver(
        run,
        experiment.session,
        facts,
        batchSize,
        every,
        keep,
        on_saved,
        losses,
        smoothed=smoothed,
        seconds=lambda: budget.seconds,
    )


def train(training: Training, saver: Saver, foothold: Foothold) -> None:
    """Train to the end of the plan, and save what there is then, or what there is of a run that ends before it.

    Raises TrainingStopped besides what ended it, where that cannot be saved or is of no use.
    """
    try:
        training.run()
        foothold.check()
    except BaseException as reason:
        with suppress(OSError, UserError):  # what cannot be written is said when it is saved
            foothold.put_back(saver.run, saver.facts["tokenizer"], saver.facts["plugins"])
        save_stopped(saver, training, reason)
        raise
    save_end(saver, training)


def save_end(saver: Saver, training: Training) -> None:
    """Save what the last step has made. Raises TrainingStopped where that cannot be, or is of no use."""
    run, state = saver.run, training.state
    try:
        saved = saver.save(state)
    except OSError as failed:
        resume = f"go on from there: {command_with(resume=run.folder)}"
        mend = f"Make room, then {resume if saver.newest else 'train it again.'}"
        raise TrainingStopped(f"{saver.failure(state.step, failed)} {mend}") from None
    run.weights = saver.newest_weights
    if saved is None:
        raise TrainingStopped(
            f"the weights after the last step, {state.step}, are not finite, and are not kept. "
            f"{training.advice()}"
        )
    if run.resumed_from == state.step:
        saver.tell(state.step)


def save_stopped(saver: Saver, training: Training, reason: BaseException) -> None:
    """Save what there is; the message of a signal, or of a fault, says where it is, or why it is not."""
    run, state, plan = saver.run, training.state, training.plan
    at = f"at step {state.step} of {plan.numSteps}"
    told = ""
    try:
        # First: a checkpoint must not have a step of which the folder lacks the row.
        keep_rows(run, *training.newest, state.step)
        if saver.save(state) is not None:
            told = f"{at}; kept in {shown(run.folder)}"
            if state.step < plan.numSteps:
                told += f"; go on with: {command_with(resume=run.folder)}"
    except Exception as failed:  # what ended the run may keep it from being saved: no memory, no device
        if isinstance(reason, TrainingStopped):
            raise TrainingStopped(f"{reason} Besides, {saver.failure(state.step, failed)}") from None
        told = f"{at}; {saver.failure(state.step, failed)}"
    except KeyboardInterrupt as again:  # a second signal, which ends at once
        told = f"{at}; {saver.failure(state.step, Exception('it was stopped again'))}"
        again.told = [told]  # type: ignore[attr-defined]
        raise
    finally:
        run.weights = saver.newest_weights
    if not told or isinstance(reason, TrainingStopped):
        return
    if isinstance(reason, UserError):
        raise UserError(f"{reason} Training ended {told}") from None
    if isinstance(reason, KeyboardInterrupt):
        reason.told = [told]  # type: ignore[attr-defined]  # as Stopped has it, a plugin's own too
    else:
        reason.add_note(f"Training ended {told}")
