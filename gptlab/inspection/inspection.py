"""What a model does with one text, as numbers.

Legend: L layers, H heads, T positions, E nEmbd, V vocabSize.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gptlab import strict_json
from gptlab.autograd.ops import OpTable
from gptlab.data.beginning import begun
from gptlab.data.tokenizers import Tokenizer
from gptlab.errors import UserError
from gptlab.model.gpt import GPT
from gptlab.training.metric_rows import loss_text

if TYPE_CHECKING:
    from gptlab.inspection.tapped import Seen

BOS = "BOS"


@dataclass(frozen=True)
class Inspection:
    """One text seen by one model. numpy arrays, float32 or float64 as the weights are.

    tokens (T): what stands at each position, BOS first, or the token that running text begins after. targets (T):
    what really came after each.
    vocabulary (V): every token by its id.
    losses (T,): -log of the target's probability, in nats. logits, probabilities: (T, V).
    attention (L, H, T, T): the share of its attention that position t (the third axis) gives position s
    (the last one); rows sum to 1, and are 0 after t. H counts every softmax over the positions that a
    layer takes, and is 0 for a model whose attention is none; what a layer lacks of the largest H is 0.
    lens (L+1, T, V): what each hidden state would predict, sent through the final norm, if there is one,
    and the output matrix (nostalgebraist 2020, "logit lens"); the last equals `probabilities`. NaN for a
    hidden state that the output does not take.
    hidden (L+1, T, E): the embeddings as the first block gets them, then what each block makes of them. E is
    the largest size where they differ, and a smaller one ends in zeros; NaN for what is not of positions.
    hiddenNorms (L+1, T): their lengths. gradientNorms (L+1, T): those of the gradient of the mean loss
    with respect to them.
    attributions (T,): gradient times input (Shrikumar et al. 2016), summed over the E numbers of hidden[0]. Their
    sum is the derivative of the mean loss by the common scale of hidden[0].
    weights: by name. weightGradientNorms: by name, of the gradient of the mean loss.
    notes: what cannot be seen in this model, and why.
    """

    text: str
    tokens: list[str]
    targets: list[str]
    vocabulary: list[str]
    losses: np.ndarray
    logits: np.ndarray
    probabilities: np.ndarray
    attention: np.ndarray
    lens: np.ndarray
    hidden: np.ndarray
    hiddenNorms: np.ndarray
    gradientNorms: np.ndarray
    attributions: np.ndarray
    weights: dict[str, np.ndarray]
    weightGradientNorms: dict[str, float]
    notes: tuple[str, ...] = ()

    @property
    def weightNames(self) -> list[str]:
        return list(self.weights)

    @property
    def loss(self) -> float:
        """The mean of the losses: what training would have minimized for this text."""
        return float(self.losses.mean())

    def __repr__(self) -> str:
        return f'<inspection of "{self.text}": {len(self.tokens)} positions, mean loss {loss_text(self.loss)} nats>'

    def _repr_html_(self) -> str:
        """What a notebook shows: a row a position, what came there and what was expected instead."""
        from gptlab.inspection.table import inspection_html

        return inspection_html(self)


def inspect(
    definition: GPT,
    ops: OpTable,
    weights: Mapping[str, np.ndarray],
    tokenizer: Tokenizer,
    text: str,
    start: int | None = None,
) -> Inspection:
    """What the model does with the text, computed by jax whichever engine trained it.

    start: the token that stands before the text, BOS if left out; of running text, see data/beginning.py.
    The model computes its logits with its own ops; their cross-entropy and softmax are true ones, as in
    validation. Raises UserError for a text that is empty, longer than blockSize, or has what is not in
    the vocabulary.
    """
    ids = ids_of(tokenizer, text, definition.sizes.blockSize, start)
    return inspect_ids(definition, ops, weights, tokenizer, ids)


def inspect_ids(
    definition: GPT,
    ops: OpTable,
    weights: Mapping[str, np.ndarray],
    tokenizer: Tokenizer,
    ids: Sequence[int],
) -> Inspection:
    """`inspect` of T + 1 token ids: one before the text, and at each position what follows it."""
    # jax is imported here and not above: what is wrong with a text shows before the second that it needs
    from gptlab.inspection.tapped import look

    found = look(definition, ops, weights, np.array(ids[:-1], np.int32), np.array(ids[1:], np.int32))
    names = [shown(tokenizer, i) for i in range(tokenizer.vocabSize)]
    hidden, gradients = found.hidden, found.gradients
    notes = notes_on(found, definition)
    return Inspection(
        text=tokenizer.decode(ids[1:]),
        tokens=[names[i] for i in ids[:-1]],
        targets=[names[i] for i in ids[1:]],
        vocabulary=names,
        losses=found.losses,
        logits=found.logits,
        probabilities=softmax(found.logits),
        attention=found.attention,
        lens=found.lens,
        hidden=hidden,
        hiddenNorms=np.linalg.norm(hidden, axis=-1),
        gradientNorms=np.linalg.norm(gradients, axis=-1),
        attributions=(hidden[0] * gradients[0]).sum(-1),
        weights={name: np.asarray(array) for name, array in weights.items()},
        weightGradientNorms={n: float(np.linalg.norm(found.weight_gradients[n])) for n in weights},
        notes=notes,
    )


def notes_on(found: Seen, definition: GPT) -> tuple[str, ...]:
    """What of a model is not shown, since its components have it otherwise than the standard ones."""
    notes = []
    heads, widths = found.heads, found.widths
    if not any(heads):
        layers = [definition.in_layer(i) for i in range(definition.sizes.nLayer)]
        part = " and ".join(dict.fromkeys(type(layer.attention).__name__ for layer in layers))
        notes.append(f"attention is not shown: {part} asks no Tensor for attend(...) or softmax(...).")
    elif len(set(heads)) > 1:
        counts = ", ".join(f"{count} in layer {layer}" for layer, count in enumerate(heads))
        notes.append(f"the layers have different numbers of heads ({counts}): what a layer lacks is empty.")
    if None in widths:
        places = " and ".join(place_of(depth) for depth, width in enumerate(widths) if width is None)
        notes.append(f"the hidden state {places} is not shown: it is not of the text's positions.")
    elif len(set(widths)) > 1:
        counts = ", ".join(f"{width} {place_of(depth)}" for depth, width in enumerate(widths))
        notes.append(f"the hidden states have different sizes: {counts}.")
    if found.unread:
        places = " and ".join(map(place_of, found.unread))
        notes.append(f"the logit lens is not shown {places}: the output takes no hidden state of that shape.")
    return tuple(notes)


def place_of(depth: int) -> str:
    return f"after layer {depth - 1}" if depth else "at the embedding"


def softmax(logits: np.ndarray) -> np.ndarray:
    """Over the last axis, by true arithmetic."""
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    return shares / shares.sum(-1, keepdims=True)


def ids_of(tokenizer: Tokenizer, text: str, blockSize: int, start: int | None = None) -> list[int]:
    """BOS, the text, and BOS again where there is room to predict it: T + 1 ids.

    start: the token before running text (see data/beginning.py), which goes on behind the last one: it has no
    BOS at its end. Raises UserError for a text that is empty or has more than blockSize tokens.
    """
    running = start is not None and start != tokenizer.bos
    if start is not None and running:
        before, ids = begun(tokenizer, text, start)
    else:
        before, ids = [tokenizer.bos], tokenizer.encode(text)
    if not ids:
        raise UserError('text must not be empty. Try text="the cat eats".')
    if len(ids) > blockSize:
        raise UserError(
            f"text must have at most blockSize={blockSize} tokens: it has {len(ids)}. "
            f"Shorten it, to {tokenizer.decode(ids[:blockSize])!r} for instance."
        )
    if running:
        return [*before, *ids] if before or len(ids) > 1 else [*ids, *ids]
    return [*before, *ids, tokenizer.bos][: blockSize + 1]


def shown(tokenizer: Tokenizer, token: int) -> str:
    return BOS if token == tokenizer.bos else tokenizer.decode([token])


WORDS = "words"  # the entry for all that is no array
WEIGHT = "weight:"  # in front of a weight's name


def write_inspection(inspection: Inspection, path: Path) -> None:
    """Write a file of arrays, and its folder if there is none. Raises OSError.

    NumPy's npz, read without pickle; what is no array is JSON in an array of bytes.
    """
    values = {field.name: getattr(inspection, field.name) for field in fields(inspection)}
    weights = values.pop("weights")
    arrays = {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
    words = {name: value for name, value in values.items() if name not in arrays}
    arrays |= {f"{WEIGHT}{name}": array for name, array in weights.items()}
    arrays[WORDS] = np.frombuffer(strict_json.dumps(words).encode("ascii"), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
    part.replace(path)


def read_inspection(path: Path) -> Inspection:
    """What `write_inspection` wrote. Raises OSError, ValueError or KeyError for what is no such file."""
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    words = strict_json.loads(arrays.pop(WORDS).tobytes())
    weights = {name.removeprefix(WEIGHT): a for name, a in arrays.items() if name.startswith(WEIGHT)}
    arrays = {name: array for name, array in arrays.items() if not name.startswith(WEIGHT)}
    return Inspection(**{**words, "notes": tuple(words["notes"])}, **arrays, weights=weights)
