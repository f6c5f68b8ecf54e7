"""What lies in a run's folder and is damaged, or was never gptlab's: a line says so, or what can be healed is."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gptlab.cli import main
from gptlab.errors import UserError
from gptlab.runs.checkpoint.digests import SUMS
from gptlab.runs.config_file import read_config
from gptlab.runs.folder import RunFolder
from gptlab.sweeps.record import read_records
from gptlab.training.metric_rows import rows_after
from tests.resuming import TINY, as_killed, assert_same_end, write_corpus

SIZES = ["train.numSteps=4", "train.logEvery=1", "train.evalEvery=2", "checkpoint.every=2", "engine=scalar"]
HUGE = "9" * 5000
RESUME = ["resume=runs/gift"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, and what SIGKILL would have left of it."""
    folder, before = tmp_path_factory.mktemp("giver"), Path.cwd()
    write_corpus(folder)
    os.chdir(folder)
    try:
        assert main(["data=text", *TINY, *SIZES, "hydra.run.dir=runs/whole"]) == 0
    finally:
        os.chdir(before)
    as_killed(folder / "runs/whole", folder / "runs/gift", step=2)
    return folder


@pytest.fixture
def gift(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(trained, tmp_path / "place")
    monkeypatch.chdir(tmp_path / "place")
    monkeypatch.setenv("GPTLAB_PLUGINS", "")
    return Path("runs/gift")


LINES: dict[str, bytes] = {
    "binary": b"\xff\x00" * 40 + b"\n",
    "a list": b"[1, 2]\n",
    "a long number": f'{{"step": 1, "train/loss": {HUGE}}}\n'.encode(),
    "a long step": f'{{"step": {HUGE}, "train/loss": 1}}\n'.encode(),
    "a step of 400 digits": f'{{"step": {"9" * 400}}}\n'.encode(),
    "a loss of 400 digits": f'{{"step": 1, "train/loss": {"9" * 400}}}\n'.encode(),
    "no end of steps": b'{"step": Infinity}\n',
    "no step": b'{"train/loss": 2.0}\n',
    "deep": b"[" * 100_000 + b"\n",
    "no number": b'{"step": 1, "train/loss": {"a": 1}}\n',
}


@pytest.mark.parametrize("line", LINES.values(), ids=list(LINES))
def test_a_row_that_is_none_is_left_out(gift: Path, line: bytes) -> None:
    metrics = gift / "metrics.jsonl"
    metrics.write_bytes(line + metrics.read_bytes())
    assert [step for step, _ in RunFolder(gift).rows()] == [1, 2, 3, 4]
    assert [step for step, _ in rows_after(metrics, 0)[0]] == [1, 2, 3, 4]


def test_a_sample_whose_step_is_no_number_is_a_line_of_the_one_before(gift: Path) -> None:
    (gift / "samples.txt").write_text(f"step 1: a\nstep {HUGE}: b\n")
    assert RunFolder(gift).samples() == [(1, [f"a\nstep {HUGE}: b"])]


RECORD: dict[str, Any] = {
    "number": 0,
    "name": "a",
    "overrides": {},
    "folder": "0",
    "status": "FINISHED",
    "curves": {},
}
WRONG = [{"number": {}}, {"valLoss": "x"}, {"valLoss": 10**400}, {"steps": True}, {"overrides": {"a": 1}}]
WRONG += [
    {"curves": []},
    {"curves": {"val/loss": [[1]]}},
    {"status": None},
    {"refused": 1},
    {"seconds": None},
]


@pytest.mark.parametrize("change", WRONG, ids=str)
def test_a_record_of_a_job_that_is_none_is_left_out(tmp_path: Path, change: dict[str, Any]) -> None:
    (tmp_path / "0").mkdir()
    for record, there in ((RECORD, 1), ({**RECORD, **change}, 0)):
        (tmp_path / "0/job.json").write_text(json.dumps(record))
        assert len(read_records(tmp_path)) == there


@pytest.mark.slow
def test_a_run_goes_on_without_its_damaged_rows_and_says_so(
    gift: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = gift / "metrics.jsonl"
    rows = metrics.read_bytes().splitlines(keepends=True)
    metrics.write_bytes(b"".join(LINES.values()) + rows[1])
    says(files={"metrics.jsonl": metrics.stat().st_size})(gift)
    assert main(RESUME) == 0
    told = capsys.readouterr().err
    assert "metrics.jsonl is damaged" in told and told.count("\n") == 1
    assert [step for step, _ in RunFolder(gift).rows()] == [2, 3, 4]


@pytest.mark.slow
@pytest.mark.parametrize("left", [0, 1, 40])
def test_what_is_cut_off_spoils_no_line_that_comes_after(
    gift: Path, left: int, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("metrics.jsonl", "samples.txt"):
        os.truncate(gift / name, left)
    assert main(RESUME) == 0
    assert "metrics.jsonl is damaged" in capsys.readouterr().err
    assert [step for step, _ in RunFolder(gift).rows()] == [3, 4]
    assert all(line.startswith(b"step ") for line in (gift / "samples.txt").read_bytes().splitlines())


@pytest.mark.slow
def test_what_a_kill_leaves_is_no_damage(gift: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(RESUME) == 0
    assert capsys.readouterr().err == ""
    assert_same_end(gift, Path("runs/whole"))


Damage = Callable[[Path], object]


def holds(name: str, content: str) -> Damage:
    return lambda gift: (gift / name).write_text(content)


def says(**changes: Any) -> Damage:
    """Has state.json say something else, with a digest that is right."""

    def change(gift: Path) -> None:
        folder = gift / "checkpoints/step-000002"
        state = json.loads((folder / "state.json").read_text())
        for path, value in changes.items():
            *outer, last = path.split("__")
            place = state
            for key in outer:
                place = place[key]
            place[last] = value
        (folder / "state.json").write_text(json.dumps(state))
        files = [path for path in sorted(folder.iterdir()) if path.name != SUMS]
        sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
        (folder / SUMS).write_text("".join(sums))

    return change


STATES: dict[str, Damage] = {
    "no optimizer": says(config__optimizer=None),
    "an optimizer that is a list": says(config__optimizer=[]),
    "an optimizer that is gone": says(config__optimizer={"name": "gone"}),
    "an optimizer without a name": says(config__optimizer={}),
    "a norm of two": says(config__model__norm={"name": ["a", "b"]}),
    "no norm": says(config__model__norm=None),
    "no data": says(config__data=None),
    "data from a device": says(config__data__path="/dev/zero"),
    "no training": says(config__train=None),
    "no engine": says(config__engine=3),
    "no tracking": says(config__tracking=None),
    "listeners that are none": says(config__listeners=[["a"]]),
    "a seed that is a word": says(config__seed="x"),
    "a vocabulary of numbers": says(tokenizer={"name": "word", "pieces": [1]}),
    "no digest": says(dataset={}),
    "a data set that is a list": says(dataset=[]),
    "files that are a list": says(files=[]),
    "plugins that are a list": says(plugins=[]),
    "a step beyond its name": says(step=10**30),
    "a new key": says(config__new=1),
    "an original that is a number": says(config__original=float("nan")),
    "an original that is empty": says(config__original={}),
    "an original of a list": says(config__original={"run": "a", "data": ["text"]}),
    "an original whose original is a word": says(config__original={"run": "a", "original": "b"}),
}


@pytest.mark.slow
@pytest.mark.parametrize("damage", STATES.values(), ids=list(STATES))
def test_a_state_of_another_kind_is_refused(
    gift: Path, damage: Damage, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (gift / "metrics.jsonl").read_bytes()
    damage(gift)
    assert main(RESUME) == 2
    told = capsys.readouterr().err
    assert told.startswith("gptlab: ") and told.count("\n") == 1 and len(told) < 600
    assert (gift / "metrics.jsonl").read_bytes() == before


CONFIGS = [
    "[]",
    "null",
    "{",
    "a: !!python/object/apply:os.system [true]",
    '"\0"',
    "&a {b: *a}",
    "x: " + "[" * 100_000,
]
CONFIGS += [f"a: {HUGE}", "a: &a [1]\nb: [*a, *a]", "- \n" * 200_000]


@pytest.mark.parametrize("content", CONFIGS, ids=lambda content: content[:20])
@pytest.mark.parametrize("verb", ["compare", "sync", ""])
def test_a_config_that_is_none_is_refused(
    gift: Path, content: str, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (gift / "config.yaml").write_text(content)
    other = content in ("[]", "null")
    wrong = "config.yaml does not hold the keys of a config" if other else "config.yaml must be"
    if not verb:
        with pytest.raises(UserError) as refused:
            read_config(gift)
        assert wrong in str(refused.value)
        return
    told = {"synced": False, "store": f"sqlite:///{Path.cwd()}/mlflow.db", "status": "FINISHED", "began": 1}
    RunFolder(gift).update(**told, process="", typed="", experiment="e")
    shutil.rmtree(gift / "checkpoints")
    assert main([verb, "runs/gift", *(["runs/whole"] if verb == "compare" else [])]) == 2
    told_of = capsys.readouterr().err
    assert wrong in told_of and told_of.count("\n") == 1
    assert not Path("mlflow.db").exists()


IDENTITIES = ["[]", '"a"', "{}", "null", '{"id": 1, "name": 2}', '{"a":' * 9000, HUGE, '{"status": ["x"]}']


@pytest.mark.slow
@pytest.mark.parametrize("content", IDENTITIES, ids=lambda content: content[:20])
def test_of_a_run_json_that_is_none_the_checkpoint_tells_the_rest(gift: Path, content: str) -> None:
    (gift / "run.json").write_text(content)
    assert main(RESUME) == 0
    assert RunFolder(gift).status == "FINISHED"
    assert RunFolder(gift).run().name.startswith("data=text")
