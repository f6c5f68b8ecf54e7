"""Listeners in `check`: named, they are told of two small runs; what goes wrong in either is said."""

from pathlib import Path

import pytest

from gptlab.checks import check_names
from gptlab.cli import main
from gptlab.plugins.loading import load_plugins
from tests.plugin_texts import stand_beside

COUNTING = '''"""Counts, and breaks where a run does."""
import gptlab

@gptlab.hookimpl
def gptlab_step_ended(run, step, metrics):
    print("never shown")

@gptlab.hookimpl
def gptlab_inspected(inspection):
    with open("inspected", "a") as file:
        file.write(f"{len(inspection.losses)} ")

@gptlab.hookimpl
def gptlab_run_ended(run, error):
    assert error is None, "this run broke down"
'''


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return stand_beside(tmp_path, monkeypatch, counting=COUNTING)


@pytest.mark.slow
def test_a_listener_is_told_of_a_run_that_ends_well_and_one_that_does_not(
    plugin: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "counting"]) == 1
    said = capsys.readouterr().out
    assert "FAIL  listener counting  described, hears a run that ends well\n" in said
    assert "hears a run that breaks down: the listener 'counting' failed in gptlab_run_ended" in said
    assert "this run broke down" in said and "never shown" not in said
    assert (plugin / "inspected").read_text()
    assert {path.name for path in plugin.iterdir()} == {"plugins", "inspected"}


def test_a_listener_that_is_not_named_is_not_run(plugin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gptlab.checks import report

    monkeypatch.setattr(report, "check_entry", lambda registry, entry: [])
    checks = check_names(load_plugins(quiet=True))
    assert {check.name for check in checks} == {"counting", "printer"} and all(c.passed for c in checks)
    assert not (plugin / "inspected").exists()


@pytest.mark.slow
def test_the_printer_and_trackings_pass() -> None:
    checks = check_names(load_plugins(quiet=True), ["printer", "mlflow"])
    assert {(check.kind, check.name) for check in checks} == {("listener", "printer"), ("tracking", "mlflow")}
    assert all(check.passed for check in checks) and len(checks) == 6
