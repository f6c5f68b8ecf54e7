"""Times as they are typed: `90s`, `2m`, `1h`."""

import re

from gptlab.errors import UserError

UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def seconds_in(key: str, text: str) -> float:
    """The seconds that the value of `key` stands for; a number alone is of seconds. Raises UserError."""
    match = re.fullmatch(r"(\d+\.?\d*|\.\d+) ?([a-z]*)", text.strip())
    seconds = float(match[1]) * UNITS.get(match[2], 0.0) if match else 0.0
    if not 0 < seconds < float("inf"):
        raise UserError(f"{key} must be a time such as 90s, 2m or 1h: got {text}. Try {key}=2m.")
    return seconds
