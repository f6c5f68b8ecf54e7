"""Every check of the names asked for, and the table of them."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from gptlab.checks.check import Check, Findings
from gptlab.errors import unknown_name
from gptlab.plugins.registry import COMPONENT_KINDS, Entry, Registry

UNCHECKED = ("tracking",)


def check_names(registry: Registry, names: Sequence[str] = ()) -> list[Check]:
    """The checks of everything registered, or of these names: of an op or a component, or of a plugin.

    Raises UserError for a name that is neither.
    """
    entries = [entry for entry in registry if entry.kind not in UNCHECKED]
    known = {entry.name for entry in entries} | {entry.owner for entry in entries}
    for name in names:
        if name not in known:
            raise unknown_name("op, component or plugin", name, known, registry.hint("name", name))
    chosen = [e for e in entries if not names or e.name in names or e.owner in names]
    return [check for entry in chosen for check in check_entry(registry, entry)]


def check_entry(registry: Registry, entry: Entry) -> list[Check]:
    """Everything that can be tried of one registered name."""
    from gptlab.engines.xla_settings import begin

    begin()
    from gptlab.checks import parts, rules

    findings = Findings(entry.kind, entry.name, [])
    with findings.trying("described") as fails:
        if problem := undescribed(entry):
            fails(problem)
    if entry.kind == "op":
        parts.check_an_op(entry.value, findings)
        return findings.checks
    if any(f.default == "???" for f in dataclasses.fields(entry.value)):
        return findings.checks  # nothing to try it with: it wants a value from a person
    with findings.trying("made with its default fields"):
        made = entry.value()
    if not findings.checks[-1].passed:
        return findings.checks
    tried: dict[str, Any] = {
        **{kind: partial(parts.check_a_component, registry, kind) for kind in COMPONENT_KINDS},
        "adapter": partial(parts.check_an_adapter, registry),
        "engine": partial(rules.check_an_engine, registry),
        "optimizer": rules.check_an_optimizer,
        "schedule": rules.check_a_schedule,
        "tokenizer": rules.check_a_tokenizer,
        "dataset": rules.check_a_dataset,
    }
    tried[entry.kind](made, findings)
    return findings.checks


def undescribed(entry: Entry) -> str:
    """What lacks a description: the name itself, or a field that no docstring of the class speaks of."""
    if not entry.description:
        return "it needs a docstring whose first line says what it is"
    if entry.kind == "op":
        return ""
    words = " ".join(inspect.getdoc(cls) or "" for cls in entry.value.__mro__[:-1])
    missing = [f.name for f in dataclasses.fields(entry.value) if not re.search(rf"\b{f.name}\b", words)]
    return f"the docstring must say what these fields are: {', '.join(missing)}" if missing else ""


def table(checks: Iterable[Check]) -> str:
    """A line a name with what was tried; a failed check on a line of its own."""
    rows: dict[tuple[str, str], list[Check]] = {}
    for check in checks:
        rows.setdefault((check.kind, check.name), []).append(check)
    width = max((len(f"{kind} {name}") for kind, name in rows), default=0)
    lines = []
    for (kind, name), tried in rows.items():
        passed = [check.what for check in tried if check.passed]
        status = "ok  " if len(passed) == len(tried) else "FAIL"
        lines.append(f"{status}  {f'{kind} {name}':<{width}}  {', '.join(passed)}")
        lines += [f"      {check.what}: {check.problem}" for check in tried if not check.passed]
    return "\n".join(lines)


def assert_passes(*names: str) -> None:
    """For a plugin's own tests: raises AssertionError with the table if a check of these names fails."""
    from gptlab.plugins.loading import load_plugins

    checks = check_names(load_plugins().registry, names)
    if not all(check.passed for check in checks):
        raise AssertionError("\n" + table(check for check in checks if not check.passed))
