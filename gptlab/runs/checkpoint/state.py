"""state.json: where a run stands, apart from its numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gptlab import strict_json
from gptlab.errors import UserError

FORMAT = 1  # of the checkpoint's folder; a reader refuses a higher one


def state_as_bytes(state: Mapping[str, Any]) -> bytes:
    return (strict_json.dumps(state, ensure_ascii=False, indent=1) + "\n").encode("utf-8")


def check_state(state: Any, path: Path) -> dict[str, Any]:
    """What state.json holds, as it must be. Raises UserError that says what is not."""
    if not isinstance(state, dict) or not is_count(state.get("format")):
        raise UserError(f"{path} must be a checkpoint's state: it has no format.")
    if state["format"] > FORMAT:
        raise UserError(
            f"the checkpoint must be of format {FORMAT} or older: {path} has format {state['format']}. "
            "A newer gptlab wrote it: update this one."
        )
    loss = state.get("valLoss")
    holds = {
        "step": is_count(state.get("step")),
        "position": is_count(state.get("position")),
        "random": is_dict(state, "random") and is_count(state["random"].get("seed")),
        "valLoss": loss is None or is_finite(loss),
        "smoothedLoss": "smoothedLoss" not in state or is_smoothed(state["smoothedLoss"]),
        "run": is_dict(state, "run")
        and all(isinstance(state["run"].get(key), str) for key in ("id", "name")),
        "config": is_dict(state, "config") and is_dict(state["config"], "model"),
        "tokenizer": is_dict(state, "tokenizer") and isinstance(state["tokenizer"].get("name"), str),
        "plugins": is_dict(state, "plugins"),
        "files": is_dict(state, "files") and all(is_count(size) for size in state["files"].values()),
    }
    wrong = [key for key, good in holds.items() if not good]
    if wrong:
        raise UserError(f"{path} must be as gptlab wrote it, and is not: {', '.join(wrong)}.")
    return state


def is_smoothed(kept: Any) -> bool:
    """An earlier gptlab kept none."""
    return isinstance(kept, dict) and all(is_finite(kept.get(key)) for key in ("nats", "tokens"))


def is_finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_dict(state: Mapping[str, Any], key: str) -> bool:
    return isinstance(state.get(key), dict)
