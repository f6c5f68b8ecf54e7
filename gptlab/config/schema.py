"""The config: its schema, and what Hydra makes of it.

Component fields come from the components' own dataclasses; no YAML and no line here repeats them.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, make_dataclass
from functools import lru_cache, partial
from typing import Any

from omegaconf import MISSING, DictConfig, ListConfig, Node, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gptlab.config.addresses import hide_in_config
from gptlab.config.typed import SHARED, Config
from gptlab.errors import UserError
from gptlab.plugins.registry import GROUPS, LISTENER, Registry


@dataclass
class GenerateConfig:
    """The config of `python -m gptlab generate`. run: whatever names weights, see exchange.finding.

    n: how many samples. length: tokens after the prompt, null to the end of blockSize. temperature: what logits are
    divided by; 0 takes the likeliest token each time. topK: keep the k likeliest tokens; 0 keeps all. topP: of those,
    the smallest set whose probabilities reach it. prompt: what each sample begins with. promptFile: prompts, one a
    line, each for n samples. seed: the same draws the same samples. repetitionPenalty: what logits of tokens that are
    there already are divided by; 1 for none. sampler: what draws. engine: that of the run, unless named here.
    tokenizer: for a file of weights without a vocabulary. tracking: where runs are looked up that are not here.
    """

    run: str = "latest"
    n: int = 20
    length: int | None = None
    temperature: float = 0.8
    topK: int = 0
    topP: float = 1.0
    prompt: str = ""
    promptFile: str | None = None
    seed: int = 0
    repetitionPenalty: float = 1.0
    sampler: Any = MISSING
    engine: Any = None
    tokenizer: Any = MISSING
    tracking: Any = MISSING


@dataclass
class ExportConfig:
    """The config of `python -m gptlab export`. run: whatever names weights, see exchange.finding.

    format: json, safetensors, gguf, c, huggingface or transformerlens; by default what output ends with, else json.
    output: the file, or the folder, to write. overwrite: whether a file or a folder that is there is replaced.
    training: of a C program, whether it trains first.
    """

    run: str = "latest"
    format: str | None = None
    output: str | None = None
    overwrite: bool = False
    training: bool = False
    tokenizer: Any = MISSING
    tracking: Any = MISSING


@dataclass
class ImportConfig:
    """The config of `python -m gptlab import`. file: weights as `export` writes them."""

    file: str = MISSING
    tokenizer: Any = MISSING


@dataclass
class CompareConfig:
    """The config of `python -m gptlab compare`. output: the PNG of the curves."""

    output: str = "compare.png"
    tracking: Any = MISSING


@dataclass
class InspectConfig:
    """The config of `python -m gptlab inspect`. run: whatever names weights, see exchange.finding.

    text: what is looked at. to: terminal or html. candidates: tokens shown at each position. output: the page to write.
    without: a part, or a list of them, that gives something else. fill: what it gives then, zero or mean. source: a
    text of which it gives what it gives there. heads: whether a table says what each part is for. documents: held-out
    ones that the table asks, too. steps: whether the page has a slider over the steps.
    """

    run: str = "latest"
    text: str = ""
    without: str | None = None
    fill: str = "zero"
    source: str | None = None
    heads: bool = False
    steps: bool = False
    documents: int = 200
    to: str = "terminal"
    candidates: int = 5
    output: str = "inspect.html"
    tokenizer: Any = MISSING
    tracking: Any = MISSING


@dataclass
class GraphConfig(Config):
    """The config of `python -m gptlab graph`: a training run's, of which the graph of step 1 is looked at.

    expr: an expression to draw instead. output: its picture. param: a number of a weight to follow,
    `output[3,5]`. text: the document of the step; by default the data's.
    """

    expr: str | None = None
    output: str = "graph.svg"
    param: str | None = None
    text: str | None = None


@dataclass
class AblateConfig(Config):
    """The config of `python -m gptlab ablate`: the baseline's, a training run's, and what is asked of it.

    arms, plus: what is put in, one at a time; minus: parts that are taken out; each a list in brackets. stack: an arm
    with all that were better, at once. seeds: the most of them; the first is `seed`. tune: keys with the values to
    choose from, for each arm by itself. sizes: the overrides that make each size. match: what arms have in common
    with the baseline: steps, params, flops, or seconds. epsilon: the difference, in nats, that is none. budget: of
    time, `90s`, `2m`, `1h`. again: train anew what has been trained before.
    """

    arms: str = ""
    minus: str = ""
    plus: str = ""
    stack: bool = False
    seeds: int = 12
    tune: str = ""
    sizes: str = ""
    match: str = "steps"
    epsilon: float = 0.01
    budget: str | None = None
    again: bool = False


@dataclass
class GalleryConfig(Config):
    """The config of `python -m gptlab gallery`: a training run's, on which those of the entry's arms are built.

    seeds: how many, the first being `seed`; null for the entry's own. again: train anew what has been trained before.
    """

    seeds: int | None = None
    again: bool = False


@dataclass
class PlayConfig:
    """The config of `python -m gptlab play`. run, other: whatever names weights. port: 0 for any that is free."""

    run: str = "latest"
    other: str | None = None
    port: int = 0
    tokenizer: Any = MISSING
    tracking: Any = MISSING


@dataclass
class UiConfig:
    """The config of `python -m gptlab ui`.

    host: the address that is listened at; other machines see the pages only at another than 127.0.0.1. port: where.
    """

    host: str = "127.0.0.1"
    port: int = 5000
    tracking: Any = MISSING


def schema_nodes(registry: Registry, roots: Mapping[str, type]) -> dict[str, ConfigNode]:
    """The root schemas and a typed group entry for each component, as Hydra is to find them."""
    nodes = {f"{name}_schema": ConfigNode(partial(root_of, root, registry)) for name, root in roots.items()}
    for entry in registry:
        if entry.kind in GROUPS:
            group = GROUPS[entry.kind]
            make = partial(schema_of, entry.value, entry.name, SHARED.get(entry.kind))
            nodes[f"{group}/{entry.name}"] = ConfigNode(make, provider=entry.owner)
    return nodes


def root_of(root: type, registry: Registry) -> DictConfig:
    """The schema of a root, with the fields of every listener in it if it is that of runs."""
    config = structured(root)
    if issubclass(root, Config):
        config[LISTENER] = OmegaConf.structured(listener_config(registry))
    return typing.cast("DictConfig", config)


def listener_config(registry: Registry) -> type:
    """A dataclass with a field for each registered listener, whose fields are the listener's own."""
    return config_of_listeners(
        tuple((name, registry.get(LISTENER, name)) for name in registry.names(LISTENER))
    )


@lru_cache(maxsize=8)  # one class for the same listeners: roots are merged with each other
def config_of_listeners(listeners: tuple[tuple[str, type], ...]) -> type:
    rows: list[Any] = []
    for name, listener in listeners:
        own = make_dataclass(f"{name}Config", fields_of(listener))
        rows.append((name, own, field(default_factory=own)))
    return make_dataclass("ListenerConfig", rows)


def structured(root: type) -> Any:
    """The root as a config; a dict of its parts takes whatever keys a person gives it."""
    config = OmegaConf.structured(root)
    for name in config:
        part = config._get_node(name)
        if isinstance(part, DictConfig) and dataclasses.is_dataclass(schema := OmegaConf.get_type(part)):
            for key, hint in typing.get_type_hints(schema).items():
                if typing.get_origin(hint) is dict:
                    OmegaConf.set_struct(part[key], False)
    return config


def open_if_dict(factory: Callable[[], Any]) -> Callable[[], Any]:
    """The default of a field; a dict takes whatever keys a person gives it."""
    from omegaconf import DictConfig

    made = factory()
    return (lambda: DictConfig(made, flags={"struct": False})) if isinstance(made, dict) else factory


def schema_of(cls: type, name: str, shared: type | None = None) -> Any:
    """The component's fields as a config schema, with the name that selects it in front.

    shared: a dataclass of what all components of the kind take, behind its own.
    """
    rows = [("name", str, field(default=name)), *fields_of(cls)]
    if shared is not None:
        own = {row[0] for row in rows}
        rows += [row for row in fields_of(shared) if row[0] not in own]
    return make_dataclass(f"{cls.__name__}Config", rows)


def fields_of(cls: type) -> list[Any]:
    """A dataclass's fields with their types and defaults, for `make_dataclass`."""
    hints = typing.get_type_hints(cls)
    rows: list[Any] = []
    for item in dataclasses.fields(cls):
        if item.default_factory is not dataclasses.MISSING:
            default = field(default_factory=open_if_dict(item.default_factory))
        else:
            default = field(default=MISSING if item.default is dataclasses.MISSING else item.default)
        rows.append((item.name, hints[item.name], default))
    return rows


def typed_fields(cls: type, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The name and the fields of a component, those left out as they are by default, each of its type.

    Raises UserError for a value of another type; a field that there is not is left for whoever builds it.
    """
    schema, name = OmegaConf.structured(schema_of(cls, settings["name"])), settings["name"]
    known = {key: value for key, value in settings.items() if key in schema}
    try:
        values = OmegaConf.to_container(OmegaConf.merge(schema, known))
    except OmegaConfBaseException as error:
        first = str(error).partition("\n")[0]
        raise UserError(
            f"{name} needs another {error.full_key}: {first}. Leave {error.full_key} out."
        ) from None
    return {**settings, **{str(key): value for key, value in typing.cast("dict[Any, Any]", values).items()}}


def plain(config: DictConfig) -> dict[str, Any]:
    """The config as nested dicts, resolved, after the checks that Hydra cannot make.

    Raises UserError: a key that the schema has not (added with `+`), a field that is needed and not
    given, a component named but not selected, fields of a listener that is none of `listeners`.
    """
    unused = unused_listeners(config)
    check_keys(config, left_out=[f"{LISTENER}.{name}" for name in unused])
    check_choices(config)
    result = OmegaConf.to_container(config, resolve=True)
    assert isinstance(result, dict)
    if LISTENER in result:
        result[LISTENER] = {key: own for key, own in (result[LISTENER] or {}).items() if key not in unused}
    return hide_in_config(typing.cast("dict[str, Any]", result))


def unused_listeners(config: DictConfig) -> list[str]:
    """The listeners whose fields are there and which the config does not name. Raises UserError if one's are set."""
    node = config._get_node(LISTENER) if LISTENER in config else None
    if not isinstance(node, DictConfig) or node._is_none():
        return []
    named = config.get("listeners") or []
    unused = [str(name) for name in node if name not in named]
    for name in unused:
        schema = OmegaConf.get_type(node._get_node(name))
        if dataclasses.is_dataclass(schema) and node._get_node(name) != OmegaConf.structured(schema):
            raise UserError(
                f"{LISTENER}.{name} belongs to a listener that is not on: got "
                f"listeners=[{','.join(map(str, named))}]. Add listeners=[{','.join([*map(str, named), name])}]"
            )
    return unused


def check_keys(config: DictConfig, prefix: str = "", left_out: Sequence[str] = ()) -> None:
    """Raises UserError for a key that the schema has not, or that has no value and needs one."""
    schema = OmegaConf.get_type(config)
    known = [f.name for f in dataclasses.fields(schema)] if dataclasses.is_dataclass(schema) else None
    for key in config:
        name = prefix + str(key)
        if known is not None and key not in known:
            raise UnknownKey(name, known)
        if name in left_out:
            continue
        if OmegaConf.is_missing(config, key):
            group = name.replace(".", "/")
            if group in GROUPS.values():
                raise UserError(f"no {group} is chosen. Add {group}=NAME to the command.")
            raise UserError(f"{name} must be given: it has no default. Add {name}=... to the command.")
        node = config._get_node(key)
        if isinstance(node, DictConfig) and not node._is_none():
            check_keys(node, f"{name}.", left_out)
        elif isinstance(node, ListConfig) and not node._is_none() and node._metadata.element_type is str:
            wrong = [item for item in node if not isinstance(item, str)]
            if wrong:  # OmegaConf lets a list pass for a text there
                raise UserError(f"{name} must be a list of names: got {wrong[0]} in it. Try {name}=[NAME].")


def check_choices(config: DictConfig) -> None:
    """Raises UserError where a config, e.g. an experiment's file, names a component where it must select one."""
    for group in GROUPS.values():
        dotted = group.replace("/", ".")
        node: Any = config
        for name in dotted.split("."):
            node = node._get_node(name) if isinstance(node, DictConfig) and name in node else None
        if not isinstance(node, Node) or node._is_none():
            continue
        if not isinstance(node, DictConfig):
            given = str(node)
            raise UserError(
                f"{group} must be selected by name: got {dotted}={given}. Type {group}={given}, "
                f"or in an experiment's file under defaults: override /{group}: {given}"
            )
        schema = OmegaConf.get_type(node)
        if not dataclasses.is_dataclass(schema):
            continue
        selected = next(f.default for f in dataclasses.fields(schema) if f.name == "name")
        if node["name"] != selected:
            raise UserError(
                f"{dotted}.name must match {group}={selected}: got {node['name']}. Type {group}={node['name']}, or "
                f"in an experiment's file under defaults: override /{group}: {node['name']}"
            )


class UnknownKey(UserError):
    """A key, as `train.numStep`, that the part of the config which it is in has not."""

    def __init__(self, key: str, known: Iterable[str]):
        self.key = key
        super().__init__(f"the config has no key '{key}'. The keys there are {', '.join(known)}.")


@dataclass(frozen=True)
class ConfigNode:
    """`make` gives the config: a dataclass, a dict or what OmegaConf loaded; called only if it is selected.

    package: the part of the whole config that it fills, e.g. `model.norm` or `_global_`; None: that of its
    group. provider: who offers it, a plugin's name or a file.
    """

    make: Callable[[], Any]
    package: str | None = None
    provider: str = "gptlab"
