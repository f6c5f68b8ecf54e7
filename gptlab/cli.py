"""The verbs: each composes a config, then calls one function below.

python -m gptlab [train] +experiment=tiny     train; the default
python -m gptlab generate n=5                 sample from a finished run
python -m gptlab ui                           browse the runs
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptlab.errors import TrainingStopped, UserError, nearest
from gptlab.help import HELP, VERBS

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from gptlab.plugins import Plugins

USER_ERROR = 2
FAILED = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit status: 0, 1 for a failed run, 2 for a mistake, 128 + n for a signal."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    # Hydra then raises its errors instead of printing them, so that they can be said in gptlab's words.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        return dispatch(given)
    except UserError as error:
        return complain(str(error), USER_ERROR)
    except TrainingStopped as error:
        return complain(str(error), FAILED)
    except KeyboardInterrupt as stop:
        status = getattr(stop, "status", 130)
        return complain(f"stopped by {stop or 'Ctrl-C'}", status)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def complain(message: str, status: int) -> int:
    print(f"gptlab: {message}", file=sys.stderr, flush=True)
    return status


def dispatch(arguments: list[str]) -> int:
    verb, rest = verb_of(arguments)
    if any(flag in rest for flag in ("--help", "-h")):
        print(HELP[verb])
        return 0
    if "--version" in rest:
        from importlib.metadata import version

        print(f"gptlab {version('gptlab')}")
        return 0
    commands: dict[str, Callable[[list[str]], int]] = {"train": train, "generate": generate, "ui": ui}
    return commands[verb](rest)


def verb_of(arguments: list[str]) -> tuple[str, list[str]]:
    """The verb, and what follows it. Raises UserError for a bare word that is none."""
    if not arguments or arguments[0].startswith(("-", "+", "~")) or "=" in arguments[0]:
        return "train", arguments
    verb = arguments[0]
    if verb not in VERBS:
        close = nearest(verb, VERBS)
        guess = f" Did you mean {' or '.join(close)}?" if close else ""
        raise UserError(
            f"the first word must be one of {', '.join(VERBS)}, or an override like +experiment=tiny: "
            f"got '{verb}'.{guess}"
        )
    return verb, arguments[1:]


def prepared() -> Plugins:
    """The plugins loaded and their schemas stored for Hydra."""
    from gptlab.config import store_experiments, store_schema
    from gptlab.plugins import load_plugins

    plugins = load_plugins()
    store_schema(plugins.registry)
    store_experiments()
    return plugins


def train(arguments: list[str]) -> int:
    """Through hydra.main, so that multirun, --cfg, launchers and completion are Hydra's own."""
    import hydra

    from gptlab.config import folder_of

    plugins = prepared()

    failed_jobs: list[str] = []
    mistakes: list[Exception] = []

    def job(config: DictConfig) -> None:
        # Kept and raised afterwards: Hydra would print a line of its own before raising them. A sweep's
        # other jobs go on.
        try:
            run_job(config, plugins)
        except (UserError, TrainingStopped) as error:
            if sweeping():
                failed_jobs.append(str(error))
                complain(str(error), FAILED)
            else:
                mistakes.append(error)

    main = hydra.main(version_base="1.3", config_path=str(folder_of("conf")), config_name="train")(job)
    saved, sys.argv = sys.argv, [sys.argv[0], *arguments]
    try:
        explained(main, plugins)
    finally:
        sys.argv = saved
    if mistakes:
        raise mistakes[0]
    return FAILED if failed_jobs else 0


def sweeping() -> bool:
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    return bool(HydraConfig.get().mode == RunMode.MULTIRUN)


def run_job(config: DictConfig, plugins: Plugins) -> None:
    """One run: of a single command, or one of a sweep's."""
    from hydra.core.hydra_config import HydraConfig

    from gptlab.config import plain
    from gptlab.launch import launch
    from gptlab.naming import run_name

    hydra_config = HydraConfig.get()
    folder = Path(hydra_config.runtime.output_dir)
    sweep = sweeping()
    name = run_name(list(hydra_config.overrides.task), in_sweep=sweep)
    try:
        settings = plain(config)
    except UserError:
        remove_if_empty(folder)
        raise
    outcome = launch(settings, plugins, folder, name)
    if settings["progress"] != "none":
        print(report(outcome.run, sweep))


def remove_if_empty(folder: Path) -> None:
    from gptlab.launch import remove

    if folder.is_dir() and not any(folder.iterdir()):
        remove(folder)


def report(run: Any, sweep: bool) -> str:
    """The last lines of a run: what it left, and how to go on."""
    lines = []
    if run.samples and not sweep:
        lines += ["samples:", *(f"  {text}" for text in run.samples[-1][1])]
    lines.append(f"run folder: {os.path.relpath(run.folder)}")
    if run.id:
        lines.append(f"MLflow run: {run.id}   browse: python -m gptlab ui")
    return "\n".join(lines)


def generate(arguments: list[str]) -> int:
    """Print samples of a finished run, one a line."""
    from gptlab.config import plain
    from gptlab.generation import Sampling
    from gptlab.generation import generate as sample
    from gptlab.runs import find_run, load_run

    plugins = prepared()
    settings = plain(composed("generate", arguments, plugins))
    how = Sampling(**{key: settings[key] for key in ("n", "temperature", "topK", "topP", "prompt", "seed")})
    folder = find_run(settings["run"], settings["tracking"].get("uri"))
    run = load_run(folder, plugins.registry, settings["engine"])
    for text in sample(run.session, run.state, run.tokenizer, run.definition.sizes.blockSize, how):
        print(text)
    return 0


def ui(arguments: list[str]) -> int:
    """Serve MLflow's pages for the store of this folder until Ctrl-C."""
    from gptlab.config import plain
    from gptlab.ui import serve_ui

    settings = plain(composed("ui", arguments, prepared()))
    return serve_ui(settings["tracking"].get("uri"), settings["host"], settings["port"])


def composed(name: str, overrides: list[str], plugins: Plugins) -> DictConfig:
    """The config of a verb other than train."""
    return explained(lambda: compose_root(name, overrides), plugins, name)


def compose_root(name: str, overrides: list[str]) -> DictConfig:
    from hydra import compose, initialize_config_dir

    from gptlab.config import folder_of

    with initialize_config_dir(str(folder_of("conf")), version_base="1.3"):
        return compose(name, overrides)


def explained(work: Callable[[], Any], plugins: Plugins, name: str = "train") -> Any:
    """What `work` returns; Hydra's errors become UserErrors that name the nearest keys and names."""
    from gptlab.config import CONFIG_ERRORS, explain, known_keys

    try:
        return work()
    except CONFIG_ERRORS as error:
        keys = known_keys(compose_root(name, []))
        raise explain(error, plugins.registry, keys) from None
