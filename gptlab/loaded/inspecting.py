"""An inspection of weights that come from anywhere: a run, a checkpoint, a file, a store."""

from __future__ import annotations

from gptlab.data.beginning import first_token_of
from gptlab.exchange.loading import check_vocabulary, with_model
from gptlab.inspection.inspection import Inspection, inspect
from gptlab.plugins.registry import Registry
from gptlab.runs.source import Source


def inspect_source(source: Source, registry: Registry, text: str) -> Inspection:
    """What the model of the source does with the text, whichever engine trained it.

    Raises UserError for a source without a vocabulary, for what is not registered or does not fit, and for
    a text as `inspect` does.
    """
    tokenizer = check_vocabulary(source, registry)
    source, model = with_model(source, registry)
    start = first_token_of(source.start, source.config, tokenizer)
    return inspect(model.definition, model.ops, source.weights, tokenizer, text, start)


def title_of(source: Source, inspection: Inspection) -> str:
    """One line: the text, and which weights have seen it."""
    step = "" if source.step is None else f", step {source.step:,}"
    place = source.name if source.folder is None else str(source.folder)
    text = inspection.text.replace("\n", r"\n")
    return f'"{text}" in {place}{step}'
