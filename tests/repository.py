"""The files that a clone of this checkout has."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]


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
