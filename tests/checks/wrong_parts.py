"""Components that the other checks pass and that are wrong all the same, as plugins' files."""

SHORT_CONVOLUTION = '''
from dataclasses import dataclass
import numpy as np
import gptlab


@dataclass(frozen=True)
class Convolving:
    """A causal convolution over 2 positions before a plain mlp, its rows shifted by one."""

    def weights(self, config):
        return {
            "here": (1, config.nEmbd), "before": (1, config.nEmbd),
            "hidden": (8, config.nEmbd), "output": (config.nEmbd, 8),
        }

    def __call__(self, weights, x, activation):
        first = x.constant(np.zeros((1, x.shape[-1])))
        shifted = first.concatenate(x[:-1], axis=0)
        mixed = x * weights["here"] + shifted * weights["before"]
        return activation(mixed @ weights["hidden"].T) @ weights["output"].T


@gptlab.hookimpl
def gptlab_register_components(register):
    register("mlp", "convolving", Convolving)
'''

PREFIX = '''
from dataclasses import dataclass, replace
import gptlab
from gptlab.model.attention import CausalAttention


@dataclass(frozen=True)
class PrefixAttention(CausalAttention):
    """Causal, but that the first two positions of a document see each other. nKVHead: as in causal attention."""

    def __call__(self, weights, x, position, context, config):
        if context.ordered:
            here, there = context.positions[:, None], context.key_positions[None, :]
            opened = context.mask | (context.mask.T & (here < 2) & (there < 2))
            context = replace(context, mask=opened, ordered=False)
        return super().__call__(weights, x, position, context, config)


@gptlab.hookimpl
def gptlab_register_components(register):
    register("attention", "prefix", PrefixAttention)
'''

DRAWING = '''
from dataclasses import dataclass
import numpy as np
import gptlab


@dataclass(frozen=True)
class Noisy:
    """relu, its last digits as numpy's global generator says: too little for the other checks."""

    def __call__(self, x):
        return x.apply("relu") * (1.0 + 1e-14 * float(np.random.uniform()))


@gptlab.hookimpl
def gptlab_register_components(register):
    register("activation", "noisy", Noisy)
'''

COUNTING = '''
from dataclasses import dataclass, field
import gptlab


@dataclass(frozen=True)
class Counting:
    """x, its last digits by how often it was called. calls: how many there were."""

    calls: list = field(default_factory=list, compare=False)

    def weights(self, config):
        return {}

    def __call__(self, weights, x):
        self.calls.append(1)
        return x * (1.0 + 1e-14 * (len(self.calls) % 7))


@gptlab.hookimpl
def gptlab_register_components(register):
    register("norm", "counting", Counting)
'''
