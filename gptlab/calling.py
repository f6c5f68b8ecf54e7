"""The Python that gptlab is called with: whether it will do, and how it is called from where the person stands.

Messages are written with `python -m gptlab`, which is right where an environment is active. Whoever prints
one sends it through `as_called`. Read by any Python from 3.6 on, before anything else of gptlab.
"""

import importlib.util
import os
import re
import shlex
import shutil
import sys
from functools import lru_cache
from pathlib import Path

OLDEST = (3, 11)
# pyproject.toml's dependencies, each by the name that it is imported by.
PACKAGES = {
    "hydra": "hydra-core",
    "jax": "jax",
    "matplotlib": "matplotlib",
    "mlflow": "mlflow",
    "names": "names",
    "numpy": "numpy",
    "omegaconf": "omegaconf",
    "pluggy": "pluggy",
    "yaml": "pyyaml",
    "rich": "rich",
    "safetensors": "safetensors",
    "scipy": "scipy",
    "tokenizers": "tokenizers",
}
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PYTHON = os.path.join(ROOT, ".venv", "bin", "python")  # of a checkout

WRITTEN = "python -m gptlab"
# Where the shell stands that `make tiny` was typed in: its runs may go to another folder (FOLDER=).
STOOD = "GPTLAB_TYPED_IN"
# `uv run` and its like put their environment into PATH for one command; the shell's own PATH is another.
RUNNERS = ("UV_RUN_RECURSION_DEPTH", "PIPENV_ACTIVE", "POETRY_ACTIVE", "HATCH_ENV_ACTIVE")


def _current_folder() -> str:
    try:
        return os.getcwd()
    except OSError:  # it has been removed
        return os.sep


HERE = _current_folder()  # at the start: hydra.job.chdir=true leaves it, and the person does not
# What is set before a command, NAME=value, stays before it.
_COMMAND = re.compile(r"(?<![\w./'\"-])((?:[A-Z_]+=\S+ )*)" + WRITTEN + r"\b")
_PIP = re.compile(r"(?<![\w./'\"-])(?<!-m )pip install\b")

# A path that Hydra's grammar and the shell both leave as it is, and that is no number, true or null.
PLAIN = re.compile(r"[\w.-]+(/[\w.-]+)+|(?!(true|false|null|nan|inf)$)[a-z][\w.-]*", re.ASCII | re.IGNORECASE)


def as_called(text: str) -> str:
    """A message in which each `python -m gptlab` and each `pip install` works as typed where the person stands."""
    if WRITTEN in text:
        head, there = command(), _change_folder()
        text = _COMMAND.sub(lambda found: f"{there}{found[1]}{head}", text)
    if "pip install" in text and not _is_found("pip", os.path.join(os.path.dirname(sys.executable), "pip")):
        text = _PIP.sub(lambda found: f"{python()} -m pip install", text)
    return text


def warn(message: str) -> None:
    """A line for the person, beside what the command prints."""
    from gptlab.streams import show  # which an older Python cannot read

    show(as_called(f"gptlab: {message}"), sys.stderr)


@lru_cache(maxsize=1)
def command() -> str:
    """`python -m gptlab`, with another python where that one is not this; `gptlab` where that was typed."""
    script = sys.argv[0] if sys.argv else ""
    if os.path.basename(script) != "gptlab":
        return f"{python()} -m gptlab"
    if _is_found("gptlab", script):
        return "gptlab"
    return shlex.quote(shortest(os.path.abspath(script)))


@lru_cache(maxsize=1)
def python() -> str:
    """The interpreter that this is, as a shell in the current folder is told it: by its name or by a path."""
    executable = sys.executable or "python"
    for name in ("python", "python3", os.path.basename(executable)):
        if _is_found(name, executable):
            return name
    return shlex.quote(shortest(executable))


def _is_found(name: str, file: str) -> bool:
    """True if a shell finds this very file by its name. A link to it in another environment is another Python."""
    if any(os.environ.get(runner) for runner in RUNNERS):
        return False
    found = shutil.which(name)
    if found is None:
        return False
    places = [os.path.realpath(os.path.dirname(os.path.abspath(path))) for path in (found, file)]
    return places[0] == places[1] and os.path.realpath(found) == os.path.realpath(file)


def shortest(file: str) -> str:
    """A path from the current folder or from the root, with a slash in it, so that a shell takes it for a path."""
    here = os.path.relpath(file, HERE)
    relative = here if os.sep in here else os.path.join(".", here)
    there = os.path.join(HERE, relative)
    try:
        # Not so where a folder on the way is a link, or is gone.
        same = os.path.samefile(there, file) if os.path.lexists(file) else os.path.isdir(HERE)
    except OSError:
        same = False
    return min(relative, file, key=len) if same else file


def _change_folder() -> str:
    """`cd FOLDER && ` for who stands in another folder than the one that this runs in; else nothing."""
    stood = os.environ.get(STOOD)
    try:
        if stood is None or os.path.samefile(stood, HERE):
            return ""
        return f"cd {shlex.quote(HERE)} && "
    except OSError:
        return ""


def command_with(**override: Path) -> str:
    """The whole command with one override whose value is a path, such as `resume=`, as it is typed."""
    ((key, path),) = override.items()
    known = shown(path)
    return f"python -m gptlab {typed(key, './latest' if known == 'latest' else known)}"


def typed(key: str, value: str) -> str:
    """`key=value` as it is typed: in quotes of Hydra's, and around them of the shell's, if they are needed."""
    return shlex.quote(f"{key}={value}" if PLAIN.fullmatch(value) else quoted(key, value))


def quoted(key: str, value: str) -> str:
    """An override whose value is one string, whatever signs are in it."""
    # In Hydra's grammar a backslash is only a sign like others unless a quote follows.
    inner = re.sub(r'(\\+)(?="|\Z)', r"\1\1", value).replace('"', '\\"')
    return f'{key}="{inner}"'


def shown(path: Path) -> str:
    """A path as it is typed from the current folder."""
    return os.path.relpath(path)


def wrong_python() -> str:
    """What this Python lacks, and what to type instead; nothing if it lacks nothing."""
    this = sys.executable or "this Python"
    if sys.version_info < OLDEST:
        version = ".".join(str(number) for number in sys.version_info[:3])
        oldest = ".".join(str(number) for number in OLDEST)
        return f"Python {oldest} or newer is needed: {this} is {version}. {_instead([])}"
    missing = [package for module, package in PACKAGES.items() if not importlib.util.find_spec(module)]
    if not missing:
        if _is_installed():
            return ""
        return f"gptlab must be installed, and {this} does not find it: its set-up has not finished. {_instead([])}"
    return f"packages are needed that {this} does not have: {', '.join(missing)}. {_instead(missing)}"


def _instead(missing: "list[str]") -> str:
    """The checkout's own environment, once it is made; else this one with what it lacks."""
    own = all(os.path.isfile(os.path.join(ROOT, name)) for name in ("Makefile", "pyproject.toml"))
    # The Makefile's stamp: an environment that was not made to its end has none.
    ready = os.path.isfile(PYTHON) and os.path.isfile(os.path.join(ROOT, ".venv", ".ready"))
    if own and not (ready and _is_this(PYTHON)):
        words = [shortest(PYTHON), "-m", "gptlab", *sys.argv[1:]]
        again = " ".join(shlex.quote(word) for word in words)
        if ready:
            return f"Type {again}"
        there = "" if os.path.realpath(ROOT) == os.path.realpath(HERE) else shortest(ROOT)
        return f"Type make {f'-C {shlex.quote(there)} ' if there else ''}setup, then {again}"
    if not missing and sys.version_info >= OLDEST:
        return f"Type {python()} -m pip install --editable {shlex.quote(shortest(ROOT))}"
    if not missing:
        return "Install gptlab with a newer one: python3.13 -m pip install FOLDER_OF_GPTLAB"
    install = f"{python()} -m pip install"
    if own:
        return f"Type {install} -r {shlex.quote(shortest(os.path.join(ROOT, 'requirements.txt')))}"
    return f"Type {install} {' '.join(shlex.quote(need) for need in _needs(missing))}"


def _is_this(python: str) -> bool:
    """By its folder: the file itself is a link to the Python that the environment was made with."""
    return os.path.realpath(os.path.dirname(python)) == os.path.realpath(
        os.path.dirname(sys.executable or "")
    )


def _is_installed() -> bool:
    """Whether this Python knows of gptlab, whose version, entry points and needs are looked up there."""
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        distribution("gptlab")
    except PackageNotFoundError:
        return False
    return True


def _needs(missing: "list[str]") -> "list[str]":
    """The packages with the versions that fit."""
    from importlib.metadata import PackageNotFoundError, requires

    try:
        ranges = [need for need in requires("gptlab") or [] if ";" not in need]
    except PackageNotFoundError:
        return missing
    return [next((need for need in ranges if _name(need) == name), name) for name in missing]


def _name(need: str) -> str:
    return need.replace(">", " ").replace("<", " ").replace("=", " ").replace("!", " ").split()[0].lower()
