"""The metrics that a config names, and how they are asked for of a run's data."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from gptlab.engines.measured import Measures, Sliced
from gptlab.errors import UserError, unknown_name
from gptlab.model.objective import for_tokens
from gptlab.model.slicing import BY, NAMES, slices_of, slicing_of
from gptlab.plugins.registry import Registry, build

if TYPE_CHECKING:
    import numpy as np

METRICS = "metrics"
TRAIN = "train"
# What the rows of a run have by these names already.
TAKEN = {
    "train": ["loss", "smoothedLoss", "tokens", "learningRate", "gradNorm", "objective", "counted"],
    "val": ["loss", "perplexity", "originalLoss"],
}


@dataclass(frozen=True)
class Asked:
    """A metric, by the name that it is registered under. by: what it is sliced by besides. train: on training
    documents, too."""

    name: str
    metric: Any
    by: tuple[str, ...] = ()
    train: bool = False


def metrics_of(entries: Sequence[Any], registry: Registry, labelled: bool = False) -> tuple[Asked, ...]:
    """What is asked for. labelled: by labels of the data as well.

    Raises UserError for what is no name, unknown, there twice, or cannot be sliced so.
    """
    found: dict[str, Asked] = {}
    for i, entry in enumerate(entries):
        settings = {"name": entry} if isinstance(entry, str) else entry
        if not isinstance(settings, Mapping) or not isinstance(settings.get("name"), str):
            raise UserError(
                f"{METRICS}[{i}] must be a name, or a name and fields: got {entry}. Try {METRICS}=[accuracy]."
            )
        name = settings["name"]
        if name in found:
            raise UserError(f"{METRICS} must name each metric once: got {name} twice. Leave one out.")
        found[name] = asked(name, settings, registry, labelled)
    return tuple(found.values())


def asked(name: str, settings: Mapping[str, Any], registry: Registry, labelled: bool = False) -> Asked:
    """A metric with a field of its own called `by`, or `train`, keeps it, and cannot be asked for in that way."""
    from gptlab.config.schema import typed_fields

    entry = registry.get("metric", name)
    own = {item.name for item in fields(entry)}
    ways = {key: settings[key] for key in (BY, TRAIN) if key in settings and key not in own}
    others = {key: value for key, value in settings.items() if key not in ways}
    metric = build(registry, "metric", typed_fields(entry, others))
    train = ways.get(TRAIN, False)
    if not isinstance(train, bool):
        raise UserError(f"{TRAIN} of metric {name} must be true or false: got {train}. Type {TRAIN}: true.")
    for side in ("val", *(["train"] if train else [])):
        if name in TAKEN[side]:
            raise UserError(
                f"a metric must not be called {name}: {side}/{name} is logged already. Rename it."
            )
    slices_of(name, metric, getattr(metric, "slicedBy", ()))
    return Asked(name, metric, slices_of(name, metric, ways.get(BY, ()), labelled), train)


def check_answers(some: Sequence[Asked], answers: Callable[[], bool], data: str) -> None:
    """Raises UserError for a metric `ofAnswers` where each token counts alike.

    answers: whether some do not count; called only where there is such a metric.
    """
    for one in some:
        if getattr(one.metric, "ofAnswers", False) and not answers():
            raise UserError(
                f"{one.name} needs data with answers, or an objective that counts only some tokens: with "
                f"data={data} each token counts. Try {METRICS}=[accuracy], or objective=answers "
                "objective.after='='."
            )


def check_labels(some: Sequence[Asked], labels: Collection[str]) -> None:
    """Raises UserError for a metric that is to be sliced by a label which the data has not."""
    for one in some:
        for what in one.by:
            if what not in (*NAMES, *labels):
                raise UserError(unknown_name(f"{BY} of metric {one.name}", what, [*NAMES, *labels]))


def measures(some: Sequence[Asked], tokenizer: Any, counts: Callable[[], np.ndarray]) -> Measures:
    """What an engine is asked for, once the data is known. counts: those of slicing.py.

    Slices are called `NAME/BY/SLICE`; those that a metric always has, `slicedBy`, are called `NAME/SLICE`, and are
    all that it tells.
    """
    found: dict[str, Any] = {}
    for one in some:
        metric = for_tokens(one.metric, tokenizer)
        always = getattr(metric, "slicedBy", None)
        by = [(one.name, always)] if always else []
        by += [(f"{one.name}/{what}", what) for what in one.by]
        slicings = tuple((begin, slicing_of(what, counts)) for begin, what in by)
        found[one.name] = Sliced(metric, slicings, whole=not always) if slicings else metric
    return tuple(found.items())
