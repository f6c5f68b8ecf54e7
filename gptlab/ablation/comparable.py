"""Whether losses can be compared, and those of other tokens in one unit: nats a token of the baseline's.

The held-out texts are the same, and so a loss times its predictions is of the same texts whatever the tokens are. Over
the predictions of the baseline that is its own unit, which is bits per byte up to one factor for a whole table.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gptlab.errors import UserError

if TYPE_CHECKING:
    from gptlab.assembly.run_data import Data

BY = "splitTokenizer"  # of data: whose tokens tell documents apart


@dataclass(frozen=True)
class Judged:
    """What a loss is of: the digests of the data and of what is held out, and the tokens.

    longest: predictions in the longest document of all, None for running text. predictions: in what is held out.
    counted: a digest of which of them the objective counts, "" for all.
    """

    data: str
    split: str
    tokenizer: dict[str, Any]
    blockSize: int
    longest: int | None
    predictions: int
    counted: str = ""

    @classmethod
    def of(cls, data: Data, tokenizer: dict[str, Any], blockSize: int, counted: str = "") -> Judged:
        predictions = int(data.held_out.lengths.sum())
        return cls(data.facts.digest, data.split, tokenizer, blockSize, data.longest, predictions, counted)


def bits_per_byte(data: Data) -> float:
    """What one nat a token is on the held-out documents, which are whole; their ends are counted as no byte."""
    some = data.held_out
    rows = zip(some.tokens.tolist(), some.lengths.tolist(), strict=True)
    texts = (data.tokenizer.decode(row[1:length]) for row, length in rows)
    size = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
    return float(some.lengths.sum()) / size / math.log(2)


def check_comparable(mine: Judged, its: Judged) -> None:
    """Raises UserError where losses are of other texts than the baseline's, `its`, or of parts of them."""
    others = mine.tokenizer != its.tokenizer
    if others:
        check_whole(mine, its)
    elif mine.blockSize != its.blockSize:
        raise UserError(
            f"its blockSize, {mine.blockSize}, is not the baseline's, {its.blockSize}: it is judged on other tokens of "
            "each document"
        )
    if mine.counted != its.counted:
        raise UserError(
            "its objective counts other held-out tokens than the baseline's, and losses can be compared only on "
            "the same tokens. Give both an objective that counts the same ones"
        )
    if (mine.data, mine.split) != (its.data, its.split):
        raise UserError(
            "its data, or the part held out, is not the baseline's: losses can be compared only on the same texts"
            + (f". With other tokens type data.{BY}=word for the baseline, too" if others else "")
        )


def check_whole(mine: Judged, its: Judged) -> None:
    """Raises UserError where other tokens are not all of a text: they are then of more of it, or of less."""
    if mine.longest is None or its.longest is None:
        raise UserError(
            "its tokens are not the baseline's, and running text is cut into windows of tokens: losses of "
            "different tokens can be compared only on whole documents. Type data.unit=line"
        )
    for whose, side in (("its", mine), ("the baseline's", its)):
        if side.longest is not None and side.longest > side.blockSize:
            raise UserError(
                f"its tokens are not the baseline's, and {whose} documents must then be whole: the longest has "
                f"{side.longest:,} tokens, blockSize {side.blockSize} cuts it. Type model.blockSize={side.longest}"
                + (" for the arm" if whose == "its" else " for the baseline")
            )
