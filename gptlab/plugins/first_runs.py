"""What is said before the plugins of a folder run for the first time, or not as they were when they last ran."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from gptlab.errors import UserError
from gptlab.files import read_json, read_regular, write_json
from gptlab.plugins.discovery import Source
from gptlab.plugins.folders import OFF, VARIABLE

FILE = "plugins.json"  # {folder: {"half.py": digest}}
SHOWN = 8  # names in a line
Digests = dict[str, str]


def say_first_runs(sources: Iterable[Source], say: Callable[[str], None]) -> None:
    """Say it of each folder in a line, once: what ran is remembered, if it can be. The checkout's own are gptlab's."""
    folders: dict[Path, Digests] = {}
    for source in sources:
        if source.home is not None and not source.home.own and not source.refusal:
            folders.setdefault(source.home.path.resolve(), {}).update(digests_of(source))
    if not folders:
        return
    known = remembered()
    new = {str(folder): digests for folder, digests in folders.items() if known.get(str(folder)) != digests}
    for folder, digests in new.items():
        if line := line_of(folder, digests, known.get(folder)):
            say(f"{line}; {VARIABLE}={OFF} for none")
    if new:
        remember({**known, **new})


def line_of(folder: str, now: Digests, before: Digests | None) -> str:
    if before is None:
        return f"running the plugins of {folder} for the first time: {listed(now)}"
    changed = listed(name for name in now if name in before and now[name] != before[name])
    added = listed(name for name in now if name not in before)
    said = [f"changed: {changed}" if changed else "", f"new: {added}" if added else ""]
    words = ", ".join(filter(None, said))
    return f"running the plugins of {folder}, not all unchanged: {words}" if words else ""


def listed(names: Iterable[str]) -> str:
    """The plugins that files belong to."""
    plugins = list(dict.fromkeys(name.partition("/")[0] for name in names))
    more = f" and {len(plugins) - SHOWN} more" if len(plugins) > SHOWN else ""
    return ", ".join(plugins[:SHOWN]) + more


def digests_of(source: Source) -> Digests:
    """What the files of a plugin hold, by their names in the folder."""
    assert source.file is not None
    files = [source.file] if source.folder is None else sorted(source.folder.rglob("*.py"))
    home = (source.folder or source.file).parent
    digests = {}
    for file in files:
        with suppress(OSError):  # importing it will say more
            name = file.relative_to(home).as_posix()
            digests[name] = hashlib.sha256(read_regular(file)).hexdigest()[:16]
    return digests


def state_file() -> Path:
    """Where it is remembered: in the user's own folder for such things."""
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "gptlab" / FILE


def remembered() -> dict[str, Digests]:
    """What has run before; of a file that is damaged nothing."""
    try:
        content = read_json(state_file())
    except (UserError, OSError, RuntimeError):  # RuntimeError: the user has no home
        return {}
    if not isinstance(content, dict):
        return {}
    return {folder: digests for folder, digests in content.items() if isinstance(digests, dict)}


def remember(known: dict[str, Digests]) -> None:
    """Keep it, of the folders that are still there. What cannot be kept is said again, and stops nothing."""
    with suppress(OSError, RuntimeError, ValueError):  # ValueError: a folder's name that is no text
        file = state_file()
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, {folder: digests for folder, digests in known.items() if Path(folder).is_dir()})
