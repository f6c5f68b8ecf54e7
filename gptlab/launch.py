"""One run from its config to its end: built, trained, kept, told to its listeners."""

from __future__ import annotations

import platform
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import yaml

from gptlab.assembly import Data, Settings, data_of, definition_of, op_table, session_of
from gptlab.checkpoint import CONFIG, TOKENIZER, save_weights, write_json, write_text
from gptlab.config import check_values
from gptlab.data.batches import Epochs
from gptlab.engines.engine import Session
from gptlab.errors import UserError
from gptlab.generation import Sampling, generate
from gptlab.listeners import FolderListener, Listeners
from gptlab.model.gpt import GPT
from gptlab.plugins import Plugins
from gptlab.progress import Progress, make_progress
from gptlab.registry import build
from gptlab.run import Run
from gptlab.training import Plan, Training

READY_SECONDS = 10.0  # how long the tracking server may take to answer
VERSIONS = ("gptlab", "jax", "numpy", "mlflow", "hydra-core")


class Stopped(KeyboardInterrupt):
    """A signal asked the run to end; `status` is the exit status that says which (128 + number)."""

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.status = 128 + number


@dataclass(frozen=True)
class Outcome:
    """What a finished run has to show."""

    run: Run
    steps: int


def launch(config: Settings, plugins: Plugins, folder: Path, name: str) -> Outcome:
    """Train what the config describes, in `folder`.

    Raises UserError before step 1, and then leaves nothing behind; TrainingStopped and Stopped
    after it has saved what there is and closed the run.
    """
    existed = folder.exists() and any(folder.iterdir())
    try:
        return _launch(config, plugins, folder, name)
    except UserError:
        if not existed:
            remove(folder)
        raise


def _launch(config: Settings, plugins: Plugins, folder: Path, name: str) -> Outcome:
    check_values(config)
    registry = plugins.registry
    definition_of(config, registry, vocabSize=1)  # wrong sizes show before data is read
    op_table(config, registry)
    sampling = samples_of(config)
    tracker = build(registry, "tracking", config["tracking"]).start()
    tracker.prepare()
    data = data_of(config, registry)
    definition = definition_of(config, registry, data.tokenizer.vocabSize)
    session = session_of(config, registry, definition)

    write_run_folder(folder, config, data)
    run = Run(
        name=name,
        description=config["description"],
        folder=folder,
        config=config,
        matrices=definition.matrices(),
        dataset=data.facts,
        tags=tags_of(config),
    )
    listeners = Listeners()
    listeners.add("folder", FolderListener())
    listeners.add("mlflow" if config["tracking"]["name"] == "mlflow" else "tracking", tracker)
    progress = make_progress(config["progress"], config["train"]["numSteps"])
    progress.note(describe(run, data))
    listeners.run_started(run)
    error: BaseException | None = None
    try:
        return fit(config, registry, session, definition, data, run, listeners, tracker, progress, sampling)
    except BaseException as reason:
        error = reason
        raise
    finally:
        progress.close()
        # A run that never was ready has nothing to close: its error is told to the person alone.
        if not (isinstance(error, UserError) and not run.metrics):
            listeners.run_ended(run, error)


def fit(
    config: Settings,
    registry: Any,
    session: Session,
    definition: GPT,
    data: Data,
    run: Run,
    listeners: Listeners,
    tracker: Any,
    progress: Progress,
    sampling: Sampling | None,
) -> Outcome:
    """The training itself: initial weights, the loop, samples, the final weights."""
    weights = definition.initial_weights(config["seed"])
    optimizer = build(registry, "optimizer", config["optimizer"])
    state = session.init(weights, optimizer.init(weights))
    train = config["train"]
    plan = Plan(
        train["numSteps"],
        train["learningRate"],
        build(registry, "schedule", config["schedule"]),
        train["logEvery"],
        train["evalEvery"],
    )
    epochs = Epochs(data.train, train["batchSize"], config["seed"], config["data"]["shuffle"])

    def on_logged(step: int, metrics: dict[str, float]) -> None:
        if not run.metrics:
            tracker.wait_until_ready(READY_SECONDS)
            write_json(run.folder / "run.json", {"id": run.id, "name": run.name})
        if "val/loss" in metrics or step == plan.numSteps:
            if sampling is not None:
                texts = generate(
                    session, training.state, data.tokenizer, definition.sizes.blockSize, sampling
                )
                run.samples.append((step, texts))
            progress.note(milestone(step, metrics, run))
        run.metrics.append((step, metrics))
        listeners.step_ended(run, step, metrics)

    with stop_requests() as stop:
        training = Training(session, state, plan, epochs, data.held_out, on_logged, progress.update, stop)
        try:
            training.run()
        finally:
            final = session.export(training.state)
            if final.step and all(np.isfinite(array).all() for array in final.weights.values()):
                run.weights = save_weights(run.folder, final.step, final.weights)
    return Outcome(run, training.state.step)


def samples_of(config: Settings) -> Sampling | None:
    settings = config["samples"]
    return Sampling(**settings, seed=config["seed"]) if settings["n"] else None


def write_run_folder(folder: Path, config: Settings, data: Data) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / CONFIG, yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
        write_json(folder / TOKENIZER, {"name": config["tokenizer"]["name"], **data.tokenizer.state()})
    except OSError as error:
        raise UserError(f"the run's folder must be writable: {folder}: {error.strerror}.") from None


def remove(folder: Path) -> None:
    """The folder of a run that never began, and the parents that it alone was in."""
    shutil.rmtree(folder, ignore_errors=True)
    for parent in list(folder.parents)[:2]:
        try:
            parent.rmdir()  # only if empty
        except OSError:
            return


def tags_of(config: Settings) -> dict[str, str]:
    tags = {
        "engine": config["engine"]["name"],
        "dtype": config["engine"].get("dtype", ""),
        "device": device(config["engine"]["name"]),
        "python": platform.python_version(),
    }
    tags |= {f"version.{package}": version(package) for package in VERSIONS}
    commit = git_commit()
    return tags | ({"gitCommit": commit} if commit else {})


def device(engine: str) -> str:
    if engine == "scalar":
        return "cpu"
    import jax

    return str(jax.devices()[0].device_kind)


def git_commit() -> str:
    """The commit of the folder where the command is run, with `-dirty` if something differs; empty outside git."""
    try:
        command = ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
        found = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""


def describe(run: Run, data: Data) -> str:
    counts = run.parameter_counts()
    parts = ", ".join(f"{part} {count:,}" for part, count in counts.items() if part != "total")
    facts = run.dataset
    return (
        f"{run.name}: {counts['total']:,} parameters ({parts})\n"
        f"data: {facts.name}, {facts.train:,} documents to train on, {facts.validation:,} held out, "
        f"vocabulary {data.tokenizer.vocabSize}"
    )


def milestone(step: int, metrics: dict[str, float], run: Run) -> str:
    line = f"step {step}: loss {metrics['train/loss']:.3f}"
    if "val/loss" in metrics:
        line += f", validation {metrics['val/loss']:.3f} (perplexity {metrics['val/perplexity']:.1f})"
    if run.samples and run.samples[-1][0] == step:
        line += f"  e.g. {run.samples[-1][1][0]}"
    return line


@contextmanager
def stop_requests() -> Iterator[Any]:
    """SIGINT and SIGTERM meanwhile end the run after the chunk in progress; a second one at once.

    Gives a function that raises Stopped once a signal has come.
    """
    received: list[int] = []

    def remember(number: int, frame: FrameType | None) -> None:
        if received:
            raise Stopped(number)
        received.append(number)

    def stop() -> None:
        if received:
            raise Stopped(received[0])

    previous = {number: signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
