"""Losses of other tokens: on the same held-out texts, whole, and in nats a token of the baseline's."""

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gptlab.ablation.comparable import Judged, bits_per_byte, check_comparable
from gptlab.data.tokenizers import CharTokenizer, WordTokenizer
from gptlab.errors import UserError
from tests.ablation_commands import ablate
from tests.models import encode

WORDS = Judged("data", "split", {"name": "word"}, blockSize=6, longest=6, predictions=30)
LETTERS = replace(WORDS, tokenizer={"name": "char"}, blockSize=25, longest=25, predictions=120)


def test_other_tokens_compare_on_the_same_texts_that_neither_side_cuts() -> None:
    check_comparable(LETTERS, WORDS)
    check_comparable(WORDS, LETTERS)


@pytest.mark.parametrize(
    ("mine", "its", "said"),
    [
        (replace(LETTERS, blockSize=24), WORDS, "Type model.blockSize=25 for the arm"),
        (LETTERS, replace(WORDS, blockSize=5), "Type model.blockSize=6 for the baseline"),
        (replace(LETTERS, longest=None), WORDS, "Type data.unit=line"),
        (replace(LETTERS, split="other"), WORDS, "type data.splitTokenizer=word for the baseline, too"),
        (replace(LETTERS, data="other"), WORDS, "its data, or the part held out"),
        (replace(WORDS, split="other"), WORDS, "can be compared only on the same texts"),
        (replace(WORDS, counted="some"), WORDS, "its objective counts other held-out tokens"),
        (replace(WORDS, blockSize=7), WORDS, "its blockSize, 7, is not the baseline's, 6"),
    ],
)
def test_what_does_not_compare_is_refused_with_what_to_type(mine: Judged, its: Judged, said: str) -> None:
    with pytest.raises(UserError) as error:
        check_comparable(mine, its)
    assert said in str(error.value)


@pytest.mark.parametrize("kind", [WordTokenizer, CharTokenizer])
def test_guessing_among_n_tokens_costs_their_logarithm_whatever_the_tokens_are(kind: Any) -> None:
    texts = ["the cat sees", "a café"]
    tokenizer = kind().build(texts)
    documents = encode(texts, tokenizer, 99)
    rate = bits_per_byte(SimpleNamespace(held_out=documents, tokenizer=tokenizer))  # type: ignore[arg-type]
    guessed = np.log(tokenizer.vocabSize) * rate
    tokens = sum(len(tokenizer.encode(text)) + 1 for text in texts)
    assert guessed == pytest.approx(tokens * math.log2(tokenizer.vocabSize) / (12 + 7))


@pytest.mark.slow
def test_an_arm_of_letters_is_held_against_words_by_what_the_same_texts_cost(folder: Path) -> None:
    """Of two models that guess, so that each loss is the logarithm of a vocabulary's size. Lines of three words of
    three letters: with its end each has 4 words, and 12 letters."""
    lines = [
        " ".join((a, b, c)) for a in ("cat", "dog") for b in ("may", "can", "has") for c in ("run", "sit")
    ]
    (folder / "corpus.txt").write_text("\n".join(lines) + "\n")
    arm = "arms=[[tokenizer=char, model.blockSize=12]]"
    found = ablate(arm, "seeds=2", "model.initStd=0", "train.learningRate=1e-9")
    words, letters = (len({piece for line in lines for piece in cut(line)}) + 1 for cut in (str.split, list))
    (arm_found,), baseline = found.arms, found.baseline
    assert baseline.losses[0] == pytest.approx(math.log(words), rel=1e-5)
    assert arm_found.setting.losses[1] == pytest.approx(3 * math.log(letters), rel=1e-5)
    assert arm_found.setting.runs[1].curve[-1][1] == arm_found.setting.losses[1]
    assert arm_found.comparison.difference == pytest.approx(3 * math.log(letters) - math.log(words), rel=1e-5)
    bits = 4 / 11 * math.log2(words), 12 / 11 * math.log2(letters)
    assert found.notes[-1] == f"bits per byte: baseline {bits[0]:.3f}, {arm_found.name} {bits[1]:.3f}"
    assert "given in nats a token of the baseline" in found.notes[-2]
