"""Every check of the names asked for, and the table of them."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from gptlab.checks.check import Check, Findings
from gptlab.errors import unknown_name
from gptlab.plugins.loading import Plugins, load_plugins
from gptlab.plugins.registry import COMPONENT_KINDS, LISTENER, VERB, Entry, Registry, described


@dataclasses.dataclass(frozen=True)
class Subject:
    """What can be checked: a registered name, or a plugin that listens, which has no entry. `asked`: by its name."""

    kind: str
    name: str
    entry: Entry | None = None
    asked: bool = False

    @property
    def title(self) -> str:
        return f"{self.kind} {self.name}"


def subjects(plugins: Plugins, names: Sequence[str] = ()) -> list[Subject]:
    """All that there is, or what has one of these names, or is of the plugin of that name.

    Raises UserError for a name that is neither.
    """
    entries = list(plugins.registry)
    listening = [plugin.source.name for plugin in plugins.found if plugin.listens]
    known = {entry.name for entry in entries} | {entry.owner for entry in entries} | set(listening)
    for name in names:
        if name not in known:
            hint = plugins.registry.hint("name", name)
            raise unknown_name("op, component, listener or plugin", name, known, hint)
    return [
        *(
            Subject(entry.kind, entry.name, entry, bool(names))
            for entry in entries
            if not names or entry.name in names or entry.owner in names
        ),
        *(Subject(LISTENER, name, None, bool(names)) for name in listening if not names or name in names),
    ]


def check_names(plugins: Plugins, names: Sequence[str] = ()) -> list[Check]:
    """The checks of all `subjects`. Raises UserError like it."""
    return [check for subject in subjects(plugins, names) for check in checks_of(plugins, subject)]


def checks_of(plugins: Plugins, subject: Subject) -> list[Check]:
    """Everything that can be tried of one of them."""
    if subject.entry is not None:
        found = check_entry(plugins.registry, subject.entry)
        if subject.kind != LISTENER or not all(check.passed for check in found):
            return found
        findings = Findings(LISTENER, subject.name, found)
    else:
        findings = Findings(LISTENER, subject.name, [])
        with findings.trying("described") as fails:
            if not described(plugins.listener(subject.name)):
                fails("its file needs a docstring whose first line says what it is")
    # A listener may write files or send mails: not because all there is was to be checked.
    if subject.asked and not lacks_a_field(subject.entry):
        from gptlab.checks.listeners import check_a_listener

        check_a_listener(plugins, subject.name, findings)
    return findings.checks


def check_entry(registry: Registry, entry: Entry) -> list[Check]:
    """Everything that can be tried of one registered name."""
    from gptlab.engines.xla_settings import begin

    begin()
    from gptlab.checks import judging, making, parts, rules, starts

    findings = Findings(entry.kind, entry.name, [])
    with findings.trying("described") as fails:
        if problem := undescribed(entry):
            fails(problem)
    if entry.kind == "op":
        parts.check_an_op(entry.value, findings)
        return findings.checks
    if lacks_a_field(entry):
        return findings.checks  # nothing to try it with: it wants a value from a person
    with findings.trying("made with its default fields"):
        made = entry.value()
    if not findings.checks[-1].passed:
        return findings.checks
    tried: dict[str, Any] = {
        **{kind: partial(parts.check_a_component, registry, kind) for kind in COMPONENT_KINDS},
        "adapter": partial(parts.check_an_adapter, registry),
        "reparametrization": partial(making.check_a_reparametrization, registry),
        "init": partial(starts.check_an_init, registry),
        "objective": partial(judging.check_an_objective, registry),
        "metric": partial(judging.check_a_metric, registry),
        "engine": partial(rules.check_an_engine, registry),
        "optimizer": rules.check_an_optimizer,
        "schedule": rules.check_a_schedule,
        "sampler": starts.check_a_sampler,
        "tokenizer": rules.check_a_tokenizer,
        "dataset": rules.check_a_dataset,
        "tracking": rules.check_a_tracking,
        LISTENER: rules.check_a_listener,
        VERB: rules.check_a_verb,
    }
    tried[entry.kind](made, findings)
    return findings.checks


def lacks_a_field(entry: Entry | None) -> bool:
    """Whether one of its fields must be given."""
    return entry is not None and any(
        f.default == "???" or (f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING)
        for f in dataclasses.fields(entry.value)
    )


def undescribed(entry: Entry) -> str:
    """What lacks a description: the name itself, or a field that no docstring of the class speaks of."""
    if not entry.description:
        return "it needs a docstring whose first line says what it is"
    if entry.kind == "op":
        return ""
    words = " ".join(inspect.getdoc(cls) or "" for cls in entry.value.__mro__[:-1])
    missing = [f.name for f in dataclasses.fields(entry.value) if not re.search(rf"\b{f.name}\b", words)]
    return f"the docstring must say what these fields are: {', '.join(missing)}" if missing else ""


def lines_of(title: str, checks: Iterable[Check]) -> Iterator[str]:
    """A line with what was tried; a failed check on a line of its own."""
    tried = list(checks)
    passed = [check.what for check in tried if check.passed]
    yield f"{'ok  ' if len(passed) == len(tried) else 'FAIL'}  {title}  {', '.join(passed)}"
    yield from (f"      {check.what}: {check.problem}" for check in tried if not check.passed)


def assert_passes(*names: str) -> None:
    """For a plugin's own tests: raises AssertionError with the table if a check of these names fails."""
    plugins = load_plugins()
    failed: list[str] = []
    for subject in subjects(plugins, names):
        wrong = [check for check in checks_of(plugins, subject) if not check.passed]
        failed += lines_of(subject.title, wrong) if wrong else []
    if failed:
        raise AssertionError("\n" + "\n".join(failed))
