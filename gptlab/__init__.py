"""gptlab: take a GPT apart, change any piece, down to what "multiply" means, and watch it learn.

A plugin needs `import gptlab` and nothing else; these are the public names.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gptlab.assembly.architecture import create_model as create_model
    from gptlab.autograd.check import check_op as check_op
    from gptlab.autograd.op import Op as Op
    from gptlab.autograd.op import op as op
    from gptlab.autograd.tensor import Tensor as Tensor
    from gptlab.autograd.value import Value as Value
    from gptlab.cli.calls import ablate as ablate
    from gptlab.cli.calls import train as train
    from gptlab.data.datasets import Dataset as Dataset
    from gptlab.data.examples import Example as Example
    from gptlab.data.problems import EndlessProblems as EndlessProblems
    from gptlab.data.problems import Problems as Problems
    from gptlab.data.tokenizers import Tokenizer as Tokenizer
    from gptlab.data.tokenizers import Vocabulary as Vocabulary
    from gptlab.engines.context import Context as Context
    from gptlab.engines.engine import Engine as Engine
    from gptlab.engines.engine import Optimizer as Optimizer
    from gptlab.errors import TrainingStopped as TrainingStopped
    from gptlab.errors import UserError as UserError
    from gptlab.errors import require as require
    from gptlab.loaded.loaded import load as load
    from gptlab.model.component import Part as Part
    from gptlab.model.component import Sizes as Sizes
    from gptlab.model.component import Weight as Weight
    from gptlab.model.contracts import MLP as MLP
    from gptlab.model.contracts import Activation as Activation
    from gptlab.model.contracts import Attention as Attention
    from gptlab.model.contracts import Block as Block
    from gptlab.model.contracts import Metric as Metric
    from gptlab.model.contracts import Norm as Norm
    from gptlab.model.contracts import Objective as Objective
    from gptlab.model.init import Init as Init
    from gptlab.model.model import Model as Model
    from gptlab.model.position import Position as Position
    from gptlab.optim.optimizers import SGD as SGD
    from gptlab.optim.optimizers import AdamW as AdamW
    from gptlab.optim.plateau import LookingBack as LookingBack
    from gptlab.optim.schedules import Schedule as Schedule
    from gptlab.plugins.hookspecs import hookimpl as hookimpl
    from gptlab.plugins.registry import Registry as Registry
    from gptlab.runs.run import Run as Run
    from gptlab.training.samplers import Sampler as Sampler

# The public names, each with the module that it is in.
_HOMES = {
    # writing an op
    "op": "gptlab.autograd.op",
    "Op": "gptlab.autograd.op",
    "check_op": "gptlab.autograd.check",
    # writing a component
    "Tensor": "gptlab.autograd.tensor",
    "Weight": "gptlab.model.component",
    "Part": "gptlab.model.component",
    "Sizes": "gptlab.model.component",
    "Init": "gptlab.model.init",
    "Context": "gptlab.engines.context",
    "Position": "gptlab.model.position",
    "AdamW": "gptlab.optim.optimizers",
    "SGD": "gptlab.optim.optimizers",
    "Attention": "gptlab.model.contracts",
    "MLP": "gptlab.model.contracts",
    "Norm": "gptlab.model.contracts",
    "Activation": "gptlab.model.contracts",
    "Block": "gptlab.model.contracts",
    "Objective": "gptlab.model.contracts",
    "Metric": "gptlab.model.contracts",
    "Optimizer": "gptlab.engines.engine",
    "Engine": "gptlab.engines.engine",
    "Schedule": "gptlab.optim.schedules",
    "Sampler": "gptlab.training.samplers",
    "LookingBack": "gptlab.optim.plateau",
    "require": "gptlab.errors",
    # writing a source of data
    "Dataset": "gptlab.data.datasets",
    "Example": "gptlab.data.examples",
    "Problems": "gptlab.data.problems",
    "EndlessProblems": "gptlab.data.problems",
    "Tokenizer": "gptlab.data.tokenizers",
    "Vocabulary": "gptlab.data.tokenizers",
    # registering them, and listening to a run
    "hookimpl": "gptlab.plugins.hookspecs",
    "Run": "gptlab.runs.run",
    "Registry": "gptlab.plugins.registry",
    # runs: one to be made, a comparison of some, a finished one
    "train": "gptlab.cli.calls",
    "ablate": "gptlab.cli.calls",
    "load": "gptlab.loaded.loaded",
    # by hand
    "Value": "gptlab.autograd.value",
    "create_model": "gptlab.assembly.architecture",
    "Model": "gptlab.model.model",
    "UserError": "gptlab.errors",
    "TrainingStopped": "gptlab.errors",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    # At first use: half a second of imports would else come before the command can answer, Ctrl-C included.
    if name not in _HOMES:
        raise AttributeError(f"module 'gptlab' has no attribute '{name}'")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> "list[str]":  # older Pythons read this file, to be told that they are too old
    return sorted({*globals(), *__all__})
