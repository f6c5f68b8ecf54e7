"""What becomes of a text, and of held-out documents, without parts of the model. Legend: see inspection.py; D headDim.

A part is taken out by what stands in its place: zero, its mean over documents, or what it is in another text (Meng
et al. 2022, "activation patching"; Michel et al. 2019 for heads).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gptlab.autograd.ops import OpTable
from gptlab.data.documents import Documents
from gptlab.data.tokenizers import Tokenizer
from gptlab.errors import UserError
from gptlab.inspection.inspection import ids_of, shown, softmax
from gptlab.inspection.parts import HEAD, HEADS, Spot, all_spots, spots_of
from gptlab.inspection.touched import LOGITS, Change, Found, Touchable
from gptlab.model.gpt import GPT

ZERO, MEAN = "zero", "mean"
FILLS = (ZERO, MEAN)
AT_ONCE = 1 << 22  # logits
ROWS = 64


@dataclass(frozen=True, repr=False)
class Intervention:
    """One text with a model and with the same model without some of its parts.

    parts: their names. filled: what stands in their place, in words. tokens, targets (T,), losses (T,), in nats, and
    probabilities (T, V) of the model as it is; lossesWithout, probabilitiesWithout of the changed one. vocabulary (V,).
    """

    text: str
    parts: list[str]
    filled: str
    tokens: list[str]
    targets: list[str]
    vocabulary: list[str]
    losses: np.ndarray
    lossesWithout: np.ndarray
    probabilities: np.ndarray
    probabilitiesWithout: np.ndarray

    @property
    def effects(self) -> np.ndarray:
        """(T,): what each loss gains, in nats; below 0 where the model does better without."""
        gained: np.ndarray = self.lossesWithout - self.losses
        return gained

    @property
    def effect(self) -> float:
        """What the mean loss gains."""
        return float(self.lossesWithout.mean() - self.losses.mean())

    def __repr__(self) -> str:
        from gptlab.inspection.intervention_table import intervention_table

        return intervention_table(self)

    def _repr_html_(self) -> str:
        from gptlab.inspection.intervention_table import intervention_html

        return intervention_html(self)


@dataclass(frozen=True, repr=False)
class HeadEffects:
    """What the mean loss gains, in nats, where one part at a time gives something else.

    parts (N,): the names. filled: as in Intervention. onText (N,) of the text, whose own loss is `loss`; None without
    a text. onHeldOut (N,) over so many `documents`, whose mean loss is `heldOutLoss`; None if there are none, and
    `note` says why.
    """

    parts: list[str]
    filled: str
    text: str | None
    loss: float | None
    onText: np.ndarray | None
    documents: int
    heldOutLoss: float | None
    onHeldOut: np.ndarray | None
    note: str = ""

    def heads(self, effects: np.ndarray) -> np.ndarray:
        """(L, H) of `onText` or `onHeldOut`: the heads alone; NaN where a layer has fewer of them than others."""
        found = {
            tuple(map(int, (w[1], w[3]))): e
            for n, e in self._named(effects)
            if (w := n.split("."))[2] == HEAD
        }
        layers = 1 + max(int(name.split(".")[1]) for name in self.parts)
        table = np.full((layers, 1 + max((head for _, head in found), default=-1)), np.nan)
        for place, effect in found.items():
            table[place] = effect
        return table

    def of(self, name: str) -> dict[str, float]:
        """The effects of one part, `onText` and `onHeldOut`. Raises UserError for a name of none."""
        if name not in self.parts:
            raise UserError(f"there is no part '{name}' in this table. Its parts: {', '.join(self.parts)}")
        at = self.parts.index(name)
        both = {"onText": self.onText, "onHeldOut": self.onHeldOut}
        return {key: float(effects[at]) for key, effects in both.items() if effects is not None}

    def _named(self, effects: np.ndarray) -> Iterator[tuple[str, float]]:
        return zip(self.parts, effects.tolist(), strict=True)

    def __repr__(self) -> str:
        from gptlab.inspection.intervention_table import effects_table

        return effects_table(self)

    def _repr_html_(self) -> str:
        from gptlab.inspection.intervention_table import effects_html

        return effects_html(self)


class Interventions:
    """A model that can be asked for all this.

    start: the token before a text, as in `inspect`. documents: held-out ones, for means and for the table of all heads;
    None where there are none.
    """

    def __init__(
        self,
        definition: GPT,
        ops: OpTable,
        weights: Mapping[str, np.ndarray],
        tokenizer: Tokenizer,
        start: int | None = None,
        documents: Documents | None = None,
    ) -> None:
        self.model = Touchable(definition, ops, weights)
        self.tokenizer, self.start, self.documents = tokenizer, start, documents

    def without(
        self, parts: str | Sequence[str], text: str, fill: str = ZERO, source: str | None = None
    ) -> Intervention:
        """The text without the parts.

        fill: zero, or mean, over positions of the documents. source: a text of as many tokens, of which the parts are
        to be instead. Raises UserError for parts that there are not, texts that do not fit, and a mean of no documents.
        """
        ids = self._ids(text)
        tokens = np.array(ids[:-1], np.int32)
        found = self.model.found(len(tokens))
        spots = spots_of(parts, self.model.definition, found)
        values, filled = self._fill(spots, found, fill, source, len(ids))
        before, after = (
            self.model.activations(tokens, change_of(some, found, values))[LOGITS] for some in ((), spots)
        )
        names = [shown(self.tokenizer, i) for i in range(self.tokenizer.vocabSize)]
        return Intervention(
            text=self.tokenizer.decode(ids[1:]),
            parts=[spot.name for spot in spots],
            filled=filled,
            tokens=[names[i] for i in ids[:-1]],
            targets=[names[i] for i in ids[1:]],
            vocabulary=names,
            losses=losses_of(before, ids[1:]),
            lossesWithout=losses_of(after, ids[1:]),
            probabilities=softmax(before),
            probabilitiesWithout=softmax(after),
        )

    def activations(self, text: str) -> dict[str, np.ndarray]:
        """By name, what the model computes of the text, in the order in which it does. See `Loaded.activations`."""
        tokens = np.array(self._ids(text)[:-1], np.int32)
        return in_order(self.model.activations(tokens))

    def effects(self, text: str | None = None, fill: str = ZERO) -> HeadEffects:
        """Each part taken out by itself. Raises UserError without a text and documents, and as `without`."""
        rows = None if text is None else self._ids(text)
        if rows is None and self.documents is None:
            raise UserError(
                "a table of all heads needs a text or held-out documents: got neither. Add text=TEXT."
            )
        length = len(rows) - 1 if rows is not None else self._documents().width - 1
        found = self.model.found(length)
        spots = all_spots(self.model.definition, found)
        if not spots:
            raise UserError(
                "no part of this model can be taken out: its block asks for no attention and no mlp once."
            )
        values, filled = self._fill(spots, found, fill, None, length + 1)
        on_text = loss = None
        if rows is not None:
            row = Documents(np.array([rows], np.int32), np.array([len(rows) - 1], np.int32))
            loss, on_text = self._gains(row, spots, values)
        held_out_loss = on_held_out = None
        if self.documents is not None:
            held_out_loss, on_held_out = self._gains(self.documents, spots, values)
        return HeadEffects(
            parts=[spot.name for spot in spots],
            filled=filled,
            text=None if rows is None else self.tokenizer.decode(rows[1:]),
            loss=loss,
            onText=on_text,
            documents=0 if self.documents is None else len(self.documents),
            heldOutLoss=held_out_loss,
            onHeldOut=on_held_out,
        )

    def means(self) -> dict[str, np.ndarray]:
        """By place, what it computes in the mean over all positions of the documents: (H, D) of heads, else (E,)."""
        documents = self._documents()
        totals: dict[str, np.ndarray] = {}
        for some in batches(documents, self.model.definition):
            for place, sums in self.model.sums(some.tokens[:, :-1], inside(some)).items():
                totals[place] = totals.get(place, 0) + sums.astype(np.float64)
        return {place: total / documents.lengths.sum() for place, total in totals.items()}

    def _gains(
        self, documents: Documents, spots: Sequence[Spot], values: Mapping[str, np.ndarray]
    ) -> tuple[float, np.ndarray]:
        """The mean loss of the documents' tokens, as `val/loss` is, and what it gains without each of the spots."""
        found = self.model.found(documents.width - 1)
        changes = [change_of(some, found, values) for some in ((), *([spot] for spot in spots))]
        totals, count = np.zeros(len(changes)), 0
        for some in batches(documents, self.model.definition):
            there = inside(some)
            counted = there if some.counted is None else there & some.counted
            count += int(counted.sum())
            for i, change in enumerate(changes):
                losses = self.model.losses(some.tokens[:, :-1], some.tokens[:, 1:], change)
                totals[i] += losses[counted].sum(dtype=np.float64)
        means = totals / max(count, 1)
        return float(means[0]), means[1:] - means[0]

    def _ids(self, text: str) -> list[int]:
        return ids_of(self.tokenizer, text, self.model.definition.sizes.blockSize, self.start)

    def _documents(self) -> Documents:
        if self.documents is None or not len(self.documents):
            raise UserError(
                "a mean needs held-out documents of the run's data: there are none. Use zero, or another text, instead."
            )
        return self.documents

    def _fill(
        self, spots: Sequence[Spot], found: Found, fill: str, source: str | None, width: int
    ) -> tuple[dict[str, np.ndarray], str]:
        """By place what stands there instead, of all of its heads; and how one says that. Of places that no spot is
        of, too: whatever is taken out, the program is the same, and is compiled once.
        """
        if fill not in FILLS:
            raise UserError(f"what replaces a part must be {' or '.join(FILLS)}: got {fill}. Try {ZERO}.")
        places = {spot.place for spot in all_spots(self.model.definition, found)}
        if source is not None:
            if fill != ZERO:
                raise UserError(
                    f"{fill} and another text are two ways to replace a part: got both. Leave one out."
                )
            ids = self._ids(source)
            if len(ids) != width:
                raise UserError(
                    f"the text to patch from must have as many tokens as the text, {width - 1} positions: "
                    f"'{source}' has {len(ids) - 1}. Try one that differs in a word."
                )
            there = self.model.activations(np.array(ids[:-1], np.int32))
            return {place: there[place] for place in places}, f'as in "{self.tokenizer.decode(ids[1:])}"'
        if fill == MEAN:
            means = self.means()
            lacking = sorted({spot.place for spot in spots} - means.keys())
            if lacking:
                raise UserError(
                    f"{lacking[0]} has no mean: it is not of the text's positions. Use zero instead."
                )
            count = len(self._documents())
            known = places & means.keys()
            return {place: means[place] for place in known}, f"mean of {count} held-out documents"
        return {place: np.zeros(()) for place in places}, "zero"


def change_of(spots: Sequence[Spot], found: Found, values: Mapping[str, np.ndarray]) -> Change:
    """The change in which the spots give the values. That of no spots is made by the same program, so that what differs
    differs by the change alone.
    """
    keep = {place: np.ones(found.shapes[place][1] if place.endswith(HEADS) else (), bool) for place in values}
    for spot in spots:
        keep[spot.place][... if spot.head is None else spot.head] = False
    return Change(keep, values)


def losses_of(logits: np.ndarray, targets: Sequence[int]) -> np.ndarray:
    """(T,) of (T, V), by true arithmetic."""
    shifted = logits - logits.max(-1, keepdims=True)
    found: np.ndarray = np.log(np.exp(shifted).sum(-1)) - shifted[np.arange(len(targets)), list(targets)]
    return found


def batches(documents: Documents, definition: GPT) -> Iterator[Documents]:
    """All of them, a few at a time; the last ones with rows of no length behind them, so that all have one shape."""
    length = documents.width - 1
    size = max(1, min(ROWS, len(documents), AT_ONCE // max(1, length * definition.sizes.vocabSize)))
    for start in range(0, len(documents), size):
        some = documents[start : start + size]
        missing = size - len(some)
        counted = None if some.counted is None else np.pad(some.counted, ((0, missing), (0, 0)))
        tokens = np.pad(np.asarray(some.tokens), ((0, missing), (0, 0)))
        yield Documents(tokens.astype(np.int32), np.pad(np.asarray(some.lengths), (0, missing)), counted)


def inside(documents: Documents) -> np.ndarray:
    """(N, T) booleans: where there is a prediction."""
    found: np.ndarray = np.arange(documents.width - 1) < documents.lengths[:, None]
    return found


ORDER = ("query", "key", "value", "shares", "heads", "attention", "mlp", "output")


def in_order(activations: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same, as they are computed: the embedding, layer by layer, the logits."""

    def place(name: str) -> tuple[int, int]:
        words = name.split(".")
        if len(words) == 1:
            return (1 << 30 if name == LOGITS else -1), 0
        return int(words[1]), ORDER.index(words[2])

    return {name: activations[name] for name in sorted(activations, key=place)}
