"""Processes that encode side by side give what one gives, whatever becomes of them."""

import os
import random
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gptlab.data import encoders, reading
from gptlab.data.byte_tokenizers import BytePairTokenizer, ByteTokenizer
from gptlab.data.documents import encoded
from gptlab.data.encoders import WORTH, Encoders
from gptlab.data.reading import FileTexts, RunningText, TextLines
from gptlab.data.tokenizers import CharTokenizer, Vocabulary, WordTokenizer, in_batches
from gptlab.errors import UserError

WORDS = ["a", "the", "cat", "dog", "café", "sees", "naïve", "😀", "thinks", "of"]


@pytest.fixture
def text(tmp_path, monkeypatch) -> Path:
    """Forty blocks, which two processes take turns with."""
    chance = random.Random(0)
    lines = [" ".join(chance.choices(WORDS, k=chance.randint(1, 40))) for _ in range(1000)]
    path = tmp_path / "text.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.setattr(reading, "BLOCK", path.stat().st_size // 40)
    monkeypatch.setattr(encoders, "cores", lambda: 2)
    return path


def stream(texts: FileTexts, tokenizer, size: int, touch: Callable[[Encoders], None] = lambda side: None):
    """Tokens and where texts begin; touch: called after the first piece."""
    with encoders.encoders(in_batches(tokenizer), size) as side:
        pieces = []
        for piece in encoded(texts, tokenizer, side_by_side=side):
            pieces.append(piece)
            if len(pieces) == 1 and side is not None:
                touch(side)
    return [np.concatenate(part) for part in zip(*pieces, strict=True)], side


def fails(self, texts) -> None:
    raise AssertionError("not encoded by the other processes")


@pytest.mark.slow
@pytest.mark.parametrize("kind", [TextLines, RunningText])
@pytest.mark.parametrize("factory", [WordTokenizer(), BytePairTokenizer(300)])
def test_several_processes_give_what_one_gives(text, kind, factory, monkeypatch):
    texts = kind(text, [text], "data.path")
    tokenizer = factory.build(texts)
    alone, none = stream(texts, tokenizer, 0)
    monkeypatch.setattr(type(tokenizer), "encode_all", fails)  # here, and not there
    together, side = stream(texts, tokenizer, WORTH)
    assert none is None and side is not None and len(alone[0]) > 1000
    for one, other in zip(alone, together, strict=True):
        assert one.tolist() == other.tolist()
    assert all(process.returncode is not None for process in side.processes)


@pytest.mark.parametrize("victims", [1, 2])
def test_what_a_killed_process_had_is_encoded_here(text, victims):
    texts = TextLines(text, [text], "data.path")
    tokenizer = WordTokenizer().build(texts)

    def kill(side: Encoders) -> None:
        for process in side.processes[:victims]:
            os.kill(process.pid, signal.SIGKILL)

    found = stream(texts, tokenizer, WORTH, kill)[0][0]
    assert found.tolist() == stream(texts, tokenizer, 0)[0][0].tolist()


def test_what_cannot_be_encoded_is_told_as_ever(text):
    texts = TextLines(text, [text], "data.path")
    with pytest.raises(UserError, match="the word 'cat' is not in the vocabulary"):
        stream(texts, Vocabulary(sorted({*WORDS} - {"cat"}), "word"), WORTH)


class Elsewhere(Vocabulary):
    """As of a plugin, whose module another process does not find."""


@pytest.mark.parametrize(
    "tokenizer",
    [CharTokenizer().build(["a"]), ByteTokenizer().build([]), Elsewhere(WORDS, "word"), None],
)
def test_no_process_is_started_where_it_would_not_pay(monkeypatch, tokenizer):
    monkeypatch.setattr(encoders, "start", None)
    with encoders.encoders(tokenizer, WORTH) as side:
        assert side is None
    with encoders.encoders(WordTokenizer().build(["a"]), WORTH - 1) as side:
        assert side is None
    monkeypatch.setattr(encoders, "cores", lambda: 1)
    with encoders.encoders(WordTokenizer().build(["a"]), WORTH) as side:
        assert side is None


def test_an_interruption_leaves_no_process(text):
    texts = TextLines(text, [text], "data.path")
    tokenizer = WordTokenizer().build(texts)
    seen = []

    def interrupt(side: Encoders) -> None:
        seen.append(side)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stream(texts, tokenizer, WORTH, interrupt)
    assert all(process.returncode is not None for process in seen[0].processes)
