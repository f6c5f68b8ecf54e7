"""gptlab: take a GPT apart, change any piece, down to what "multiply" means, and watch it learn.

A plugin needs `import gptlab` and nothing else; these are the public names.
"""

from gptlab.autograd.op import Op, op
from gptlab.autograd.value import Value
from gptlab.errors import TrainingStopped, UserError
from gptlab.hookspecs import hookimpl

__all__ = ["Op", "TrainingStopped", "UserError", "Value", "hookimpl", "op"]
