"""One run from its config to its end: built, trained, kept, told to its listeners."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from gptlab import reports
from gptlab.assembly import Data, Settings, brought_by_plugins, data_of, definition_of, session_of
from gptlab.checkpoint import CONFIG, PLUGINS, RUN, TOKENIZER, save_weights, write_json, write_text
from gptlab.config import check_values
from gptlab.data.batches import Epochs
from gptlab.engines.engine import Session, State
from gptlab.errors import TrainingStopped, UserError
from gptlab.generation import Sampling, generate
from gptlab.listeners import FolderListener, Listeners
from gptlab.model.gpt import GPT
from gptlab.plugins import Plugins
from gptlab.progress import Progress, make_progress
from gptlab.provenance import tags_of
from gptlab.registry import Registry, build
from gptlab.run import Run
from gptlab.signals import Stopped, ending_between_steps
from gptlab.training import Plan, Training


@dataclass(frozen=True)
class Outcome:
    """What a finished run has to show."""

    run: Run
    steps: int


@dataclass(frozen=True)
class Parts:
    """What a config describes, built and checked before anything is written."""

    data: Data
    definition: GPT
    session: Session
    optimizer: Any
    plan: Plan
    sampling: Sampling | None


def launch(config: Settings, plugins: Plugins, folder: Path, name: str) -> Outcome:
    """Train what the config describes, in `folder`.

    Raises UserError before step 1; TrainingStopped and Stopped after it has saved what there is and
    closed the run.
    """
    registry = plugins.registry
    listeners = Listeners()
    listeners.add("folder", FolderListener())
    for listener in config["listeners"]:
        listeners.add(listener, plugins.listener(listener))
    check_values(config)
    definition_of(config, registry, vocabSize=1)  # wrong sizes and ops show before data is read
    tracker = build(registry, "tracking", config["tracking"]).start()
    listeners.add(f"tracking={config['tracking']['name']}", tracker)
    parts = built(config, registry, tracker)

    write_run_folder(folder, config, parts.data, brought_by_plugins(config, registry))
    run = Run(
        name=name,
        description=config["description"] or f"{name}, on {parts.data.facts.name}",
        folder=folder,
        config=config,
        matrices=parts.definition.matrices(),
        dataset=parts.data.facts,
        tags=tags_of(config),
    )
    progress = make_progress(config["progress"], parts.plan.numSteps)
    error: BaseException | None = None
    # Until the run is closed: a signal must not cut off what is being written.
    with ending_between_steps() as poll:
        try:
            listeners.run_started(run)
            tracker.wait_until_reachable()
            progress.note(reports.opening(run, parts.data.tokenizer.vocabSize))
            return fit(config, parts, run, listeners, progress, poll)
        except BaseException as reason:
            error = reason
            raise
        finally:
            progress.close()
            listeners.run_ended(run, error)
            if run.metrics:
                write_json(folder / RUN, {"id": run.id, "name": run.name})


def built(config: Settings, registry: Registry, tracker: Any) -> Parts:
    """Raises UserError for parts that do not exist, or do not fit each other or the data."""
    train = config["train"]
    optimizer = build(registry, "optimizer", config["optimizer"])
    schedule = build(registry, "schedule", config["schedule"])
    plan = Plan(train["numSteps"], train["learningRate"], schedule, train["logEvery"], train["evalEvery"])
    sampling = samples_of(config)
    tracker.prepare()  # MLflow loads meanwhile, in a process of its own
    data = data_of(config, registry)
    definition = definition_of(config, registry, data.tokenizer.vocabSize)
    return Parts(data, definition, session_of(config, registry, definition), optimizer, plan, sampling)


def fit(
    config: Settings,
    parts: Parts,
    run: Run,
    listeners: Listeners,
    progress: Progress,
    poll: Callable[[], None],
) -> Outcome:
    """The training itself: initial weights, the loop, samples, the final weights."""
    session, plan, data = parts.session, parts.plan, parts.data
    weights = parts.definition.initial_weights(config["seed"])
    state = session.init(weights, parts.optimizer.init(weights))
    epochs = Epochs(data.train, config["train"]["batchSize"], config["seed"], config["data"]["shuffle"])
    blockSize = parts.definition.sizes.blockSize

    def on_logged(step: int, metrics: dict[str, float]) -> None:
        run.metrics.append((step, metrics))
        if "val/loss" in metrics or step == plan.numSteps:
            if parts.sampling is not None:
                state = session.for_evaluation(training.state)
                texts = generate(session, state, data.tokenizer, blockSize, parts.sampling)
                run.samples.append((step, texts))
            progress.note(reports.milestone(run, plan.numSteps))
        listeners.step_ended(run, step, metrics)

    training = Training(session, state, plan, epochs, data.held_out, on_logged, progress.update, poll)
    try:
        training.run()
    except (TrainingStopped, Stopped) as reason:
        keep_weights(run, session, training.state)
        step = training.state.step
        if isinstance(reason, Stopped) and run.weights is not None:
            reason.add_note(f"at step {step} of {plan.numSteps}; kept in {reports.shown(run.folder)}")
        raise
    keep_weights(run, session, training.state)
    if run.weights is None:
        raise TrainingStopped(
            f"the weights after the last step, {plan.numSteps}, are not finite, and are not kept. "
            f"Try a lower learning rate: train.learningRate={plan.learningRate / 10:g}."
        )
    return Outcome(run, training.state.step)


def keep_weights(run: Run, session: Session, state: State) -> None:
    """Save what has been trained, unless it is not finite."""
    final = session.export(session.for_evaluation(state))
    if final.step and all(np.isfinite(array).all() for array in final.weights.values()):
        run.weights = save_weights(run.folder, final.step, final.weights)


def samples_of(config: Settings) -> Sampling | None:
    settings = config["samples"]
    if not settings["n"]:
        return None
    try:
        return Sampling(**settings, seed=config["seed"])
    except UserError as error:
        raise UserError(f"in samples: {error}") from None


def write_run_folder(folder: Path, config: Settings, data: Data, brought: dict[str, str]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / CONFIG, yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
        write_json(folder / TOKENIZER, {"name": config["tokenizer"]["name"], **data.tokenizer.state()})
        if brought:
            write_json(folder / PLUGINS, brought)
    except OSError as error:
        raise UserError(f"the run's folder must be writable: {folder}: {error.strerror}.") from None
