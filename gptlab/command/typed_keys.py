"""Keys that were typed and are in no schema: told at once, without plugins and without composing a config.

The slip that is made most is answered in half the time, or less, that Hydra takes to find it.
"""

from __future__ import annotations

import dataclasses
import typing
from typing import TYPE_CHECKING, Any

from gptlab.command.suggesting import chosen_components, unknown_key

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

    from gptlab.command.line import CommandLine


def check_typed_keys(line: CommandLine, root: type) -> None:
    """Raises the UserError for a key that a config of this root cannot have. What only Hydra can tell is left to it."""
    if line.flags.config_name or line.flags.config_path or line.flags.config_dir:
        return
    for override in line.overrides:
        if sets_a_key(override):
            wrong = wrong_part(override.key_or_group.split("."), root)
            if wrong is not None:
                value = str(override.input_line).partition("=")[2]
                chosen = chosen_components(line.verb.name, line.flags.overrides)
                raise unknown_key(override.key_or_group, value, line.verb.schema, chosen, wrong)


def sets_a_key(override: Override) -> bool:
    """Whether it sets a key of gptlab's that is there: no group, nothing of Hydra's own, nothing that is added."""
    other = override.is_hydra_override() or override.is_add() or override.is_force_add()
    return not other and override.package is None and "/" not in override.key_or_group


def wrong_part(names: list[str], schema: Any, prefix: str = "") -> str | None:
    """As much of a key, in its parts, as shows that no config can have it; None if one may.

    Where the schema says nothing (a component's fields) anything goes.
    """
    if not names or not dataclasses.is_dataclass(schema):
        return None
    if names[0] not in (field.name for field in dataclasses.fields(schema)):
        return f"{prefix}{names[0]}"
    return wrong_part(names[1:], typing.get_type_hints(schema)[names[0]], f"{prefix}{names[0]}.")
