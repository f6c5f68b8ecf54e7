"""Checks of what judges a model: objectives and metrics. Legend: T positions, V vocabulary, E nEmbd."""

from __future__ import annotations

import string
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from gptlab.autograd.ops import OpTable
from gptlab.autograd.tensor import Arithmetic, Tensor
from gptlab.checks.check import Findings, difference
from gptlab.checks.models import all_ops, moved_weights, small_model
from gptlab.checks.parts import TRIALS, check_gradients, tried_on
from gptlab.checks.sequences import check_repeatable
from gptlab.checks.trials import Trial
from gptlab.engines.context import Context, causal_context
from gptlab.engines.measured import DOCUMENT, RATIO, kind_of
from gptlab.engines.scalar_arithmetic import ScalarArithmetic, data_of
from gptlab.engines.xla_arithmetic import XlaArithmetic
from gptlab.engines.xla_programs import shared_row
from gptlab.engines.xla_settings import jax_precision
from gptlab.model.component import Part, has_exact_gradient
from gptlab.model.counting import counts_of_tokens, with_objective
from gptlab.model.gpt import GPT
from gptlab.model.objective import OBJECTIVE, for_tokens, judged_by
from gptlab.model.slicing import slices_of
from gptlab.plugins.registry import Registry

# Among them is what an objective looks for in a text.
LETTERS = "0123456789" + string.punctuation
LENGTHS = (9, 5, 7)  # of the documents that share a row
SAME = 1e-9


class Rows(NamedTuple):
    """What an objective is given of a row: its weights, hidden (T, E), logits (T, V), tokens and targets (T,)."""

    weights: dict[str, np.ndarray]
    hidden: np.ndarray
    logits: np.ndarray
    tokens: np.ndarray
    targets: np.ndarray


def check_an_objective(registry: Registry, objective: Any, findings: Findings) -> None:
    engines, ops = tried_on(objective), all_ops(registry)
    if not engines:
        return
    with findings.trying("fits a model") as fails:
        tokenizer = registry.get("tokenizer", "char")().build([LETTERS])
        bound = for_tokens(objective, tokenizer)
        definition = with_objective(small_model(registry, vocabSize=tokenizer.vocabSize), bound, ops)
        assert isinstance(definition, GPT)
        weights = moved_weights(definition)
        documents = [random_rows(definition, weights, seed, length) for seed, length in enumerate(LENGTHS)]
        if hash(bound) != hash(for_tokens(objective, tokenizer)):
            fails("two with the same fields must have the same hash: compiled programs are looked up by it")
    if not findings.checks[-1].passed:
        return
    ids = counted_document(definition, ops)
    trials: list[Trial] = [TRIALS[name](definition, ops) for name in engines]
    check_gradients(trials, weights, has_exact_gradient(bound), findings, ids)
    check_repeatable(trials, weights, ids, findings)
    with findings.trying("counts") as fails:
        for problem in of_counts(definition, ops, documents, engines):
            fails(problem)
    with findings.trying("position by position") as fails:
        for problem in of_later_positions(definition, ops, documents[0], engines[0]):
            fails(problem)
    if "xla" in engines:
        with findings.trying("documents share a row") as fails:
            for problem in of_shared_rows(definition, ops, documents):
                fails(problem)


def counted_document(definition: GPT, ops: OpTable) -> np.ndarray:
    """(7,) tokens of a document of which something counts, if there is one among some."""
    generator, found = np.random.default_rng(0), np.zeros(0, dtype=np.int32)
    for _ in range(200):
        found = generator.choice(definition.sizes.vocabSize, 7, replace=False).astype(np.int32)
        counts = counts_of_tokens(definition, ops, found)
        if counts is None or counts.any():
            break
    return found


def random_rows(definition: GPT, weights: dict[str, np.ndarray], seed: int, length: int) -> Rows:
    """Of a document in which something counts, its hidden states and logits drawn."""
    sizes, generator = definition.sizes, np.random.default_rng(seed)
    for _ in range(200):
        ids = generator.choice(sizes.vocabSize, length + 1, replace=False).astype(np.int32)
        counts = counts_of_tokens(definition, OpTable(), ids)
        if counts is None or counts.any():
            break
    hidden, logits = (generator.standard_normal((length, n)) for n in (sizes.nEmbd, sizes.vocabSize))
    return Rows(weights, hidden, logits, ids[:-1], ids[1:])


def said(
    definition: GPT, arithmetic: Arithmetic, rows: Rows, context: Context | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The losses and counts (T,) of an objective in float64, asked directly; a loss that does not count is 0."""
    xp = arithmetic.xp

    def tensor(array: np.ndarray) -> Tensor:
        return Tensor(xp.asarray(array), arithmetic)

    named = {name: tensor(array) for name, array in rows.weights.items()}
    tokens, targets = xp.asarray(rows.tokens), xp.asarray(rows.targets)
    told = replace(context or causal_context(len(tokens)), tokens=tokens)
    hidden, logits, own = tensor(rows.hidden), tensor(rows.logits), Part(named, OBJECTIVE)
    judged = judged_by(definition.objective, own, hidden, logits, tokens, targets, told)
    counts = np.ones(len(tokens)) if judged.counts is None else np.asarray(judged.counts, dtype=float)
    return np.where(counts > 0, data_of(np.asarray(judged.losses.data)), 0.0), counts


def of_counts(
    definition: GPT, ops: OpTable, documents: list[Rows], engines: tuple[str, ...]
) -> Iterator[str]:
    """Whether counts are numbers of at least 0, made of tokens alone, and the same on each engine."""
    for rows in documents:
        found = {name: asked(definition, ops, rows, name) for name in engines}
        losses, counts = found[engines[0]]
        if not (np.isfinite(counts).all() and (counts >= 0).all()):
            yield f"counts must be numbers of at least 0: got {counts.tolist()}"
        if not np.isfinite(losses[counts > 0]).all():
            yield "the losses of positions that count must be finite, and some are not"
        other = Rows(*({n: 2 * a for n, a in rows.weights.items()}, 2 * rows.hidden, -rows.logits), *rows[3:])
        if problem := difference(counts, asked(definition, ops, other, engines[0])[1], 0.0):
            yield (
                f"counts depend on what the model computes {problem}: they must not, as they select the tokens "
                "that are judged, in val/loss too"
            )
        if len(found) == 2:
            for what, one, another in zip(("losses", "counts"), *found.values(), strict=True):
                if problem := difference(one, another, SAME):
                    yield f"the {what} of one document differ ({', '.join(found)}) {problem}"


def of_later_positions(definition: GPT, ops: OpTable, rows: Rows, engine: str) -> Iterator[str]:
    """Whether a position is judged by what the model has made of later ones, which have seen its target."""
    whole = asked(definition, ops, rows, engine)[0]
    for cut in range(1, len(rows.tokens)):
        later = np.arange(len(rows.tokens))[:, None] >= cut
        for what in ("hidden", "logits"):
            array = getattr(rows, what)
            moved = rows._replace(**{what: np.where(later, 1.5 * array + 0.5, array)})
            if problem := difference(whole[:cut], asked(definition, ops, moved, engine)[0][:cut], SAME):
                yield (
                    f"losses depend on the {what} of later positions, which have seen the targets: with other "
                    f"tokens from position {cut} on {problem}"
                )


def of_shared_rows(definition: GPT, ops: OpTable, documents: list[Rows]) -> Iterator[str]:
    """Whether documents in one row are judged as each is alone."""
    ends = np.cumsum(LENGTHS)
    row = Rows(
        documents[0].weights, *(np.concatenate(arrays) for arrays in list(zip(*documents, strict=True))[1:])
    )
    positions = np.concatenate([np.arange(n, dtype=np.int32) for n in LENGTHS])
    numbers = np.repeat(np.arange(len(LENGTHS), dtype=np.int32), LENGTHS)
    with jax_precision("float64"):
        context = shared_row(jnp.asarray(positions), jnp.asarray(numbers))
        shared = said(definition, XlaArithmetic(ops, "float64"), row, context)
    for number, rows in enumerate(documents):
        alone = asked(definition, ops, rows, "xla")
        where = slice(ends[number] - LENGTHS[number], ends[number])
        for what, one, other in zip(("losses", "counts"), shared, alone, strict=True):
            if problem := difference(one[where], other, SAME):
                yield (
                    f"document {number} of {len(documents)} in a row has other {what} than alone {problem}. Use "
                    "context.mask, context.positions and context.behind to find what is before a position"
                )


def asked(definition: GPT, ops: OpTable, rows: Rows, engine: str) -> tuple[np.ndarray, np.ndarray]:
    """`said` of one document."""
    if engine == "scalar":
        return said(definition, ScalarArithmetic(ops), rows)
    with jax_precision("float64"):
        return said(definition, XlaArithmetic(ops, "float64"), rows)


def check_a_metric(registry: Registry, metric: Any, findings: Findings) -> None:
    generator = np.random.default_rng(0)
    length = sum(LENGTHS)
    tokenizer = registry.get("tokenizer", "char")().build([LETTERS])
    vocabSize = tokenizer.vocabSize
    with findings.trying("says what it is") as fails:
        metric = for_tokens(metric, tokenizer)
        if hash(metric) != hash(for_tokens(metric, tokenizer)):
            fails("two with the same fields must have the same hash: compiled programs are looked up by it")
        if (kind := kind_of(metric)) not in ("", DOCUMENT, RATIO):
            fails(f'`of` must be "{DOCUMENT}" or "{RATIO}", or left out: got {kind!r}')
        slices_of(type(metric).__name__, metric, getattr(metric, "slicedBy", ()))
    if not findings.checks[-1].passed:
        return
    logits = generator.standard_normal((length, vocabSize))
    tokens, targets = (generator.integers(0, vocabSize, length).astype(np.int32) for _ in range(2))
    targets[::2] = logits.argmax(-1)[::2]  # some are right
    counts = generator.integers(0, 3, length).astype(float)
    arrays = logits, tokens, targets, counts
    with findings.trying("right and counts") as fails:
        right, its = measured(metric, np, *arrays)
        looked_at = (its > 0) | (kind == RATIO)
        if not (np.isfinite(right[looked_at]).all() and np.isfinite(its).all() and (its >= 0).all()):
            fails("right and counts must be finite numbers, and counts at least 0")
        if (its[counts == 0] > 0).any():
            fails(
                "a position whose count is 0 must have a count of 0 in the metric: the objective leaves it out"
            )
        if kind == RATIO and right[counts == 0].any():
            fails(
                "a position whose count is 0 must add 0 to either sum of a ratio: the objective leaves it out"
            )
    if not findings.checks[-1].passed:
        return
    with findings.trying("engines agree") as fails, jax_precision("float64"):
        for what, one, other in zip(
            ("right", "counts"), measured(metric, jnp, *map(jnp.asarray, arrays)), (right, its), strict=True
        ):
            if problem := difference(one, other):
                fails(f"{what} differs (xla, scalar) {problem}")
    with findings.trying("documents share a row") as fails:
        for where in map(slice, np.cumsum((0, *LENGTHS)), np.cumsum(LENGTHS)):
            for what, one, other in zip(
                ("right", "counts"),
                measured(metric, np, *(a[where] for a in arrays)),
                (right, its),
                strict=True,
            ):
                if problem := difference(one, other[where]):
                    fails(f"{what} of a document depends on others in its row {problem}")


def measured(metric: Any, xp: Any, *arrays: Any) -> tuple[np.ndarray, np.ndarray]:
    """(T,) each. Raises ValueError for what does not fit the positions."""
    right, counts = (np.asarray(array, dtype=float) for array in metric(xp, *arrays))
    wanted = (len(arrays[0]),)
    if right.shape != wanted or counts.shape != wanted:
        raise ValueError(f"right and counts must be {wanted}, got {right.shape} and {counts.shape}")
    return right, counts
