"""An entry of the gallery: a file of YAML that says what is claimed, which runs show it, and what is expected of them.

A file names keys, metrics and numbers. What may be measured, and made of the measures, is in measures.py and claims.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from gptlab.command.line import parsed
from gptlab.command.yaml_reading import composed, constructed
from gptlab.errors import UserError, require, unknown_name
from gptlab.gallery.claims import Claim, claim_of
from gptlab.gallery.measures import Measure, measure_of
from gptlab.gallery.panels import CURVES, Panel, panel_of
from gptlab.gallery.reading import check_keys, mapping, sequence, text_of
from gptlab.plugins.discovery import shown

TEXTS = ("claim", "source")
MOST_SEEDS = 100


@dataclass(frozen=True)
class Grid:
    """Values of one key that each arm is trained at: `train.learningRate: [0.003, 0.01, 0.03]`.

    by: the measure by which the best one of an arm is chosen; empty for the measure that is asked for itself.
    """

    key: str
    values: tuple[float, ...]
    by: str = ""


@dataclass(frozen=True)
class Entry:
    """claim: what was published, in a sentence. source: who, when, where. minutes: on two cores that do nothing else.

    base: overrides of all runs. arms: by name, what sets each apart. grid: None where arms have one setting each.
    seeds: how many. measures: by name, what is read of a run. claims: what must hold. picture: its panels.
    note: what a reader should know besides, such as why it is not reproduced. quick: overrides of a smaller form
    with the same verdict, for tests.
    """

    name: str
    claim: str
    source: str
    minutes: float
    base: tuple[str, ...]
    arms: Mapping[str, tuple[str, ...]]
    seeds: int
    measures: Mapping[str, Measure]
    claims: tuple[Claim, ...]
    picture: tuple[Panel, ...]
    grid: Grid | None = None
    note: str = ""
    quick: tuple[str, ...] = ()

    @property
    def authors(self) -> str:
        """`So et al. 2021`: what its source begins with."""
        return self.source.partition(",")[0]

    @property
    def drawn_metrics(self) -> list[str]:
        """Those whose curves the picture shows."""
        return [panel.names[0] for panel in self.picture if panel.kind == CURVES]


def read_entry(name: str, file: Path) -> Entry:
    """Raises UserError, one line that names the file, for what is no entry."""
    node, loader = composed(file)
    content = None if node is None else constructed(file, node, loader)
    try:
        return entry_of(name, content)
    except UserError as error:
        raise UserError(f"{shown(file)}: {error}") from None


def entry_of(name: str, content: Any) -> Entry:
    given = mapping(content, "an entry of the gallery")
    known = [one.name for one in fields(Entry) if one.name != "name"]
    required = ["claim", "source", "minutes", "arms", "seeds", "measures", "claims", "picture"]
    check_keys(given, known, "an entry")
    for key in required:
        if key not in given:
            raise UserError(f"an entry must have {key}: there is none.")
    for key in [*TEXTS, "note"]:
        if not isinstance(given.get(key, ""), str):
            raise UserError(f"{key} must be a text: got {given[key]}.")
    require("minutes", given["minutes"], above=0, unit="minutes", example=2)
    if not isinstance(given["seeds"], int):
        raise UserError(f"seeds must be a whole number: got {given['seeds']}.")
    require("seeds", given["seeds"], at_least=1, at_most=MOST_SEEDS, example=5)
    arms = {
        text_of(arm, "the name of an arm"): overrides_of(words, f"arms.{arm}")
        for arm, words in mapping(given["arms"], "arms").items()
    }
    if not arms:
        raise UserError("an entry needs at least one arm: arms has none.")
    measures: dict[str, Measure] = {}
    for one, spec in mapping(given["measures"], "measures").items():
        measures[one] = measure_of(one, mapping(spec, f"measures.{one}"), measures)
    grid = None if given.get("grid") is None else grid_of(given["grid"], measures)
    claims = tuple(
        claim_of(mapping(spec, "a claim"), arms, measures, None if grid is None else grid.values)
        for spec in sequence(given["claims"], "claims")
    )
    if not claims:
        raise UserError("an entry needs at least one claim: claims has none.")
    picture = tuple(
        panel_of(mapping(spec, "a panel"), measures, grid is not None)
        for spec in sequence(given["picture"], "picture")
    )
    return Entry(
        name,
        " ".join(given["claim"].split()),
        " ".join(given["source"].split()),
        float(given["minutes"]),
        overrides_of(given.get("base", []), "base"),
        arms,
        given["seeds"],
        measures,
        claims,
        picture,
        grid,
        " ".join(given.get("note", "").split()),
        overrides_of(given.get("quick", []), "quick"),
    )


def grid_of(content: Any, measures: Mapping[str, Measure]) -> Grid:
    given = dict(mapping(content, "grid"))
    by = given.pop("by", "")
    if by and by not in measures:
        raise unknown_name("measure", str(by), measures)
    if len(given) != 1:
        raise UserError(f"a grid has one key: got {', '.join(given) or 'none'}.")
    ((key, values),) = given.items()
    numbers = sequence(values, f"grid.{key}")
    for value in numbers:
        require(f"grid.{key}", value, above=0, example="[0.003, 0.01, 0.03]")
    if len(set(numbers)) < 2 or sorted(numbers) != list(numbers):
        raise UserError(f"grid.{key} must have two values or more, in order: got {numbers}.")
    return Grid(key, tuple(numbers), by)


def overrides_of(content: Any, where: str) -> tuple[str, ...]:
    """Texts that read key=value, one value each. Raises UserError for others."""
    found = tuple(text_of(word, where) for word in sequence(content, where))
    for word in found:
        if "=" not in word or parsed(word).is_sweep_override():
            raise UserError(
                f"{where} must be overrides with one value each, such as train.numSteps=500: got {word}."
            )
    return found


def override(key: str, value: float) -> str:
    return f"{key}={int(value) if value == int(value) else value!r}"
