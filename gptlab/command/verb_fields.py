"""What is typed after a verb that a plugin brings: values of the fields of its dataclass, and nothing else."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gptlab.command.as_typed import as_typed, unquoted
from gptlab.command.errors import IN_WORDS
from gptlab.command.line import parsed
from gptlab.config.keys import Schema, bare
from gptlab.config.schema import fields_of
from gptlab.errors import UserError, unknown_name
from gptlab.plugins.registry import Registry


def with_fields(name: str, cls: type, words: Sequence[str], registry: Registry) -> Any:
    """The verb with these `key=value` as its fields. Raises UserError for what is none, or of another type."""
    schema = Schema(cls, lambda: registry)
    known = [field.name for field in dataclasses.fields(cls)]
    config = OmegaConf.structured(dataclasses.make_dataclass("VerbConfig", fields_of(cls)))
    for word in words:
        key, equals, _ = word.partition("=")
        if not equals or word.startswith(("-", "+", "~")):
            keys = ", ".join(f"{field}=" for field in known) or "none"
            raise UserError(
                f"{name} takes keys with their values ({keys}): got {word}. "
                f"Type python -m gptlab {name} --help"
            )
        if key.partition(".")[0] not in known:
            raise unknown_name(f"key of {name}", key, known)
        override = parsed(as_typed(word, schema, single=True))
        if override.is_sweep_override():
            raise UserError(f"only training can sweep: {name} takes one value for each key: got {word}.")
        try:
            OmegaConf.update(config, key, override.value())
        except OmegaConfBaseException:
            given, wanted = unquoted(word.partition("=")[2]), IN_WORDS.get(bare(schema.hint(key)))
            wanted = wanted or f"what its field is, {schema.hint(key)}"
            raise UserError(f"{key} must be {wanted}: got {given or 'an empty text'}.") from None
    missing = [field for field in known if OmegaConf.is_missing(config, field)]
    if missing:
        raise UserError(
            f"{missing[0]} must be given: it has no default. Add {missing[0]}=... to the command."
        )
    values = OmegaConf.to_container(config)
    assert isinstance(values, dict)
    return cls(**{str(key): value for key, value in values.items()})
