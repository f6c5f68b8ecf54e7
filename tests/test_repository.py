"""The repository as a whole: pins, file sizes, and nothing that is true of one machine only."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
# A bracket in each, so that this file does not match itself.
PLACES = re.compile(r"pythonhosted[.]org|/work[/](main|shared)|/opt[/](pypi|wheels)|/root[/]|/home[/]\w")


def repository_files() -> list[Path]:
    """The files that git tracks, and those that it would take at `git add .`."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return [ROOT / name for name in sorted(set(listed.stdout.split("\0"))) if (ROOT / name).is_file()]


# Beside the dependencies each has an extra.
LOCKS = {"requirements.txt": "dev", "requirements-ray.txt": "ray"}


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


@pytest.mark.parametrize("lock", LOCKS)
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
