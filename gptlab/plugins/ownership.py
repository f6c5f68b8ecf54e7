"""Whether somebody else could decide what a file holds, who would then run code as this user."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator
from contextlib import suppress
from importlib.machinery import all_suffixes
from pathlib import Path

LINKS = 40  # that are followed, as by Linux
ROOT = 0
BY_GROUP = "system.posix_acl_access"  # more users than those of the group may be in it


def owners() -> frozenset[int]:
    """Whose files may run: one's own, root's, and those of whoever owns `/`; empty where files have no owners."""
    if not hasattr(os, "geteuid"):
        return frozenset()
    return frozenset({os.geteuid(), ROOT, Path("/").stat().st_uid})


def stranger_at(path: Path, owners: frozenset[int]) -> str:
    """Who else could change what is at `path`, in place or by a folder or a link on the way there, and what to type.

    "" if nobody could. In a folder like /tmp, where one can remove only what is one's own, what is one's own is safe.
    """
    on_the_way = list(way_to(path))
    for place in on_the_way:
        if said := stranger_of(place, owners, above=place != on_the_way[-1]):
            return said
    return ""


def stranger_in(entry: Path, owners: frozenset[int]) -> str:
    """The same for what lies in a folder that is known to be safe: a file, or a folder with the code below it.

    What a link in it leads to is looked at, and not what is below that, which may be a disk of data.
    """
    found = [entry]
    if not os.path.islink(entry) or os.path.isfile(entry / "__init__.py"):
        for place, folders, files in os.walk(entry):
            found += [Path(place, name) for name in [*folders, *filter(is_code, files)]]
    said = (
        stranger_at(path, owners) if os.path.islink(path) else stranger_of(path, owners) for path in found
    )
    return next(filter(None, said), "")


def is_code(name: str) -> bool:
    return name.endswith(tuple(all_suffixes()))


def way_to(path: Path) -> Iterator[Path]:
    """The folders and links that lead to `path`, and what it is in the end."""
    here, links = Path("/"), 0
    waiting = list(reversed(path.absolute().parts[1:]))
    yield here
    while waiting:
        name = waiting.pop()
        there = here.parent if name == ".." else here / name
        yield there
        if os.path.islink(there) and links < LINKS:
            links += 1
            target = there.readlink()
            here = Path("/") if target.is_absolute() else here
            waiting += reversed([part for part in target.parts if part != target.anchor])
        else:
            here = there


def stranger_of(place: Path, owners: frozenset[int], above: bool = False) -> str:
    """above: whether it is only on the way."""
    try:
        found = place.lstat()
    except OSError:
        return ""  # then nothing can be run there, either
    if not owners:
        return ""
    shown = shlex.quote(str(place))
    if found.st_uid not in owners:
        mend = (
            "Move them to a folder of your own"
            if above
            else f"Type sudo chown {name_of(os.geteuid())} {shown}"
        )
        return f"{place} belongs to {name_of(found.st_uid)}. {mend}"
    if stat.S_ISLNK(found.st_mode) or (above and found.st_mode & stat.S_ISVTX):
        return ""
    if found.st_mode & stat.S_IWOTH:
        return f"everybody can write to {place}. Type chmod o-w {shown}"
    if found.st_mode & stat.S_IWGRP and not is_private(found.st_gid, owners, place):
        return f"others can write to {place}, by its group. Type chmod g-w {shown}"
    return ""


def is_private(group: int, owners: frozenset[int], place: Path) -> bool:
    """Whether nobody else is in a group: many systems give each user one of the same name, and let it write."""
    import grp

    with suppress(OSError, AttributeError):  # AttributeError: not on macOS
        if BY_GROUP in os.listxattr(place):
            return False
    names = {name_of(owner) for owner in owners}
    try:
        found = grp.getgrgid(group)
    except KeyError:
        return group in owners  # a container's user without a name
    return (group == ROOT or found.gr_name in names) and names.issuperset(found.gr_mem)


def name_of(user: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"
