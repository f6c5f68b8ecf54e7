"""gptlab's own names, registered through the same hooks as a plugin's."""

from collections.abc import Callable, Mapping

from gptlab.autograd.ops import BUILTIN_OPS
from gptlab.data.byte_tokenizers import BytePairTokenizer, ByteTokenizer
from gptlab.data.datasets import Dataset, Names, PythonManual, Questions, Sentences, Text
from gptlab.data.file_tokenizer import FileTokenizer
from gptlab.data.tasks.addition import Addition
from gptlab.data.tasks.copying import Copy
from gptlab.data.tasks.dyck import Dyck
from gptlab.data.tasks.markov import Markov
from gptlab.data.tasks.modular import Modular
from gptlab.data.tasks.parity import Parity
from gptlab.data.tasks.recall import Recall
from gptlab.data.tasks.repeat import Repeat
from gptlab.data.tasks.sorting import Sort
from gptlab.data.tokenizers import CharTokenizer, WordTokenizer
from gptlab.engines.engine import Engine, Optimizer
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.xla import XlaEngine
from gptlab.model import contracts
from gptlab.model.activation import Gelu, Identity, Relu, Silu, Tanh
from gptlab.model.adapter import Adapter, LoRA, NoAdapter
from gptlab.model.attention import CausalAttention, NoAttention
from gptlab.model.block import PreNorm
from gptlab.model.init import FanIn, MuP, Normal, Orthogonal, Scaled
from gptlab.model.metric import Accuracy, BitsPerByte, ExactMatch, LossByFrequency
from gptlab.model.mlp import MLP, NoMLP, SwiGLU
from gptlab.model.norm import LayerNorm, NoNorm, RMSNorm
from gptlab.model.objective import Answers, NextToken
from gptlab.model.position import Learned, NoPosition, Position, Rope
from gptlab.model.reparametrization import NoReparametrization, Reparametrization, SharedLayers, WeightNorm
from gptlab.optim.optimizers import SGD, Adam, AdamW
from gptlab.optim.plateau import Plateau
from gptlab.optim.schedules import Constant, Cosine, Linear, WarmupStableDecay
from gptlab.plugins.early import Early
from gptlab.plugins.hookspecs import hookimpl

Register = Callable[..., None]


@hookimpl
def gptlab_register_ops(register: Register) -> None:
    for op in BUILTIN_OPS.values():
        register(op)


# Of the types that plugins are to fit: `make check` finds a part of ours that does not.
ACTIVATIONS: dict[str, type[contracts.Activation]] = {
    "relu": Relu,
    "gelu": Gelu,
    "silu": Silu,
    "tanh": Tanh,
    "none": Identity,
}
NORMS: dict[str, type[contracts.Norm]] = {"rmsnorm": RMSNorm, "layernorm": LayerNorm, "none": NoNorm}
MLPS: dict[str, type[contracts.MLP]] = {"mlp": MLP, "swiglu": SwiGLU, "none": NoMLP}
POSITIONS: dict[str, type[Position]] = {"learned": Learned, "rope": Rope, "none": NoPosition}
ATTENTIONS: dict[str, type[contracts.Attention]] = {"causal": CausalAttention, "none": NoAttention}
BLOCKS: dict[str, type[contracts.Block]] = {"prenorm": PreNorm}
REPARAMETRIZATIONS: dict[str, type[Reparametrization]] = {
    "none": NoReparametrization,
    "weightNorm": WeightNorm,
    "sharedLayers": SharedLayers,
}
ADAPTERS: dict[str, type[Adapter]] = {"none": NoAdapter, "lora": LoRA}


@hookimpl
def gptlab_register_components(register: Register) -> None:
    kinds: dict[str, Mapping[str, type]] = {
        "activation": ACTIVATIONS,
        "norm": NORMS,
        "mlp": MLPS,
        "position": POSITIONS,
        "attention": ATTENTIONS,
        "block": BLOCKS,
        "adapter": ADAPTERS,
        "reparametrization": REPARAMETRIZATIONS,
    }
    for kind, components in kinds.items():
        for name, component in components.items():
            register(kind, name, component)


OBJECTIVES: dict[str, type[contracts.Objective]] = {"nextToken": NextToken, "answers": Answers}
METRICS: dict[str, type] = {
    "accuracy": Accuracy,
    "exactMatch": ExactMatch,
    "bitsPerByte": BitsPerByte,
    "lossByFrequency": LossByFrequency,
}
OPTIMIZERS: dict[str, type[Optimizer]] = {"adam": Adam, "adamw": AdamW, "sgd": SGD}


@hookimpl
def gptlab_register_inits(register: Register) -> None:
    register("normal", Normal)
    register("scaled", Scaled)
    register("fanIn", FanIn)
    register("orthogonal", Orthogonal)
    register("mup", MuP)


@hookimpl
def gptlab_register_objectives(register: Register) -> None:
    for name, objective in OBJECTIVES.items():
        register(name, objective)


@hookimpl
def gptlab_register_metrics(register: Register) -> None:
    for name, metric in METRICS.items():
        register(name, metric)


@hookimpl
def gptlab_register_optimizers(register: Register) -> None:
    for name, optimizer in OPTIMIZERS.items():
        register(name, optimizer)


@hookimpl
def gptlab_register_schedules(register: Register) -> None:
    register("linear", Linear)
    register("constant", Constant)
    register("cosine", Cosine)
    register("wsd", WarmupStableDecay)
    register("plateau", Plateau)


TASKS: dict[str, type[Dataset]] = {
    "modular": Modular,
    "addition": Addition,
    "repeat": Repeat,
    "recall": Recall,
    "copy": Copy,
    "sort": Sort,
    "markov": Markov,
    "parity": Parity,
    "dyck": Dyck,
}


@hookimpl
def gptlab_register_datasets(register: Register) -> None:
    register("sentences", Sentences)
    register("questions", Questions)
    register("names", Names)
    register("text", Text)
    for name, task in TASKS.items():
        register(name, task)
    register("python", PythonManual)


@hookimpl
def gptlab_register_tokenizers(register: Register) -> None:
    register("word", WordTokenizer)
    register("char", CharTokenizer)
    register("byte", ByteTokenizer)
    register("bpe", BytePairTokenizer)
    register("file", FileTokenizer)


ENGINES: dict[str, type[Engine]] = {"xla": XlaEngine, "scalar": ScalarEngine}


@hookimpl
def gptlab_register_engines(register: Register) -> None:
    for name, engine in ENGINES.items():
        register(name, engine)


@hookimpl
def gptlab_register_listeners(register: Register) -> None:
    register("early", Early)
