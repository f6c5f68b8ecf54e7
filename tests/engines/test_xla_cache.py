"""The programs that are kept on disk: found again, never stale, and never in the way."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import gptlab
from gptlab.engines import xla_cache

OP = """
import gptlab
from half_of import FACTOR

def scaled(x, factor=FACTOR, extra=1.0):
    return extra * factor * x

@gptlab.op(samples=[(0.5, -1.5), (2.0, 3.0)])
def weighed(xp, a, b):
    \"\"\"a * b * factor.\"\"\"
    return scaled(a * b), (scaled(b), scaled(a))

@gptlab.hookimpl
def gptlab_register_ops(register):
    register(weighed)
"""
FILES = {"modules/half_of.py": "FACTOR = 0.5\n", "plugins/weighed.py": OP}
WEIGHED = "ops.mul=weighed"
SMALL = [
    "model.nEmbd=4",
    "model.nHead=2",
    "train.numSteps=2",
    "samples.n=0",
    "tracking=none",
    "data=questions",
]


class Folder:
    """A folder with a plugin, run in processes of their own, as people run it."""

    def __init__(self, path: Path):
        self.path = path
        self.cache = path / "cache" / "gptlab" / "xla"
        (path / "plugins").mkdir()
        (path / "modules").mkdir()
        for name, text in FILES.items():
            self.write(name, text)

    def write(self, name: str, text: str) -> None:
        (self.path / name).write_text(text)

    def start(self, *arguments: str) -> subprocess.Popen:
        env = {name: value for name, value in os.environ.items() if not name.startswith(("JAX", "XLA"))}
        modules = os.pathsep.join([str(self.path / "modules"), str(Path(gptlab.__file__).parents[1])])
        env |= {"XDG_CACHE_HOME": str(self.path / "cache"), "PYTHONPATH": modules}
        # Two edits within a second, of the same length, look like one to Python's own cache of bytecode.
        env |= {"PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.Popen(
            [sys.executable, "-m", "gptlab", *SMALL, *arguments],
            cwd=self.path,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def losses(self, process: subprocess.Popen) -> list[float]:
        """What the run logged, once it has ended well and silently, but that the plugin is new."""
        out, error = process.communicate(timeout=120)
        said = [line for line in error.splitlines() if "running the plugins" not in line]
        assert (process.returncode, said) == (0, [])
        folder = out.partition("run folder: ")[2].split("\n")[0]
        lines = (self.path / folder / "metrics.jsonl").read_text().splitlines()
        return [json.loads(line)["train/loss"] for line in lines]

    def run(self, *arguments: str) -> list[float]:
        return self.losses(self.start(*arguments))

    def kept(self) -> dict[str, tuple[int, int]]:
        """The programs kept, compiled and traced: name to size and time of writing.

        gptlab's own are all called run; what jax compiles for itself is kept only where it takes long.
        """
        found = [*self.cache.glob("jit_run-*-cache"), *self.cache.glob(f"*{xla_cache.KEPT_TRACED}")]
        files = {file.name: file.stat() for file in found}
        return {name: (status.st_size, status.st_mtime_ns) for name, status in files.items()}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


CHANGES = {
    "a constant of another module": ("modules/half_of.py", "FACTOR = 0.6\n"),
    "a default of a function": ("plugins/weighed.py", OP.replace("extra=1.0", "extra=1.5")),
    "a gradient in the body": ("plugins/weighed.py", OP.replace("(scaled(b), ", "(scaled(b) - 0.1, ")),
}


@pytest.mark.slow
def test_a_changed_plugin_never_gets_an_old_program(folder: Folder) -> None:
    first = folder.run(WEIGHED)
    kept = folder.kept()
    assert kept, "else this shows nothing"
    assert folder.run(WEIGHED) == first
    assert folder.kept() == kept, "the second run compiled nothing"
    seen = [first]
    for name, text in CHANGES.values():
        folder.write(name, text)
        seen.append(folder.run(WEIGHED))
        assert seen[-1] not in seen[:-1]
        # The other engine compiles nothing.
        assert seen[-1] == pytest.approx(folder.run(WEIGHED, "engine=scalar"), rel=1e-5)
    for name, text in FILES.items():
        folder.write(name, text)
    kept = folder.kept()
    assert folder.run(WEIGHED) == first
    assert folder.kept() == kept, "the first program again"


@pytest.mark.slow
def test_broken_files_are_replaced(folder: Folder) -> None:
    first = folder.run()
    kept = folder.kept()
    assert {name.rpartition("-")[2] for name in kept} == {"cache", "traced"}, "else this shows nothing"
    broken = {name: (0, 1000)[i % 2] for i, name in enumerate(kept)}
    for name, size in broken.items():
        os.truncate(folder.cache / name, size)
    assert folder.run() == first
    kept = folder.kept()
    assert all(size > broken[name] for name, (size, _) in kept.items() if name in broken)
    compiled = [folder.cache / name for name in kept if name.endswith("-cache")]
    assert not any(xla_cache.is_broken(file.read_bytes()) for file in compiled)
    assert folder.run() == first
    assert folder.kept() == kept


@pytest.mark.slow
def test_two_processes_at_once(folder: Folder) -> None:
    one, other = folder.start(), folder.start()
    assert folder.losses(one) == folder.losses(other) == folder.run()


@pytest.mark.slow
def test_a_folder_that_cannot_be_made_does_no_harm(folder: Folder) -> None:
    (folder.path / "cache").write_text("a file")
    folder.run()


@pytest.mark.slow
def test_a_folder_that_goes_away_does_no_harm(folder: Folder) -> None:
    first = folder.run()
    for name in folder.kept():
        (folder.cache / name).unlink()
        (folder.cache / name).mkdir()  # can be neither read nor written
    assert folder.run() == first


def test_the_folder_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xla_cache, "LARGEST", 250)
    for age in range(5):
        file = tmp_path / f"program{age}-cache"
        file.write_bytes(b"x" * 100)
        os.utime(file, (1e9 - age, 1e9 - age))
    (tmp_path / "other").write_bytes(b"x" * 1000)
    xla_cache.remove_oldest(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {"program0-cache", "program1-cache", "other"}


def test_only_what_came_since_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "old-cache").write_bytes(xla_cache.zlib.compress(b"program"))
    xla_cache.remove_broken(tmp_path)
    os.utime(tmp_path / "old-cache", (1e9, 1e9))
    (tmp_path / "new-cache").write_bytes(xla_cache.zlib.compress(b"program")[:-1])
    read: list[int] = []
    check = xla_cache.is_broken
    monkeypatch.setattr(xla_cache, "is_broken", lambda content: read.append(1) or check(content))
    xla_cache.remove_broken(tmp_path)
    assert [file.name for file in tmp_path.glob("*-cache")] == ["old-cache"]
    assert len(read) == 1
