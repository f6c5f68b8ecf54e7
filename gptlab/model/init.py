"""How weights start: what a component does not say of its own weights, the model's init says. Legend: component.py."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gptlab.errors import UserError, require
from gptlab.model.adapter import holding, unmatched
from gptlab.model.component import Shape, Sizes, Weight

EMBEDDING, OUTPUT = "tokenEmbedding", "output"


@dataclass(frozen=True)
class Init:
    """The base of inits.

    zero: weights that start at 0 whatever else is said of them, by name or by a part of it between dots:
    `attention.output` is that of every layer.
    """

    zero: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "zero", tuple(self.zero))

    def start(self, name: str, weight: Weight, generator: np.random.Generator) -> np.ndarray:
        """The entries (weight.shape) of the weight with this full name, around 0: its mean is added to them.

        weight.std is model.initStd, weight.residual whether it is what a layer adds by. generator: this weight's own,
        keyed by the run's seed and the name. One that has a last argument `config` gets the model's `Sizes`.
        Not asked for a weight that has a std or a start of its own.
        """
        raise NotImplementedError("an init says how a weight starts")

    def rates(self, shapes: Mapping[str, Shape]) -> dict[str, float]:
        """Factors on the learning rate that go with the start, by a weight's full name; 1 where left out.

        shapes: of all the model's weights. Raises UserError for a model that the init is not for.
        """
        return {}

    def zeroed(self, names: Iterable[str]) -> frozenset[str]:
        """Those that `zero` names. Raises UserError for a part of it that names none."""
        known = list(names)
        for part in self.zero:
            if not holding(part, known):
                raise unmatched("model.init.zero", part, known, within=True, of="weight")
        return frozenset(name for name in known if any(holding(part, [name]) for part in self.zero))


@dataclass(frozen=True)
class Normal(Init):
    """N(0, initStd²), whatever the weight is for."""

    def start(self, name: str, weight: Weight, generator: np.random.Generator) -> np.ndarray:
        return normal(weight, generator, weight.std)


@dataclass(frozen=True)
class Scaled(Init):
    """N(0, std²), and what a layer adds by with std / √(2 nLayer) (Radford et al. 2019, "GPT-2").

    std: in place of model.initStd.
    """

    std: float = 0.02

    def __post_init__(self) -> None:
        super().__post_init__()
        require("model.init.std", self.std, at_least=0, example=0.02)

    def start(
        self, name: str, weight: Weight, generator: np.random.Generator, config: Sizes | None = None
    ) -> np.ndarray:
        layers = 1 if config is None else config.nLayer
        return normal(weight, generator, self.std / (math.sqrt(2 * layers) if weight.residual else 1.0))


@dataclass(frozen=True)
class FanIn(Init):
    """N(0, gain² / fan in) for each matrix, so that what it makes is as large as what it gets (LeCun et al. 1998).

    gain: √2, 1.41, makes up for what relu takes away (He et al. 2015). Fan in is the last axis. What is looked up by
    rows (the embeddings) and what has one axis starts from N(0, initStd²).
    """

    gain: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require("model.init.gain", self.gain, at_least=0, example=1.41)

    def start(self, name: str, weight: Weight, generator: np.random.Generator) -> np.ndarray:
        multiplies = is_product(name, weight.shape)
        return normal(
            weight, generator, self.gain / math.sqrt(weight.shape[-1]) if multiplies else weight.std
        )


@dataclass(frozen=True)
class Orthogonal(Init):
    """A random orthogonal matrix times gain: W Wᵀ = gain² I, or WᵀW where it has more rows (Saxe et al. 2014).

    gain: as in fanIn. With more than two axes, each matrix of the last two by itself. What is looked up by rows (the
    embeddings) and what has one axis starts from N(0, initStd²).
    """

    gain: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require("model.init.gain", self.gain, at_least=0, example=1.0)

    def start(self, name: str, weight: Weight, generator: np.random.Generator) -> np.ndarray:
        if not is_product(name, weight.shape):
            return normal(weight, generator, weight.std)
        *outer, out, into = weight.shape
        tall = generator.standard_normal((*outer, max(out, into), min(out, into)))
        q, r = np.linalg.qr(tall)
        # Without the signs of r's diagonal the distribution would not be uniform (Mezzadri 2007).
        q = q * np.where(np.diagonal(r, axis1=-2, axis2=-1) < 0, -1.0, 1.0)[..., None, :]
        return self.gain * (q if out >= into else np.swapaxes(q, -2, -1))


@dataclass(frozen=True)
class MuP(Init):
    """Maximal update parametrization for Adam: the best rate stays where it is as the model gets wider.

    By Yang et al. 2022, "Tensor Programs V", table 3. At width r · base the matrices of layers start with
    initStd / √r, the output with initStd / r, and both are trained at 1 / r of the learning rate; embeddings and
    what has one axis are as ever.

    base: the nEmbd at which this is model/init=normal, and learning rate and initStd are chosen.
    """

    base: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        require("model.init.base", self.base, at_least=1, example=16)

    def start(
        self, name: str, weight: Weight, generator: np.random.Generator, config: Sizes | None = None
    ) -> np.ndarray:
        wider = 1.0 if config is None else config.nEmbd / self.base
        if not is_product(name, weight.shape):
            wider = 1.0
        assert weight.std is not None
        return normal(weight, generator, weight.std / (wider if name == OUTPUT else math.sqrt(wider)))

    def rates(self, shapes: Mapping[str, Shape]) -> dict[str, float]:
        if OUTPUT not in shapes:
            raise UserError(
                "model/init=mup needs an output of its own, which starts and is trained differently from the "
                "embeddings: got model.tieEmbeddings=true. Leave it out, or try model/init=scaled."
            )
        factor = self.base / shapes[EMBEDDING][-1]
        return {name: factor for name, shape in shapes.items() if is_product(name, shape)}


def is_product(name: str, shape: Shape) -> bool:
    """Whether the model multiplies by it: all matrices of the layers, and the output; not what is looked up by rows."""
    return len(shape) > 1 and ("." in name or name == OUTPUT)


def is_residual(name: str) -> bool:
    """Whether a weight is what its layer adds by, if it does not say so itself: its name ends in `output`."""
    return name.startswith("layers.") and name.endswith(".output")


def normal(weight: Weight, generator: np.random.Generator, std: float | None) -> np.ndarray:
    assert std is not None
    return generator.standard_normal(weight.shape) * std


def drawn(
    weights: Mapping[str, Weight],
    initStd: float,
    seed: tuple[int, int],
    init: Init | None = None,
    config: Sizes | None = None,
) -> dict[str, np.ndarray]:
    """float64 arrays by name, each drawn from a stream of its own, keyed by seed and full name: two models that
    differ in one part begin alike in all others, and what differs in their losses is not the luck of the draw.

    Raises UserError for a start of another shape, and as `Init.zeroed`.
    """
    init = init or Normal()
    zeroed = init.zeroed(weights)
    found = {}
    for name, weight in weights.items():
        if name in zeroed:
            found[name] = np.zeros(weight.shape)
            continue
        generator = np.random.default_rng([*seed, int.from_bytes(name.encode(), "big")])
        start = weight.init or (Normal().start if weight.std is not None else init.start)
        settled = replace(
            weight,
            std=initStd if weight.std is None else weight.std,
            residual=is_residual(name) if weight.residual is None else weight.residual,
        )
        entries = np.asarray(started(start, name, settled, generator, config), dtype=float)
        if entries.shape != weight.shape:
            raise UserError(
                f"the weight {name} must start with the shape that is declared, {weight.shape}: got {entries.shape}."
            )
        found[name] = weight.mean + entries
    return found


def started(
    start: Callable[..., Any],
    name: str,
    weight: Weight,
    generator: np.random.Generator,
    config: Sizes | None,
) -> Any:
    also = {"config": config} if "config" in inspect.signature(start).parameters else {}
    return start(name, weight, generator, **also)
