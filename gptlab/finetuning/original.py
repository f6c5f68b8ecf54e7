"""The data that the weights were trained on before: what is forgotten of it can be measured."""

from __future__ import annotations

from dataclasses import dataclass

from gptlab.assembly import Settings, data_of
from gptlab.data.documents import Documents
from gptlab.data.fixed_vocabulary import FixedVocabulary
from gptlab.errors import UserError
from gptlab.registry import Registry


@dataclass(frozen=True)
class Original:
    """The share of the original data that was held out then; None, and why, if it cannot be had."""

    held_out: Documents | None
    note: str = ""


def original_data(config: Settings, registry: Registry, vocabulary: FixedVocabulary | None) -> Original:
    """The held-out documents of `config["original"]`, split as they were for the run that the weights come from."""
    settings = config["original"]
    if settings["data"] is None or vocabulary is None:
        return without("which data the weights were trained on is not known")
    try:
        # The model is that of the source, and so are blockSize and the documents that it cuts.
        data = data_of({**config, "seed": settings["seed"], "data": settings["data"]}, registry, vocabulary)
    except (UserError, LookupError, TypeError, AttributeError) as error:
        return without(f"the data that the weights were trained on cannot be had again: {error}")
    if settings["digest"] not in (None, data.facts.digest):
        return without("the data that the weights were trained on has changed since")
    if not len(data.held_out):
        return without("the run that the weights come from held out nothing (data.valFraction=0)")
    return Original(data.held_out)


def without(reason: str) -> Original:
    return Original(None, f"no val/originalLoss: {reason}")
