"""The documents that a run has held out, had again from its data."""

from __future__ import annotations

from dataclasses import replace

from gptlab.assembly.data import data_of
from gptlab.config.typed import Config, typed
from gptlab.data.documents import Documents
from gptlab.data.fixed_vocabulary import FixedVocabulary
from gptlab.errors import UserError
from gptlab.exchange.loading import known_plugins, sense_of
from gptlab.plugins.registry import Registry, build
from gptlab.runs.saved_run import SavedRun


def held_out_of(saved: SavedRun, registry: Registry, most: int) -> Documents:
    """The first `most` of them.

    Raises UserError for weights whose data is not known, data that is gone or has changed since, and for a run that has
    held out nothing.
    """
    if saved.config is None or saved.tokenizer is None:
        raise UserError(f"which data {saved.name} was trained on is not known: it is not a gptlab run.")
    with known_plugins(registry, saved.plugins), sense_of(saved.name):
        config = replace(typed(Config, saved.config), progress="none")
        component = registry.get("tokenizer", saved.tokenizer["name"])()
        vocabulary = FixedVocabulary(saved.tokenizer, component, saved.name)
        data = data_of(config, build(registry, "dataset", config.data), vocabulary, registry)
    if saved.dataset.get("digest") not in (None, data.facts.digest):
        raise UserError(
            f"the data of {saved.name} has changed since: what was held out from it can no longer be told."
        )
    if not len(data.held_out):
        raise UserError(f"{saved.name} has held out no documents.")
    return data.held_out[slice(most)]
