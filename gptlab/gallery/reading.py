"""What a file of YAML holds, checked key by key: mappings, lists, texts, numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

from gptlab.errors import UserError, nearest


def mapping(content: Any, what: str) -> dict[str, Any]:
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise UserError(f"{what} must be names with what they mean: got {brief(content)}.")
    return content


def sequence(content: Any, what: str) -> list[Any]:
    if not isinstance(content, list):
        raise UserError(f"{what} must be a list: got {brief(content)}.")
    return content


def text_of(content: Any, what: str) -> str:
    if not isinstance(content, str):
        raise UserError(f"{what} must be a text: got {brief(content)}.")
    return content


def brief(content: Any) -> str:
    text = "nothing" if content is None else str(content)
    return text if len(text) <= 60 else f"{text[:60]}..."


def check_keys(given: Mapping[str, Any], known: Sequence[str], what: str) -> None:
    """Raises UserError for a key that `what` has not."""
    for key in given:
        if key not in known:
            close = nearest(key, known)
            guess = f" Did you mean {' or '.join(close)}?" if close else ""
            raise UserError(f"{what} has no key {key}.{guess} It has {', '.join(known)}.")


def number_of(content: Any, what: str) -> float:
    if not isinstance(content, Real) or isinstance(content, bool) or not math.isfinite(content):
        raise UserError(f"{what} must be a number: got {brief(content)}.")
    return float(content)


def kind_in(given: Mapping[str, Any], kinds: Sequence[str], what: str) -> str:
    """The one of these keys that is there. Raises UserError for none, and for several."""
    found = [key for key in given if key in kinds]
    if len(found) != 1:
        raise UserError(
            f"{what} must have one of {', '.join(kinds)}: got {', '.join(found or given) or 'none'}."
        )
    return found[0]
