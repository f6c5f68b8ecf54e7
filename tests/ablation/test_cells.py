"""An arm at one size and setting: what is trained, what it costs, and that its losses can be compared."""

from pathlib import Path
from typing import Any

import pytest

from gptlab.ablation.cells import EVALUATIONS, Cell, Cells, differing
from gptlab.ablation.question import question_of
from gptlab.command.composing import prepared
from gptlab.config.schema import AblateConfig
from gptlab.errors import UserError
from gptlab.plugins.loading import Plugins
from tests.resuming import TINY

BASE = [*TINY, "engine=scalar", "train.numSteps=40"]
ARM = "model/norm=layernorm"
EVERY = f"train.evalEvery={40 // EVALUATIONS}"


@pytest.fixture(scope="module")
def plugins() -> Plugins:
    return prepared()


@pytest.fixture
def cells(plugins: Plugins, folder: Path) -> Cells:
    return cells_of(plugins)


def cells_of(plugins: Plugins, *more: str, **settings: Any) -> Cells:
    """Of a question whose baseline is small."""
    asked = AblateConfig(**{"arms": ARM, **settings})
    return Cells(question_of(asked, [*BASE, *more], plugins.registry), plugins)


def only(cells: Cells, *overrides: str, **place: Any) -> Cell:
    return cells.of("it", overrides, **place)


@pytest.mark.slow
def test_a_job_is_the_baseline_s_with_what_the_arm_changes_and_its_seed(cells: Cells) -> None:
    baseline, arm = cells.baseline(), only(cells, ARM)
    assert baseline.job(7) == [
        *BASE,
        EVERY,
        "seed=7",
    ]  # 20 evaluations show when a loss is reached
    assert arm.job(7) == [*BASE, ARM, EVERY, "seed=7"]
    assert differing(arm.config, baseline.config) == {"model"}
    assert only(cells, ARM).config is arm.config  # composed once, which takes a quarter of a second
    assert cells.of("other", [ARM]).name == "other"


def test_what_is_typed_of_progress_and_evaluations_holds(plugins: Plugins, folder: Path) -> None:
    base = cells_of(plugins, "progress=auto", "train.evalEvery=40").baseline()
    assert base.config.progress == "auto" and base.config.train.evalEvery == 40
    assert not [word for word in base.overrides if word in ("progress=none", EVERY)]


@pytest.mark.slow
def test_an_objective_is_an_arm_unless_it_counts_other_tokens(cells: Cells) -> None:
    assert only(cells, "objective.zLoss=0.01").config.objective["zLoss"] == 0.01
    assert only(cells, "objective=multitoken").config.objective.name == "multitoken"
    with pytest.raises(UserError, match="'it' must be one that can be compared: its objective counts other"):
        only(cells, "objective=answers", "objective.after=the")


@pytest.mark.slow
def test_a_setting_is_over_an_arm_and_an_arm_over_a_size(cells: Cells) -> None:
    size, setting = ("model.nEmbd=8", "model.nLayer=2"), ("train.learningRate=0.5",)
    cell = only(
        cells,
        "model.nLayer=1",
        ARM,
        "train.learningRate=0.1",
        "train.batchSize=2",
        size=size,
        setting=setting,
    )
    assert (cell.config.model.nEmbd, cell.config.model.nLayer) == (8, 1)
    assert (cell.config.train.learningRate, cell.config.train.batchSize) == (0.5, 2)
    assert (cell.size, cell.setting) == (size, setting)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "place", "said"),
    [
        (
            ["model/norm=rmsnorm"],
            {},
            "changes nothing: the baseline has model/norm=rmsnorm already. Leave it out",
        ),
        (["train.numSteps=40", "model.nEmbd=4"], {}, "changes nothing"),
        (["samples.n=3", "description=x"], {}, "changes nothing"),  # nor do samples change a loss
        (["model.nEmbd=8"], {"size": ("model.nEmbd=8",)}, "changes nothing"),
        (["train.learningRate=0.3"], {"setting": ("train.learningRate=0.1",)}, "or is tuned over it"),
        (["model/norm=layernrm"], {}, "layernorm"),
        (["model.nEmb=8"], {}, "model.nEmbd"),
        (["model.nEmbd=7"], {}, "model.nHead"),
        (["optimizer=sgd"], {"setting": ("optimizer.beta2=0.9",)}, "beta2"),
        (["model.blockSize=5"], {}, "its blockSize, 5, is not the baseline's, 6"),
        (["tokenizer=char"], {}, "its tokens are not the baseline's, and its documents must then be whole"),
        (
            ["tokenizer=char", "model.blockSize=40", "data.splitTokenizer=char"],
            {},
            "the part held out, is not the baseline's",
        ),
        (["tokenizer=char", "data.path=other.txt", "model.blockSize=40"], {}, "its data, or the part"),
        (["data.path=other.txt"], {}, "its data, or the part held out, is not the baseline's"),
        (["data.valFraction=0.5"], {}, "the part held out"),
        (["data.splitSeed=1"], {}, "the part held out"),
        (["data.valFraction=0"], {}, "data.valFraction must be above 0"),
    ],
    ids=str,
)
def test_an_arm_that_cannot_be_compared_is_named_with_the_reason(
    cells: Cells, folder: Path, overrides: list[str], place: dict[str, tuple[str, ...]], said: str
) -> None:
    (folder / "other.txt").write_text((folder / "corpus.txt").read_text() + "the cat the cat\n")
    with pytest.raises(UserError) as error:
        only(cells, *overrides, **place)
    assert str(error.value).startswith("the arm 'it' must be one that can be compared: ")
    assert said in str(error.value)


@pytest.mark.slow
def test_an_arm_of_other_tokens_holds_out_the_same_texts(plugins: Plugins, cells: Cells) -> None:
    words, letters = cells.baseline(), only(cells, "tokenizer=char", "model.blockSize=40")
    assert letters.job(1)[-2:] == ["data.splitTokenizer=word", "seed=1"]
    texts = [
        [
            cell.parts.experiment.data.tokenizer.decode(row)
            for row in cell.parts.experiment.data.held_out.tokens
        ]
        for cell in (words, letters)
    ]
    assert texts[0] == texts[1] != []
    predictions = [sum(len(text) + 1 for text in texts[1]), sum(text.count(" ") + 2 for text in texts[0])]
    assert words.unit == 1 and letters.unit == predictions[0] / predictions[1]
    assert cells.with_steps(letters, 5).unit == letters.unit
    tuned = cells_of(plugins, "model.blockSize=40", tune="tokenizer=word,char", arms=ARM)
    assert tuned.baseline(setting=("tokenizer=char",)).unit == letters.unit


@pytest.mark.slow
def test_a_setting_of_the_baseline_that_cannot_be_compared_with_the_others_is_refused(
    plugins: Plugins, folder: Path
) -> None:
    cells = cells_of(plugins, tune="data.valFraction=0.1,0.3")
    with pytest.raises(
        UserError, match=r"^data\.valFraction=0\.1 must leave a loss that can be compared: its data, or"
    ):
        cells.baseline(setting=("data.valFraction=0.1",))


@pytest.mark.slow
def test_with_match_flops_an_arm_has_as_many_operations_as_the_baseline(
    plugins: Plugins, folder: Path
) -> None:
    cells = cells_of(plugins, match="flops")
    baseline, arm = cells.baseline(), only(cells, "model.nLayer=3")
    assert arm.config.train.numSteps < baseline.config.train.numSteps == 40
    assert arm.costs.flops == pytest.approx(baseline.costs.flops, rel=0.05)
    assert arm.costs.parameters > baseline.costs.parameters
    assert f"train.numSteps={arm.config.train.numSteps}" in arm.overrides
    assert [word for word in arm.overrides if word.startswith("train.numSteps=")][1:] == []


@pytest.mark.slow
def test_with_match_params_an_arm_has_the_width_that_has_as_many(plugins: Plugins, folder: Path) -> None:
    cells = cells_of(plugins, "model.nEmbd=16", "model.nHead=1", match="params")
    baseline, arm = cells.baseline(), only(cells, "model.nLayer=2")
    assert arm.config.model.nEmbd < 16 and arm.config.model.nEmbd % 2 == 0
    assert arm.costs.parameters == pytest.approx(baseline.costs.parameters, rel=0.15)
    assert all("it: the width whose parameters are nearest" in note for note in cells.notes)


@pytest.mark.slow
def test_where_no_width_has_nearly_as_many_parameters_it_is_refused(plugins: Plugins, folder: Path) -> None:
    cells = cells_of(plugins, "model.nEmbd=2", match="params")
    with pytest.raises(UserError, match="no width comes close to the baseline's"):
        only(cells, "model.nLayer=6")


@pytest.mark.slow
def test_another_number_of_steps_leaves_the_cell_as_it_was(cells: Cells) -> None:
    cell = only(cells, ARM)
    fewer = cells.with_steps(cell, 9.6)
    assert (fewer.config.train.numSteps, fewer.config.train.evalEvery) == (10, 10 // EVALUATIONS)
    assert cells.with_steps(cell, 40.3) is cell and cells.with_steps(cell, 0.1).config.train.numSteps == 1
    assert cell.config.train.numSteps == 40 and fewer.job(0).count("train.numSteps=10") == 1


@pytest.mark.slow
def test_a_key_is_equal_for_equal_runs_alone(plugins: Plugins, cells: Cells) -> None:
    cell = cells.baseline()
    again = cells_of(plugins, "progress=auto", "samples.n=4", "description=why").baseline()
    assert cell.key(1) == again.key(1) != ""
    others = [cell.key(2), only(cells, ARM).key(1), only(cells, "train.learningRate=0.3").key(1)]
    others.append(cells.with_steps(cell, 20).key(1))
    assert len({cell.key(1), *others}) == 5
