"""Checks of what a component may know of other positions, in each way in which training and sampling lay them out.

Short documents are tried on both engines. Those on the xla engine are longer than a block of its attention, and
than the small windows and periods that a component may have.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from gptlab.checks.check import Findings, difference
from gptlab.checks.models import all_ops, moved_weights, small_model
from gptlab.checks.trials import ScalarTrial, Trial, XlaTrial
from gptlab.engines.engine import NamedArrays
from gptlab.plugins.registry import Registry

SHORT, LONG = 6, 80  # positions
LENGTHS = (SHORT, LONG - 2 * SHORT - 2, SHORT)  # of the documents that share a row of LONG; two are padding
CUTS = (
    1,
    2,
    LONG // 2,
    LONG - 1,
)  # where a long document is changed; its derivatives are asked of at every cut
SAME = 1e-9  # relative, of what is computed in another order
EXACT = 1e-12


def check_sequences(
    registry: Registry, kind: str, component: Any, engines: tuple[str, ...], findings: Findings
) -> None:
    definition = small_model(registry, blockSize=LONG, vocabSize=LONG, **{kind: component})
    ops, weights = all_ops(registry), moved_weights(definition)
    tokens = np.random.default_rng(0).permutation(LONG).astype(np.int32)
    scalar = ScalarTrial(definition, ops) if "scalar" in engines else None
    xla = XlaTrial(definition, ops, LONG) if "xla" in engines else None
    documents: list[tuple[Trial, np.ndarray]] = []
    documents += [(scalar, tokens[:SHORT])] if scalar else []
    documents += [(xla, tokens)] if xla else []
    with findings.trying("causal") as fails:
        for trial, document in documents:
            for problem in of_later_tokens(trial, weights, document):
                fails(problem)
    if xla:
        with findings.trying("documents share a row") as fails:
            for problem in of_the_neighbours(xla, scalar or xla, weights, tokens):
                fails(problem)
    with findings.trying("cached") as fails:
        for trial, document in documents:
            pairs = zip(trial.one_by_one(weights, document), trial.logits(weights, document), strict=True)
            for t, (one, other) in enumerate(pairs):
                if problem := difference(one, other, SAME):
                    fails(
                        f"position {t} of {len(document)} ({trial.engine} engine): computed alone, after what "
                        f"context.past keeps, it has other logits than computed all at once {problem}"
                    )


def of_later_tokens(trial: Trial, weights: NamedArrays, tokens: np.ndarray) -> Iterator[str]:
    """How logits depend on tokens after their own: by value, and by gradient at every cut."""
    length, whole = len(tokens), trial.logits(weights, tokens)
    short = length == SHORT
    for cut in range(1, length) if short else CUTS:
        changed = np.concatenate([tokens[:cut], np.roll(tokens, -1)[cut:]])
        if problem := difference(whole[:cut], trial.logits(weights, changed)[:cut], EXACT):
            yield f"logits depend on later tokens: with other tokens from position {cut} of {length} on {problem}"
        if short and (problem := difference(whole[:cut], trial.logits(weights, tokens[:cut]), EXACT)):
            yield f"logits depend on later tokens: with and without those from position {cut} on {problem}"
    for some in range(2, length + 1) if short else (length,):
        reach = trial.reach(weights, tokens[:some])
        for t, s in places(np.triu(reached(reach), 1)):
            yield (
                f"the logits at position {t} of {some} have a gradient by the token at position {s}: {reach[t, s]:.3g} "
                f"({trial.engine} engine)"
            )


def of_the_neighbours(
    xla: XlaTrial, reference: Trial, weights: NamedArrays, tokens: np.ndarray
) -> Iterator[str]:
    """How logits depend on the documents that a row is shared with, by value and by gradient."""
    ends = np.cumsum(LENGTHS)
    documents = np.split(tokens, ends)[:-1]
    found, reach = xla.sharing(weights, documents)
    for number, (document, logits) in enumerate(zip(documents, found, strict=True)):
        trial = reference if len(document) == SHORT else xla
        if problem := difference(logits, trial.logits(weights, document), SAME):
            yield (
                f"document {number} of {len(documents)} in a row has other logits than alone {problem}. Use "
                "context.mask, context.positions and context.behind to find what is before a position, not its "
                "place in the row"
            )
    of = np.repeat(np.arange(len(LENGTHS)), LENGTHS)
    for t, s in places(reached(reach) & (of[:, None] != of)):
        yield f"the logits at {t} in a row have a gradient by the token at {s}, of another document: {reach[t, s]:.3g}"


def reached(reach: np.ndarray) -> np.ndarray:
    """Where there is any."""
    return ~(reach <= EXACT * np.nanmax(reach))


def places(where: np.ndarray) -> list[tuple[int, int]]:
    return [(int(t), int(s)) for t, s in np.argwhere(where)]


def check_repeatable(
    trials: list[Trial], weights: NamedArrays, tokens: np.ndarray, findings: Findings
) -> None:
    """Whether a run that is resumed, or done again, comes to the same bits."""
    with findings.trying("repeatable") as fails:
        for trial in trials:
            evaluated = trial.evaluated(weights, tokens, 0)
            if trial.trained(weights, tokens) != trial.trained(weights, tokens):
                fails(
                    f"training twice from the same state gives different bits ({trial.engine} engine): what a "
                    "component computes must depend only on its inputs, not on numpy's generators or on what it "
                    "keeps"
                )
            if evaluated != trial.evaluated(weights, tokens, 7):
                fails(f"evaluating twice, after steps 0 and 7, gives different bits ({trial.engine} engine)")
