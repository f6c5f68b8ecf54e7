"""Any optimizer of optax, by name and keywords: does one of the many others do better than Adam?

DeepMind 2020, The DeepMind JAX Ecosystem; optax.readthedocs.io lists the optimizers.

python -m gptlab +experiment=optaxadapter
python -m gptlab +experiment=book optimizer=optax optimizer.rule=adamw '+optimizer.keywords={weight_decay: 0.1}'
"""

import inspect
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import numpy as np

import gptlab


def rules():
    """Every function of optax and optax.contrib that makes an optimizer of a learning rate, by name."""
    try:
        import optax
        import optax.contrib
    except ImportError as error:
        raise gptlab.UserError(f"optimizer=optax needs optax ({error}). Try: pip install optax") from None
    found = {**vars(optax.contrib), **vars(optax)}
    functions = {name: f for name, f in found.items() if inspect.isfunction(f) and name[0] != "_"}
    return {name: f for name, f in functions.items() if "learning_rate" in inspect.signature(f).parameters}


def named(tree):
    """The arrays of optax's tree by their paths; jax and the engine sort names, and so order says nothing."""
    import jax

    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


@dataclass(frozen=True)
class Optax:
    """An optimizer of optax; its learning rate is train.learningRate by the schedule. xla engine only.

    rule: its name in optax or optax.contrib. keywords: what it is called with beside the learning rate;
    constants of the compiled program, and so a sweep over them compiles each anew.
    """

    rule: str = "adam"
    keywords: dict[str, Any] = field(default_factory=dict)

    engines = ("xla",)

    def __post_init__(self):
        if self.rule not in (known := rules()):
            near = " or ".join(get_close_matches(self.rule, known) or sorted(known))
            raise gptlab.UserError(f"optimizer.rule must be one of optax: got {self.rule}. Try {near}.")
        import jax

        tried = {"matrix": np.ones((2, 2), dtype=np.float32)}
        try:
            jax.eval_shape(lambda p, state: self.update(np, p, p, state, 1, 0.1), tried, self.init(tried))
        except Exception as error:  # whatever optax makes of what it was given
            takes = ", ".join(inspect.signature(known[self.rule]).parameters)
            raise gptlab.UserError(
                f"optimizer.keywords must fit optax's {self.rule}({takes}): got {self.keywords}, {error}"
            ) from None

    def __hash__(self):
        return hash(self.rule)  # programs are kept by optimizer, and a dict has no hash; == compares it too

    def made(self, rate):
        return rules()[self.rule](learning_rate=rate, **self.keywords)

    def init(self, params):
        leaves = named(self.made(1.0).init(params))
        return {"optax": {name: np.asarray(leaf) for name, leaf in leaves.items()}}

    def update(self, xp, params, grads, state, step, learningRate):
        import jax

        # Engines keep arrays of one float type: optax gets its tree back, counts as integers.
        like = jax.eval_shape(self.made(1.0).init, params)
        leaves = [state["optax"][name].astype(leaf.dtype) for name, leaf in named(like).items()]
        tree = jax.tree.unflatten(jax.tree.structure(like), leaves)
        moves, tree = self.made(learningRate).update(grads, tree, params)
        kept = {name: leaf.astype(state["optax"][name].dtype) for name, leaf in named(tree).items()}
        return {name: p + moves[name] for name, p in params.items()}, {"optax": kept}


@gptlab.hookimpl
def gptlab_register_optimizers(register):
    register("optax", Optax)
