"""What the compiled training program says of the memory that it takes, before it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from gptlab.engines.draws import key_of
from gptlab.engines.engine import Batches, NamedArrays, OptState, trained
from gptlab.engines.foreseen import Needed
from gptlab.engines.xla_chunks import capacity_of, padded, parts_of

if TYPE_CHECKING:
    from gptlab.engines.xla_session import XlaSession


def needed(
    session: XlaSession,
    program: Any,
    weights: NamedArrays,
    optimizer: OptState,
    batches: Batches,
    device: Any,
) -> Needed:
    """program: that of the training, as a run will call it: compiled here, it is in jax's cache when the run asks."""
    dtype = session.arithmetic.dtype

    def shaped(named: NamedArrays) -> NamedArrays:
        return {name: jax.ShapeDtypeStruct(np.shape(array), dtype) for name, array in named.items()}

    whole, moments = shaped(weights), {key: shaped(named) for key, named in optimizer.items()}
    _, slots = batches.prepared
    part, capacity = parts_of(batches)[0], capacity_of(batches)
    compiled = program.lower(
        trained(whole, session.frozen),
        moments,
        np.int32(0),
        {name: jax.ShapeDtypeStruct((), dtype) for name in session.hyper},
        padded(batches.tokens[part], capacity),
        padded(batches.lengths[part], capacity, 1),
        jax.ShapeDtypeStruct((capacity,), dtype),
        np.int32(1),
        slots and slots[0],
        {name: array for name, array in whole.items() if name in session.frozen},
        key_of(batches.seed),
    ).compile()
    said = compiled.memory_analysis()
    own, others = bytes_of(whole), sum(bytes_of(named) for named in moments.values())
    state = own + others
    besides = said.argument_size_in_bytes + said.output_size_in_bytes - said.alias_size_in_bytes - state
    step = said.temp_size_in_bytes + max(0, besides)
    return Needed(state, step, own, free_of(device))


def bytes_of(named: NamedArrays) -> int:
    return sum(array.size * array.dtype.itemsize for array in named.values())


def free_of(device: Any) -> int | None:
    """Bytes that an accelerator has free; None of a CPU, whose arrays are in the process's memory."""
    if device.platform == "cpu":
        return None
    said = device.memory_stats() or {}
    limit = said.get("bytes_limit")
    return None if limit is None else int(limit) - int(said.get("bytes_in_use", 0))
