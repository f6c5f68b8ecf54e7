"""The config of a training run: every key with its type and default, and how a config of dicts gets attributes."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, make_dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from gptlab.autograd.ops import BUILTIN_OPS
from gptlab.plugins.registry import LISTENER

MISSING: Any = "???"  # OmegaConf's, which need not be loaded for it
ALL = "all"  # as train.batchSize: each step takes all documents
OF_COMMAND = ("anyway", "sweep")  # and of no run
T = TypeVar("T")


class Chosen(dict[str, Any]):
    """A component as it is selected: its name, and its fields as far as they are given, `{"name": "adam", ...}`."""

    @property
    def name(self) -> str:
        return str(self["name"])


@dataclass(frozen=True)
class Origin:
    """The run that weights come from, and its data; what is not known of it is None.

    original: what its own weights had seen before, as this one in dicts.
    """

    run: str
    step: int | None
    seed: int | None
    data: dict[str, Any] | None
    digest: str | None
    split: str | None
    original: dict[str, Any] | None


# To Hydra the place of a component is open: which class fills it is known once it is selected.
if TYPE_CHECKING:
    Component = Chosen
    Listening = dict[str, dict[str, Any]]
    Original = Origin | None
    Ops = dict[str, str]
else:
    Component = Original = Listening = Any
    Ops = make_dataclass("OpsConfig", [(name, str, field(default=name)) for name in BUILTIN_OPS])


@dataclass
class ModelConfig:
    """The model. Its vocabulary is the tokenizer's.

    nLayer: how many blocks come one after the other. nEmbd: the width of the model, numbers that stand for a position
    between two blocks. nHead: how many heads an attention has. headDim: the width of a head; null for nEmbd / nHead.
    blockSize: the context: positions that see each other at most. initStd: the standard deviation that weights start
    with. bias: whether matrices add a learned vector. embeddingNorm: whether the embeddings are normed before the
    first block. finalNorm: whether there is a norm in front of the output. tieEmbeddings: whether the output has the
    token embedding's weights. dropout: the rate at which training sets to 0 what enters the first layer, shares of
    attention, and what attention and mlp add. softCap: the most that a logit can be, up and down; null for no cap.
    layers: the parts of each layer by kind, `{attention: none}`, where it has others than the model. pattern:
    attentions by name, which come again and again over the layers. attention: how positions look at each other. mlp:
    what each position goes through by itself. norm: what keeps the size of a hidden state in hand. activation: the
    function between the two products of an mlp. position: how the model learns where in the text a token stands.
    block: how a layer puts norms, attention and mlp together. adapter: small weights beside frozen ones, for
    fine-tuning. reparametrization: what weights are made of, where they are not trained themselves. init: how weights
    start.
    """

    nLayer: int = 1
    nEmbd: int = 16
    nHead: int = 4
    headDim: int | None = None
    blockSize: int = 16
    initStd: float = 0.08
    bias: bool = False
    embeddingNorm: bool = True
    finalNorm: bool = False
    tieEmbeddings: bool = False
    dropout: float = 0.0
    softCap: float | None = None
    layers: list[Any] | None = None
    pattern: list[str] | None = None
    attention: Component = MISSING
    mlp: Component = MISSING
    norm: Component = MISSING
    activation: Component = MISSING
    position: Component = MISSING
    block: Component = MISSING
    adapter: Component = MISSING
    reparametrization: Component = MISSING
    init: Component = MISSING


@dataclass
class TrainConfig:
    """The training.

    numSteps: updates of the weights. batchSize: documents a step; all for all of them. accumulate: parts of a batch
    that are computed one after the other, in less memory. learningRate: how far a step goes, before the schedule's
    factor. logEvery: steps between two that are logged; null for at most some 1,000 rows a run. evalEvery: steps
    between two evaluations on held-out documents; 0 for none on the way. budget: of time, `90s`, `2m`, `1h`, after
    which a run ends before its last step; null for none. freeze: weights that stay as they are, by name or by a part
    of it between dots. rates: of weights by name, factors on the learning rate. average: how much of the weights'
    running mean, which is then evaluated, a step keeps; null for no mean. norms: whether the sizes of each layer's
    gradient, weights and update are logged.
    """

    numSteps: int = 1000
    batchSize: int | str = 1
    accumulate: int = 1
    learningRate: float = 0.01
    logEvery: int | None = None
    evalEvery: int = 250
    budget: str | None = None
    freeze: list[str] = field(default_factory=list)
    rates: dict[str, float] = field(default_factory=dict)
    average: float | None = None
    norms: bool = False


@dataclass
class OptimizerConfig:
    """What every optimizer takes beside the fields of its own; one that has a field of such a name keeps that.

    clip: how long the gradient of all weights together may be; null for as long as it is. decay: of weights by name,
    the share by which they shrink a step, before it is multiplied by the rate; others as the optimizer itself has it.
    """

    clip: float | None = None
    decay: dict[str, float] = field(default_factory=dict)


SHARED = {"optimizer": OptimizerConfig}  # by kind


@dataclass
class CheckpointConfig:
    """What is kept on the way.

    every: steps between two checkpoints; null for one now and then, by time. keep: how many of the newest stay, and the
    best besides.
    """

    every: int | None = None
    keep: int = 2


@dataclass
class SamplesConfig:
    """The samples drawn at each evaluation, by `sampler`.

    n: how many; 0 for none. temperature: what logits are divided by; 0 takes the likeliest token each time. topK:
    keep the k likeliest tokens; 0 keeps all. topP: of those, the smallest set whose probabilities reach it.
    repetitionPenalty: what logits of tokens that are there already are divided by; 1 for none. length: in tokens;
    null for blockSize.
    """

    n: int = 5
    temperature: float = 0.8
    topK: int = 0
    topP: float = 1.0
    repetitionPenalty: float = 1.0
    length: int | None = None


@dataclass
class InspectingConfig:
    """When a run looks inside its model.

    atEnd: whether it does after its last step; null for all runs but those of a sweep. every: steps between two times;
    null for never on the way. text: what is looked at; a held-out document if left out.
    """

    atEnd: bool | None = None
    every: int | None = None
    text: str | None = None


@dataclass
class SweepConfig:
    """Of a sweep.

    resume: latest, a sweep's folder, its name or the MLflow id of its parent run: what is not done of it is done.

    rank: by which validation loss jobs are ranked and a sweeper learns: the last, or the best of all evaluations, which
    is the lower the more there are.
    jobs: how many go on at a time in this process; null for one a core, four at most, where they are small and of the
    xla engine, else one.
    Launchers that have processes of their own (`+sweep=joblib`) have keys of their own for it.
    """

    resume: str | None = None
    rank: str = "last"
    jobs: int | None = None


@dataclass
class Config:
    """The config of a training run.

    seed: sets the weights, the order of the data and the samples. description: a sentence that is kept with the run.
    progress: auto prints how the run goes, none nothing. listeners: names of those that act; their keys are under
    listener. objective: what a step makes smaller. optimizer: what makes an update of a gradient. schedule: the
    learning rate's factor over the steps. sampler: how the next token of a text is drawn. data: the documents.
    tokenizer: what cuts them into tokens. engine: what computes. tracking: where runs are logged besides their
    folders. initFrom: a run, a file of weights or hf:FOLDER of transformers to start from; its model, ops and
    vocabulary are then the config's. resume: latest, a run's folder, its name or its MLflow id: go on with that run,
    whose config is then the config. anyway: go on with a run or a sweep although a plugin of it has changed since;
    train what may not fit into memory. metrics: what is evaluated besides val/loss, names or names with fields;
    {name: accuracy, by: length, train: true} slices it by length, position, frequency or a label of the data, and
    evaluates it on training documents as well; null for those that the data itself names. register: the name in
    MLflow's model registry that the finished model goes under; registerAlias: its alias there. original: set by
    initFrom: the run that the weights come from, and its data. listener: the fields of those of the listeners that
    are registered, `{"early": {"patience": 5, ...}}`.

    `sweep` and `anyway` are the command's, and in no run's own config.
    """

    seed: int = 0
    description: str = ""
    initFrom: str | None = None
    resume: str | None = None
    anyway: bool = False
    register: str | None = None
    registerAlias: str = "newest"  # `latest` is MLflow's own, and refused by it
    progress: str = "auto"
    listeners: list[str] = field(default_factory=list)
    listener: Listening = field(default_factory=dict)
    metrics: list[Any] | None = None
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    samples: SamplesConfig = field(default_factory=SamplesConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    inspect: InspectingConfig = field(default_factory=InspectingConfig)
    ops: Ops = field(default_factory=Ops)
    original: Original = None
    sweep: SweepConfig = field(default_factory=SweepConfig)
    objective: Component = MISSING
    optimizer: Component = MISSING
    schedule: Component = MISSING
    sampler: Component = MISSING
    data: Component = MISSING
    tokenizer: Component = MISSING
    engine: Component = MISSING
    tracking: Component = MISSING


def typed(schema: type[T], settings: Mapping[str, Any]) -> T:
    """The checked dicts of a config with attributes: `config.train.numSteps`, `config.optimizer.name`.

    A key that they lack has its default. What the schema has not is left out.
    """
    hints = typing.get_type_hints(schema)
    values = {}
    for item in fields(schema):  # type: ignore[arg-type]
        if item.name not in settings:
            continue
        value, hint = settings[item.name], hints[item.name]
        if hint is Ops:
            value = dict(value)
        elif is_dataclass(hint):
            value = typed(typing.cast("type[Any]", hint), value)
        elif hint is Any and isinstance(value, Mapping):
            value = origin_of(value) if item.name == "original" else made_of(item.name, value)
        values[item.name] = value
    return schema(**values)


def made_of(name: str, value: Mapping[str, Any]) -> dict[str, Any]:
    return dict(value) if name == LISTENER else Chosen(value)


def origin_of(settings: Mapping[str, Any] | None) -> Origin | None:
    """Raises AttributeError for what is none."""
    if settings is None:
        return None
    values: dict[str, Any] = {item.name: settings.get(item.name) for item in fields(Origin)}
    return Origin(**values)


def as_dict(config: Config) -> dict[str, Any]:
    """The config of a run as it is kept and told: nested dicts, without what is the command's own."""
    kept = {key: value for key, value in dicts(config).items() if key not in OF_COMMAND}
    if not kept[LISTENER]:  # none is selected that has fields
        del kept[LISTENER]
    return kept


def dicts(value: Any) -> Any:
    if is_dataclass(value):
        return {item.name: dicts(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, dict):
        return {key: dicts(inner) for key, inner in value.items()}
    return value


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """`{"train.numSteps": 1000}` of `{"train": {"numSteps": 1000}}`; a part without keys is a value."""
    result: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            result |= flatten(value, f"{prefix}{key}.")
        else:
            result[f"{prefix}{key}"] = value
    return result
