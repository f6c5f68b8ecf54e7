"""What the tests of long data have in common."""

import random
from pathlib import Path

import numpy as np
import pytest

from gptlab.assembly.run_data import Data
from gptlab.command.composing import compose, prepared
from gptlab.config.schema import plain
from gptlab.config.typed import Config, typed
from gptlab.data.batches import Epochs
from gptlab.data.tokenizers import CharTokenizer, WordTokenizer
from gptlab.launch.experiment import Experiment

FACTORIES = {"word": WordTokenizer, "char": CharTokenizer}
UNITS = {"word": "word", "char": "character"}
each_unit = pytest.mark.parametrize("unit", ["line", "window"])
each_tokenizer = pytest.mark.parametrize("name", FACTORIES)


def sample_text(lines: int = 400) -> str:
    """Lines with all that has to be trimmed, lower-cased, left out or told apart."""
    chance = random.Random(0)
    words = [
        "The",
        "cat",
        "Σ",
        "ΟΔΟΣ",
        "İSTANBUL",
        "naïve",
        "😀",
        "a.b",
        "ab'",
        "don't",
        "ʰx",
        "x\u2028y",
        "\x0c",
        "12",
    ]
    ends = ["\n", "\r\n", "\n\n", " \n \n", "\t\n", "\r", "\n  "]
    rows = [" ".join(chance.choices([*words, "", "\t"], k=chance.randint(0, 7))) for _ in range(lines)]
    return "".join(row + chance.choice(ends) for row in rows)


def data(path: Path, *overrides: str) -> Data:
    registry = prepared().registry
    config = plain(compose("train", ["data=text", f"data.path={path}", "progress=none", *overrides]))
    return Experiment.of(typed(Config, config), registry).data


def entries(folder: Path) -> list[Path]:
    return [entry for entry in folder.glob("[!.]*") if entry.is_dir()]


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.glob(".*")]


def assert_same_data(one: Data, other: Data) -> None:
    assert one.facts == other.facts
    assert one.tokenizer.state() == other.tokenizer.state()
    for mine, others in ((one.train, other.train), (one.held_out, other.held_out)):
        assert len(mine) == len(others) and mine.width == others.width
        np.testing.assert_array_equal(mine.tokens, others.tokens)
        np.testing.assert_array_equal(mine.lengths, others.lengths)
        assert mine.tokens.dtype == others.tokens.dtype == np.int32
        assert mine.lengths.dtype == others.lengths.dtype == np.int32
    courses = [Epochs(d.train, 3, 5).chunk(7, len(d.train)) for d in (one, other)]  # over two epochs' ends
    np.testing.assert_array_equal(courses[0].tokens, courses[1].tokens)
    np.testing.assert_array_equal(courses[0].lengths, courses[1].lengths)
