"""The config: its schema, what Hydra makes of it, and the checks that Hydra cannot make.

Component fields come from the components' own dataclasses; no YAML and no line here repeats them.
"""

from __future__ import annotations

import dataclasses
import math
import re
import typing
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException
from omegaconf import MISSING, DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gptlab.autograd.ops import BUILTIN_OPS
from gptlab.errors import UserError, nearest, unknown_name
from gptlab.registry import COMPONENT_KINDS, Registry

GROUPS = {
    **{kind: f"model/{kind}" for kind in COMPONENT_KINDS},
    **{kind: kind for kind in ("optimizer", "schedule", "tokenizer", "engine", "tracking")},
    "dataset": "data",
}


@dataclass
class ModelConfig:
    nLayer: int = 1
    nEmbd: int = 16
    nHead: int = 4
    headDim: int | None = None
    blockSize: int = 16
    initStd: float = 0.08
    finalNorm: bool = False
    tieEmbeddings: bool = False
    attention: Any = MISSING
    mlp: Any = MISSING
    norm: Any = MISSING
    activation: Any = MISSING
    position: Any = MISSING
    block: Any = MISSING


@dataclass
class TrainConfig:
    numSteps: int = 1000
    batchSize: int = 1
    learningRate: float = 0.01
    logEvery: int = 10
    evalEvery: int = 250


@dataclass
class SamplesConfig:
    """The samples drawn at each evaluation; n=0 for none."""

    n: int = 5
    temperature: float = 0.8
    topK: int = 0
    topP: float = 1.0


OpsConfig = make_dataclass("OpsConfig", [(name, str, field(default=name)) for name in BUILTIN_OPS])


@dataclass
class Config:
    """The config of a training run; `seed` sets the weights, the order of the data and the samples."""

    seed: int = 0
    description: str = ""
    progress: str = "auto"
    listeners: list[str] = field(default_factory=list)
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    samples: SamplesConfig = field(default_factory=SamplesConfig)
    ops: OpsConfig = field(default_factory=OpsConfig)  # type: ignore[valid-type]
    optimizer: Any = MISSING
    schedule: Any = MISSING
    data: Any = MISSING
    tokenizer: Any = MISSING
    engine: Any = MISSING
    tracking: Any = MISSING


@dataclass
class GenerateConfig:
    """The config of `python -m gptlab generate`. run: latest, an MLflow run id, or a run's folder.

    engine: that of the run, unless named here.
    """

    run: str = "latest"
    n: int = 20
    temperature: float = 0.8
    topK: int = 0
    topP: float = 1.0
    prompt: str = ""
    seed: int = 0
    engine: Any = None
    tracking: Any = MISSING


@dataclass
class UiConfig:
    """The config of `python -m gptlab ui`."""

    host: str = "127.0.0.1"
    port: int = 5000
    tracking: Any = MISSING


def store_schema(registry: Registry) -> None:
    """Put the root schemas and a typed group entry for each component into Hydra's ConfigStore."""
    store = ConfigStore.instance()
    store.store(name="train_schema", node=Config)
    store.store(name="generate_schema", node=GenerateConfig)
    store.store(name="ui_schema", node=UiConfig)
    for entry in registry:
        if entry.kind in GROUPS:
            group = GROUPS[entry.kind]
            store.store(
                group=group,
                name=entry.name,
                node=schema_of(entry.value, entry.name),
                package=group.replace("/", "."),
                provider=entry.owner,
            )


def schema_of(cls: type, name: str) -> Any:
    """The component's fields as a config schema, with the name that selects it in front."""
    hints = typing.get_type_hints(cls)
    rows: list[Any] = [("name", str, field(default=name))]
    for item in dataclasses.fields(cls):
        if item.default_factory is not dataclasses.MISSING:
            default = field(default_factory=item.default_factory)
        elif item.default is not dataclasses.MISSING:
            default = field(default=item.default)
        else:
            default = field(default=MISSING)
        rows.append((item.name, hints[item.name], default))
    return make_dataclass(f"{cls.__name__}Config", rows)


def folder_of(name: str) -> Path:
    """`conf` or `experiments`: inside the package in a wheel, beside it in a checkout."""
    package = Path(__file__).parent
    return package / name if (package / name).is_dir() else package.parent / name


def experiment_files() -> dict[str, Path]:
    """Every experiment by name: gptlab's own, then those in ./experiments, which win."""
    folders = [folder_of("experiments"), Path.cwd() / "experiments"]
    return {file.stem: file for folder in folders for file in sorted(folder.glob("*.yaml"))}


def store_experiments() -> None:
    """Make `+experiment=NAME` find the experiments, from whatever folder the command is run.

    A file that cannot be read is left out here and reported when its name is asked for.
    """
    store = ConfigStore.instance()
    for name, file in experiment_files().items():
        try:
            node = OmegaConf.load(file)
        except Exception:
            continue
        store.store(group="experiment", name=name, node=node, package="_global_", provider=str(file))


def plain(config: DictConfig) -> dict[str, Any]:
    """The config as nested dicts, resolved, after the checks that Hydra cannot make.

    Raises UserError: a key that the schema has not (added with `+`), a field that is needed and not
    given, a value out of range.
    """
    check_keys(config, "")
    result = OmegaConf.to_container(config, resolve=True)
    assert isinstance(result, dict)
    return typing.cast("dict[str, Any]", result)


def check_keys(config: DictConfig, prefix: str) -> None:
    schema = OmegaConf.get_type(config)
    known = [f.name for f in dataclasses.fields(schema)] if dataclasses.is_dataclass(schema) else None
    for key in config:
        name = f"{prefix}{key}"
        if known is not None and key not in known:
            raise unknown_key(name, [f"{prefix}{k}" for k in known])
        if OmegaConf.is_missing(config, key):
            raise UserError(f"{name} must be given: it has no default. Add {name}=... to the command.")
        node = config._get_node(key)
        if isinstance(node, DictConfig) and not node._is_none():
            check_keys(node, f"{name}.")


def unknown_key(key: str, known: list[str]) -> UserError:
    close = nearest(key, known)
    guess = f"Did you mean {' or '.join(close)}?" if close else f"Known here: {', '.join(known)}."
    return UserError(f"the config has no key '{key}'. {guess}")


def check_values(config: dict[str, Any]) -> None:
    """Raises UserError for numbers out of range, before anything is built."""
    train = config["train"]
    for key, least, example in (
        ("numSteps", 1, 1000),
        ("batchSize", 1, 1),
        ("logEvery", 1, 10),
        ("evalEvery", 0, 250),
    ):
        if train[key] < least:
            raise UserError(
                f"train.{key} must be at least {least}: got {train[key]}. Try train.{key}={example}."
            )
    rate = train["learningRate"]
    if not (math.isfinite(rate) and rate > 0):
        raise UserError(
            f"train.learningRate must be a number above 0: got {rate}. Try train.learningRate=0.01."
        )
    deviation = config["model"]["initStd"]
    if not (math.isfinite(deviation) and deviation >= 0):
        raise UserError(f"model.initStd must be a number from 0 up: got {deviation}. Try model.initStd=0.08.")
    if config["seed"] < 0:
        raise UserError(f"seed must be at least 0: got {config['seed']}. Try seed=0.")
    if config["samples"]["n"] < 0:
        raise UserError(f"samples.n must be at least 0: got {config['samples']['n']}. Try samples.n=5.")
    if config["progress"] not in ("auto", "none"):
        raise UserError(f"progress must be auto or none: got {config['progress']}. Try progress=auto.")


def explain(error: Exception, registry: Registry, keys: list[str]) -> UserError:
    """Hydra's and OmegaConf's errors in gptlab's words: what must hold, what came, what to type.

    `keys` are the config's known keys, to guess from.
    """
    text = str(error)
    cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else None
    whole = f"{text}\n{cause}" if cause else text
    if found := re.search(r"Could not find '([\w/.-]+)/([^'/]*)'", whole):
        return missing_option(found[1], found[2], registry)
    if found := re.search(r"Could not override '([^']+)'", whole):
        key = found[1].split("@")[0].lstrip("+~")
        if found := re.search(r"Key '([^']+)' (?:is not in struct|not in)", whole):
            pass
        return unknown_key(key, keys)
    if found := re.search(r"Error merging override ([^=\s]+)=(.*)", whole):
        return wrong_value(found[1].lstrip("+"), found[2], whole)
    if found := re.search(r"Ambiguous|mismatched input|no viable alternative|token recognition", whole):
        return UserError(
            f"an override must read key=value: {whole.splitlines()[0]}. Quote values with spaces or commas."
        )
    lines = [
        line for line in whole.splitlines() if line.strip() and not line.startswith("Set the environment")
    ]
    return UserError(" ".join(lines[:4]))


def missing_option(group: str, name: str, registry: Registry) -> UserError:
    if group == "experiment":
        files = experiment_files()
        if name in files:
            return UserError(f"the experiment '{name}' must be YAML that can be read: {broken(files[name])}")
        return unknown_name("experiment", name, files, "An experiment is a file ./experiments/NAME.yaml.")
    kinds = {value: key for key, value in GROUPS.items()}
    if group in kinds:
        return unknown_name(
            kinds[group], name, registry.names(kinds[group]), f"Select one with {group}=NAME."
        )
    return unknown_name("config group", group, [*GROUPS.values(), "experiment"])


def broken(file: Path) -> str:
    try:
        OmegaConf.load(file)
    except Exception as error:
        return " ".join(str(error).split())
    return f"{file} could not be stored."


def wrong_value(key: str, value: str, whole: str) -> UserError:
    if key in GROUPS.values() or key.replace(".", "/") in GROUPS.values():
        group = key.replace(".", "/")
        return UserError(f"a component is selected with a slash: got {key}={value}. Type {group}={value}.")
    if found := re.search(r"could not be converted to (\w+)", whole):
        kind = {"Integer": "a whole number", "Float": "a number", "Boolean": "true or false"}.get(
            found[1], found[1]
        )
        return UserError(f"{key} must be {kind}: got {value}.")
    reason = [line for line in whole.splitlines()[1:] if line.strip()]
    return UserError(f"{key} cannot be {value}: {reason[0] if reason else whole}")


def known_keys(config: DictConfig | ListConfig, prefix: str = "") -> list[str]:
    """Every key of a config, groups and leaves, with its full path."""
    keys: list[str] = []
    for key in config:
        name = f"{prefix}{key}"
        keys.append(name)
        node = config._get_node(key) if isinstance(config, DictConfig) else None
        if isinstance(node, DictConfig) and not node._is_none() and not node._is_missing():
            keys += known_keys(node, f"{name}.")
    return keys


CONFIG_ERRORS = (HydraException, OmegaConfBaseException)
