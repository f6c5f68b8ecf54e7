"""gptlab: take a GPT apart, change any piece, down to what "multiply" means, and watch it learn.

A plugin needs `import gptlab` and nothing else; these are the public names.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gptlab.assembly.architecture import create_model
    from gptlab.autograd.check import check_op
    from gptlab.autograd.op import Op, op
    from gptlab.autograd.tensor import Tensor
    from gptlab.autograd.value import Value
    from gptlab.data.datasets import Dataset
    from gptlab.data.tokenizers import Tokenizer, Vocabulary
    from gptlab.engines.engine import Context
    from gptlab.errors import TrainingStopped, UserError
    from gptlab.loaded.loaded import load
    from gptlab.model.component import Part, Sizes, Weight
    from gptlab.model.model import Model
    from gptlab.model.position import Position
    from gptlab.optim.schedules import Schedule
    from gptlab.plugins.hookspecs import hookimpl
    from gptlab.plugins.registry import Registry
    from gptlab.runs.run import Run

__all__ = [
    # writing an op
    "op",
    "Op",
    "check_op",
    # writing a component
    "Tensor",
    "Weight",
    "Part",
    "Sizes",
    "Context",
    "Position",
    "Schedule",
    # writing a source of data
    "Dataset",
    "Tokenizer",
    "Vocabulary",
    # registering them, and listening to a run
    "hookimpl",
    "Run",
    "Registry",
    # a finished run
    "load",
    # by hand
    "Value",
    "create_model",
    "Model",
    "UserError",
    "TrainingStopped",
]

_HOMES = {
    "check_op": "gptlab.autograd.check",
    "Op": "gptlab.autograd.op",
    "op": "gptlab.autograd.op",
    "Tensor": "gptlab.autograd.tensor",
    "Value": "gptlab.autograd.value",
    "create_model": "gptlab.assembly.architecture",
    "Dataset": "gptlab.data.datasets",
    "Tokenizer": "gptlab.data.tokenizers",
    "Vocabulary": "gptlab.data.tokenizers",
    "Context": "gptlab.engines.engine",
    "TrainingStopped": "gptlab.errors",
    "UserError": "gptlab.errors",
    "hookimpl": "gptlab.plugins.hookspecs",
    "load": "gptlab.loaded.loaded",
    "Part": "gptlab.model.component",
    "Sizes": "gptlab.model.component",
    "Weight": "gptlab.model.component",
    "Model": "gptlab.model.model",
    "Position": "gptlab.model.position",
    "Schedule": "gptlab.optim.schedules",
    "Registry": "gptlab.plugins.registry",
    "Run": "gptlab.runs.run",
}


def __getattr__(name: str) -> Any:
    # At first use: half a second of imports would else come before the command can answer, Ctrl-C included.
    if name not in _HOMES:
        raise AttributeError(f"module 'gptlab' has no attribute '{name}'")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> "list[str]":  # older Pythons read this file, to be told that they are too old
    return sorted({*globals(), *__all__})
