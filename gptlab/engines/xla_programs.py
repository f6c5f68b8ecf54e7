"""What the xla engine compiles: a chunk of training steps, an evaluation, a generation.

Programs are kept by what they depend on, the definition and the ops among it, so that runs which
differ in learning rate, betas, seed or steps share one. Legend: see engine.py.
"""

import threading
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gptlab.autograd.tensor import Tensor
from gptlab.engines.context import Context, causal_context
from gptlab.engines.draws import Drawing, Draws
from gptlab.engines.ending import Ends, are_ends, are_no_ends, ends_in
from gptlab.engines.engine import (
    CROSS_ENTROPY,
    Adapts,
    Choose,
    Definition,
    StepMetrics,
    takes_seen,
    with_fields,
)
from gptlab.engines.judged import COUNTED
from gptlab.engines.packing import stride_of
from gptlab.engines.updating import global_norm, updated
from gptlab.engines.xla_arithmetic import XlaArithmetic, cross_entropy
from gptlab.engines.xla_compiled import Target, compiled
from gptlab.engines.xla_draws import mix
from gptlab.engines.xla_jobs import for_jobs, for_turns
from gptlab.engines.xla_layout import Layout, layout_of
from gptlab.engines.xla_mesh import everywhere, in_use, lying, rows_split
from gptlab.engines.xla_objective import document_sums, mean_true_loss, positions_of, row_sums, zero_numbers
from gptlab.engines.xla_past import kept_of_each, next_logits

Weights = dict[str, jax.Array]

# Of each kind that stay: one takes some MB, and a hundred of the 65,530 memory maps that Linux gives a process,
# which a sweep over hundreds of shapes would use up, and die of it.
PROGRAMS = 32
MAKING = threading.Lock()  # the caches by themselves may have two threads make the same one


def tensors(weights: Weights, arithmetic: XlaArithmetic) -> dict[str, Tensor]:
    return {name: Tensor(array, arithmetic) for name, array in weights.items()}


def shared_row(positions: Any, documents: Any, drawing: Drawing | None = None) -> Context:
    """Of a row (W,) that documents share: where in its document each position is, and in which one; -1 for none."""
    width = len(positions)
    before = np.tril(np.ones((width, width), dtype=bool))
    # Made once: fused into each use of it, it keeps XLA from vectorizing those.
    mask = lax.optimization_barrier(before & (documents[:, None] == documents[None, :]))
    draws = drawing and Draws(jnp, mix, *drawing, documents)
    return Context(positions, positions, mask, ordered=True, draws=draws)


def losses_of_rows(
    definition: Definition,
    arithmetic: XlaArithmetic,
    weights: Weights,
    rows: Any,
    batch: int,
    drawing: Drawing,
) -> Any:
    """Of rows of positions the summed losses, each times its share of the objective; and the true ones, as they are.

    rows: tokens, targets, positions, documents, shares, each (R, W). batch: how many documents there are in all.
    Besides the true ones there are the numbers of xla_objective, of most models none.
    """
    named = tensors(weights, arithmetic)

    def row_loss(tokens: Any, targets: Any, positions: Any, documents: Any, shares: Any) -> Any:
        context = shared_row(positions, documents, drawing)
        each = positions_of(definition, named, arithmetic, tokens, targets, context)
        if not each.plain:
            return row_sums(each, documents, shares, batch)
        objective = jnp.sum(jnp.where(shares > 0, each.losses * shares, 0.0))
        return objective, jnp.sum(jnp.where(shares > 0, each.true, 0.0)), {}

    objectives, nats, numbers = jax.vmap(row_loss)(*rows)
    return jnp.sum(objectives), (jnp.sum(nats), jax.tree.map(jnp.sum, numbers))


def padded_losses(
    definition: Definition,
    arithmetic: XlaArithmetic,
    weights: Weights,
    tokens: jax.Array,
    lengths: jax.Array,
    drawing: Drawing,
) -> Any:
    """Of documents (B, T+1), a row each, what `losses_of_rows` gives: the mean of their losses, ..."""
    named = tensors(weights, arithmetic)
    length = tokens.shape[1] - 1

    def document_loss(row: jax.Array, predictions: jax.Array, document: Any) -> Any:
        context = causal_context(length, Draws(jnp, mix, *drawing, document))
        each = positions_of(definition, named, arithmetic, row[:-1], row[1:], context)
        used = jnp.arange(length, dtype=jnp.int32) < predictions
        if not each.plain:
            return document_sums(each, used, predictions)
        loss = jnp.sum(jnp.where(used, each.losses, 0.0)) / predictions.astype(each.losses.dtype)
        return loss, jnp.sum(jnp.where(used, each.true, 0.0)), {}

    means, nats, numbers = jax.vmap(document_loss)(tokens, lengths, np.arange(len(tokens), dtype=np.int32))
    added = {name: (jnp.sum if name == COUNTED else jnp.mean)(each) for name, each in numbers.items()}
    return jnp.mean(means), (jnp.sum(nats), added)


def unpacked(slots: jax.Array, tokens: jax.Array, lengths: jax.Array, dtype: str) -> Any:
    """What stands at slots (R, W) of a step's documents (B, T+1), as `losses_of_rows` takes it."""
    batch, span = tokens.shape
    stride = stride_of(span)
    used = slots >= 0
    documents = slots >> (stride.bit_length() - 1)  # -1 where nothing stands
    positions = jnp.where(used, slots & (stride - 1), 0)
    known = jnp.maximum(documents, 0)
    at = known * span + positions
    flat = tokens.reshape(-1)
    shares = 1.0 / (batch * lengths.astype(dtype))
    return (
        flat.at[at].get(mode="promise_in_bounds"),
        flat.at[at + 1].get(mode="promise_in_bounds"),
        positions,
        documents,
        jnp.where(used, shares.at[known].get(mode="promise_in_bounds"), 0.0),
    )


@lru_cache(maxsize=PROGRAMS)
def train_program(
    definition: Definition,
    optimizer: Any,
    arithmetic: XlaArithmetic,
    target: Target,
    step_metrics: StepMetrics | None = None,
    jobs: int = 0,
) -> Callable[..., Any]:
    """(weights, moments, step, hyper, tokens, lengths, rates, count, packed, fixed, key)
    -> weights, moments, objectives, norms, losses, numbers.

    losses: nats a counted token; None where that is what the objectives are: one document a step, true arithmetic.
    numbers: those of Metrics, by name.
    weights: those that are trained; fixed: the others, of which no gradient is computed. key: of what is drawn.
    Runs `count` steps, at most as many as there are rates; the rest of the outputs is 0. packed: None,
    and each document has a row; or the slots (P, R, W) and first (C + 1,) of packing.Packed.
    jobs: how many the program trains at once, with a further axis in front of each array; 0 for one.
    """
    spread = target.spread
    used = partial(in_use, spread)

    def gradients(
        layout: Layout,
        params: Any,
        fixed: Weights,
        tokens: jax.Array,
        lengths: jax.Array,
        passes: Any,
        drawing: Drawing,
    ) -> Any:
        """Of a step's documents (B, T+1) the objective, and all nats and other numbers; the gradient of the objective,
        laid out as `params`."""
        # By matrix: a gradient through slices of one vector would take twice as long.
        weights = layout.unflatten(params)
        if passes is None:
            tokens, lengths = rows_split(spread, (tokens, lengths))
            numbers, named = jax.value_and_grad(
                lambda w: padded_losses(
                    definition, arithmetic, used({**fixed, **w}), tokens, lengths, drawing
                ),
                has_aux=True,
            )(weights)
            return numbers, layout.flatten(lying(spread, named))
        slots, first, last = passes

        def one_pass(p: jax.Array, sums: Any) -> Any:
            rows = rows_split(spread, unpacked(slots[p], tokens, lengths, arithmetic.dtype))
            numbers, named = jax.value_and_grad(
                lambda w: losses_of_rows(
                    definition, arithmetic, used({**fixed, **w}), rows, len(lengths), drawing
                ),
                has_aux=True,
            )(weights)
            return jax.tree.map(jnp.add, sums, (numbers, layout.flatten(lying(spread, named))))

        zero = jnp.zeros((), dtype=arithmetic.dtype)
        none = zero_numbers(definition, arithmetic, zero)
        zeros = (zero, (zero, none)), jax.tree.map(jnp.zeros_like, params)
        return for_turns(first, last, one_pass, zeros, jobs)

    def run(
        weights: Weights,
        moments: Any,
        step: jax.Array,
        hyper: dict[str, jax.Array],
        tokens: jax.Array,
        lengths: jax.Array,
        rates: jax.Array,
        count: jax.Array,
        packed: Any,
        fixed: Weights | None = None,
        key: Any = (0, 0),
    ) -> Any:
        bound = with_fields(optimizer, hyper)
        layout = layout_of(optimizer, weights, spread is not None)
        nothing = jnp.zeros_like(rates)
        none = zero_numbers(definition, arithmetic, nothing)
        apart = tokens.shape[1] > 1 or bool(none) or not arithmetic.ops.standard(*CROSS_ENTROPY)

        def of_the_step(params: Any, grads: Any, moved: Any) -> dict[str, Any]:
            if step_metrics is None:
                return {}
            moves = {name: array - params[name] for name, array in moved.items()}
            return step_metrics(jnp, *(layout.unflatten(arrays) for arrays in (params, grads, moves)))

        def one(i: jax.Array, carry: Any) -> Any:
            params, moments, objectives, norms, losses, numbers = carry
            passes = None if packed is None else (packed[0], packed[1][i], packed[1][i + 1])

            def at(params: Any) -> Any:
                drawing = key, lambda: step + i + 1
                return gradients(layout, params, fixed or {}, tokens[i], lengths[i], passes, drawing)

            def again(params: Any) -> Any:
                (objective, _), grads = at(params)
                return objective, grads

            (objective, (nats, found)), grads = at(params)
            norm = global_norm(jnp, grads)
            moved, moments = updated(
                bound,
                jnp,
                params,
                grads,
                moments,
                (step + i + 1).astype(rates.dtype),
                rates[i],
                again=again,
                loss=objective,
            )
            moved, moments = lying(spread, moved), {k: lying(spread, m) for k, m in moments.items()}
            if apart:
                predictions = jnp.sum(lengths[i]).astype(nats.dtype)
                losses = losses.at[i].set(mean_true_loss(nats, found, predictions))
            found = {**found, **of_the_step(params, grads, moved)}
            numbers = {name: each.at[i].set(found[name]) for name, each in numbers.items()}
            return moved, moments, objectives.at[i].set(objective), norms.at[i].set(norm), losses, numbers

        start = layout.flatten(weights), {key: layout.flatten(named) for key, named in moments.items()}
        named = jax.eval_shape(of_the_step, start[0], start[0], start[0])
        numbers = {**none, **dict.fromkeys(named, nothing)}
        carry = (*start, nothing, nothing, nothing if apart else None, numbers)
        params, moments, *found = for_turns(0, count, one, carry, jobs, learnt=2)
        found = everywhere(spread, found)
        return layout.unflatten(params), {k: layout.unflatten(m) for k, m in moments.items()}, *found

    of = "train", definition, optimizer, step_metrics, jobs
    return compiled(for_jobs(run, jobs), arithmetic, target, of, donate_argnums=(0, 1))


@lru_cache(maxsize=PROGRAMS)
def evaluate_program(definition: Definition, arithmetic: XlaArithmetic, target: Target) -> Callable[..., Any]:
    """(weights, tokens (C, B, T+1), lengths (C, B)) -> (C, B) summed cross-entropies, by true arithmetic."""

    def document_loss(weights: Weights, row: jax.Array, predictions: jax.Array) -> jax.Array:
        length = row.shape[0] - 1
        logits = definition.logits(tensors(weights, arithmetic), row[:-1], causal_context(length)).data
        losses = cross_entropy(logits, row[1:])
        return jnp.sum(jnp.where(jnp.arange(length, dtype=jnp.int32) < predictions, losses, 0.0))

    def run(weights: Weights, tokens: jax.Array, lengths: jax.Array) -> jax.Array:
        batch = jax.vmap(document_loss, in_axes=(None, 0, 0))
        weights = in_use(target.spread, weights)
        found: jax.Array = lax.map(
            lambda rows: batch(weights, *rows_split(target.spread, rows)), (tokens, lengths)
        )
        return everywhere(target.spread, found)

    return compiled(run, arithmetic, target, ("evaluate", definition))


@lru_cache(maxsize=PROGRAMS)
def evaluate_rows_program(
    definition: Definition, arithmetic: XlaArithmetic, target: Target
) -> Callable[..., Any]:
    """(weights, and tokens, targets, positions, documents, each (P, R, W)) -> (P, R, W) true cross-entropies."""

    def row_losses(weights: Weights, tokens: Any, targets: Any, positions: Any, documents: Any) -> jax.Array:
        context = shared_row(positions, documents)
        return cross_entropy(definition.logits(tensors(weights, arithmetic), tokens, context).data, targets)

    def run(weights: Weights, *passes: jax.Array) -> jax.Array:
        rows = jax.vmap(row_losses, in_axes=(None, 0, 0, 0, 0))
        weights = in_use(target.spread, weights)
        found: jax.Array = lax.map(lambda arrays: rows(weights, *rows_split(target.spread, arrays)), passes)
        return everywhere(target.spread, found)

    return compiled(run, arithmetic, target, ("evaluate rows", definition))


@lru_cache(maxsize=PROGRAMS)
def merge_program(definition: Adapts, arithmetic: XlaArithmetic, target: Target) -> Callable[..., Any]:
    """weights -> what the definition's `merged` makes of them."""

    def run(weights: Weights) -> Weights:
        found = definition.merged(tensors(weights, arithmetic))
        return lying(target.spread, {name: tensor.data for name, tensor in found.items()})

    return compiled(run, arithmetic, target, ("merge", definition))


@lru_cache(maxsize=PROGRAMS)
def logits_program(definition: Definition, arithmetic: XlaArithmetic, target: Target) -> Callable[..., Any]:
    def run(weights: Weights, tokens: jax.Array) -> jax.Array:
        context = causal_context(tokens.shape[0])
        result: jax.Array = definition.logits(tensors(weights, arithmetic), tokens, context).data
        return result

    return compiled(run, arithmetic, target, ("logits", definition))


@lru_cache(maxsize=PROGRAMS)
def generate_program(
    definition: Definition,
    choose: Choose,
    arithmetic: XlaArithmetic,
    target: Target,
    ends: Ends | None = None,
) -> Callable[..., Any]:
    """(weights, prompt (S,), known, uniforms (n, S), settings) -> (n, S) tokens.

    Stops as soon as every sample has ended. The prompt's first `known` tokens are given, not drawn.
    """

    def run(
        weights: Weights, prompt: jax.Array, known: jax.Array, uniforms: jax.Array, settings: dict[str, Any]
    ) -> jax.Array:
        count, length = uniforms.shape
        begin = prompt[0]
        named = tensors(weights, arithmetic)

        def forward(token: jax.Array, buffers: Any, t: jax.Array) -> Any:
            return next_logits(definition, named, token, buffers, t, length)

        kept, vocabulary = kept_of_each(definition, named, begin)
        last = ends_in(vocabulary, ends)
        buffers = [
            tuple(jnp.zeros((count, *shape), dtype=arithmetic.dtype) for shape in each.shapes(length))
            for each in kept
        ]

        def step(carry: Any) -> Any:
            t, tokens, ended, buffers, samples, *seen = carry
            seen = [counts.at[jnp.arange(count), tokens].add(are_no_ends(tokens, last)) for counts in seen]
            logits, buffers = jax.vmap(forward, in_axes=(0, 0, None))(tokens, buffers, t)
            drawn = jax.vmap(lambda row, *known: choose(jnp, row, *known, **settings))(
                logits, uniforms[:, t], *seen
            )
            given = t + 1 < known
            tokens = jnp.where(given, prompt[jnp.minimum(t + 1, length - 1)], drawn).astype(jnp.int32)
            samples = samples.at[:, t].set(tokens)
            return t + 1, tokens, ended | are_ends(tokens, last), buffers, samples, *seen

        start = jnp.full((count,), begin, dtype=jnp.int32)
        samples = jnp.full((count, length), last[0], dtype=jnp.int32)
        seen = [jnp.zeros((count, vocabulary), dtype=jnp.int32)] if takes_seen(choose) else []
        carry = (jnp.int32(0), start, jnp.zeros((count,), dtype=bool), buffers, samples, *seen)
        done = lax.while_loop(lambda c: (c[0] < length) & ~jnp.all(c[2]), step, carry)
        result: jax.Array = done[4]
        return result

    return compiled(run, arithmetic, target, ("generate", definition, choose, ends))
