"""What stands around any optimizer and is one itself: clipped gradients, rates and decay by weight, averaged weights.

Chained from the outside in: Averaged(Clipped(ByName(parts=(Scaled(Decayed(Adam())), Adam())))). The optimizer within is
called as it always is, with what the one around has changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gptlab.engines.engine import NamedArrays, Optimizer, OptState
from gptlab.engines.updating import Again, Around, Given, global_norm, updated

AVERAGE = "train.average"  # the name of the state; no optimizer has one with a dot of its own


@dataclass(frozen=True)
class Clipped(Around):
    """The gradient, of all weights together, no longer than `clip` (Pascanu, Mikolov, Bengio 2013).

    g · clip / max(|g|, clip): to the bit what it was where it is shorter. What `again` gives is clipped, too.
    """

    clip: float

    def changed(self, xp: Any, given: Given) -> Given:
        def shorter(arrays: NamedArrays) -> NamedArrays:
            factor = self.clip / xp.maximum(global_norm(xp, arrays), self.clip)
            return {name: factor * array for name, array in arrays.items()}

        def again_shorter(elsewhere: NamedArrays) -> tuple[Any, NamedArrays]:
            there, found = given.again(elsewhere)
            return there, shorter(found)

        return given._replace(grads=shorter(given.grads), again=again_shorter)


@dataclass(frozen=True)
class Scaled(Around):
    """The learning rate times `rate`."""

    rate: float

    def changed(self, xp: Any, given: Given) -> Given:
        return given._replace(learningRate=given.learningRate * self.rate)


@dataclass(frozen=True)
class Decayed(Around):
    """Weights shrink by their share `decay`, times the learning rate, before the step (Loshchilov, Hutter 2019)."""

    decay: float

    def changed(self, xp: Any, given: Given) -> Given:
        keep = 1 - given.learningRate * self.decay
        return given._replace(params={name: array * keep for name, array in given.params.items()})


@dataclass(frozen=True)
class Averaged(Around):
    """Evaluated and kept is the mean of the weights of all steps, of which a step back counts `average` times as much.

    a + (1 - d) / (1 - dᵗ) · (p - a), which is Adam's running mean with its correction for the first steps; averaging
    is Polyak's and Juditsky's (1992). Of an optimizer that has others evaluated, schedule-free say, those are averaged.
    """

    average: float

    def init(self, params: NamedArrays) -> OptState:
        return {
            **self.inner.init(params),
            AVERAGE: {name: np.array(array) for name, array in params.items()},
        }

    def update(
        self,
        xp: Any,
        params: NamedArrays,
        grads: NamedArrays,
        state: OptState,
        step: Any,
        learningRate: Any,
        again: Again,
        loss: Any,
    ) -> tuple[NamedArrays, OptState]:
        own = without_average(state)
        moved, own = super().update(xp, params, grads, own, step, learningRate, again, loss)
        used = super().evaluation_weights(xp, moved, own) or moved
        share = (1 - self.average) / (1 - self.average**step)
        means = {name: (1 - share) * array + share * used[name] for name, array in state[AVERAGE].items()}
        return moved, {**own, AVERAGE: means}

    def evaluation_weights(self, xp: Any, params: NamedArrays, state: OptState) -> NamedArrays | None:
        return dict(state[AVERAGE])


def without_average(state: OptState) -> OptState:
    return {key: named for key, named in state.items() if key != AVERAGE}


@dataclass(frozen=True)
class ByName:
    """Some weights by one optimizer and some by another, each as if the others' were not there.

    names: of the weights of each part. The state has the part's number in front of each name: `0.mean`, `1.mean`.
    """

    names: tuple[tuple[str, ...], ...]
    parts: tuple[Optimizer, ...]

    def init(self, params: NamedArrays) -> OptState:
        found: OptState = {}
        for i, part in enumerate(self.parts):
            found |= {f"{i}.{key}": named for key, named in part.init(self._of(i, params)).items()}
        return found

    def update(
        self,
        xp: Any,
        params: NamedArrays,
        grads: NamedArrays,
        state: OptState,
        step: Any,
        learningRate: Any,
        again: Again,
        loss: Any,
    ) -> tuple[NamedArrays, OptState]:
        moved, kept = dict(params), dict(state)
        for i, part in enumerate(self.parts):

            def again_here(elsewhere: NamedArrays, i: int = i) -> tuple[Any, NamedArrays]:
                there, found = again({**params, **elsewhere})
                return there, self._of(i, found)

            some, own = updated(
                part,
                xp,
                self._of(i, params),
                self._of(i, grads),
                self._state_of(i, state),
                step,
                learningRate,
                again=again_here,
                loss=loss,
            )
            moved |= some
            kept |= {f"{i}.{key}": named for key, named in own.items()}
        return moved, kept

    def evaluation_weights(self, xp: Any, params: NamedArrays, state: OptState) -> NamedArrays | None:
        chosen = dict(params)
        methods = [getattr(part, "evaluation_weights", None) for part in self.parts]
        found = [
            method and method(xp, self._of(i, params), self._state_of(i, state))
            for i, method in enumerate(methods)
        ]
        for some in found:
            chosen |= some or {}
        return chosen if any(some is not None for some in found) else None

    def _of(self, i: int, arrays: NamedArrays) -> NamedArrays:
        return {name: arrays[name] for name in self.names[i]}

    def _state_of(self, i: int, state: OptState) -> OptState:
        return {key.removeprefix(f"{i}."): named for key, named in state.items() if key.startswith(f"{i}.")}
