"""The repository as a whole: pins, file sizes, and nothing that is true of one machine only."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.repository import ROOT, repository_files

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
# A bracket in each, so that this file does not match itself.
PLACES = re.compile(r"pythonhosted[.]org|/work[/](main|shared)|/opt[/](pypi|wheels)|/root[/]|/home[/]\w")

# Beside the dependencies each has an extra.
LOCKS = {"requirements.txt": "dev", "requirements-ray.txt": "ray"}
# And what lies over requirements.txt in an environment of its own: the extra alone.
DOCS_LOCK = "requirements-docs.txt"


def locked(lock: str = "requirements.txt") -> dict[str, list[tuple[Requirement, list[str]]]]:
    """requirements.txt: for each name its pins (one for each Python, where they differ) and their hashes."""
    text = re.sub(r"^#.*\n", "", (ROOT / lock).read_text("utf-8"), flags=re.MULTILINE)
    pins: dict[str, list[tuple[Requirement, list[str]]]] = {}
    for line in text.replace("\\\n", " ").splitlines():
        pin, *hashes = re.split(r"\s+--hash=", line.strip())
        requirement = Requirement(pin)
        pins.setdefault(canonicalize_name(requirement.name), []).append((requirement, hashes))
    return pins


def asked_for(extra: str = "dev") -> list[Requirement]:
    """Every range in pyproject.toml, those of an extra included."""
    return [Requirement(text) for text in PROJECT["dependencies"] + PROJECT["optional-dependencies"][extra]]


def make_targets(document: str) -> list[str]:
    """The targets of the `make` commands that a document shows, in code blocks and in backquotes."""
    blocks = re.findall(r"^```.*?^```", document, flags=re.MULTILINE | re.DOTALL)
    lines = re.findall(r"^[ $]*make ([a-z]+)", "\n".join(blocks), flags=re.MULTILINE)
    return lines + re.findall(r"`make ([a-z]+)", document)


def test_no_file_names_a_machine_or_an_index_host() -> None:
    found = []
    for path in repository_files():
        text = path.read_bytes().decode("utf-8", errors="replace")
        found += [f"{path.relative_to(ROOT)}: {match.group()}" for match in PLACES.finditer(text)]
    assert found == []


def test_no_python_file_is_longer_than_400_lines() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines())
        for path in repository_files()
        if path.suffix == ".py"
    }
    assert lengths, "git lists no Python file"
    assert {name: length for name, length in lengths.items() if length > 400} == {}


@pytest.mark.parametrize("lock", [*LOCKS, DOCS_LOCK])
def test_every_requirement_is_pinned_and_hashed_and_none_has_an_address(lock: str) -> None:
    assert "://" not in (ROOT / lock).read_text("utf-8")
    pins = [pin for group in locked(lock).values() for pin in group]
    assert pins
    for requirement, hashes in pins:
        assert [specifier.operator for specifier in requirement.specifier] == ["=="], requirement
        assert hashes, f"{requirement} has no hash"
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest) for digest in hashes), requirement


@pytest.mark.parametrize(
    ("lock", "requirement"),
    [(lock, requirement) for lock, extra in LOCKS.items() for requirement in asked_for(extra)],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_the_pins_lie_within_the_ranges_of_pyproject(lock: str, requirement: Requirement) -> None:
    pins = locked(lock).get(canonicalize_name(requirement.name), [])
    assert pins, f"{lock} lacks {requirement}. Pin it with: make lock"
    for pin, _ in pins:
        (specifier,) = pin.specifier
        assert requirement.specifier.contains(specifier.version), f"{pin} is not {requirement}: make lock"


def test_what_makes_the_site_is_pinned_and_as_the_rest_has_it() -> None:
    pinned, below = locked(DOCS_LOCK), locked()
    for text in PROJECT["optional-dependencies"]["docs"]:
        requirement = Requirement(text)
        ((pin, _),) = pinned[canonicalize_name(requirement.name)]
        (specifier,) = pin.specifier
        assert requirement.specifier.contains(specifier.version), f"{pin} is not {requirement}: make lock"
    shared = pinned.keys() & below.keys()
    assert {"jinja2", "pyyaml"} <= shared
    for name in shared:
        assert {str(pin.specifier) for pin, _ in pinned[name]} <= {
            str(pin.specifier) for pin, _ in below[name]
        }, name


@pytest.mark.slow
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13", "3.14"])
@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_each_python_and_system_gets_one_pin_of_a_name(python: str, platform: str) -> None:
    machine = default_environment() | {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": platform,
    }
    for requirement in asked_for():
        pins = [pin for pin, _ in locked()[canonicalize_name(requirement.name)]]
        fitting = [pin for pin in pins if pin.marker is None or pin.marker.evaluate(machine)]
        assert len(fitting) == 1, pins


def test_the_build_backend_is_among_the_tools() -> None:
    # `make setup` installs the project without build isolation, from what is pinned.
    backend = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["build-system"]["requires"]
    names = {requirement.name for requirement in asked_for()}
    assert {Requirement(text).name for text in backend} <= names


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_documents_name_only_targets_that_the_makefile_has(document: str) -> None:
    shown = make_targets((ROOT / document).read_text("utf-8"))
    assert shown
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), flags=re.MULTILINE)
    assert set(shown) <= set(targets)


def test_readme_shows_the_two_commands() -> None:
    assert {"tiny", "test"} <= set(make_targets((ROOT / "README.md").read_text("utf-8")))


def write_python(path: Path, says: str) -> None:
    """A command that answers as a Python does which is asked with `-c CODE PATH`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{says}\n")
    path.chmod(0o755)


def test_ci_finds_every_python_that_works_oldest_first(tmp_path: Path) -> None:
    path, pyenv = tmp_path / "bin", tmp_path / "pyenv"
    write_python(path / "python3.97", 'echo "3.97 $3"')
    write_python(path / "python3.100", 'echo "3.100 $3"')
    write_python(path / "python3.98", "echo not chosen >&2; exit 127")
    write_python(path / "python3.99-config", 'echo "3.99 $3"')
    write_python(pyenv / "versions" / "3.98.1" / "bin" / "python3.98", 'echo "3.98 $3"')
    environment = {"PATH": f"{path}:/usr/bin:/bin", "PYENV_ROOT": str(pyenv), "HOME": str(tmp_path)}
    done = subprocess.run(
        [ROOT / ".ci" / "pythons"], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-3:] == [
        f"3.97 {path}/python3.97",
        f"3.98 {pyenv}/versions/3.98.1/bin/python3.98",
        f"3.100 {path}/python3.100",
    ]
    assert "3.99 " not in done.stdout


def test_make_uses_the_python_that_it_is_given(tmp_path: Path) -> None:
    for file in ("Makefile", "requirements.txt", "pyproject.toml"):
        (tmp_path / file).write_bytes((ROOT / file).read_bytes())
    write_python(tmp_path / ".venv" / "bin" / "python", "echo 3.11")
    (tmp_path / ".venv" / ".locked").touch()
    (tmp_path / ".venv" / ".ready").write_text(f"{tmp_path.resolve()}\n")
    write_python(tmp_path / "same", "echo 3.11")
    write_python(tmp_path / "other", "echo 3.98")
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHON", "VENV", "MAKEFLAGS")}

    def made(*arguments: str) -> str:
        command = ["make", "--dry-run", "test", *arguments]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout

    assert "venv --clear" not in made() + made("PYTHON=./same")
    assert "./other -m venv --clear .venv\n" in made("PYTHON=./other")
    assert "./other -m venv --clear .venv-other\n" in made("PYTHON=./other", "VENV=.venv-other")
