"""The inspect page of a run as `gptlab ui` serves it, from a store in a folder."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from starlette.requests import Request

from gptlab.inspection.page import numbers, page
from gptlab.tracking.ui_inspect import POLICY, routes
from tests.browser import MISSING
from tests.inspection.inspections import made_inspection
from tests.ui_pages import pages_of

Ask = Callable[..., Any]


@pytest.fixture
def client(tmp_path: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")


@pytest.fixture
def ask(client: MlflowClient) -> Ask:
    of_page, of_steps, of_report = routes(lambda: client)

    def answer(run: str, query: str = "", steps: bool = False, report: bool = False) -> Any:
        told = {"type": "http", "path_params": {"run_id": run}, "query_string": query.encode(), "headers": []}
        return (of_steps if steps else of_report if report else of_page).endpoint(Request(told))

    return answer


@pytest.mark.slow
def test_the_newest_page_and_all_of_them_over_the_steps(
    client: MlflowClient, ask: Ask, tmp_path: Path
) -> None:
    experiment = client.create_experiment("looked at", artifact_location=(tmp_path / "artifacts").as_uri())
    run = client.create_run(experiment).info.run_id
    assert json.loads(ask(run, steps=True).body) == {"steps": [], "sweep": ""}
    assert ask(run).status_code == ask(run, "over").status_code == 404
    shown = {step: made_inspection(positions=3 + step % 7) for step in (50, 1000, 200)}
    for step, inspection in shown.items():
        client.log_text(run, page(inspection, f"step {step}"), f"inspect/step-{step:06d}/inspect.html")
    client.log_text(run, "<p>no page", "inspect/step-000300/inspect.html")
    assert json.loads(ask(run, steps=True).body) == {"steps": [50, 200, 300, 1000], "sweep": ""}
    newest, over = ask(run), ask(run, "over")
    assert newest.body.decode() == page(shown[1000], "step 1000")
    # What a run has logged has no part in MLflow's own pages.
    assert newest.headers["content-security-policy"] == over.headers["content-security-policy"] == POLICY
    assert POLICY.startswith("sandbox allow-scripts;")
    series = json.loads(over.body.decode().partition('id="series">')[2].partition("</script>")[0])
    assert [entry["step"] for entry in series] == [50, 200, 1000]
    assert series[1]["numbers"]["losses"] == numbers(shown[200])["losses"]


@pytest.mark.slow
@pytest.mark.parametrize("run", ["0" * 32, "../../mlflow.db", "a b", ""])
def test_what_is_no_run_has_no_page(ask: Ask, run: str) -> None:
    assert ask(run).status_code == 404
    assert json.loads(ask(run, steps=True).body) == {"steps": [], "sweep": ""}
    assert ask(run, report=True).status_code == 404


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sweep.html", "report.html"])
def test_a_sweep_and_each_of_its_runs_lead_to_the_page_of_the_sweep(
    client: MlflowClient, ask: Ask, tmp_path: Path, name: str
) -> None:
    experiment = client.create_experiment("looked at", artifact_location=(tmp_path / "artifacts").as_uri())
    parent = client.create_run(experiment).info.run_id
    child = client.create_run(experiment, tags={"mlflow.parentRunId": parent}).info.run_id
    assert json.loads(ask(child, steps=True).body)["sweep"] == ""
    client.log_text(parent, '<p>the sweep <a href="./0/">0</a> <a href="#jobs">jobs</a>', name)
    for run in (parent, child):
        assert json.loads(ask(run, steps=True).body) == {"steps": [], "sweep": parent}
    shown = ask(parent, report=True)
    assert shown.body.decode() == '<p>the sweep <a>0</a> <a href="#jobs">jobs</a>', (
        "the store has no folders of runs"
    )
    assert shown.headers["content-security-policy"] == POLICY
    assert ask(child, report=True).status_code == 404


@pytest.mark.slow
@pytest.mark.skipif(bool(MISSING), reason=f"a real browser is needed: there is no {MISSING}")
def test_the_page_of_a_run_leads_to_it(client: MlflowClient, tmp_path: Path) -> None:
    experiment = client.create_experiment("looked at", artifact_location=(tmp_path / "artifacts").as_uri())
    parent = client.create_run(experiment).info.run_id
    client.log_text(parent, "<p>all the jobs", "sweep.html")
    client.set_terminated(parent)
    run = client.create_run(experiment, tags={"mlflow.parentRunId": parent}).info.run_id
    for step in (100, 1200):
        client.log_text(run, page(made_inspection(), f"step {step}"), f"inspect/step-{step:06d}/inspect.html")
    client.set_terminated(run)
    (tmp_path / "browser").mkdir()
    with pages_of(tmp_path, tmp_path / "browser") as (browser, address):
        base = address.partition("#")[0]
        browser.open(f"{base}#/experiments/{experiment}/runs/{run}")
        found = "const link = [...document.querySelectorAll('a')].find(a => a.textContent === arguments[0]);"
        newest = browser.wait(f"{found} return link && link.href", "Inspect: step 1,200")
        over = browser.wait(f"{found} return link && link.href", "over 2 steps")
        sweep = browser.wait(f"{found} return link && link.href", "Page of its sweep")
        # It goes with the run's page.
        browser.script("location.hash = '#/experiments'")
        browser.wait(
            "return ![...document.querySelectorAll('a')].some(a => a.textContent.startsWith('Inspect:'))"
        )
        browser.open(newest)
        browser.wait("return document.documentElement.dataset.drawn")
        assert "step 1200" in browser.text()
        # An origin of its own: what a run has logged reaches nothing of MLflow's.
        assert browser.script("return self.origin") == "null"
        browser.open(over)
        browser.wait_for_text("step 1,200")
        browser.click("//button[@aria-label='earlier step']")
        browser.wait_for_text("step 100")
        browser.open(sweep)
        browser.wait_for_text("all the jobs")
