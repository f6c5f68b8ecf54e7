"""Inspections and interventions as JSON, for another program."""

from __future__ import annotations

from typing import Any

import numpy as np

from gptlab import strict_json
from gptlab.inspection.interventions import HeadEffects, Intervention


def json_text(
    run: str,
    step: int | None,
    shown: dict[str, Any],
    intervention: Intervention | None,
    effects: HeadEffects | None,
) -> str:
    """One object. shown: what `positions_of` gives, {} without a text."""
    told: dict[str, Any] = {"run": run, "step": step, **shown}
    if intervention is not None:
        told["without"] = changed_of(intervention)
    if effects is not None:
        told["heads"] = effects_of(effects)
    return strict_json.dumps(told, indent=1)


def positions_of(text: str, tokens: list[str], targets: list[str], losses: np.ndarray) -> dict[str, Any]:
    rows = zip(tokens, targets, losses.tolist(), strict=True)
    positions = [{"after": token, "came": target, "loss": loss} for token, target, loss in rows]
    return {"text": text, "loss": float(losses.mean()), "positions": positions}


def changed_of(found: Intervention) -> dict[str, Any]:
    """effects: what each position's loss gains; effect: the mean."""
    return {
        "parts": found.parts,
        "filled": found.filled,
        "loss": float(found.lossesWithout.mean()),
        "effect": found.effect,
        "losses": found.lossesWithout.tolist(),
        "effects": found.effects.tolist(),
    }


def effects_of(found: HeadEffects) -> dict[str, Any]:
    return {
        "filled": found.filled,
        "loss": found.loss,
        "documents": found.documents,
        "heldOutLoss": found.heldOutLoss,
        "note": found.note,
        "parts": [{"part": part, **found.of(part)} for part in found.parts],
    }
