"""What a loaded run expects next, after any text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gptlab.data.beginning import begun
from gptlab.data.tokenizers import ends_of
from gptlab.errors import require
from gptlab.inspection.inspection import shown, softmax

if TYPE_CHECKING:
    from gptlab.loaded.loaded import Loaded


@dataclass(frozen=True)
class NextToken:
    """token: as it is shown, BOS for a document's end. text: the whole text with it. share: its probability when drawn
    at the temperature from the topK. probability: the model's own. ends: whether the text ends with it.
    """

    token: str
    text: str
    share: float
    probability: float
    ends: bool


def next_tokens(
    run: Loaded, prompt: str, temperature: float = 1.0, topK: int = 0, count: int = 20
) -> list[NextToken]:
    """The likeliest `count` tokens after the prompt, best first; those that topK leaves out are not among them.

    A prompt beyond blockSize is seen from its last blockSize tokens. temperature: 0 leaves the likeliest alone. Raises
    UserError for a setting out of range, and a prompt with what is not in the vocabulary.
    """
    require("temperature", temperature, at_least=0, example=0.8)
    require("topK", topK, at_least=0, example="40, or 0 for all tokens")
    require("count", count, at_least=1, example=20)
    tokenizer = run.tokenizer
    before, ids = begun(tokenizer, prompt, run.start)
    logits = last_logits(run, [*before, *ids])
    own = softmax(logits)
    order = np.argsort(-logits, kind="stable")[: topK or None]
    kept = np.full_like(own, -np.inf)
    kept[order] = (logits[order] - logits[order[0]]) / max(temperature, 1e-30)
    shares = softmax(kept)
    ends = ends_of(tokenizer)
    found: list[NextToken] = []
    for i in order[:count].tolist():
        if temperature == 0 and found:
            break
        last = i in ends
        text = prompt if last else tokenizer.decode([*ids, i])
        found.append(NextToken(shown(tokenizer, i), text, float(shares[i]), float(own[i]), last))
    return found


def last_logits(run: Loaded, ids: list[int]) -> np.ndarray:
    """(V,), float64, after these tokens, of which there is at least one."""
    size = run.definition.sizes.blockSize
    window = ids[-size:]
    # One length for all prompts, so that one program is compiled: no position sees what stands after it.
    padded = np.full(size, window[-1], np.int32)
    padded[: len(window)] = window
    logits: np.ndarray = np.asarray(run.model.logits(padded.tolist())[len(window) - 1], np.float64)
    return logits
