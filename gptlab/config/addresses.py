"""Addresses of MLflow stores: a password kept apart from what is written down, and the path of an SQLite file.

A config is kept, logged and printed, and so is what was typed. A password in an address goes into the
environment instead, where the processes that this one starts find it and nobody else does.
"""

from __future__ import annotations

import os
import re
from functools import cache
from importlib.metadata import version
from typing import Any
from urllib.parse import quote, unquote

SECRET = "GPTLAB_TRACKING_URI"  # the variable with an address and its password
KEY = "tracking.uri"
SQLITE = "sqlite"


def split_address(uri: str) -> tuple[str, str, str]:
    """The address without user and password, the user, the password: as they are meant, not as they are quoted.

    A password may hold `@`, and also `/`, `?` and `#`, which should be quoted and often are not: for a server the
    last `@` ends it.
    """
    scheme, separator, rest = uri.partition("://")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    to_a_server = scheme.startswith("http") and "@" in authority
    whole = rest if to_a_server or _cut_off(authority) else authority
    userinfo, at, _ = whole.rpartition("@")
    if not separator or not at or scheme.startswith(SQLITE):
        return uri, "", ""
    user, _, password = userinfo.partition(":")
    return f"{scheme}://{rest[len(userinfo) + 1 :]}", unquote(user), unquote(password)


def _cut_off(authority: str) -> bool:
    """Whether what looks like a host and a port is a user and the beginning of a password."""
    return "@" not in authority and re.fullmatch(r"[^\[\]]*:\d*|[^:]*|\[.*\](:\d*)?", authority) is None


def join_address(bare: str, user: str, password: str) -> str:
    """The address with user and password, quoted where they must be."""
    scheme, _, rest = bare.partition("://")
    secret = f":{quote(password, safe='')}" if password else ""
    return f"{scheme}://{quote(user, safe='')}{secret}@{rest}" if user or secret else bare


def without_password(uri: str) -> str:
    """The address as it may be kept: `http://user@host`."""
    bare, user, password = split_address(uri)
    return join_address(bare, user, "") if password else uri


def masked(uri: str) -> str:
    """The address as it may be printed: `http://user:***@host`."""
    bare, user, password = split_address(uri)
    scheme, _, rest = bare.partition("://")
    return f"{scheme}://{quote(user, safe='')}:***@{rest}" if password else uri


def hide_password(uri: str) -> str:
    """`without_password`, of which `with_password` knows the rest, here and in processes started from now on."""
    kept = without_password(uri)
    if kept != uri:
        os.environ[SECRET] = uri
    return kept


def with_password(uri: str) -> str:
    """The address with the password that was hidden, if it is that address."""
    hidden = os.environ.get(SECRET, "")
    return hidden if hidden and without_password(hidden) == uri else uri


def hide_in_arguments(arguments: list[str]) -> list[str]:
    """A command line in which no address of a store has a password."""
    pattern = re.compile(rf"([+~]*{re.escape(KEY)}=)(['\"]?)(.*?)(\2)")
    found = [(pattern.fullmatch(argument), argument) for argument in arguments]
    return [f"{m[1]}{m[2]}{hide_password(m[3])}{m[4]}" if m else argument for m, argument in found]


def hide_in_config(settings: dict[str, Any]) -> dict[str, Any]:
    """A config whose store's address has no password."""
    tracking = settings.get("tracking")
    if not isinstance(tracking, dict) or not isinstance(tracking.get("uri"), str):
        return settings
    return {**settings, "tracking": {**tracking, "uri": hide_password(tracking["uri"])}}


def sqlite_address(prefix: str, path: str) -> str:
    """The address of a file, in which no sign of its path means anything to SQLAlchemy."""
    signs = {"%": "%25", "?": "%3F", "#": "%23"} if _decodes() else {}
    return f"{prefix}:///{''.join(signs.get(sign, sign) for sign in path)}"


def sqlite_path(name: str) -> str:
    """The path that SQLAlchemy reads from what follows `sqlite:///`."""
    return unquote(name) if _decodes() else name


@cache
def _decodes() -> bool:
    """Whether the installed SQLAlchemy takes `%25` in a path for `%`: 2.1 does, 2.0 does not."""
    return tuple(int(part) for part in re.findall(r"\d+", version("sqlalchemy"))[:2]) >= (2, 1)
