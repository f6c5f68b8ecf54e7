"""The model of weights that come from anywhere, ready to be asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from gptlab.assembly.architecture import Architecture, engine_and_optimizer
from gptlab.config.typed import Chosen, ModelConfig, typed
from gptlab.data.tokenizers import Tokenizer
from gptlab.errors import UserError
from gptlab.exchange.standard import standard_config
from gptlab.model.model import Model
from gptlab.plugins.code import say_changed_plugins
from gptlab.plugins.registry import Registry, build
from gptlab.runs.checkpoint import (
    check_shapes,
)
from gptlab.runs.source import Source, with_vocabulary


def model_of(
    source: Source, architecture: Architecture, registry: Registry, engine: dict[str, Any] | None = None
) -> Model:
    """The weights of `with_model` on their own engine, or on the one given.

    Raises UserError for an engine or an optimizer that is not registered.
    """
    config = source.config or standard_config(source.sizes)
    definition = architecture.definition
    with known_plugins(registry, source.plugins), sense_of(source.name):
        chosen = Chosen(engine or config["engine"]), Chosen(config["optimizer"])
        built, optimizer = engine_and_optimizer(*chosen, registry)
        session = built.session(definition, optimizer, architecture.ops)
    return Model(definition, session, session.init(source.weights, {}))


def with_model(source: Source, registry: Registry) -> tuple[Source, Architecture]:
    """The source with its weights in the order of `params`, and the model that its config describes.

    Raises UserError for a config that describes none, and for weights that are not of that model.
    """
    config = source.config or standard_config(source.sizes)
    say_changed_plugins(registry, source.plugins, source.name)
    with known_plugins(registry, source.plugins), sense_of(source.name):
        chosen = typed(ModelConfig, config["model"])
        model = Architecture.of(chosen, config["ops"], registry, source.sizes["vocabSize"])
        shapes = {name: weight.shape for name, weight in model.definition.declared_weights().items()}
    check_shapes(source.weights, shapes, Path(source.name))
    return replace(source, weights={name: source.weights[name] for name in shapes}), model


def with_corpus(source: Source, settings: dict[str, Any], registry: Registry) -> Source:
    """The source with the vocabulary that the tokenizer of these settings builds of its path, if one is given.

    Raises UserError if the source has a vocabulary already, or the new one has another size.
    """
    if settings.get("path") is None:
        return source
    if source.tokenizer is not None:
        raise UserError(
            f"tokenizer.path is for weights that carry no vocabulary: {source.name} has its own. Leave it out."
        )
    return with_vocabulary(source, settings["name"], build(registry, "tokenizer", settings))


def check_vocabulary(source: Source, registry: Registry) -> Tokenizer:
    """The tokenizer of a source. Raises UserError if it has none, or one that is not of its weights."""
    if source.tokenizer is None:
        raise UserError(
            f"{source.name} carries no vocabulary: add tokenizer.path=CORPUS, the text that it was trained on."
        )
    with known_plugins(registry, source.plugins), sense_of(source.name):
        tokenizer = restored(source.tokenizer, registry)
        found, wanted = tokenizer.vocabSize, source.sizes["vocabSize"]
    if found != wanted:
        raise UserError(
            f"the vocabulary must be that of the weights: {source.name} has {found} ids in the one, and "
            f"{wanted} in the others."
        )
    return tokenizer


def restored(state: dict[str, Any], registry: Registry) -> Tokenizer:
    """The vocabulary of a tokenizer's state. Raises LookupError or TypeError for what is none."""
    pieces = state.get("pieces", [])
    if not isinstance(pieces, list) or not all(isinstance(piece, str) for piece in pieces):
        raise TypeError("a vocabulary's pieces must be texts")
    tokenizer: Tokenizer = registry.get("tokenizer", state["name"])().restore(state)
    return tokenizer


@contextmanager
def known_plugins(registry: Registry, brought: dict[str, str]) -> Iterator[None]:
    """A name that is not registered is said to be of the plugin that the run had it from."""
    earlier = registry.hint

    def hint(kind: str, name: str) -> str:
        plugin = brought.get(f"{kind} {name}")
        said = [f"The run had it from the plugin '{plugin}'."] if plugin else []
        return " ".join([*said, *filter(None, [earlier(kind, name)])])

    registry.hint = hint
    try:
        yield
    finally:
        registry.hint = earlier


@contextmanager
def sense_of(place: str) -> Iterator[None]:
    """What reads well and lacks what it should hold is the person's to mend, too."""
    try:
        yield
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError, MemoryError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"{place} must be as gptlab wrote it, and is not ({reason}).") from None
