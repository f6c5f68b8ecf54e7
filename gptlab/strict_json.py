"""JSON as every reader takes it: NaN and the infinities, for which JSON has no form, are named in texts.

json's own `NaN` and `Infinity` are read by Python and by hardly anything else.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

FLOAT = "float"  # the key of an object that stands for a number
NAMES = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def name_of(number: float) -> str:
    """Of a number that is not finite; `float` reads it."""
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def dumps(content: Any, **how: Any) -> str:
    """`json.dumps` with its arguments; a number that is not finite becomes `{"float": "NaN"}` or the like."""
    try:
        return json.dumps(content, allow_nan=False, **how)
    except ValueError:  # there is such a number, or else what is raised again
        return json.dumps(named(content, how.pop("default", None)), allow_nan=False, **how)


def named(content: Any, default: Callable[[Any], Any] | None = None) -> Any:
    """The content with such numbers as objects; `default` as json takes it."""
    if isinstance(content, float) and not math.isfinite(content):
        return {FLOAT: name_of(content)}
    if isinstance(content, dict):
        return {key: named(value, default) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [named(value, default) for value in content]
    if default is not None and not isinstance(content, (str, int, float, type(None))):
        return named(default(content), default)
    return content


def loads(text: str | bytes) -> Any:
    """What `dumps` wrote, to the bit; what json itself wrote, too. Raises ValueError."""
    return json.loads(text, object_hook=number_or_object)


def number_or_object(found: dict[str, Any]) -> Any:
    if len(found) == 1 and isinstance(name := found.get(FLOAT), str) and name in NAMES:
        return NAMES[name]
    return found
