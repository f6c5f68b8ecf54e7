"""The data of a run, made: what is trained on, and what is held out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from gptlab.data.documents import Documents
from gptlab.data.endless import Endless
from gptlab.data.facts import BASELINE, DatasetFacts
from gptlab.data.splitting import Sides
from gptlab.data.tokenizers import Tokenizer


@dataclass(frozen=True)
class Original:
    """What the weights that a run starts from have seen before.

    held_out: what was held out from them and still is; None, and a note why, if it cannot be had. sides: of
    all documents that are known.
    """

    held_out: Documents | None = None
    sides: Sides = field(default_factory=Sides)
    note: str = ""


@dataclass(frozen=True)
class Data:
    """A tokenizer and the documents that it encoded, a share of them held out.

    split: 16 hex digits of which ones. keys: of those held out (N,), equal for equal documents. longest: predictions in
    the longest of all, before blockSize cuts it; None for running text. start: the token that a text begins after.
    notes: lines for a person. held_out_sets: more held-out documents, by name. endless: where the data is made as it is
    needed; train is then the first of it.
    """

    tokenizer: Tokenizer
    train: Documents
    held_out: Documents
    facts: DatasetFacts
    split: str
    keys: np.ndarray
    longest: int | None
    start: int
    original: Original
    notes: tuple[str, ...] = ()
    held_out_sets: Mapping[str, Documents] = field(default_factory=dict)
    endless: Endless | None = None

    @property
    def answered(self) -> bool:
        """Whether each prompt has one right answer, so that another one is wrong."""
        return self.train.counted is not None and not self.facts.facts.get(f"{BASELINE}floor", 0.0)

    @property
    def marked(self) -> bool:
        """Whether the data says which tokens count, of what is held out from the weights before as well."""
        some = (self.train, self.held_out, self.original.held_out)
        return any(documents is not None and documents.counted is not None for documents in some)
