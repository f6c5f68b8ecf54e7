"""One model on several devices that compute each step together: weights lie on a mesh, rows are split over it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from gptlab.engines import xla_devices
from gptlab.engines.ending import Ends
from gptlab.engines.engine import Choose, NamedArrays, Settings, State
from gptlab.engines.xla_compiled import Target
from gptlab.engines.xla_mesh import Spread
from gptlab.engines.xla_session import XlaSession, check_there
from gptlab.engines.xla_settings import jax_precision


@dataclass(eq=False)
class SpreadSession(XlaSession):
    """An XlaSession whose State lies on a mesh. What takes one position at a time is left to the first device."""

    _: KW_ONLY
    spread: Spread

    def __post_init__(self) -> None:
        super().__post_init__()
        self._alone = XlaSession(self.definition, self.optimizer, self.arithmetic, self.frozen)

    @property
    def devices(self) -> int:
        return self.spread.data

    @contextmanager
    def _computing(self, weights: NamedArrays | None = None) -> Iterator[None]:
        # Devices wait for each other within a program: two of them side by side would wait for ever.
        with jax_precision(self.arithmetic.dtype), jax.default_device(None), xla_devices.alone():
            yield

    def _best_device(self, weights: NamedArrays, positions: int) -> Any:
        return self.spread.mesh.local_devices[0]

    def _moved(self, arrays: NamedArrays, device: Any) -> NamedArrays:
        return arrays

    def _target(self, weights: NamedArrays, narrow: bool) -> Target:
        return Target(narrow=narrow, spread=self.spread)

    def export(self, state: State) -> State:
        check_there(state)
        with self._computing():
            moments = {key: whole(named) for key, named in state.optimizer.items()}
            return State(whole(state.weights), moments, state.step)

    def logits(self, state: State, tokens: np.ndarray) -> np.ndarray:
        return self._alone.logits(self._on_one(state), tokens)

    def generate(
        self,
        state: State,
        choose: Choose,
        prompt: np.ndarray,
        uniforms: np.ndarray,
        settings: Settings,
        ends: Ends | None = None,
    ) -> np.ndarray:
        return self._alone.generate(self._on_one(state), choose, prompt, uniforms, settings, ends)

    def slide(
        self,
        state: State,
        choose: Choose,
        windows: np.ndarray,
        uniforms: np.ndarray,
        settings: Settings,
        ends: Ends | None = None,
    ) -> np.ndarray:
        return self._alone.slide(self._on_one(state), choose, windows, uniforms, settings, ends)

    def _on_one(self, state: State) -> State:
        check_there(state)
        with self._computing():
            weights = whole(state.weights)
        return self._alone.init(weights, {}, state.step)

    def _laid(self, named: Mapping[str, Any]) -> NamedArrays:
        def laid(name: str, values: Any) -> Any:
            array = np.array(values, dtype=self.arithmetic.dtype)
            sharding = self.spread.lying(name, array.shape)
            # From what each process has: each takes the parts of its own devices.
            return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])

        return {name: laid(name, values) for name, values in named.items()}

    def _array(self, values: Any) -> Any:
        # numpy's, which every device of a program is given; a jax array is on one.
        return np.array(values, dtype=self.arithmetic.dtype)


def whole(named: NamedArrays) -> NamedArrays:
    """As numpy arrays; all processes of a mesh come by here together."""
    return {
        name: np.array(array)
        if array.is_fully_addressable or array.is_fully_replicated
        else multihost_utils.process_allgather(array, tiled=True)
        for name, array in named.items()
    }
