"""Names and what they stand for: one table a kind, no name twice."""

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from gptlab.errors import UserError, unknown_name

OWN = "gptlab"  # the owner of the built-in names
COMPONENT_KINDS = ("activation", "norm", "mlp", "attention", "position", "block")
# The config group in which a component of each kind is selected.
GROUPS = {
    **{kind: f"model/{kind}" for kind in (*COMPONENT_KINDS, "adapter", "reparametrization", "init")},
    **{
        kind: kind
        for kind in ("objective", "optimizer", "schedule", "sampler", "tokenizer", "engine", "tracking")
    },
    "dataset": "data",
}
LISTENER = "listener"  # selected by name in a list, several at once
VERB = "verb"
KINDS = ("op", "metric", *GROUPS, LISTENER, VERB)
# gptlab's own verbs; a test holds them to the table of verbs, which plugins know nothing of.
OWN_VERBS = (
    *("train", "generate", "export", "import", "ablate", "ledger", "compare", "inspect", "summary", "graph"),
    *("gallery", "sync", "ui", "play", "plugins", "check"),
)
# What the names of numbers begin with that are gptlab's own: no listener's do.
OWN_NUMBERS = ("train", "val", "parameters", "jobs", "system")


def described(value: Any) -> str:
    """The first line of the docstring; empty if there is none."""
    text = inspect.getdoc(value) or ""
    # A dataclass without a docstring gets its signature as one, which describes nothing.
    generated = inspect.isclass(value) and text.startswith(f"{value.__name__}(")
    return "" if generated else text.split("\n", 1)[0]


@dataclass(frozen=True)
class Entry:
    """One registered name: the thing itself and the plugin that it came from."""

    kind: str
    name: str
    value: Any
    owner: str

    @property
    def description(self) -> str:
        return described(self.value)


class Registry:
    """Ops, components, optimizers ...: `get("norm", "rmsnorm")` is the class of that name."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], Entry] = {}
        # What more to say of a name that is not here, by (kind, name); set by whoever fills the registry.
        self.hint: Callable[[str, str], str] = lambda kind, name: ""
        # What the code of a plugin is, by its name, as a digest; "" where that is not known.
        self.digest: Callable[[str], str] = lambda owner: ""

    def check(self, kind: str, name: str, value: Any, owner: str) -> None:
        """Make sure that `register` can take this.

        Raises UserError for an unknown kind, a name already taken (naming both owners), or, for
        every kind but ops, a value that is not a frozen dataclass.
        """
        if kind not in KINDS:
            raise unknown_name("kind of component", kind, KINDS)
        taken = self._entries.get((kind, name))
        if taken is not None:
            raise UserError(
                f"two plugins register the {kind} '{name}': {taken.owner} and {owner}. "
                "Rename one, or remove one of the two plugins."
            )
        if kind != "op" and not (
            inspect.isclass(value) and is_dataclass(value) and value.__dataclass_params__.frozen  # type: ignore[attr-defined]
        ):
            raise UserError(
                f"the {kind} '{name}' of {owner} must be a frozen dataclass (its fields are its "
                f"config schema), got {value!r}. Write @dataclass(frozen=True) above the class."
            )

        if kind == VERB and (not re.fullmatch(r"[a-zA-Z][\w-]*", name) or name in OWN_VERBS):
            raise UserError(
                "a verb of a plugin must be a word of letters, digits, - and _, and not one of gptlab's own "
                f"({', '.join(OWN_VERBS)}): got '{name}' of {owner}."
            )
        if kind == LISTENER and (not name.isidentifier() or name in OWN_NUMBERS):
            raise UserError(
                f"a listener's name begins its keys and its numbers: it must be letters, digits and _, and none of "
                f"{', '.join(OWN_NUMBERS)}: got '{name}' of {owner}."
            )

    def register(self, kind: str, name: str, value: Any, owner: str) -> None:
        """Add a name. Raises UserError like `check`."""
        self.check(kind, name, value, owner)
        self._entries[kind, name] = Entry(kind, name, value, owner)

    def get(self, kind: str, name: str) -> Any:
        """What `name` stands for. Raises UserError with the nearest names if there is none."""
        return self.entry(kind, name).value

    def entry(self, kind: str, name: str) -> Entry:
        """The name with its owner and description. Raises UserError like `get`."""
        found = self._entries.get((kind, name))
        if found is None:
            raise unknown_name(kind, name, self.names(kind), self.hint(kind, name))
        return found

    def names(self, kind: str) -> list[str]:
        """Every name of a kind, in the order of registration."""
        return [name for (other, name) in self._entries if other == kind]

    def owner(self, kind: str, name: str) -> str:
        """The plugin that registered the name; `gptlab` for the built-in ones."""
        return self.entry(kind, name).owner

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())


def build(registry: Registry, kind: str, settings: dict[str, Any]) -> Any:
    """The component that `settings` describes: `name` selects it, the other keys are its fields.

    Raises UserError for an unknown name or field.
    """
    values = dict(settings)
    cls = registry.get(kind, values.pop("name"))
    known = [field.name for field in fields(cls)]
    for key in values:
        if key not in known:
            raise unknown_name(f"field of {kind} {settings['name']}", key, known)
    return cls(**values)
