"""engine.devices and engine.mesh: how many devices a step is spread over, and what must divide by them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Protocol, runtime_checkable

from gptlab.errors import UserError, require, unknown_name

ALL = "all"
DATA, MODEL = AXES = ("data", "model")
VIRTUAL = "--xla_force_host_platform_device_count"


@dataclass(frozen=True)
class MeshSizes:
    """Devices along each axis of the mesh: `data` of them share the rows of a step, `model` the numbers of a matrix.

    sharded: whether weights and the optimizer's numbers lie in parts, rather than whole on each device.
    """

    data: int
    model: int
    sharded: bool


@runtime_checkable
class Spreads(Protocol):
    """What an engine may have besides: steps that several devices compute together."""

    def check_spread(self, batchSize: int | None, nHead: int) -> None:
        """Raises UserError where the devices do not divide these, or are not there. None: not known yet."""
        ...

    def alone(self) -> Any:
        """The same engine on one device: what weights are read with, wherever they were trained."""
        ...


def check_settings(devices: Any, mesh: Mapping[str, int]) -> None:
    """Raises UserError for what no number of devices would make right."""
    if devices != ALL:
        if isinstance(devices, bool) or not isinstance(devices, int):
            raise UserError(
                f"engine.devices must be a whole number, or {ALL}: got {devices}. Try engine.devices={ALL}."
            )
        require("engine.devices", devices, at_least=1, example=f"1, or {ALL}")
    example = "Try engine.mesh='{data: 2, model: 2}'."
    if not isinstance(mesh, Mapping):
        raise UserError(f"engine.mesh must say how many devices each axis has: got {mesh}. {example}")
    for axis, size in mesh.items():
        if axis not in AXES:
            raise unknown_name("axis of engine.mesh", str(axis), AXES, example)
        if not isinstance(size, int):
            raise UserError(f"engine.mesh.{axis} must be a whole number: got {size}. {example}")
        require(f"engine.mesh.{axis}", size, at_least=1, example=2)
    count = prod(mesh.values())
    if mesh and devices not in (1, ALL, count):
        raise UserError(
            f"engine.mesh must take as many devices as engine.devices says, {devices}: got {told(mesh)}, which takes "
            f"{count}. Leave engine.devices out."
        )


def mesh_sizes(
    devices: int | str, mesh: Mapping[str, int], there: int, platform: str, hosts: int = 1
) -> MeshSizes | None:
    """The mesh of `there` devices that these settings ask for; None for a single device.

    A mesh takes as many as its product, an empty one as many as `devices` says; processes on several hosts take all
    that they have together.
    Raises UserError where there are too few.
    """
    every = devices == ALL or hosts > 1
    count = prod(mesh.values()) if mesh else there if every else int(devices)
    asked = f"engine.mesh={told(mesh)} takes {count}" if mesh else f"got engine.devices={devices}"
    if count > there:
        virtual = f"XLA_FLAGS={VIRTUAL}={count} in front of the command makes virtual ones out of the CPU. "
        fewer = (
            "leave engine.mesh out; to resume a run: engine.devices=1"
            if mesh
            else f"try engine.devices={there}"
        )
        raise UserError(
            f"a step can be spread only over the devices that there are, {there} ({platform}): {asked}. "
            f"{virtual if platform == 'cpu' and hosts == 1 else ''}Or {fewer}."
        )
    if every and (count < there or (devices not in (1, ALL) and devices != there)):
        raise UserError(
            f"{'the processes' if hosts > 1 else f'engine.devices={ALL}'} take all devices, {there}: {asked}. "
            + (f"Try engine.mesh='{{data: {there}}}'." if mesh else f"Try engine.devices={ALL}.")
        )
    if count == 1:
        return None
    sizes = {DATA: 1, MODEL: 1, **mesh} if mesh else {DATA: count, MODEL: 1}
    return MeshSizes(sizes[DATA], sizes[MODEL], sharded=bool(mesh))


def check_divides(sizes: MeshSizes, batchSize: int | None, nHead: int) -> None:
    """Raises UserError unless each device gets as many documents of a step, and as many heads, as any other."""
    if batchSize is not None and batchSize % sizes.data:
        nearest = sizes.data * max(1, round(batchSize / sizes.data))
        raise UserError(
            f"train.batchSize must be a multiple of the devices that share a step's documents, {sizes.data}: got "
            f"{batchSize}. Try train.batchSize={nearest}."
        )
    if nHead % sizes.model:
        nearest = sizes.model * max(1, round(nHead / sizes.model))
        raise UserError(
            f"model.nHead must be a multiple of the mesh's model axis, {sizes.model}: got {nHead}. Try "
            f"model.nHead={nearest}, or another engine.mesh."
        )


def told(mesh: Mapping[str, int]) -> str:
    """As it is typed."""
    return "'{" + ", ".join(f"{axis}: {size}" for axis, size in mesh.items()) + "}'"
