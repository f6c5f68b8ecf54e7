"""Plugins as texts, for tests to write into a folder."""

from pathlib import Path

import pytest


def stand_beside(folder: Path, monkeypatch: pytest.MonkeyPatch, **plugins: str) -> Path:
    """The folder, which is from now on the current one, with these plugins in it: `name="its text"`."""
    (folder / "plugins").mkdir()
    for name, text in plugins.items():
        (folder / "plugins" / f"{name}.py").write_text(text)
    monkeypatch.chdir(folder)
    return folder


HALF = """
import gptlab

@gptlab.op(samples=[(0.5, -1.5), (2.0, 3.0)])
def halfmul(xp, a, b):
    '''a * b / 2.'''
    return 0.5 * a * b, (0.5 * b, 0.5 * a)

@gptlab.hookimpl
def gptlab_register_ops(register):
    register(halfmul)
"""

SCALED = """
from dataclasses import dataclass
import gptlab

@dataclass(frozen=True)
class Scaled:
    '''x by a factor, and a learned matrix. factor: by how much. wide: rows of the matrix.'''

    factor: float = 0.5
    wide: int = 8

    def weights(self, config):
        return {"matrix": (self.wide, config.nEmbd)}

    def __call__(self, weights, x):
        return (x @ weights["matrix"].T) * self.factor

@gptlab.hookimpl
def gptlab_register_components(register):
    register("norm", "scaled", Scaled)
"""

EVERY_HOOK = '''
from dataclasses import dataclass
import gptlab
from gptlab.engines.scalar import ScalarEngine
from gptlab.tracking import NoTracking

@dataclass(frozen=True)
class Objective:
    """."""

@dataclass(frozen=True)
class Metric:
    """."""

@dataclass(frozen=True)
class Optimizer:
    """."""

@dataclass(frozen=True)
class Schedule(gptlab.Schedule):
    """."""

@dataclass(frozen=True)
class Dataset(gptlab.Dataset):
    """."""

@dataclass(frozen=True)
class Tokenizer:
    """."""

@dataclass(frozen=True)
class Engine(ScalarEngine):
    """."""

@dataclass(frozen=True)
class Tracking(NoTracking):
    """."""

@dataclass(frozen=True)
class Verb:
    """."""

@dataclass(frozen=True)
class Listener:
    """."""

@gptlab.op(samples=[(1.0,)])
def twice(xp, a):
    """."""
    return 2 * a, (2.0,)

@dataclass(frozen=True)
class Init(gptlab.Init):
    """."""

@dataclass(frozen=True)
class Sampler(gptlab.Sampler):
    """."""

@dataclass(frozen=True)
class Activation:
    """."""

@gptlab.hookimpl
def gptlab_register_ops(register): register(twice)
@gptlab.hookimpl
def gptlab_register_components(register): register("activation", "mine", Activation)
@gptlab.hookimpl
def gptlab_register_inits(register): register("mine", Init)
@gptlab.hookimpl
def gptlab_register_samplers(register): register("mine", Sampler)
@gptlab.hookimpl
def gptlab_register_objectives(register): register("mine", Objective)
@gptlab.hookimpl
def gptlab_register_metrics(register): register("mine", Metric)
@gptlab.hookimpl
def gptlab_register_optimizers(register): register("mine", Optimizer)
@gptlab.hookimpl
def gptlab_register_schedules(register): register("mine", Schedule)
@gptlab.hookimpl
def gptlab_register_datasets(register): register("mine", Dataset)
@gptlab.hookimpl
def gptlab_register_tokenizers(register): register("mine", Tokenizer)
@gptlab.hookimpl
def gptlab_register_engines(register): register("mine", Engine)
@gptlab.hookimpl
def gptlab_register_tracking(register): register("mine", Tracking)
@gptlab.hookimpl
def gptlab_register_listeners(register): register("mine", Listener)
@gptlab.hookimpl
def gptlab_register_verbs(register): register("mine", Verb)
'''

NEW_OP = '''
from dataclasses import dataclass
import gptlab

@gptlab.op(samples=[(0.5,), (-2.0,)])
def square(xp, a):
    """a squared."""
    return a * a, (2 * a,)

@dataclass(frozen=True)
class Squaring:
    """The op `square`."""

    def __call__(self, x):
        return x.apply("square")

@gptlab.hookimpl
def gptlab_register_ops(register):
    register(square)

@gptlab.hookimpl
def gptlab_register_components(register):
    register("activation", "squaring", Squaring)
'''
