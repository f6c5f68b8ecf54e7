"""initFrom: nothing that the weights were trained on is held out, and nothing held out from them is trained on."""

import shutil
from pathlib import Path

import pytest

from gptlab.assembly.data import data_of
from gptlab.assembly.run_data import Data
from gptlab.cli import main
from gptlab.command.composing import compose, prepared
from gptlab.config.schema import plain
from gptlab.config.typed import Config, typed
from gptlab.data.fixed_vocabulary import FixedVocabulary
from gptlab.data.tokenizers import WordTokenizer
from gptlab.errors import UserError
from gptlab.plugins.registry import build
from tests.checkpoints import rewritten
from tests.finetuning.tuning import FEW, SMALL, config_of, rows_of

WORDS = [f"{a}{b}" for a in "abcde" for b in "vwxyz"]
OTHER = {"seed": [9], "valFraction": [0.3, 0.0], "splitSeed": [4]}


def lines(numbers: range) -> list[str]:
    """Distinct lines, each of three words."""
    return [" ".join(WORDS[i // 25**k % 25] for k in range(3)) for i in numbers]


@pytest.fixture
def files(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, numbers in {
        "first": range(100),
        "second": range(50, 150),
        "third": range(200),
        "inside": range(20),
    }.items():
        Path(f"{name}.txt").write_text("\n".join(lines(numbers)) + "\n")
    return tmp_path


VOCABULARY = WordTokenizer().build(WORDS)


def split_of(name: str, *overrides: str, original: dict | None = None) -> Data:
    """The data of a run on NAME.txt, in one vocabulary."""
    state = {"name": "word", **VOCABULARY.state()}
    fixed = FixedVocabulary(state, WordTokenizer(), "a test")
    settings = ["data=text", f"data.path={name}.txt", "data.valFraction=0.1", "progress=none", *overrides]
    registry = prepared().registry
    config = {**plain(compose("train", settings)), "original": original}
    data = data_of(typed(Config, config), build(registry, "dataset", config["data"]), fixed, registry)
    object.__setattr__(data, "config", config)  # for `after`
    return data


def after(data: Data) -> dict:
    """What a run that starts from a run on this data keeps of it."""
    config = data.config  # type: ignore[attr-defined]
    keys = {"run": "runs/source", "step": 1, "seed": config["seed"], "data": config["data"]}
    return {**keys, "digest": data.facts.digest, "split": data.split, "original": config["original"]}


def texts(documents) -> set[str]:
    return {VOCABULARY.decode(row) for row in documents.tokens.tolist()}


@pytest.mark.slow
@pytest.mark.parametrize(
    "other", ["seed=9", "data.valFraction=0.3", "data.splitSeed=4", "data.shuffle=false"]
)
def test_the_same_data_keeps_the_split_of_the_source(files, other):
    source = split_of("first", "seed=3")
    tuned = split_of("first", other, original=after(source))
    assert texts(tuned.held_out) == texts(source.held_out) == texts(tuned.original.held_out)
    assert len(texts(tuned.held_out)) == 10
    assert texts(tuned.train) == texts(source.train)
    assert any("100 documents are known to runs/source" in note for note in tuned.notes)


@pytest.mark.slow
@pytest.mark.parametrize(
    "other", ["seed=9", "data.valFraction=0.3", "data.splitSeed=4", "data.valFraction=0"]
)
def test_other_data_that_overlaps_keeps_it_where_it_overlaps(files, other):
    source = split_of("first", "data.valFraction=0.2")
    tuned = split_of("second", other, original=after(source))
    assert not texts(tuned.held_out) & texts(source.train)
    assert not texts(tuned.train) & texts(source.held_out)
    assert texts(tuned.original.held_out) == texts(source.held_out)
    if other == "data.valFraction=0.3":
        assert len(tuned.held_out) == 30, "the share is made up of what the source has not seen"


@pytest.mark.slow
def test_data_that_shares_nothing_is_split_as_it_would_be_anyway(files):
    Path("apart.txt").write_text("\n".join(lines(range(500, 600))))
    source, alone = split_of("first"), split_of("apart")
    tuned = split_of("apart", original=after(source))
    assert texts(tuned.held_out) == texts(alone.held_out) and not tuned.notes


@pytest.mark.slow
def test_weights_remember_all_the_data_that_they_have_seen(files):
    first = split_of("first", "seed=1")
    second = split_of("second", "data.splitSeed=2", original=after(first))
    third = split_of("third", "data.splitSeed=3", "data.valFraction=0.4", original=after(second))
    trained, held = texts(first.train) | texts(second.train), texts(first.held_out) | texts(second.held_out)
    assert not trained & held
    assert not texts(third.held_out) & trained
    assert not texts(third.train) & held
    assert texts(third.original.held_out) == texts(second.held_out)


@pytest.mark.slow
def test_what_the_source_held_out_is_not_trained_on_even_if_that_is_all(files):
    source = split_of("first")
    Path("held.txt").write_text("\n".join(texts(source.held_out)))
    with pytest.raises(UserError, match="must have a document to train on"):
        split_of("held", original=after(source))
    Path("trained.txt").write_text("\n".join(texts(source.train)))
    tuned = split_of("trained", original=after(source))
    assert not len(tuned.held_out)
    assert any(note.startswith("no validation: ") and "run on all of it" in note for note in tuned.notes)


@pytest.mark.slow
def test_a_source_of_an_older_gptlab_is_split_as_it_was(files):
    source = split_of("first", "seed=3", "data.splitSeed=null")
    assert texts(source.held_out) != texts(split_of("first", "seed=3").held_out)
    original = after(source)
    del original["data"]["splitSeed"], original["split"], original["original"]
    tuned = split_of("first", "seed=8", original=original)
    assert texts(tuned.held_out) == texts(source.held_out) == texts(tuned.original.held_out)


@pytest.mark.slow
def test_a_line_on_both_sides_of_an_old_split_is_no_held_out_one(files):
    Path("twice.txt").write_text("\n".join(lines(range(100)) * 2))
    source = split_of("twice", "data.splitSeed=null", "data.valFraction=0.5")
    both = texts(source.train) & texts(source.held_out)
    assert both
    tuned = split_of("twice", original=after(source))
    assert not texts(tuned.held_out) & texts(source.train)
    assert texts(tuned.original.held_out) == texts(source.held_out) - both


@pytest.mark.slow
def test_documents_are_told_apart_by_the_tokens_that_told_them_apart_before(files):
    source = split_of("first")
    with pytest.raises(UserError, match=r"Type data\.splitTokenizer=null"):
        split_of("first", "data.splitTokenizer=char", original=after(source))
    letters = split_of("first", "data.splitTokenizer=char", "data.valFraction=0.2")
    with pytest.raises(UserError, match=r"Type data\.splitTokenizer=char"):
        split_of("second", original=after(letters))
    tuned = split_of("second", "data.splitTokenizer=char", original=after(letters))
    assert texts(tuned.original.held_out) == texts(letters.held_out) != texts(source.held_out)
    assert not texts(tuned.held_out) & texts(letters.train) and not texts(tuned.train) & texts(
        letters.held_out
    )


@pytest.mark.slow
@pytest.mark.parametrize("change", ["gone", "changed", "split", "digest"])
def test_what_is_not_to_be_known_any_more_is_said(files, change):
    original = after(split_of("first"))
    if change == "gone":
        Path("first.txt").unlink()
    elif change == "changed":
        Path("first.txt").write_text("av aw ax\n" * 9)
    else:
        original[change] = "0" * 16 if change == "split" else None
    tuned = split_of("second", original=original)
    assert tuned.original.held_out is None
    (note,) = tuned.notes
    assert note.startswith("no val/originalLoss: ") and "may be among what is held out now" in note


@pytest.mark.slow
def test_a_run_on_the_same_data_is_evaluated_on_what_its_source_held_out(files, capfd):
    data = ["data=text", "data.path=first.txt", *FEW, "train.learningRate=0.03"]
    source = ["seed=3", "data.valFraction=0.2", *SMALL, "train.numSteps=200", "hydra.run.dir=runs/source"]
    assert main([*data, *source]) == 0
    last = rows_of(Path("runs/source"))[-1]["val/loss"]
    other = [
        "seed=5",
        "data.valFraction=0.1",
        "data.splitSeed=7",
        "initFrom=runs/source",
        "train.evalEvery=5",
    ]
    tuned = [*data, "progress=auto", *other, "train.numSteps=10", "checkpoint.every=5", "checkpoint.keep=9"]
    assert main([*tuned, "hydra.run.dir=runs/tuned"]) == 0
    rows = [row for row in rows_of(Path("runs/tuned")) if "val/loss" in row]
    assert [row["step"] for row in rows] == [0, 5, 10]
    assert rows[0]["val/loss"] == pytest.approx(last, rel=1e-6)
    assert all(row["val/loss"] == row["val/originalLoss"] for row in rows)
    assert "100 documents are known to runs/source" in capfd.readouterr().out

    # Resumed while the source's data is there, it goes on to the bit; without it, it would train on others.
    cut = Path("runs/cut")
    shutil.copytree("runs/tuned", cut)
    shutil.rmtree(cut / "checkpoints/step-000010")
    shutil.copytree(cut, "runs/again")
    assert main(["resume=runs/cut", "progress=none"]) == 0
    ends = [Path(f"runs/{name}/checkpoints/step-000010/weights.safetensors") for name in ("cut", "tuned")]
    assert ends[0].read_bytes() == ends[1].read_bytes()
    assert config_of(cut)["original"] == config_of(Path("runs/tuned"))["original"]
    capfd.readouterr()
    rewritten(Path("runs/again/checkpoints/step-000005"), dataset={"split": "0" * 16})
    assert main(["resume=runs/again", "progress=none"]) == 2
    assert "resume needs the held-out documents that the run began with" in capfd.readouterr().err


@pytest.mark.slow
def test_a_run_of_an_older_gptlab_is_resumed_with_the_split_that_it_had(files, capfd):
    data = ["data=text", "data.path=first.txt", "data.valFraction=0.2", "seed=3", *SMALL, *FEW]
    ends = ["train.numSteps=20", "checkpoint.every=10", "checkpoint.keep=9", "hydra.run.dir=runs/old"]
    assert main([*data, *ends, "data.splitSeed=null"]) == 0
    shutil.copytree("runs/old", "runs/cut")
    shutil.rmtree("runs/cut/checkpoints/step-000020")
    older = Path("runs/cut/checkpoints/step-000010")
    rewritten(older, config={"data": {"splitSeed": None}}, dataset={"split": None}, start=None)
    capfd.readouterr()
    assert main(["resume=runs/cut", "progress=none"]) == 0
    same = [Path(f"runs/{name}/checkpoints/step-000020/weights.safetensors") for name in ("old", "cut")]
    assert same[0].read_bytes() == same[1].read_bytes()
    last = [rows_of(Path(f"runs/{name}"))[-1]["val/loss"] for name in ("old", "cut")]
    assert last[0] == last[1]
    assert main(["generate", f"run={older}", "n=1", "tracking=none"]) == 0
