"""Who looks at whom in a text: the shares, and a picture of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gptlab.data.beginning import first_token_of
from gptlab.errors import UserError
from gptlab.exchange.loading import check_vocabulary, with_model
from gptlab.inspection.inspection import Inspection, inspect
from gptlab.plugins.registry import Registry
from gptlab.runs.source import Source

if TYPE_CHECKING:
    from gptlab.drawing.picture import Picture


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


def attention_of(inspection: Inspection) -> Attention:
    return Attention(inspection.text, inspection.tokens, inspection.attention, inspection.notes)


def chosen_of(what: str, index: int | None, count: int) -> Sequence[int]:
    """All of `count`, or the one that is meant. Raises UserError for one that there is not."""
    if index is None:
        return range(count)
    if not -count <= index < count:
        raise UserError(
            f"{what} must be 0 to {count - 1}: got {index}. Try {what}=0, or leave it out for all."
        )
    return [index % count]


def inspect_source(source: Source, registry: Registry, text: str) -> Inspection:
    """What the model of the source does with the text, whichever engine trained it.

    Raises UserError for a source without a vocabulary, for what is not registered or does not fit, and for
    a text as `inspect` does.
    """
    tokenizer = check_vocabulary(source, registry)
    source, model = with_model(source, registry)
    start = first_token_of(source.start, source.config, tokenizer)
    return inspect(model.definition, model.ops, source.weights, tokenizer, text, start)


def title_of(source: Source, inspection: Inspection) -> str:
    """One line: the text, and which weights have seen it."""
    step = "" if source.step is None else f", step {source.step:,}"
    place = source.name if source.folder is None else str(source.folder)
    text = inspection.text.replace("\n", r"\n")
    return f'"{text}" in {place}{step}'
