"""The model of weights that come from anywhere, ready to be asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from gptlab.assembly.architecture import Architecture, engine_and_optimizer, on_one_device
from gptlab.assembly.layers import chosen_parts
from gptlab.config.typed import Chosen, ModelConfig, typed
from gptlab.data.tokenizers import Tokenizer
from gptlab.errors import UserError
from gptlab.exchange.standard import standard_config
from gptlab.model.model import Model
from gptlab.plugins.code import say_changed_plugins
from gptlab.plugins.registry import Registry, build
from gptlab.runs.checkpoint.arrays import check_shapes
from gptlab.runs.saved_run import SavedRun, with_vocabulary


def model_of(
    saved: SavedRun, architecture: Architecture, registry: Registry, engine: dict[str, Any] | None = None
) -> Model:
    """The weights of `with_model` on their own engine, or on the one given.

    Raises UserError for an engine or an optimizer that is not registered.
    """
    config = saved.config or standard_config(saved.sizes)
    definition = architecture.definition
    with known_plugins(registry, saved.plugins), sense_of(saved.name):
        chosen = Chosen(engine or config["engine"]), Chosen(config["optimizer"])
        model = typed(ModelConfig, config["model"])
        built, optimizer = engine_and_optimizer(*chosen, chosen_parts(model), registry)
        session = on_one_device(built).session(definition, optimizer, architecture.ops)
    return Model(definition, session, session.init(saved.weights, {}))


def with_model(saved: SavedRun, registry: Registry) -> tuple[SavedRun, Architecture]:
    """The run with its weights in the order of `params`, and the model that its config describes.

    Raises UserError for a config that describes none, and for weights that are not of that model.
    """
    config = saved.config or standard_config(saved.sizes)
    say_changed_plugins(registry, saved.plugins, saved.name)
    with known_plugins(registry, saved.plugins), sense_of(saved.name):
        chosen = typed(ModelConfig, config["model"])
        model = Architecture.of(chosen, config["ops"], registry, saved.sizes["vocabSize"])
        shapes = model.definition.shapes
    check_shapes(saved.weights, shapes, Path(saved.name))
    return replace(saved, weights={name: saved.weights[name] for name in shapes}), model


def with_corpus(saved: SavedRun, settings: dict[str, Any], registry: Registry) -> SavedRun:
    """The run with the vocabulary that the tokenizer of these settings builds of its path, if one is given.

    Raises UserError if the run has a vocabulary already, or the new one has another size.
    """
    if settings.get("path") is None:
        return saved
    if saved.tokenizer is not None:
        raise UserError(
            f"tokenizer.path is for weights that carry no vocabulary: {saved.name} has its own. Leave it out."
        )
    return with_vocabulary(saved, settings["name"], build(registry, "tokenizer", settings).build([]))


def check_vocabulary(saved: SavedRun, registry: Registry) -> Tokenizer:
    """The tokenizer of a saved run. Raises UserError if it has none, or one that is not of its weights."""
    if saved.tokenizer is None:
        raise UserError(
            f"{saved.name} carries no vocabulary: add tokenizer.path=CORPUS, the text that it was trained on."
        )
    with known_plugins(registry, saved.plugins), sense_of(saved.name):
        tokenizer = restored(saved.tokenizer, registry)
        found, wanted = tokenizer.vocabSize, saved.sizes["vocabSize"]
    if found != wanted:
        raise UserError(
            f"the vocabulary must match the weights: {saved.name} has {found} ids in its vocabulary, and {wanted} "
            "in its weights."
        )
    return tokenizer


def restored(state: dict[str, Any], registry: Registry) -> Tokenizer:
    """The vocabulary of a tokenizer's state. Raises LookupError or TypeError for what is none."""
    tokenizer: Tokenizer = registry.get("tokenizer", state["name"])().restore(state)
    return tokenizer


@contextmanager
def known_plugins(registry: Registry, brought: dict[str, str]) -> Iterator[None]:
    """A name that is not registered is said to be of the plugin that the run had it from."""
    earlier = registry.hint

    def hint(kind: str, name: str) -> str:
        plugin = brought.get(f"{kind} {name}")
        said = [f"The run took it from the plugin '{plugin}'."] if plugin else []
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
        raise UserError(f"{place} is not as gptlab wrote it: {reason}.") from None
