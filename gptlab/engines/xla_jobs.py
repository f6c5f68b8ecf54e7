"""A compiled call for many jobs at once: `vmap` over them, and what they learn kept as one stack of arrays.

Legend: J jobs of a call. A job's place in a stack is its number in the first axis of each array.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from weakref import WeakValueDictionary

import jax
import jax.numpy as jnp
from jax import lax

from gptlab.engines.engine import Frozen, NamedArrays, OptState, State, trained
from gptlab.engines.xla_settings import jax_precision

JOBS = "jobs"  # the axis of `vmap`


def for_turns(
    first: Any,
    last: Any,
    one: Callable[[Any, Any], Any],
    start: Any,
    jobs: int = 0,
    learnt: int | None = None,
) -> Any:
    """`lax.fori_loop`, whose bounds may differ from job to job; jobs: how many there are in a call, 0 for one alone.

    learnt: how many of the carry's first parts are of use after it, all by default; the others may hold anything where
    a job has no more turns and another one has.
    """
    if not jobs:
        return lax.fori_loop(first, last, one, start)

    def turn(i: Any, carry: Any) -> Any:
        # As many turns for each as the one with the most of them has: a bound that differs would have `vmap` carry
        # each array of the loop through a select and each index through a gather, one of all jobs' too.
        now = first + i
        found = one(now, carry)

        def chosen(new: Any, old: Any) -> Any:
            return jax.tree.map(lambda a, b: jnp.where(now < last, a, b), new, old)

        if learnt is None:
            return chosen(found, carry)
        return *chosen(found[:learnt], carry[:learnt]), *found[learnt:]

    return lax.fori_loop(0, lax.pmax(last - first, JOBS), turn, start)


def for_jobs(run: Callable[..., Any], jobs: int) -> Callable[..., Any]:
    """A training program for so many jobs; itself for one alone."""
    return jax.vmap(run, axis_name=JOBS, axis_size=jobs) if jobs else run


Arrays = tuple[NamedArrays, OptState, NamedArrays]  # the trained weights, the moments, the weights that stay


@dataclass(eq=False)
class Stack:
    """What jobs learn, each array (J, ...). dtype: of its numbers. held: by their places the states that lie in it.

    order: of the names of all weights, of the moments, and of each moment's weights: jax sorts them.
    """

    arrays: Arrays
    order: tuple[list[str], dict[str, list[str]]]
    dtype: str
    held: WeakValueDictionary[int, Placed] = field(default_factory=WeakValueDictionary)

    @classmethod
    def of(cls, state: State, frozen: Frozen, jobs: int, dtype: str) -> Stack:
        """Of so many jobs, each with the numbers of this one."""
        order = [*state.weights], {key: [*named] for key, named in state.optimizer.items()}
        return cls(_repeated(jobs)(arrays_of(state, frozen)), order, dtype)

    @property
    def used_up(self) -> bool:
        return any(array.is_deleted() for array in jax.tree.leaves(self.arrays[:2]))

    def put(self, place: int, state: State, frozen: Frozen) -> None:
        self.arrays = _put()(self.arrays, arrays_of(state, frozen), place)

    def take(self, place: int) -> tuple[NamedArrays, OptState]:
        """The weights and moments of one; arrays that are deleted, where those of the stack are."""
        if self.used_up:
            weights, moments, fixed = self.arrays
        else:
            with jax_precision(self.dtype):
                weights, moments, fixed = _taken()(self.arrays, place)
        names, named = self.order
        all_weights = {**weights, **fixed}
        return {n: all_weights[n] for n in names}, {k: {n: moments[k][n] for n in named[k]} for k in named}


taking = threading.RLock()  # held while a stack is used up, so that nobody takes anything out of it


class Placed(State):
    """A State within a stack: its arrays are taken out of it once someone asks for them, and not between two calls."""

    def __init__(self, stack: Stack, place: int, step: int) -> None:
        self.stack, self.place, self.step = stack, place, step
        stack.held[place] = self

    def __getattr__(self, name: str) -> Any:
        if name not in ("weights", "optimizer"):
            raise AttributeError(name)
        with taking:
            if name not in vars(self):
                self.weights, self.optimizer = self.stack.take(self.place)
            return vars(self)[name]


def gathered(states: Sequence[State], frozen: Frozen, jobs: int, dtype: str) -> tuple[Stack, list[int]]:
    """A stack in which these states lie, and the place of each; that in which most of them lie already, if any.

    To be called, and the stack used up, while `taking` is held.
    """
    stacks = [s.stack for s in states if isinstance(s, Placed) and not s.stack.used_up]
    stack = max(stacks, key=stacks.count) if stacks else Stack.of(states[0], frozen, jobs, dtype)
    there = {id(s): s.place for s in states if isinstance(s, Placed) and s.stack is stack}
    for held in list(stack.held.values()):
        if id(held) not in there:
            held.weights  # noqa: B018 - it goes on to be whole, although the stack does not
    free = iter(sorted(set(range(jobs)) - set(there.values())))
    places = []
    for state in states:
        if id(state) in there:
            places.append(there[id(state)])
        else:
            places.append(next(free))
            stack.put(places[-1], state, frozen)
    return stack, places


def arrays_of(state: State, frozen: Frozen) -> Arrays:
    fixed = {name: array for name, array in state.weights.items() if name in frozen}
    return trained(state.weights, frozen), state.optimizer, fixed


@cache
def _repeated(jobs: int) -> Callable[[Arrays], Arrays]:
    return jax.jit(lambda arrays: jax.tree.map(lambda a: jnp.repeat(a[None], jobs, 0), arrays))


@cache
def _put() -> Callable[[Arrays, Arrays, int], Arrays]:
    def put(stack: Any, one: Any, place: Any) -> Any:
        return jax.tree.map(lambda a, b: lax.dynamic_update_index_in_dim(a, b, place, 0), stack, one)

    return jax.jit(put, donate_argnums=0)


@cache
def _taken() -> Callable[[Arrays, int], Arrays]:
    def taken(stack: Any, place: Any) -> Any:
        return jax.tree.map(lambda a: lax.dynamic_index_in_dim(a, place, 0, keepdims=False), stack)

    return jax.jit(taken)
