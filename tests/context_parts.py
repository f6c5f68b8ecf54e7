"""Components that ask for the context, and wrong ones, as a plugin's file."""

PLUGIN = '''
from dataclasses import dataclass
import math

import gptlab
from gptlab.model.attention import CausalAttention
from gptlab.model.mlp import MLP
from gptlab.model.norm import RMSNorm


@dataclass(frozen=True)
class ValueResidual(MLP):
    """An mlp that mixes its hidden layer with that of layer 0 (Zhou et al. 2024). expansion: as in mlp."""

    def weights(self, config):
        return {**super().weights(config), "first": gptlab.Weight((1, 1), mean=0.5, std=0.0)}

    def __call__(self, weights, x, activation, context):
        hidden = x @ weights["hidden"].T
        if context.layer == 0:
            context.carried["hidden"] = hidden
        mixed = hidden + context.carried["hidden"] * weights["first"]
        return activation(mixed) @ weights["output"].T


@dataclass(frozen=True)
class ResidualAttention(CausalAttention):
    """Causal attention whose values are mixed with those of layer 0 (Zhou et al. 2024). nKVHead: not used."""

    def weights(self, config):
        return {**super().weights(config), "first": gptlab.Weight((1, 1), mean=0.5, std=0.0)}

    def __call__(self, weights, x, position, context, config):
        dim, heads = config.headDim, config.nHead
        query, key, value = x.products(weights["query"], weights["key"], weights["value"])
        first = context.carried.setdefault("value", value) if context.layer == 0 else context.carried["value"]
        mixed = value + (first - value) * weights["first"]
        query, key, value = (y.reshape(-1, heads, dim) for y in (query, key, mixed))
        query = position.rotate(query, context.positions, config)
        key = position.rotate(key, context.positions, config)
        key, value = context.past.extend(key, value)
        scores = query.einsum("thd,shd->hts", key) * (1.0 / math.sqrt(dim))
        scores = position.bias(scores, context.positions, context.key_positions)
        return scores.attend(value, context.mask).reshape(-1, heads * dim) @ weights["output"].T


@dataclass(frozen=True)
class DepthScaled(RMSNorm):
    """rmsnorm by 1/sqrt(layer + 1), that of no layer by 2 (Sun et al. 2025). eps, scale: as in rmsnorm."""

    def __call__(self, weights, x, context):
        factor = 2.0 if context.layer is None else 1.0 / math.sqrt(context.layer + 1)
        return super().__call__(weights, x) * factor


@dataclass(frozen=True)
class TokenValues(MLP):
    """An mlp with a vector a token added to its result, from layer 1 on. expansion: as in mlp."""

    def weights(self, config):
        return {**super().weights(config), "values": (config.vocabSize, config.nEmbd)}

    def __call__(self, weights, x, activation, context):
        y = super().__call__(weights, x, activation)
        return y + weights["values"].take(context.tokens) * float(context.layer)


@dataclass(frozen=True)
class Sharper:
    """tanh of x times the number of the layer and 1."""

    def __call__(self, x, context):
        return (x * (1.0 + context.layer)).apply("tanh")


@dataclass(frozen=True)
class Peeking(MLP):
    """As tokenvalues, but of the token that follows. expansion: as in mlp."""

    engines = ("xla",)

    def weights(self, config):
        return {**super().weights(config), "values": (config.vocabSize, config.nEmbd)}

    def __call__(self, weights, x, activation, context):
        import jax.numpy as jnp

        following = jnp.roll(context.tokens, -1)
        return super().__call__(weights, x, activation) + weights["values"].take(following)


@dataclass(frozen=True)
class Previous(Peeking):
    """As tokenvalues, but of the token that is before it in the row. expansion: as in mlp."""

    def __call__(self, weights, x, activation, context):
        import jax.numpy as jnp

        before = jnp.concatenate([jnp.zeros(1, dtype=int), context.tokens[:-1]])
        return MLP.__call__(self, weights, x, activation) + weights["values"].take(before)


@dataclass(frozen=True)
class Unwritten(MLP):
    """Reads what nobody wrote. expansion: as in mlp."""

    def __call__(self, weights, x, activation, context):
        context.carried["value"] = x
        return x + context.carried["valeu"]


@gptlab.hookimpl
def gptlab_register_components(register):
    register("mlp", "hiddenresidual", ValueResidual)
    register("attention", "firstvalues", ResidualAttention)
    register("norm", "depthscaled", DepthScaled)
    register("mlp", "tokenvalues", TokenValues)
    register("activation", "sharper", Sharper)
    register("mlp", "peeking", Peeking)
    register("mlp", "previous", Previous)
    register("mlp", "unwritten", Unwritten)
'''
