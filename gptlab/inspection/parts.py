"""The parts of a model that can be made to give something else, by the names that a person types.

`layers.1.head.2` is head 2 of layer 1, `layers.1.attention` and `layers.1.mlp` what these add to the hidden state.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from gptlab.errors import UserError, nearest
from gptlab.inspection.touched import Found
from gptlab.model.gpt import GPT

HEAD, ATTENTION, MLP = "head", "attention", "mlp"
HEADS = "heads"  # where they are computed
NAME = re.compile(rf"layers\.(\d+)\.(?:({ATTENTION}|{MLP})|{HEAD}\.(\d+))")
ASKS = {
    HEAD: "asks for no context.attend, so there are no heads to tell apart",
    ATTENTION: "asks for no attention",
    MLP: "asks for no mlp",
}


@dataclass(frozen=True)
class Spot:
    """A part. head: None for what is no head."""

    layer: int
    kind: str
    head: int | None = None

    @property
    def name(self) -> str:
        return f"layers.{self.layer}.{self.kind}" + ("" if self.head is None else f".{self.head}")

    @property
    def place(self) -> str:
        """Where it is computed, see touched.py."""
        return f"layers.{self.layer}.{HEADS if self.kind == HEAD else self.kind}"


def spots_of(names: str | Sequence[str], definition: GPT, found: Found) -> list[Spot]:
    """The parts that these names are of, each once.

    Raises UserError for a name of none, a layer or a head that there is not, and for what cannot be taken out.
    """
    listed = [names] if isinstance(names, str) else [str(name) for name in names]
    spots = [spot_of(name.strip(), definition, found) for name in listed]
    if not spots:
        raise UserError("without must name a part: got none. Try without=layers.0.mlp.")
    return list(dict.fromkeys(spots))


def spot_of(name: str, definition: GPT, found: Found) -> Spot:
    matched = NAME.fullmatch(name)
    if matched is None:
        known = [spot.name for spot in all_spots(definition, found)]
        near = nearest(name, known)
        raise UserError(
            "without must name parts as layers.0.head.1, layers.0.attention or layers.0.mlp: got "
            f"'{name}'. {f'Did you mean {near[0]}?' if near else 'Try without=layers.0.mlp.'}"
        )
    layer = int(matched[1])
    if layer >= definition.sizes.nLayer:
        last = definition.sizes.nLayer - 1
        instead = name.replace(matched[1], str(last), 1)
        raise UserError(f"a layer of this model must be 0 to {last}: got {name}. Try without={instead}.")
    spot = Spot(layer, matched[2] or HEAD, None if matched[2] else int(matched[3]))
    check_there(spot, definition, found)
    return spot


def check_there(spot: Spot, definition: GPT, found: Found) -> None:
    """Raises UserError for what the layer computes not at all, or several times over."""
    calls = found.calls.get(spot.place, 0)
    if calls != 1:
        own = definition.in_layer(spot.layer)
        asked = type(own.attention if spot.kind == HEAD else own.block).__name__
        why = f"{asked} {ASKS[spot.kind]}" if calls == 0 else f"{asked} computes it {calls} times in a pass"
        rest = [s.name for s in all_spots(definition, found)]
        instead = f" What can: {', '.join(rest[:4])}{' ...' if len(rest) > 4 else ''}" if rest else ""
        raise UserError(f"{spot.name} cannot be taken out: {why}.{instead}")
    if spot.head is not None and spot.head >= (heads := found.shapes[spot.place][1]):
        raise UserError(
            f"a head of layer {spot.layer} must be 0 to {heads - 1}: got {spot.name}. "
            f"Try without=layers.{spot.layer}.head.{heads - 1}."
        )


def all_spots(definition: GPT, found: Found) -> list[Spot]:
    """Every part that can be taken out, layer by layer: the heads, the attention, the mlp."""
    spots = []
    for layer in range(definition.sizes.nLayer):
        heads = Spot(layer, HEAD, 0).place
        if found.calls.get(heads) == 1:
            spots += [Spot(layer, HEAD, head) for head in range(found.shapes[heads][1])]
        spots += [s for kind in (ATTENTION, MLP) if found.calls.get((s := Spot(layer, kind)).place) == 1]
    return spots
