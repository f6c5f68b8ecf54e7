"""A tracking server, asked over plain HTTP: whether it is MLflow, and takes what a run begins with. Loads no MLflow."""

import base64
import http.client
import json
import os
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar
from urllib.parse import quote

from gptlab.config.addresses import KEY
from gptlab.errors import UserError
from gptlab.tracking.beginning import check_experiment, check_place, check_run
from gptlab.tracking.store import WITHOUT, Away, Store, said

NOT_THERE = "RESOURCE_DOES_NOT_EXIST"
LONGEST = 1 << 20  # bytes of an answer that are read: MLflow's have a few thousand
# With one of these MLflow's client shows who it is in a way of its own.
OWN_WAYS = ("MLFLOW_TRACKING_AUTH", "MLFLOW_TRACKING_AWS_SIGV4", "MLFLOW_TRACKING_CLIENT_CERT_PATH")
SECONDS = 5.0
Answer = dict[str, Any]
T = TypeVar("T")


def check_server(store: Store, timeout: float = SECONDS, experiment: str = "", run_id: str = "") -> None:
    """Have the server tell of the experiment and the run that are to be written, those that are given.

    Raises Away if nothing answers within `timeout` seconds, or nothing that is MLflow; UserError if it refuses, what is
    given is deleted, or the run is not there. MLflow's own first call would try again for minutes.
    """
    found = _ask(
        store, f"experiments/get-by-name?experiment_name={quote(experiment or 'Default', safe='')}", timeout
    )
    if found is None:
        return
    known = _part(store, found, "experiment", "experiment_id")
    if known and experiment:
        check_experiment(experiment, known["experiment_id"], known.get("lifecycle_stage", "active"))
        check_place(store, str(known.get("artifact_location", "")))
    if run_id and (found := _ask(store, f"runs/get?run_id={quote(run_id, safe='')}", timeout)) is not None:
        run = _part(store, _part(store, found, "run", "info"), "info", "run_id")
        check_run(store, run_id, run.get("lifecycle_stage", "active") if run else None)


def answers(store: Store, timeout: float) -> bool:
    """True if MLflow answers at a server's address within `timeout` seconds."""
    try:
        check_server(store, timeout)
    except UserError as error:
        return not isinstance(error, Away)
    return True


def in_thread(work: Callable[[], T]) -> "Future[T]":
    """What comes of it, in a thread of its own, which does not hold the exit."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name="mlflow-server", daemon=True).start()
    return future


def _part(store: Store, found: Answer, name: str, has: str) -> Answer:
    """What MLflow tells of something; nothing if there is none. Raises Away for what MLflow would not answer."""
    if not found or found.get("error_code") == NOT_THERE:
        return {}
    part = found.get(name)
    if not isinstance(part, dict) or not part.get(has):
        raise _foreign(store, f"JSON without {name}")
    return part


def _ask(store: Store, what: str, timeout: float) -> Answer | None:
    """What MLflow answers; None if only its own client can ask. Raises as `check_server`."""
    try:
        # A server may send a byte now and then, for ever.
        return in_thread(lambda: _answer(store, what, timeout)).result(timeout + 0.5)
    except TimeoutError:
        raise _silent(store, timeout, "its answer never ends") from None


def _answer(store: Store, what: str, timeout: float) -> Answer | None:
    # As MLflow's client calls itself: what guards a server may refuse others.
    headers = {"User-Agent": "mlflow-python-client", "Accept": "application/json"}
    request = urllib.request.Request(f"{store.uri.rstrip('/')}/api/2.0/mlflow/{what}", headers=headers)
    if given := credentials(store):
        # Not to another host, if the answer sends us there.
        request.add_unredirected_header("Authorization", given)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            return _read(store, response.read(LONGEST))
    except urllib.error.HTTPError as error:
        with error:
            return _refusal(store, error, given)
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, ssl.SSLError):
            return None  # Reachable; certificates are MLflow's business (MLFLOW_TRACKING_INSECURE_TLS ...).
        raise _silent(store, timeout, said(reason if isinstance(reason, Exception) else error)) from None


def _read(store: Store, content: bytes) -> Answer:
    """Raises Away for what is no object in JSON."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict) and found:
        return found
    raise _foreign(
        store, said(ValueError(content[:LONGEST].decode("utf-8", "replace"))) if content else "nothing"
    )


def _refusal(store: Store, error: urllib.error.HTTPError, given: str) -> Answer | None:
    """What is not there, as MLflow says so. Raises UserError for another refusal, Away for a server in trouble."""
    if error.code in (401, 403) and any(os.environ.get(name) for name in OWN_WAYS):
        return None
    try:
        found = json.loads(error.read(LONGEST))
    except (OSError, ValueError, RecursionError, http.client.HTTPException):
        found = None
    told = found if isinstance(found, dict) else {}
    if told.get("error_code") == NOT_THERE:
        return told
    status = said(ValueError(f"{error.code} {error.reason}".strip()))
    if error.code == 401:
        _check_credentials(store, given)
        return None
    message = said(ValueError(str(told.get("message", "")))) if told.get("message") else ""
    reason = f"{status}: {message}" if message else status
    if error.code == 403 or (told.get("error_code") and error.code < 500):
        raise UserError(
            f"the MLflow server at {store.shown} refuses what a run sends ({reason.rstrip('.')}). Use other "
            f"credentials, or another experiment with tracking.experimentName=. {WITHOUT}"
        )
    raise _foreign(store, reason)


def _silent(store: Store, timeout: float, reason: str) -> Away:
    return Away(
        f"the MLflow server at {store.shown} does not answer within {timeout:g} s ({reason}). Start it, or give "
        f"another address with {KEY}=. {WITHOUT}"
    )


def _foreign(store: Store, answer: str) -> Away:
    return Away(
        f"what answers at {store.shown} is not an MLflow server, or is in trouble: it answers "
        f"{answer.rstrip('.')}. Give another address with {KEY}=, or log in if a page asks you to. {WITHOUT}"
    )


def credentials(store: Store) -> str:
    """What the store's server is told of who asks, as MLflow would; empty if nothing is."""
    user = store.user or os.environ.get("MLFLOW_TRACKING_USERNAME", "")
    password = store.password if store.user else os.environ.get("MLFLOW_TRACKING_PASSWORD", "")
    if user and password:
        return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode('ascii')}"
    token = os.environ.get("MLFLOW_TRACKING_TOKEN", "")
    return f"Bearer {token}" if token else ""


def _check_credentials(store: Store, given: str) -> None:
    """Raises UserError for a server that has refused those that were given, or wants some."""
    from requests.utils import get_netrc_auth

    if not given and get_netrc_auth(store.uri):  # as MLflow's own client does
        return
    scheme, _, host = store.uri.partition("://")
    was = "refuses the ones that it was given" if given else "was given none"
    raise UserError(
        f"the MLflow server at {store.shown} wants a user and a password, and {was}. Set MLFLOW_TRACKING_USERNAME "
        f"and MLFLOW_TRACKING_PASSWORD, or type {KEY}={scheme}://USER:PASSWORD@{host}. {WITHOUT}"
    )
