"""Two runs are the same if their config, their code and their data are; a folder's finished runs are found by that."""

import json
from pathlib import Path

import pytest

from gptlab.runs.equality import code_digest, equality_key, finished_runs

CONFIG = {"seed": 1, "model": {"nEmbd": 4}, "progress": "auto", "initFrom": None}
VERSIONS = {
    "device": "cpu",
    "dtype": "float32",
    "python": "3.11.1",
    "version.jax": "0.8",
    "gptlab.version": "1",
}


def key(config=CONFIG, data="d1", brought=None, versions=VERSIONS) -> str:
    return equality_key(config, data, brought or {}, versions)


@pytest.mark.parametrize(
    "same",
    [
        {"config": {**CONFIG, "progress": "none", "description": "x", "tracking": {"name": "none"}}},
        {
            "config": {
                **CONFIG,
                "checkpoint": {"every": 5},
                "samples": {"n": 1},
                "inspect": {},
                "register": "r",
            }
        },
        {"config": dict(reversed(CONFIG.items()))},
        {"versions": {**VERSIONS, "gptlab.version": "2", "git": "dirty"}},  # the code has a digest of its own
    ],
    ids=range(4),
)
def test_what_changes_no_number_is_no_other_run(same):
    assert key(**same) == key() != ""


@pytest.mark.parametrize(
    "other",
    [
        {"config": {**CONFIG, "seed": 2}},
        {"config": {**CONFIG, "model": {"nEmbd": 8}}},
        {"data": "d2"},
        {"brought": {"plugin": "p1"}},
        *({"versions": {**VERSIONS, name: "other"}} for name in ("device", "dtype", "python", "version.jax")),
        {"versions": {**VERSIONS, "version.numpy": "2.3"}},
    ],
    ids=range(9),
)
def test_what_may_change_a_number_is_another_run(other):
    assert key(**other) != key()


def test_the_code_of_a_plugin_and_gptlab_s_own_are_in_it():
    assert key(brought={"plugin": "p1"}) != key(brought={"plugin": "p2"})
    assert len(code_digest()) == 16 and int(code_digest(), 16) >= 0


def test_a_run_that_begins_with_other_weights_is_like_none():
    assert key({**CONFIG, "initFrom": "runs/x"}) == ""


def test_finished_runs_are_found_by_their_keys_and_of_equal_ones_the_newest(tmp_path: Path):
    def run(name: str, **told) -> Path:
        folder = tmp_path / name
        folder.mkdir(parents=True)
        told = {"status": "FINISHED", "equality": "k1", "ended": 1, **told}
        (folder / "run.json").write_text(json.dumps(told))
        return folder

    run("day/old")
    newest = run("day/sweep/1", ended=3)
    run("day/sweep/0", ended=2)
    run("day/sweep/1/copy", ended=9)  # what lies in a run's folder is no run of its own
    run("failed", status="FAILED", equality="k2")
    run("running", status="RUNNING", equality="k3")
    run("older gptlab", equality=None)
    run("unlike any", equality="")
    run("never ended", equality="k4", ended=None)
    (run("damaged") / "run.json").write_text("{")
    (run("a list") / "run.json").write_text("[]")
    other = run("other", equality="k5", ended=2.5)
    assert finished_runs(tmp_path) == {"k1": newest, "k5": other}
    assert finished_runs(tmp_path / "nowhere") == {}
