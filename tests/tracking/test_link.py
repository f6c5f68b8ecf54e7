"""The training process's connection to MLflow's."""

import sys
import time
from pathlib import Path

import pytest

from gptlab.tracking import MLflowTracking
from gptlab.tracking import tracker as tracker_module
from gptlab.tracking.connection import connections
from tests.processes import wait_until
from tests.tracked import make_run, mlflow_processes

# What MLflow's process says of an end with much to write.
LONG = """#!{python}
import json, sys, time
for line in sys.stdin:
    message = json.loads(line)
    said = {{"follow": [{{"is": "started", "id": "0"}}]}}
    said["end"] = [{{"is": "writing"}}] * 20 + [{{"is": "ended", "message": "", "registered": ""}}]
    for reply in said.get(message["do"], []):
        time.sleep(0.15 if message["do"] == "end" else 0)
        print(json.dumps(reply), flush=True)
"""


@pytest.mark.slow
def test_a_long_end_is_waited_for_as_long_as_it_goes_on(
    mlflow_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    connections.close()  # what waits for the next run
    wait_until(lambda: not mlflow_processes())
    program = mlflow_folder / "long"
    program.write_text(LONG.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    tracker, run = MLflowTracking().start(), make_run(mlflow_folder)
    try:
        tracker.gptlab_run_started(run)
        tracker.wait_until_ready()
        began_with = mlflow_processes()
        monkeypatch.setattr(tracker_module, "CLOSING_SECONDS", 1.5)  # without an answer
        run.metrics.append((1, {}))
        began = time.monotonic()
        tracker.gptlab_run_ended(run, None)
        assert time.monotonic() - began > 3, "it was waited for"
        assert capsys.readouterr().err == ""
        assert len(began_with) == 1 and mlflow_processes() == began_with, "the next run can have it"
    finally:
        connections.close()  # this one does nothing for it
