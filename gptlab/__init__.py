"""gptlab: take a GPT apart, change any piece, down to what "multiply" means, and watch it learn.

A plugin needs `import gptlab` and nothing else; these are the public names.
"""

from gptlab.autograd.check import check_op
from gptlab.autograd.op import Op, op
from gptlab.autograd.tensor import Tensor
from gptlab.autograd.value import Value
from gptlab.create import create_model
from gptlab.data.datasets import Dataset
from gptlab.data.tokenizers import Tokenizer, Vocabulary
from gptlab.engines.engine import Context
from gptlab.errors import TrainingStopped, UserError
from gptlab.hookspecs import hookimpl
from gptlab.model.component import Part, Sizes, Weight
from gptlab.model.model import Model
from gptlab.model.position import Position
from gptlab.optim.schedules import Schedule
from gptlab.registry import Registry
from gptlab.run import Run

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
    # by hand
    "Value",
    "create_model",
    "Model",
    "UserError",
    "TrainingStopped",
]
