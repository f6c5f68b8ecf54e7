"""What is typed of an ablation's arms: texts in brackets, each of which is overrides that set an arm apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from gptlab import strict_json
from gptlab.calling import quoted
from gptlab.command.as_typed import unquoted
from gptlab.config.experiments import GROUP as EXPERIMENT
from gptlab.config.experiments import content_of, experiment_files, experiment_named
from gptlab.errors import UserError, unknown_name
from gptlab.plugins.registry import GROUPS, Registry
from gptlab.sweeps.naming import run_name

OPENING, CLOSING, QUOTES = "([{", ")]}", "'\""
NONE = "none"  # the component that does nothing, where a kind has one


@dataclass(frozen=True)
class Arm:
    """name: as it is shown. overrides: what it changes of the baseline, in Hydra's grammar."""

    name: str
    overrides: tuple[str, ...]


def elements(text: str, key: str) -> list[str]:
    """`[a=1, [b=2, c=3]]` -> `a=1`, `[b=2, c=3]`; one without brackets is a list of one.

    Raises UserError for brackets or quotes without their other half, and for an element that is empty.
    """
    text = text.strip()
    inner = text[1:-1] if is_bracketed(text) else text
    found, opened, quote, last = [], [], "", 0
    for at, sign in enumerate(inner):
        if quote:
            quote = "" if sign == quote else quote
        elif sign in QUOTES:
            quote = sign
        elif sign in OPENING:
            opened.append(CLOSING[OPENING.index(sign)])
        elif sign in CLOSING and (not opened or opened.pop() != sign):
            raise UserError(
                f"{key} must have matching brackets and quotes: got {text}, with one '{sign}' too many."
            )
        elif sign == "," and not opened and is_bracketed(text):
            found.append(inner[last:at])
            last = at + 1
    if opened or quote:
        raise UserError(
            f"{key} must have matching brackets and quotes: got {text}, where '{quote or opened[-1]}' is missing."
        )
    found = [one.strip() for one in [*found, inner[last:]]]
    if not all(found):
        raise UserError(f"{key} must name something between its commas: got {text or 'nothing'}.")
    return found


def is_bracketed(text: str) -> bool:
    """Whether one pair of brackets holds all of it."""
    if not (text.startswith("[") and text.endswith("]")):
        return False
    depth = 0
    for at, sign in enumerate(text):
        depth += (sign == "[") - (sign == "]")
        if depth == 0:
            return at == len(text) - 1
    return False


def arms_of(text: str, key: str) -> list[Arm]:
    """The arms that `arms=` or `plus=` names. Raises UserError for what is no override, and no experiment."""
    words = elements(text, key) if text.strip() else []
    for before, word in pairwise(words):
        if "=" in before and "=" not in word and not is_bracketed(word):
            name, _, value = before.partition("=")
            raise UserError(
                f"an arm has one value for each key: type {key}='[{name}={value}, {name}={word}]'."
            )
    return [arm_of(word, key) for word in words]


def arm_of(text: str, key: str) -> Arm:
    words = elements(text, key) if is_bracketed(text) else [text]
    for word in words:
        check_override(word, key)
    overrides = [override for word in words for override in expanded(word)]
    return Arm(
        run_name([word.lstrip("+") if named(word) is None else word for word in words], in_sweep=False),
        tuple(overrides),
    )


def check_override(word: str, key: str) -> None:
    from gptlab.command.line import parsed

    if "=" not in word:
        name = experiment_named(word)
        meant = f"+{EXPERIMENT}={name}" if name else f"{word}=..."
        raise UserError(f"each of {key} must read key=value: got '{word}'. Type {meant}.")
    override = parsed(word)
    if override.is_sweep_override():
        name = word.partition("=")[0]
        values = override.sweep_string_iterator() if override.is_discrete_sweep() else ["..."]
        each = ", ".join(f"{name}={value}" for value in values)
        raise UserError(
            f"each of {key} has one value for each key: got '{word}'. For one each, type {key}='[{each}]'."
        )


def named(word: str) -> str | None:
    """The experiment that an override selects; None for another override."""
    name, _, value = word.partition("=")
    return unquoted(value) if name.lstrip("+") == EXPERIMENT else None


def expanded(word: str) -> list[str]:
    """The override; of an experiment what its own file says, and not what that is built on: the baseline is."""
    name = named(word)
    if name is None:
        return [word]
    files = experiment_files()
    if name not in files:
        raise unknown_name("experiment", name, files)
    found = changes_in(content_of(files[name]) or {})
    if not found:
        raise UserError(
            f"the experiment '{name}' changes nothing: its file adds nothing to what it is built on."
        )
    return found


def changes_in(content: dict[str, Any]) -> list[str]:
    """The overrides that the file of an experiment stands for."""
    found = []
    for entry in content.get("defaults") or []:
        if isinstance(entry, dict):
            for group, choice in entry.items():
                found.append(f"{str(group).removeprefix('override ').strip().lstrip('/')}={choice}")
    for key, value in content.items():
        if key not in ("defaults", "description"):
            found += values_in(str(key), value)
    return found


def values_in(key: str, value: Any) -> Iterable[str]:
    if isinstance(value, dict) and value:
        for inner, one in value.items():
            yield from values_in(f"{key}.{inner}", one)
    elif isinstance(value, str):
        yield quoted(key, value)
    else:
        yield f"{key}={strict_json.dumps(value)}"


def without(text: str, registry: Registry) -> list[Arm]:
    """The arms of `minus=`: the baseline without a part each. Raises UserError for what cannot be left out."""
    found = []
    for part in elements(text, "minus") if text.strip() else []:
        kind = next((kind for kind, group in GROUPS.items() if part in (kind, group)), part)
        can = [k for k, g in GROUPS.items() if g.startswith("model/") and NONE in registry.names(k)]
        if kind not in GROUPS:
            raise unknown_name("part of a model that minus takes out", part, can)
        if kind not in can:
            raise UserError(f"minus can take out {', '.join(can)}: there is no {kind} that does nothing.")
        found.append(Arm(f"without {kind}", (f"{GROUPS[kind]}={NONE}",)))
    return found


def key_of(override: str) -> str:
    """What an override sets, however it is added."""
    return override.partition("=")[0].lstrip("+~")


def merged(*changes: Sequence[str]) -> list[str]:
    """Overrides of which a later one stands in the place of an earlier one of its key: Hydra takes a group once."""
    found: dict[str, str] = {}
    for override in (one for some in changes for one in some):
        found[key_of(override)] = override
    return list(found.values())
