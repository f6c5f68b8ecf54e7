"""Listeners that are registered: typed fields, one for each run, and the numbers that they make of an evaluation."""

import json
from pathlib import Path

import pytest

from gptlab.checks import check_names
from gptlab.cli import main
from gptlab.plugins.loading import load_plugins
from tests.plugin_texts import stand_beside

SMALL = [
    *("data=names", "tokenizer=char", "data.valFraction=0.001", "model.nEmbd=4", "model.nHead=2"),
    *("samples.n=0", "engine=scalar", "train.numSteps=4", "train.evalEvery=2", "train.logEvery=2"),
    *("tracking=none", "progress=none"),
]
PROBE = '''
"""Looks into models."""
from dataclasses import dataclass

import gptlab


@dataclass(frozen=True)
class Probe:
    """Counts evaluations. factor: of the count. text: that is looked at."""

    factor: float = 1.0
    text: str = "ada"

    def begin(self, run):
        return Counting(self)


class Counting:
    def __init__(self, settings):
        self.settings, self.count = settings, 0

    @gptlab.hookimpl
    def gptlab_evaluated(self, run, step, model, metrics):
        self.count += 1
        logits, weights = model.logits(self.settings.text), model.weights
        return {
            "count": self.settings.factor * self.count,
            "vocabulary": logits.shape[1],
            "positions": logits.shape[0],
            "embedded": weights["tokenEmbedding"].shape[0],
            "texts": len(model.generate(n=3, prompt="a")),
            "seen": len(model.inspect("ada").losses),
            "step": model.step,
            "known": "val/loss" in metrics,
        }


@gptlab.hookimpl
def gptlab_register_listeners(register):
    register("probe", Probe)
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return stand_beside(tmp_path, monkeypatch, probe=PROBE)


def rows(run: str) -> list[dict[str, float]]:
    return [json.loads(line) for line in Path(run, "metrics.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_what_it_makes_of_an_evaluation_is_logged_under_its_name(folder: Path) -> None:
    asked = ["listeners=[probe]", "listeners.probe.factor=10", "hydra.run.dir=run"]
    assert main([*SMALL, *asked]) == 0
    found = [{k: v for k, v in row.items() if k.startswith("probe/")} for row in rows("run")]
    same = {"vocabulary": 27, "positions": 4, "embedded": 27, "texts": 3, "seen": 4, "known": 1}
    expected = [{"count": 10 * i, "step": 2 * i, **same} for i in (1, 2)]
    assert [f for f in found if f] == [{f"probe/{k}": v for k, v in row.items()} for row in expected]
    config = Path("run/config.yaml").read_text()
    assert "listener:\n  probe:\n    factor: 10.0\n    text: ada\n" in config and "early" not in config


@pytest.mark.slow
def test_each_job_of_a_sweep_has_its_own(folder: Path) -> None:
    sweep = ["-m", *SMALL, "listeners=[probe,early]", "listener.probe.factor=1,2", "hydra.sweep.dir=sweep"]
    assert main(sweep) == 0
    assert [rows(f"sweep/{job}")[-1]["probe/count"] for job in (0, 1)] == [2, 4]


@pytest.mark.slow
def test_jobs_side_by_side_have_their_own(folder: Path) -> None:
    sweep = [*SMALL, "engine=xla", "listeners=[probe]", "seed=1,2,3", "sweep.jobs=3", "hydra.sweep.dir=sweep"]
    assert main(["-m", *sweep]) == 0
    assert [rows(f"sweep/{job}")[-1]["probe/count"] for job in range(3)] == [2, 2, 2]


@pytest.mark.slow
def test_one_sees_the_numbers_of_those_before_it(folder: Path) -> None:
    asked = ["listeners=[probe,early]", "listener.early.metric=probe/count", "listener.early.mode=max"]
    assert main([*SMALL, *asked, "listener.early.reaches=1", "hydra.run.dir=run"]) == 0
    assert rows("run")[-1]["early/reached"] == rows("run")[-1]["step"] == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["listeners=[probe]", "listener.probe.factor=x"], "listener.probe.factor must be a number: got x"),
        (["listeners=[probe]", "listener.probe.facto=2"], "Did you mean listener.probe.factor"),
        (["listener.probe.factor=2"], "Add listeners=[probe]"),
        (["listeners=[early]", "listener.probe.factor=2"], "Add listeners=[early,probe]"),
        (["listeners=[prob]"], "Did you mean probe"),
        (["listeners=[early]", "listener.early.patience=0"], "listener.early.patience must be at least 1"),
        (["listener=early"], "listener has keys of its own: got listener=early"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_meant_is_told(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main([*SMALL, *arguments]) == 2
    assert said in capsys.readouterr().err
    assert not Path("runs").exists()


@pytest.mark.slow
def test_in_an_experiment_s_file_its_fields_stand_under_listener(folder: Path) -> None:
    Path("experiments").mkdir()
    text = "defaults: [tiny, _self_]\nlisteners: [probe]\nlistener: {probe: {factor: 3}}\n"
    Path("experiments/mine.yaml").write_text(text)
    assert main(["+experiment=mine", *SMALL, "data=names", "hydra.run.dir=run"]) == 0
    assert rows("run")[-1]["probe/count"] == 6


def variant(old: str, new: str) -> str:
    assert PROBE.count(old) == 1
    return PROBE.replace(old, new)


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        (variant("return Counting(self)", "return None"), 2, "must return an object with hooks: got None"),
        (variant("def gptlab_evaluated", "def gptlab_evaluate"), 2, "Did you mean gptlab_evaluated?"),
        (variant("def begin", "def start"), 2, "must have begin(run)"),
        (
            variant("return Counting(self)", "return 1 / 0"),
            0,
            "failed in begin and is left out: ZeroDivision",
        ),
        (variant('"count": self', '"a b": self'), 0, "a number's name must be letters"),
        (variant('"count": self', '"val/loss": self'), 0, "a number's name must be letters"),
        (variant('"texts": len(', '"texts": list('), 0, "failed in gptlab_evaluated and is left out"),
        (variant('("probe"', '("val"'), 2, "letters, digits and _, and none of train, val"),
        (
            PROBE + "\n@gptlab.hookimpl\ndef gptlab_step_ended(step): pass\n",
            2,
            "two listeners are named 'probe'",
        ),
    ],
    ids=["None", "misspelt", "no-begin", "raises", "space", "slash", "no-number", "ours", "two"],
)
def test_what_is_wrong_with_one_is_told(
    folder: Path, capsys: pytest.CaptureFixture[str], text: str, status: int, said: str
) -> None:
    Path("plugins/probe.py").write_text(text)
    assert main([*SMALL, "listeners=[probe]", "hydra.run.dir=run"]) == status
    assert said in capsys.readouterr().err
    if status == 0:
        assert rows("run")[-1]["step"] == 4 and not any("probe/" in key for row in rows("run") for key in row)


@pytest.mark.slow
def test_check_finds_one_that_keeps_something_from_run_to_run(folder: Path) -> None:
    passing = check_names(load_plugins(quiet=True), ["probe"])
    assert [check for check in passing if not check.passed] == []
    assert "keeps nothing from run to run" in {check.what for check in passing}
    shared = variant("class Counting:\n", "class Counting:\n    all = []\n")
    shared = shared.replace("self.count += 1", "self.all.append(1); self.count = len(self.all)")
    Path("plugins/probe.py").write_text(shared)
    failing = [check for check in check_names(load_plugins(quiet=True), ["probe"]) if not check.passed]
    assert [check.what for check in failing] == ["keeps nothing from run to run"]
    assert "'probe/count': 1.0" in failing[0].problem
