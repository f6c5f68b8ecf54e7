"""What to type after a run has ended: commands that work as they stand."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from gptlab.calling import STOOD, shown
from gptlab.data.facts import BASELINE
from gptlab.runs.finding import RUNS
from gptlab.runs.run import Run

FIXED = {"resume", "initFrom"}  # the model is that of the weights
ITS_OWN = {"anyway", "register", "registerAlias", "description"}  # of the one run
SAMPLES = "samples.txt"  # in a run's folder
ENOUGH = 50  # lines
SHORT = 1 << 20  # bytes: a text to try is read at once


def next_steps(run: Run, overrides: Sequence[str]) -> list[str]:
    """A line each for samples, MLflow's pages, and, where nothing was trained before, three further experiments.

    overrides: what was typed for the run. `make tiny` shows the experiments each time.
    """
    steps = {"more samples": "generate"}
    if run.id or run.sent_later:
        steps["browse runs"] = "ui"
    if run.sent_later:
        steps["wait for MLflow"] = f"sync {shlex.quote(shown(run.folder))}"
    typed = {text.partition("=")[0].lstrip("+~"): text for text in overrides}
    if (STOOD in os.environ or is_first(run.folder)) and FIXED.isdisjoint(typed):
        steps |= experiments(run, {key: text for key, text in typed.items() if key not in ITS_OWN})
    width = max(len(what) for what in steps) + 1
    return [f"{what + ':':<{width}} python -m gptlab {rest}" for what, rest in steps.items()]


def is_first(folder: Path) -> bool:
    """True if there is no other run, and no sweep, below ./runs."""
    own = folder.absolute()
    return all(other.absolute() == own for other in Path(RUNS).glob("*/*"))


def experiments(run: Run, typed: dict[str, str]) -> dict[str, str]:
    """The run with another number; on another text; two of them side by side. typed: overrides by their keys."""
    model = run.config["model"]
    if model["headDim"] is None:
        number = {"model.nEmbd": f"model.nEmbd={2 * model['nEmbd']}"}
    else:
        number = {"model.nLayer": f"model.nLayer={model['nLayer'] + 1}"}
    steps = {"change a number": shlex.join((typed | number).values())}
    is_task = any(fact.startswith(BASELINE) for fact in run.dataset.facts)  # whose model is for no text
    if run.config["data"]["name"] != "text" and not is_task:
        kept = {key: text for key, text in typed.items() if key.partition(".")[0] != "data"}
        text = {"data": "data=text", "data.path": f"data.path={text_here(run.folder)}"}
        steps["your own text"] = shlex.join((kept | text).values())
    norms = {key: text for key, text in typed.items() if not key.startswith(("model/norm", "model.norm"))}
    steps["compare two"] = shlex.join(["-m", *norms.values(), "model/norm=rmsnorm,layernorm"])
    return steps


def text_here(folder: Path) -> str:
    """A text of this folder to try first; the run's own samples where there is none."""
    files = [*sorted(Path().glob("*.txt")), Path("README.md"), *sorted(Path().glob("*.md"))]
    for file in files:
        if not file.name.startswith("requirements") and is_text(file):
            return file.name
    return shown(folder / SAMPLES)


def is_text(file: Path) -> bool:
    try:
        if not file.is_file() or file.stat().st_size > SHORT:
            return False
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return False
    return sum(bool(line.strip()) for line in lines) >= ENOUGH
