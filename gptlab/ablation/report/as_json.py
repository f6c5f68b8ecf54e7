"""ablation.json: an ablation as an object, and the other way round."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from gptlab.ablation.report.decoding import decoded
from gptlab.ablation.report.words import mean_loss
from gptlab.ablation.result import Ablation, ArmResult, Comparison, Setting
from gptlab.errors import UserError
from gptlab.files import parsed, read_regular

JSON = "ablation.json"
LARGEST = 1 << 26  # bytes that are read: nine arms of a hundred seeds take some four million
TOLD_BESIDE = ("baseline", "noise", "arms")


def as_json(ablation: Ablation, curves: bool = True) -> dict[str, Any]:
    """`{baseline, noise, arms: [{name, overrides, seeds, difference, ..., costs, speedup}], ...}`, arms as they came.

    Whatever is not a finite number is null. curves: whether the runs' curves are in it: without it is shorter, and
    their picture cannot be made again.
    """
    told = {
        "baseline": {
            "overrides": ablation.baselineOverrides,
            "loss": mean_loss(ablation.baseline),
            "seeds": len(ablation.baseline.losses),
            **setting_object(ablation.baseline, curves),
        },
        "noise": None if ablation.noise is None else asdict(ablation.noise),
        "arms": [arm_object(arm, curves) for arm in ablation.arms],
        **{f.name: getattr(ablation, f.name) for f in fields(Ablation) if f.name not in TOLD_BESIDE},
    }
    told["baselineTuning"] = None if ablation.baselineTuning is None else asdict(ablation.baselineTuning)
    return finite(told)


def arm_object(arm: ArmResult, curves: bool) -> dict[str, Any]:
    speedup = asdict(arm.speedup)
    return {
        "name": arm.name,
        "overrides": arm.overrides,
        **asdict(arm.comparison),
        "loss": mean_loss(arm.setting),
        "speedup": None if set(speedup.values()) == {None} else speedup,
        **setting_object(arm.setting, curves),
        "untuned": None if arm.untuned is None else asdict(arm.untuned),
        "tuning": None if arm.tuning is None else asdict(arm.tuning),
        "sizes": [asdict(at) for at in arm.sizes],
    }


def setting_object(setting: Setting, curves: bool) -> dict[str, Any]:
    told = asdict(setting)
    for run in told["runs"]:
        run["curve"] = [point for point in run["curve"] if curves and math.isfinite(point[1])]
    return told


def finite(content: Any) -> Any:
    """With null in place of the numbers that JSON has no form for."""
    if isinstance(content, float) and not math.isfinite(content):
        return None
    if isinstance(content, dict):
        return {key: finite(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [finite(value) for value in content]
    return content


def json_text(ablation: Ablation, curves: bool = True) -> str:
    """One line, without its end; halves of letters, which a stranger's name may have, stand as escapes."""
    return json.dumps(as_json(ablation, curves), allow_nan=False)


def from_json(told: Any) -> Ablation:
    """The ablation that `as_json` told. Raises ValueError for anything else."""
    if not isinstance(told, dict):
        raise ValueError("it is no object")
    base, arms = told.get("baseline"), told.get("arms")
    if not isinstance(base, dict) or not isinstance(arms, list):
        raise ValueError("baseline must be an object, and arms a list")
    found = {**told, "arms": [arm_told(arm) for arm in arms]}
    made: Ablation = decoded(found, Ablation, "ablation")
    return made


def arm_told(told: Any) -> dict[str, Any]:
    """The object of an arm as nested as ArmResult is."""
    if not isinstance(told, dict):
        raise ValueError("an arm must be an object")
    none = {"steps": None, "flops": None, "seconds": None}
    return {
        **told,
        "comparison": {f.name: told[f.name] for f in fields(Comparison) if f.name in told},
        "setting": {f.name: told[f.name] for f in fields(Setting) if f.name in told},
        "speedup": none if told.get("speedup") is None else told["speedup"],
    }


def read_ablation(folder: Path) -> Ablation:
    """What ablation.json in a folder tells. Raises UserError if it is missing, damaged, or larger than any could be."""
    file = folder / JSON
    try:
        content = read_regular(file, 0, LARGEST + 1)
    except FileNotFoundError:
        raise UserError(f"an ablation's folder must hold {JSON}: there is no {file}.") from None
    except OSError as error:
        raise UserError(f"{file} must be JSON: {error}.") from None
    if len(content) > LARGEST:
        raise UserError(f"{file} is not as gptlab wrote it: it is larger than {LARGEST:,} bytes.")
    try:
        return from_json(parsed(content, file))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file} is not as gptlab wrote it: {error}.") from None
