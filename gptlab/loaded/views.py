"""What a loaded run hands out: config, weights, curves, attention and a page that read well in a notebook."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import yaml

from gptlab.errors import UserError, nearest, unknown_name
from gptlab.training.metric_rows import Metrics

if TYPE_CHECKING:
    from gptlab.drawing.picture import Picture


class Config(dict[str, Any]):
    """The resolved config of a run: `config.model.nEmbd` is `config["model"]["nEmbd"]`."""

    def __init__(self, settings: Mapping[str, Any]):
        super().__init__({key: Config(v) if isinstance(v, Mapping) else v for key, v in settings.items()})

    def __getattr__(self, key: str) -> Any:
        if key in self:
            return self[key]
        close = nearest(key, self)
        guess = f" Did you mean {' or '.join(close)}?" if close else f" There are {', '.join(self)}."
        raise AttributeError(f"no key '{key}' here.{guess}")

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self})

    def __repr__(self) -> str:
        return str(yaml.safe_dump(plain(self), sort_keys=False, allow_unicode=True)).rstrip("\n")


class Weights(dict[str, np.ndarray]):
    """A run's matrices by name, in the order of `params`. Raises UserError for a name that is none."""

    def __missing__(self, name: str) -> np.ndarray:
        raise unknown_name("weight", name, self)

    def __repr__(self) -> str:
        if not self:
            return "no weights"
        width = max(map(len, self))
        shapes = {name: "x".join(map(str, array.shape)) for name, array in self.items()}
        across = max(map(len, shapes.values()))
        return "\n".join(
            f"{name:{width}}  {shapes[name]:>{across}}  {array.dtype}, from {array.min():.3g} to {array.max():.3g}"
            for name, array in self.items()
        )


class Activations(dict[str, np.ndarray]):
    """What a model computes of one text, by name, as it comes. Raises UserError for a name that is none."""

    def __missing__(self, name: str) -> np.ndarray:
        raise unknown_name("activation", name, self)

    def __repr__(self) -> str:
        width = max(map(len, self), default=0)
        shapes = {name: " x ".join(map(str, array.shape)) for name, array in self.items()}
        return "\n".join(f"{name:{width}}  {shape}" for name, shape in shapes.items())


def plain(value: Any) -> Any:
    """The config as dicts, which YAML knows."""
    return {key: plain(v) for key, v in value.items()} if isinstance(value, Mapping) else value


HEIGHT = 720  # pixels


@dataclass(frozen=True)
class Page:
    """One self-contained HTML page."""

    html: str

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write it to a file, which opens from disk. Raises OSError."""
        file = Path(os.path.expanduser(path))
        file.write_text(self.html, encoding="utf-8")
        return file

    def __repr__(self) -> str:
        return f"<page of {len(self.html.encode()) / 1e3:,.0f} kB; .save(path) writes it>"

    def _repr_html_(self) -> str:
        # In a frame, so that neither page's style reaches the other; and one that may run its own script only.
        frame = f"width:100%;height:{HEIGHT}px;border:1px solid #9aa5b1"
        return f'<iframe sandbox="allow-scripts" style="{frame}" srcdoc="{escape(self.html)}"></iframe>'


class Curve(NamedTuple):
    """One metric: `steps, values = run.metrics["val/loss"]`. steps (N,) int64; values (N,) float64."""

    steps: np.ndarray
    values: np.ndarray

    def __repr__(self) -> str:
        if not len(self.steps):
            return "no values"
        last = f"{self.values[-1]:.6g} at step {self.steps[-1]:,}"
        return f"{len(self.steps):,} value{'s' if len(self.steps) > 1 else ''}, {last}"


class Curves(dict[str, Curve]):
    """Metrics by name."""

    def __repr__(self) -> str:
        width = max(map(len, self), default=0)
        return "\n".join(f"{name:{width}}  {curve!r}" for name, curve in self.items()) or "no metrics"


def curves(rows: Metrics) -> Curves:
    """Of rows by step: the curve of every metric, names in the order in which they were first logged."""
    names: Iterable[str] = dict.fromkeys(name for _, row in rows for name in row)
    found = Curves()
    for name in names:
        points = [(step, row[name]) for step, row in rows if name in row]
        found[name] = Curve(
            np.array([step for step, _ in points], np.int64), np.array([value for _, value in points])
        )
    return found


@dataclass(frozen=True, eq=False, repr=False)
class Attention:
    """The attention of one text.

    tokens (T): what stands at each position, BOS first. shares (L, H, T, T): what position t (the third axis)
    gives position s (the last one); rows sum to 1. `attention[0, 2]` is that of layer 0, head 2.
    """

    text: str
    tokens: list[str]
    shares: np.ndarray
    notes: tuple[str, ...] = ()

    def plot(self, layer: int | None = None, head: int | None = None) -> Picture:
        """Squares that are the darker, the larger the share; with numbers if it is one short one.

        A matplotlib figure. layer, head: only that one; negative ones count from the end. Raises UserError
        for one that there is not, and for a model whose attention cannot be seen.
        """
        from gptlab.inspection.pictures import attention_figure

        layers, heads = self.shares.shape[:2]
        if not heads:
            raise UserError(" ".join(self.notes) or "this model has no attention to show.")
        chosen = chosen_of("layer", layer, layers), chosen_of("head", head, heads)
        return attention_figure(self.shares, self.tokens, self.text, *chosen)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.shares.shape

    def __getitem__(self, index: Any) -> np.ndarray:
        return self.shares[index]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.shares, dtype=dtype) if copy else np.asarray(self.shares, dtype=dtype)

    def __repr__(self) -> str:
        layers, heads, length, _ = self.shares.shape
        sizes = f"L={layers} layers, H={heads} heads, T={length} positions"
        return f'<attention in "{self.text}": {sizes}; .plot() draws it>'

    def _repr_png_(self) -> tuple[bytes, dict[str, int]] | None:
        return self.plot()._repr_png_() if self.shares.shape[1] else None


def chosen_of(what: str, index: int | None, count: int) -> Sequence[int]:
    """All of `count`, or the one that is meant. Raises UserError for one that there is not."""
    if index is None:
        return range(count)
    if not -count <= index < count:
        raise UserError(
            f"{what} must be 0 to {count - 1}: got {index}. Try {what}=0, or leave it out for all."
        )
    return [index % count]
