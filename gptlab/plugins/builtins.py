"""gptlab's own names, registered through the same hooks as a plugin's."""

from collections.abc import Callable

from gptlab.autograd.ops import BUILTIN_OPS
from gptlab.data.datasets import Names, Questions, Sentences, Text
from gptlab.data.tokenizers import CharTokenizer, WordTokenizer
from gptlab.engines.scalar import ScalarEngine
from gptlab.engines.xla import XlaEngine
from gptlab.model.activation import Gelu, Identity, Relu, Silu, Tanh
from gptlab.model.adapter import LoRA, NoAdapter
from gptlab.model.attention import CausalAttention, NoAttention
from gptlab.model.block import PreNorm
from gptlab.model.mlp import MLP, NoMLP, SwiGLU
from gptlab.model.norm import LayerNorm, NoNorm, RMSNorm
from gptlab.model.position import Learned, NoPosition, Rope
from gptlab.optim.optimizers import SGD, Adam, AdamW
from gptlab.optim.schedules import Constant, Cosine, Linear
from gptlab.plugins.hookspecs import hookimpl

Register = Callable[..., None]


@hookimpl
def gptlab_register_ops(register: Register) -> None:
    for op in BUILTIN_OPS.values():
        register(op)


@hookimpl
def gptlab_register_components(register: Register) -> None:
    register("activation", "relu", Relu)
    register("activation", "gelu", Gelu)
    register("activation", "silu", Silu)
    register("activation", "tanh", Tanh)
    register("activation", "none", Identity)
    register("norm", "rmsnorm", RMSNorm)
    register("norm", "layernorm", LayerNorm)
    register("norm", "none", NoNorm)
    register("mlp", "mlp", MLP)
    register("mlp", "swiglu", SwiGLU)
    register("mlp", "none", NoMLP)
    register("position", "learned", Learned)
    register("position", "rope", Rope)
    register("position", "none", NoPosition)
    register("attention", "causal", CausalAttention)
    register("attention", "none", NoAttention)
    register("block", "prenorm", PreNorm)
    register("adapter", "none", NoAdapter)
    register("adapter", "lora", LoRA)


@hookimpl
def gptlab_register_optimizers(register: Register) -> None:
    register("adam", Adam)
    register("adamw", AdamW)
    register("sgd", SGD)


@hookimpl
def gptlab_register_schedules(register: Register) -> None:
    register("linear", Linear)
    register("constant", Constant)
    register("cosine", Cosine)


@hookimpl
def gptlab_register_datasets(register: Register) -> None:
    register("sentences", Sentences)
    register("questions", Questions)
    register("names", Names)
    register("text", Text)


@hookimpl
def gptlab_register_tokenizers(register: Register) -> None:
    register("word", WordTokenizer)
    register("char", CharTokenizer)


@hookimpl
def gptlab_register_engines(register: Register) -> None:
    register("xla", XlaEngine)
    register("scalar", ScalarEngine)
