"""What a component is told of the row that it computes: where positions stand, who sees whom, which layer it is in.

Legend: T positions, S positions that may be attended to, H heads, G heads of keys, D numbers a head.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

import numpy as np

from gptlab.autograd.tensor import Tensor
from gptlab.engines import attending, sequence_state
from gptlab.engines.carried import Carried
from gptlab.engines.draws import Draws
from gptlab.errors import UserError, require

BLOCKS = 8  # each is compiled; with eight, an eighth is left of what no position can see
Through = Callable[[list[Tensor]], tuple[list[Tensor], Any]]  # of Past.advance


class Past(Protocol):
    """What is kept of earlier positions: nothing in training, a cache in generation.

    Which of it a call is about is told by the order of the calls, which must be that of every forward pass.
    """

    def extend(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Add these positions (T, ...); returns all positions there are (S, ...), these included.

        Each attention component calls it once a forward pass.
        """
        ...

    def advance(self, start: list[Tensor], through: Through) -> Any:
        """The result of `through(state) -> (state after these positions, result)`, whose state is kept for the next.

        start: the state before position 0, of which the shapes are those of every state.
        """
        ...


class NoPast:
    """Training: a row's positions are all there at once."""

    def extend(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        return key, value

    def advance(self, start: list[Tensor], through: Through) -> Any:
        return through(start)[1]


@dataclass(frozen=True)
class Context:
    """What a component is told: where the positions of one row stand, who may attend to whom, and which layer it is in.

    positions: (T,) position numbers. key_positions: (S,), those of what may be attended to.
    mask: (T, S) booleans, True where position t may attend to position s.
    ordered: whether T = S and no position may attend to one that stands after it in the row.
    layer: from 0 up; None outside of the layers, as in the norms before and after them.
    tokens: (T,) ids, of a row that documents share all of theirs; in a block of a row, all of the row's.
    carried: Tensors that one layer writes and a later one reads, new in each forward pass.
    draws: what is drawn from in a training step; None elsewhere. dropout: the model's own rate, `model.dropout`.
    penalties: what `penalty` has gathered in this pass, (T,) each; None where nothing is trained.
    counts: (T,) booleans, whether the data has what follows each position count; None where all of it does.
    """

    positions: Any
    key_positions: Any
    mask: Any
    past: Past = field(default_factory=NoPast)
    ordered: bool = False
    layer: int | None = None
    tokens: Any = None
    carried: Carried = field(default_factory=Carried)
    penalties: dict[str, Tensor] | None = None
    draws: Draws | None = None
    dropout: float = 0.0
    counts: Any = None

    @property
    def training(self) -> bool:
        """Whether this is a training step: evaluation, generation and inspection draw nothing at random."""
        return self.draws is not None

    def uniform(self, shape: tuple[int, ...], each: Literal["position", "document"] = "position") -> Any:
        """Numbers in [0, 1) of shape (T, ...), an array, no Tensor: `x.where(context.uniform(x.shape) >= rate, 0.0)`.

        A function of (seed, step, document, position, layer, the n-th draw in this layer), the same on both engines
        and however documents share rows. each: "document" draws once for all of a document's positions, as dropping
        whole layers needs it. Raises UserError where nothing is trained, and for a first size other than T.
        """
        length = len(self.positions)
        if self.draws is None:
            raise UserError(
                "context.uniform draws in training steps only: this is an evaluation. Ask context.training first, and "
                "leave x as it is where that is False."
            )
        if not shape or shape[0] != length:
            raise UserError(
                f"context.uniform draws for each position, so that its shape begins with T: got {tuple(shape)} for "
                f"{length} positions. Try context.uniform(({length}, *shape))."
            )
        site = self.draws.site(self.layer)
        if each == "document":
            return self.draws.of_documents(site, length, tuple(shape[1:]))
        return self.draws.uniform(site, self.positions, tuple(shape[1:]))

    def drop(self, x: Tensor, rate: float | None = None) -> Tensor:
        """x (T, ...), in a training step with each number 0 at this rate and the others 1 / (1 - rate) times as large.

        rate: the model's own, `model.dropout`, if left out (Srivastava et al. 2014, "Dropout"). Raises UserError
        unless it is at least 0 and below 1.
        """
        rate = self.dropout if rate is None else rate
        require("dropout", rate, at_least=0, below=1, example=0.1)
        if not self.training or not rate:
            return x
        return (x * (1.0 / (1.0 - rate))).where(self.uniform(x.shape) >= rate, 0.0)

    def blocks(self, size: int | None) -> list[tuple[slice, slice, Context]]:
        """Blocks of at least `size` of the positions, at most eight, each with the keys that it can see.

        Of each: which positions, which keys, and their context. What is not ordered, or `size` None,
        is one block.
        """
        length = len(self.positions)
        if not self.ordered or size is None or length <= size:
            return [(slice(None), slice(None), self)]
        size = max(size, -(-length // BLOCKS))
        found = []
        for start in range(0, length, size):
            rows, keys = slice(start, start + size), slice(start + size)
            part = replace(
                self,
                positions=self.positions[rows],
                key_positions=self.key_positions[keys],
                mask=self.mask[rows, keys],
                ordered=False,
                draws=self.draws and self.draws.of_rows(rows),
            )
            found.append((rows, keys, part))
        return found

    def attend(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        position: attending.Placing,
        config: Any,
        scale: float | None = None,
    ) -> Tensor:
        """softmax(q·k · scale + bias + mask) · v (Vaswani et al. 2017), of query (T, H, D), key and value (T, G, D).

        G divides H: groups of query heads share a head of keys. position: turns queries and keys, and adds to the
        scores. scale: 1/√D if left out. Returns (T, H, D). All that a component need not know of is in here: what
        generation has kept (`past`), documents that share the row (`mask`), the blocks that a long row is computed in.
        Raises UserError for heads that do not fit.
        """
        return attending.attend(self, query, key, value, position, config, scale)

    def penalty(self, name: str, per_position: Tensor) -> None:
        """Adds to what training minimizes, to no loss that is reported: the mean over the positions of each document.

        per_position: (T,), by the model's own ops. Of one name all are added up, those of other layers too; the sum is
        logged as `train/penalty/NAME`. Without effect where nothing is trained. Raises UserError for another shape.
        """
        if per_position.shape != (len(self.positions),):
            raise UserError(
                f"the penalty '{name}' must have one number for each of {len(self.positions)} positions: got "
                f"{per_position.shape}. Try context.penalty('{name}', x.sum(-1)) for an x of (positions, n)."
            )
        if self.penalties is not None:
            earlier = self.penalties.get(name)
            self.penalties[name] = per_position if earlier is None else earlier + per_position

    def masked(self, pairs: Any) -> Context:
        """The context in which a position sees only those of these pairs (T, S), booleans, that it sees in this one."""
        return replace(self, mask=self.mask & pairs)

    def within(self, window: int) -> Context:
        """The context in which a position sees itself and the window - 1 before it (Beltagy et al. 2020, "Longformer").

        Raises UserError for a window below 1.
        """
        require("window", window, at_least=1, unit="position", example=8)
        return self.masked(self.positions[:, None] - self.key_positions[None, :] < window)

    def behind(self, x: Tensor, k: int) -> Tensor:
        """x (T, ...) of the position k before each; 0 at the first k positions of a document.

        Generation keeps the last k. Raises UserError unless k is a whole number of at least 1.
        """
        return sequence_state.behind(self.positions, self.past.advance, x, k)

    def scan(self, step: Callable[..., tuple[Any, Any]], start: Any, *xs: Tensor) -> Any:
        """The recurrence `step(state, *x_t) -> (state, y_t)` over the positions, from `start` at a document's first.

        xs: Tensors (T, ...), of which a step gets what stands at its position, without the first axis. A state is
        a Tensor, or a tuple or dict of Tensors, and keeps its shapes; so is y. Returns the y of all positions,
        (T, ...). Generation keeps the state. Raises UserError for a state that is not made like the start.
        """
        return sequence_state.scan(self.positions, self.past.advance, step, start, xs)


def causal_context(length: int, draws: Draws | None = None) -> Context:
    """One document of `length` positions, each of which sees itself and what is before it."""
    positions = np.arange(length, dtype=np.int32)
    mask = np.tril(np.ones((length, length), dtype=bool))
    return Context(positions, positions, mask, ordered=True, draws=draws)
