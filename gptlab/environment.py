"""Is this a Python that gptlab runs on? Read by any Python from 3.6 on, before anything else of gptlab."""

import importlib.util
import os
import shlex
import sys

from gptlab import calling

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
}
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PYTHON = os.path.join(ROOT, ".venv", "bin", "python")  # of a checkout


def wrong_python() -> str:
    """What this Python lacks, and what to type instead; nothing if it lacks nothing."""
    this = sys.executable or "this Python"
    if sys.version_info < OLDEST:
        version = ".".join(str(number) for number in sys.version_info[:3])
        oldest = ".".join(str(number) for number in OLDEST)
        return f"Python {oldest} or newer is needed: {this} is {version}. {_instead([])}"
    missing = [package for module, package in PACKAGES.items() if not importlib.util.find_spec(module)]
    if not missing:
        return ""
    return f"packages are needed that {this} does not have: {', '.join(missing)}. {_instead(missing)}"


def _instead(missing: "list[str]") -> str:
    """The checkout's own environment, once it is made; else this one with what it lacks."""
    own = all(os.path.isfile(os.path.join(ROOT, name)) for name in ("Makefile", "pyproject.toml"))
    # The Makefile's stamp: an environment that was not made to its end has none.
    ready = os.path.isfile(PYTHON) and os.path.isfile(os.path.join(ROOT, ".venv", ".ready"))
    if own and not (ready and _is_this(PYTHON)):
        words = [calling.shortest(PYTHON), "-m", "gptlab", *sys.argv[1:]]
        again = " ".join(shlex.quote(word) for word in words)
        if ready:
            return f"Type {again}"
        there = "" if os.path.realpath(ROOT) == os.path.realpath(calling.HERE) else calling.shortest(ROOT)
        return f"Type make {f'-C {shlex.quote(there)} ' if there else ''}setup, then {again}"
    if not missing:
        return "Install gptlab with a newer one: python3.13 -m pip install FOLDER_OF_GPTLAB"
    install = f"{calling.python()} -m pip install"
    if own:
        return f"Type {install} -r {shlex.quote(calling.shortest(os.path.join(ROOT, 'requirements.txt')))}"
    return f"Type {install} {' '.join(shlex.quote(need) for need in _needs(missing))}"


def _is_this(python: str) -> bool:
    """By its folder: the file itself is a link to the Python that the environment was made with."""
    return os.path.realpath(os.path.dirname(python)) == os.path.realpath(
        os.path.dirname(sys.executable or "")
    )


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
