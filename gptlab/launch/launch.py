"""One run from its config to its end: built, trained, kept, told to its listeners."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gptlab.assembly.parts import (
    Data,
    Settings,
    brought_by_plugins,
    data_of,
    definition_of,
    session_of,
    trained_model,
)
from gptlab.calling import command_with, shown
from gptlab.config.schema import check_values
from gptlab.data.batches import Epochs
from gptlab.data.documents import Documents
from gptlab.engines.engine import Frozen, Session, State, trained
from gptlab.errors import TrainingStopped, UserError
from gptlab.files import write_json
from gptlab.finetuning import Start, beginning_of
from gptlab.launch import reports
from gptlab.launch.member import Member
from gptlab.launch.progress import Progress, make_progress
from gptlab.launch.provenance import tags_of
from gptlab.launch.watch import Watch, watch_of
from gptlab.model.adapted import Adapted
from gptlab.model.gpt import GPT
from gptlab.plugins.listeners import Listeners
from gptlab.plugins.loading import Plugins
from gptlab.plugins.registry import Registry, build
from gptlab.runs import resuming
from gptlab.runs.checkpoint import Checkpoint, remove_leftovers
from gptlab.runs.claiming import claimed
from gptlab.runs.files import PLUGINS
from gptlab.runs.folder import RunFolder
from gptlab.runs.recording import FolderListener, IdentityListener
from gptlab.runs.run import Run
from gptlab.runs.saving import Saver
from gptlab.signals import ending_between_steps
from gptlab.training.divergence import divergence
from gptlab.training.generation import Sampling, generate
from gptlab.training.loop import Plan, Training, log_every
from gptlab.training.smoothing import SmoothedLoss


@dataclass(frozen=True)
class Outcome:
    """What a finished run has to show."""

    run: Run
    steps: int


@dataclass(frozen=True)
class Parts:
    """What a config describes, built and checked before anything is written."""

    data: Data
    definition: GPT | Adapted
    frozen: Frozen
    session: Session
    optimizer: Any
    plan: Plan
    sampling: Sampling | None
    others: dict[str, Documents] = field(default_factory=dict)  # held out, by metric
    notes: tuple[str, ...] = ()


def launch(
    config: Settings,
    plugins: Plugins,
    folder: Path,
    name: str,
    checkpoint: Checkpoint | None = None,
    asked: Mapping[str, Any] | None = None,
    member: Member | None = None,
    held: bool = False,
) -> Outcome:
    """Train what the config describes, in `folder`; from a checkpoint of the run in it on, if one is given.

    asked: what of the model is no default, for initFrom to refuse if it must. member: what a job of a
    sweep brings with it. held: whether the caller has claimed the folder, or holds the run in it.
    Raises UserError before step 1; TrainingStopped, Stopped and whatever else ends the loop after it has
    saved what there is and closed the run.
    """
    if not held:
        with claimed(folder) if checkpoint is None else resuming.held(folder):
            return launch(config, plugins, folder, name, checkpoint, asked, member, held=True)
    registry = plugins.registry
    in_sweep, member = member is not None, member or Member()
    listeners = Listeners()
    listeners.add("folder", FolderListener())
    for listener in config["listeners"]:
        listeners.add(listener, plugins.listener(listener))
    check_values(config)
    if checkpoint is not None and not in_sweep:
        resuming.check_not_over(checkpoint, config["train"]["numSteps"])
    begun = beginning_of(config, registry, asked, checkpoint)
    config = config if begun is None else begun.config
    # Wrong sizes and ops, and names of no weight, show before data is read.
    trained_model(config, registry, definition_of(config, registry, vocabSize=1))
    tracker = build(registry, "tracking", config["tracking"]).start()
    listeners.add("identity", IdentityListener())
    listeners.add(f"tracking={config['tracking']['name']}", tracker)
    for name_of, listener in member.listeners.items():
        listeners.add(name_of, listener)
    parts = built(config, registry, tracker, begun)
    start = beginning(config, parts, checkpoint, begun)
    run = Run(
        name=name,
        description=config["description"] or f"{name}, on {parts.data.facts.name}",
        folder=folder,
        config=config,
        matrices=[replace(m, trainable=m.name not in parts.frozen) for m in parts.definition.matrices()],
        dataset=parts.data.facts,
        tags=tags_of(config) | ({} if begun is None else begun.tags()) | dict(member.tags),
        id=member.id,
    )
    watch = watch_of(config, registry, parts, run, listeners, in_sweep)
    brought = brought_by_plugins(config, registry)
    if checkpoint is None:
        RunFolder(folder).begin(run, tokenizer_state(config, parts.data), brought)
    else:
        take_up(run, checkpoint, brought)
    smoothed = resuming.smoothed_of(checkpoint)
    saver = saver_of(config, parts, run, listeners, brought, checkpoint, smoothed)
    error: BaseException | None = None
    # Until the run is closed: a signal must not cut off what is being written.
    with ending_between_steps() as signalled:
        progress = make_progress(config["progress"], parts.plan.numSteps, run.resumed_from or 0)

        def poll() -> None:
            signalled()
            member.stop()

        try:
            listeners.run_started(run)
            tracker.wait_until_reachable()
            progress.note(reports.opening(run, parts.data.tokenizer.vocabSize))
            if checkpoint is not None:
                progress.note(reports.resumed(checkpoint.step, parts.plan.numSteps))
            for note in parts.notes:
                progress.note(note)
            return fit(config, parts, start, run, listeners, saver, watch, progress, poll)
        except BaseException as reason:
            error = reason
            raise
        finally:
            try:
                progress.close()
            finally:
                listeners.run_ended(run, error)


def beginning(config: Settings, parts: Parts, checkpoint: Checkpoint | None, begun: Start | None) -> State:
    """The state to train from. Raises UserError for weights or a checkpoint of another model, optimizer or data."""
    if begun is not None and begun.source is not None:
        weights = begun.weights(parts.definition, config["seed"])
    else:
        weights = parts.definition.initial_weights(config["seed"])
    optimizer = parts.optimizer.init(trained(weights, parts.frozen))
    if checkpoint is None:
        return parts.session.init(weights, optimizer)
    resuming.check_same_data(checkpoint, parts.data)
    return parts.session.init(*resuming.continued(checkpoint, weights, optimizer), checkpoint.step)


def take_up(run: Run, checkpoint: Checkpoint, brought: dict[str, str]) -> None:
    """Bring the run and its folder to where they were at the checkpoint."""
    resuming.check_writable(run.folder)
    remove_leftovers(run.folder)
    resuming.cut_back(checkpoint, run)
    if brought != checkpoint.state["plugins"]:
        write_json(run.folder / PLUGINS, brought)
    run.id = checkpoint.state["run"]["id"] or RunFolder(run.folder).id
    run.resumed_from = checkpoint.step


def saver_of(
    config: Settings,
    parts: Parts,
    run: Run,
    listeners: Listeners,
    brought: dict[str, str],
    checkpoint: Checkpoint | None,
    smoothed: SmoothedLoss,
) -> Saver:
    def on_saved(folder: Path, step: int, removed: list[Path]) -> None:
        listeners.checkpoint_saved(run, folder, step, removed)

    facts = {
        "random": {"seed": config["seed"]},
        "config": config,
        "tokenizer": tokenizer_state(config, parts.data),
        "plugins": brought,
        "start": parts.data.start,
        "dataset": {
            "digest": parts.data.facts.digest,
            "documents": parts.data.facts.documents,
            "split": parts.data.split,
        },
    }
    every, keep = config["checkpoint"]["every"], config["checkpoint"]["keep"]
    losses = {} if checkpoint is None else resuming.losses_of(checkpoint)
    batchSize = config["train"]["batchSize"]
    return Saver(run, parts.session, facts, batchSize, every, keep, on_saved, losses, smoothed=smoothed)


def built(config: Settings, registry: Registry, tracker: Any, begun: Start | None) -> Parts:
    """Raises UserError for parts that do not exist, or do not fit each other or the data."""
    train = config["train"]
    optimizer = build(registry, "optimizer", config["optimizer"])
    schedule = build(registry, "schedule", config["schedule"])
    plan = Plan(
        train["numSteps"],
        train["learningRate"],
        schedule,
        train["logEvery"] or log_every(train["numSteps"]),
        train["evalEvery"],
        config["checkpoint"]["every"] or 0,
        config["inspect"]["every"] or 0,
    )
    sampling = samples_of(config)
    tracker.prepare()  # MLflow loads meanwhile, in a process of its own
    data = data_of(config, registry, None if begun is None else begun.vocabulary)
    definition, frozen = trained_model(
        config, registry, definition_of(config, registry, data.tokenizer.vocabSize)
    )
    session = session_of(config, registry, definition, frozen)
    others, notes = {}, () if begun is None else begun.notes
    if begun is not None:
        held_out = data.original.held_out
        others = {} if held_out is None else {"val/originalLoss": held_out}
    elif isinstance(definition, Adapted):
        adapter = config["model"]["adapter"]["name"]
        notes = (f"model/adapter={adapter} on weights as they are drawn: initFrom=RUN names better ones",)
    return Parts(data, definition, frozen, session, optimizer, plan, sampling, others, (*notes, *data.notes))


def fit(
    config: Settings,
    parts: Parts,
    start: State,
    run: Run,
    listeners: Listeners,
    saver: Saver,
    watch: Watch,
    progress: Progress,
    poll: Callable[[], None],
) -> Outcome:
    """The training itself: the loop, samples, checkpoints."""
    session, plan, data = parts.session, parts.plan, parts.data
    epochs = Epochs(data.train, config["train"]["batchSize"], config["seed"], config["data"]["shuffle"])
    blockSize = parts.definition.sizes.blockSize

    def on_logged(step: int, metrics: dict[str, float]) -> None:
        run.metrics.append((step, metrics))
        texts: list[str] = []
        try:
            if "val/loss" in metrics or step == plan.numSteps:
                if parts.sampling is not None:
                    state = session.for_evaluation(training.state)
                    texts = generate(session, state, data.tokenizer, blockSize, parts.sampling, data.start)
                    run.samples.append((step, texts))
                progress.note(reports.milestone(run, plan.numSteps))
            progress.logged(step, metrics, texts)
        finally:
            listeners.step_ended(run, step, metrics)

    def on_whole(state: State, val_loss: float | None) -> None:
        saver.chunk_ended(state, val_loss)
        watch.chunk_ended(state)

    training = Training(
        session,
        start,
        plan,
        epochs,
        data.held_out,
        on_logged,
        progress.update,
        poll,
        on_whole,
        parts.others,
        saver.smoothed,
    )
    try:
        if config["initFrom"] and not start.step:
            first = training.evaluate()
            run.metrics.append((0, first))
            progress.note(reports.before(first))
            listeners.step_ended(run, 0, first)
        training.run()
    except BaseException as reason:
        stopped_at(saver, training.state, plan, reason)
        raise
    try:
        saved = saver.save(training.state)
    except OSError as failed:
        resume = f"go on from there: {command_with(resume=run.folder)}"
        mend = f"Make room, then {resume if saver.newest else 'train it again.'}"
        raise TrainingStopped(f"{saver.failure(training.state.step, failed)} {mend}") from None
    run.weights = saver.newest_weights
    if saved is not None and run.resumed_from == training.state.step:
        saver.tell(run.resumed_from)
    if saved is None:
        raise TrainingStopped(
            f"the weights after the last step, {plan.numSteps}, are not finite, and are not kept. "
            f"Try a lower learning rate: train.learningRate={plan.learningRate / 10:g}."
        )
    watch.ended(training.state)
    run.diverged = divergence(run.metrics, data.tokenizer.vocabSize, plan.learningRate)
    return Outcome(run, training.state.step)


def stopped_at(saver: Saver, state: State, plan: Plan, reason: BaseException) -> None:
    """Save what there is; the message of a signal, or of a fault, says where it is, or why it is not."""
    run = saver.run
    at = f"at step {state.step} of {plan.numSteps}"
    told = ""
    try:
        if saver.save(state) is not None:
            told = f"{at}; kept in {shown(run.folder)}"
            if state.step < plan.numSteps:
                told += f"; go on with: {command_with(resume=run.folder)}"
    except Exception as failed:  # what ended the run may keep it from being saved: no memory, no device
        if isinstance(reason, TrainingStopped):
            raise TrainingStopped(f"{reason} Besides, {saver.failure(state.step, failed)}") from None
        told = f"{at}; {saver.failure(state.step, failed)}"
    except KeyboardInterrupt as again:  # a second signal, which ends at once
        told = f"{at}; {saver.failure(state.step, Exception('it was stopped once more'))}"
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


def samples_of(config: Settings) -> Sampling | None:
    settings = config["samples"]
    if not settings["n"]:
        return None
    try:
        return Sampling(**settings, seed=config["seed"])
    except UserError as error:
        raise UserError(f"in samples: {error}") from None


def tokenizer_state(config: Settings, data: Data) -> dict[str, Any]:
    return {"name": config["tokenizer"]["name"], **data.tokenizer.state()}
