"""Which processes are known to have ended: of this machine, this boot and this container, and of no other."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gptlab.cli import main
from gptlab.files import lock, write_json
from gptlab.tracking import orphans
from gptlab.tracking.catch_up import catch_up_below, close_abandoned
from gptlab.tracking.store import find_store
from tests.resuming import TINY
from tests.tracked import client

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="boots and namespaces are Linux's")


@pytest.fixture(scope="module")
def ended() -> str:
    """The mark of a process of this machine that is gone."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    mark = orphans.process(process.pid)
    process.communicate(b"\n")
    assert mark is not None
    return mark


def elsewhere(mark: str) -> str:
    """The same process id, of a machine that has this one's name: another boot, another machine, no container."""
    pid, start, *_ = mark.split()
    return f"{pid} 01234567-{start.partition('-')[2]} on 0123456789ab/{orphans.INITIAL}"


def test_a_process_of_this_machine_that_is_not_there_is_gone(ended: str) -> None:
    assert orphans.is_gone(ended) and not orphans.lives(ended)
    assert orphans.lives(orphans.own_process()) and not orphans.is_gone(orphans.own_process())
    assert orphans.is_gone("")


@linux
def test_of_another_machine_nobody_can_tell(ended: str) -> None:
    other = elsewhere(ended)
    assert not orphans.lives(other) and not orphans.is_gone(other)
    assert not orphans.is_gone(other, free=True), "a lock is known to those of one machine"
    unnamed = other.replace("0123456789ab", "")
    assert not orphans.is_gone(unnamed)


@linux
def test_a_machine_that_was_started_anew_has_none_of_its_earlier_processes(ended: str) -> None:
    earlier = ended.replace(orphans.boot(), "01234567")
    assert earlier != ended
    # A container's machine may be that of its image.
    assert orphans.is_gone(earlier) == ended.endswith(f"/{orphans.INITIAL}")
    assert not orphans.is_gone(earlier.replace(orphans.machine(), "0123456789ab"))


@linux
def test_what_another_container_of_this_machine_runs_is_known_by_its_lock(ended: str) -> None:
    inside = f"{ended.rpartition('/')[0]}/4026539999"
    assert not orphans.is_gone(inside)
    assert orphans.is_gone(inside, free=True)


def test_a_mark_of_an_earlier_gptlab_counts_as_before(ended: str) -> None:
    """It told of no place: its host's name had to do."""
    assert orphans.lives(orphans.own_process().partition(orphans.PLACE)[0])
    assert orphans.is_gone(ended.partition(orphans.PLACE)[0])


@linux
def test_a_machine_of_the_same_name_closes_no_run_of_another(mlflow_folder: Path, ended: str) -> None:
    experiment = client().create_experiment("e")
    runs = {
        mark: client().create_run(experiment, tags={orphans.HOST: orphans.host(), orphans.PROCESS: mark})
        for mark in (ended, elsewhere(ended))
    }
    closed = close_abandoned(client(), find_store(), [experiment])
    assert closed == [runs[ended].info.run_id]
    assert client().get_run(runs[elsewhere(ended)].info.run_id).info.status == "RUNNING"


@pytest.mark.slow
@linux
def test_nor_does_a_folder_that_both_have_tell_it_so(folder: Path, mlflow_folder: Path, ended: str) -> None:
    """A next run sends what is left of runs below ./runs: of one of this machine, and of no other's."""
    command = [*(word for word in TINY if word != "tracking=none"), "engine=scalar", "train.numSteps=2"]
    assert main([*command, "tracking.logModel=false", "hydra.run.dir=one"]) == 0
    shutil.rmtree("one/checkpoints")
    told = json.loads(Path("one/run.json").read_text())
    for name, mark in (("mine", ended), ("others", elsewhere(ended)), ("held", ended)):
        shutil.copytree("one", f"runs/{name}")
        facts = {"status": "RUNNING", "synced": False, "process": mark}
        write_json(Path(f"runs/{name}/run.json"), {**told, **facts})
    shutil.rmtree("one")

    def statuses() -> dict[str, str]:
        return {
            file.parent.name: json.loads(file.read_text())["status"]
            for file in Path("runs").rglob("run.json")
        }

    with lock(Path("runs/held")):
        catch_up_below(client(), find_store(), Path("runs"))
        assert main(["sync", "runs/held"]) == 2
    assert statuses() == {"mine": "KILLED", "others": "RUNNING", "held": "RUNNING"}
    assert main(["sync", "runs/others"]) == 0, "whoever asks for it knows"
    assert main(["sync", "runs/held"]) == 0
    assert set(statuses().values()) == {"KILLED"}
