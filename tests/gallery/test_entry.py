"""An entry's file: what it says, and what is refused of it, each in a line that names the file and what to mend."""

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from gptlab.errors import UserError
from gptlab.gallery.entry import entry_of, read_entry
from gptlab.gallery.finding import entry_files, entry_named

ENTRY: dict[str, Any] = {
    "claim": "It is so.",
    "source": "So et al. 2021, a paper",
    "minutes": 1,
    "seeds": 2,
    "base": ["train.numSteps=10"],
    "arms": {"plain": [], "gelu": ["model/activation=gelu"]},
    "grid": {"train.learningRate": [0.01, 0.1], "by": "loss"},
    "measures": {
        "loss": {"last": "val/loss"},
        "soon": {"first": "val/loss", "below": 3},
        "gap": {"difference": ["loss", "soon"]},
    },
    "claims": [{"says": "lower", "difference": ["loss of gelu", "loss of plain at 0.1"], "atMost": 0}],
    "picture": [{"curves": "val/loss"}, {"grid": "loss"}],
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """ENTRY with a value put somewhere, such as `claims.0.atMost`; None takes it out."""
    entry = copy.deepcopy(ENTRY)
    *places, last = [int(word) if word.isdigit() else word for word in path.split("/")]
    at: Any = entry
    for place in places:
        at = at[place]
    if value is None:
        del at[last]
    else:
        at[last] = value
    return entry


def test_an_entry_is_read() -> None:
    entry = entry_of("one", ENTRY)
    assert entry.authors == "So et al. 2021"
    assert entry.arms == {"plain": (), "gelu": ("model/activation=gelu",)}
    assert entry.grid is not None and (entry.grid.values, entry.grid.by) == ((0.01, 0.1), "loss")
    (claim,) = entry.claims
    assert [(one.measure.name, one.arm, one.at) for one in claim.operands] == [
        ("loss", "gelu", None),
        ("loss", "plain", 1),
    ]
    assert claim.expected == "at most 0"
    assert entry.measures["soon"].words == "first step with val/loss below 3"
    assert entry.drawn_metrics == ["val/loss"]


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("claim", None, "must have claim"),
        ("clame", "x", "no key clame. Did you mean claim"),
        ("claim", 3, "claim must be a text"),
        ("minutes", 0, "minutes must be above 0"),
        ("minutes", "two", "minutes must be above 0"),
        ("seeds", 0, "seeds must be from 1 to 100"),
        ("seeds", 1.5, "seeds must be a whole number"),
        ("arms", {}, "at least one arm"),
        ("arms", ["plain"], "arms must be names"),
        ("arms/gelu", "model/activation=gelu", "arms.gelu must be a list"),
        ("arms/gelu", ["gelu"], "must be overrides"),
        ("base", ["seed=1,2"], "one value each"),
        ("grid", {"train.learningRate": [0.1]}, "two values or more"),
        ("grid", {"train.learningRate": [0.1, 0.01]}, "in order"),
        ("grid", {"train.learningRate": [0, 0.01]}, "must be above 0"),
        ("grid", {"a": [1, 2], "b": [1, 2]}, "a grid has one key"),
        ("grid/by", "los", "no measure is named 'los'. Did you mean loss"),
        ("measures/loss", {"final": "val/loss"}, "measures.loss must have one of last"),
        ("measures/loss", {"last": "val/loss", "lowest": "val/loss"}, "one of last"),
        ("measures/loss", {"last": "val/loss", "within": 3}, "has no key within"),
        ("measures/loss", {"last": 3}, "must be a text"),
        ("measures/loss", {"last": "val/loss", "better": "more"}, "must be higher or lower"),
        ("measures/soon", {"first": "val/loss"}, "one of above, below"),
        ("measures/soon", {"first": "val/loss", "below": "x"}, "must be a number"),
        ("measures/soon", {"fall": "val/loss"}, "within must be a number"),
        ("measures/soon", {"at": 0, "of": "val/loss"}, "at least 1 steps"),
        ("measures/gap", {"difference": ["loss"]}, "is of two measures"),
        ("measures/gap", {"difference": ["loss", "later"]}, "no measure above gap is named 'later'"),
        ("measures/gap", {"fact": "layers"}, "must be parameters"),
        ("measures/two words", {"last": "val/loss"}, "named by one word"),
        ("claims", [], "at least one claim"),
        ("claims/0/says", None, "what a claim says must be a text"),
        ("claims/0/atMost", None, "must say what is expected"),
        ("claims/0/atMost", "none", "must be a number"),
        ("claims/0/atLeast", 1, "atLeast below atMost"),
        ("claims/0/difference", ["loss of gelu"], "takes 2 measures: got 1"),
        ("claims/0/difference", ["loss of gelu", "loss of relu"], "no arm is named 'relu'"),
        ("claims/0/difference", ["lost of gelu", "loss of plain"], "no measure is named 'lost'"),
        ("claims/0/difference", ["loss of gelu at 0.5", "loss of plain"], "must name a value of the grid"),
        ("claims/0/difference", ["loss.gelu", "loss of plain"], "a measure of an arm"),
        ("claims/0/ratio", ["loss of gelu", "loss of plain"], "must have one of value"),
        ("claims/0/across", "worst", "Known: best, bestValue, sensitivity, span"),
        ("claims/0/across", "sensitivity", "ceiling of the claim 'lower' must be a number"),
        ("claims/0/floor", 1, "has no key floor"),
        ("picture", [{"curve": "val/loss"}], "a panel must have one of curves"),
        ("picture", [{"bars": ["los"]}], "no measure is named 'los'"),
        ("picture", [{"curves": "val/loss", "y": "logarithmic"}], "no scale of y"),
        ("picture", [{"curves": "val/loss", "colour": "red"}], "has no key colour"),
    ],
)
def test_what_is_no_entry_is_refused(path: str, value: Any, said: str, tmp_path: Path) -> None:
    file = tmp_path / "one.yaml"
    file.write_text(yaml.safe_dump(changed(path, value), sort_keys=False))
    with pytest.raises(UserError, match=re.escape(said)) as refused:
        read_entry("one", file)
    assert "one.yaml: " in str(refused.value) and "\n" not in str(refused.value)


def test_what_a_grid_is_needed_for_is_refused_without_one() -> None:
    entry = changed("grid", None)
    entry["claims"] = [{"says": "x", "value": "loss of gelu", "across": "bestValue", "atMost": 1}]
    with pytest.raises(UserError, match="must have a grid"):
        entry_of("one", entry)
    entry["claims"] = [{"says": "x", "value": "loss of gelu", "atMost": 1}]
    with pytest.raises(UserError, match="a panel of a grid needs a grid"):
        entry_of("one", entry)
    entry["picture"] = []
    assert entry_of("one", entry).grid is None


@pytest.mark.parametrize("text", ["", "[", "- a\n- b\n", "claim: &a [*a]\n"])
def test_yaml_that_is_none_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(text)
    with pytest.raises(UserError, match=r"one\.yaml"):
        read_entry("one", tmp_path / "one.yaml")


def test_numbers_are_read_as_on_the_command_line(tmp_path: Path) -> None:
    text = yaml.safe_dump(changed("grid", {"train.learningRate": [0.01, 0.1]}), sort_keys=False).replace(
        "- 0.01\n", "- 1e-2\n"
    )
    assert "1e-2" in text
    (tmp_path / "one.yaml").write_text(text)
    grid = read_entry("one", tmp_path / "one.yaml").grid
    assert grid is not None and grid.values == (0.01, 0.1)


@pytest.mark.parametrize("name", entry_files())
def test_every_entry_of_the_gallery_is_read(name: str) -> None:
    entry = entry_named(name)
    assert re.search(r"\b(19|20)\d\d\b", entry.authors), "its source begins with who and when"
    assert entry.claim.endswith(".") and entry.minutes <= 10


def test_an_entry_of_the_folder_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiments/gallery").mkdir(parents=True)
    (tmp_path / "experiments/gallery/squaredrelu.yaml").write_text(yaml.safe_dump(ENTRY, sort_keys=False))
    assert entry_named("squaredrelu").claim == "It is so."
