"""The page of `play`: who may ask, what is answered, and the page itself in a browser."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gptlab
from gptlab.cli import main
from gptlab.errors import UserError
from gptlab.inspection.inspection import softmax
from gptlab.loaded.loaded import Loaded
from gptlab.play.answers import Answers
from gptlab.play.server import HEADERS, PlayServer, page
from tests.browser import MISSING, Browser, running_browser

FEW = ["tracking=none", "progress=none", "samples.n=0", "train.numSteps=3", "hydra.run.dir=runs/one"]
SMALL = ["model.nLayer=1", "model.nEmbd=4", "model.nHead=2", "model.blockSize=4"]
TEXTS = "the cat sees a dog\na dog sees the cat\nthe cat runs\na dog runs\n"


def unloadable(name: str) -> Loaded:
    raise AssertionError(f"nobody may have {name} loaded")


@contextmanager
def served(answers: Answers) -> Iterator[PlayServer]:
    server = PlayServer(answers)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("play")
    (place / "texts.txt").write_text(TEXTS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert main(["data=text", "data.path=texts.txt", *FEW, *SMALL]) == 0
    return place


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PlayServer]:
    monkeypatch.chdir(tmp_path)
    with served(Answers(unloadable, {})) as server:
        yield server


def asked(
    server: PlayServer, method: str, path: str, body: bytes | None = None, **headers: str | None
) -> tuple[int, bytes, dict[str, str]]:
    """Whatever headers are None are not sent."""
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    sent = {"Host": server.hosts[0], "X-Gptlab-Token": server.token}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}  # type: ignore[misc]
    connection.putrequest(method, path, skip_host=True)
    for name, value in sent.items():
        if value is not None:
            connection.putheader(name, value)
    if body is not None and "Content-Length" not in sent:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    answer = connection.getresponse()
    found = answer.status, answer.read(), dict(answer.getheaders())
    connection.close()
    return found


def question(server: PlayServer, path: str, **fields: Any) -> dict[str, Any]:
    status, content, _ = asked(server, "POST", path, json.dumps(fields).encode())
    assert status in (200, 422), content
    return json.loads(content)


def test_the_page_is_there_for_who_has_the_address(empty: PlayServer) -> None:
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{32}", empty.address)
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(empty.address) as answer:
        assert answer.read().decode() == page()
        assert all(answer.headers[name] == value for name, value in HEADERS.items())
        assert "Access-Control-Allow-Origin" not in answer.headers
    assert empty.server_address[0] == "127.0.0.1"


@pytest.mark.parametrize(
    "path",
    ["/", "/?token=", "/?token=a", "/?token=%C3%A9", "/runs"],
    ids=["none", "empty", "wrong", "no ascii", "other"],
)
def test_without_its_token_there_is_no_page(empty: PlayServer, path: str) -> None:
    status, content, _ = asked(empty, "GET", path, X_Gptlab_Token=None)
    assert status in (403, 404) and b"<html" not in content


@pytest.mark.parametrize(
    "headers",
    [
        {"X_Gptlab_Token": None},
        {"X_Gptlab_Token": "wrong"},
        {"Host": "evil.example"},
        {"Host": "evil.example:80"},
        {"Host": "127.0.0.1"},
        {"Host": None},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
    ],
    ids=str,
)
def test_a_question_from_elsewhere_is_refused(empty: PlayServer, headers: dict[str, str | None]) -> None:
    status, content, answered = asked(empty, "POST", "/runs", b"{}", **headers)
    assert status == 403 and b"runs" not in content
    assert not any(name.lower().startswith("access-control") for name in answered)


def test_a_page_under_another_name_is_refused_even_with_the_token(empty: PlayServer) -> None:
    path = f"/?token={empty.token}"
    assert asked(empty, "GET", path, Host=f"evil.example:{empty.server_port}")[0] == 403
    assert asked(empty, "GET", path, Host=empty.hosts[1])[0] == 200


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"[]", {}, 400),
        (b"{", {}, 400),
        (b"\xff", {}, 400),
        (b"[" * 90_000, {}, 400),
        (None, {"Content-Length": "999999999"}, 413),
        (None, {"Content-Length": "-1"}, 413),
        (None, {}, 413),
    ],
    ids=["a list", "half", "no text", "deep", "large", "negative", "none"],
)
def test_what_is_no_question_is_refused(
    empty: PlayServer, body: bytes | None, headers: dict[str, str], status: int
) -> None:
    given = {name.replace("-", "_"): value for name, value in headers.items()}
    assert asked(empty, "POST", "/next", body, **given)[0] == status
    assert asked(empty, "OPTIONS", "/next")[0] == 501
    assert question(empty, "/runs") == {"runs": [], "chosen": []}


def test_a_run_that_was_not_listed_is_not_loaded(empty: PlayServer) -> None:
    for name in ("latest", "/etc", "../runs/one", "runs:/abc", 3, None):
        assert "error" in question(empty, "/next", run=name, prompt="")


@pytest.mark.slow
def test_the_answers_are_the_run_s(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    run = gptlab.load("runs/one")
    with served(Answers(gptlab.load, {})) as server:
        assert question(server, "/runs") == {
            "runs": [{"id": "runs/one", "name": f"{run.name} (runs/one)"}],
            "chosen": [],
        }
        how = {"run": "runs/one", "prompt": "the cat", "temperature": 0.5, "topK": 3}
        found = question(server, "/next", **how)["next"]
        assert found == [vars(token) for token in run.next("the cat", 0.5, 3)]
        assert question(server, "/generate", **how, seed=4) == {
            "text": run.generate("the cat", 1, temperature=0.5, topK=3, seed=4, length=4)[0]
        }
        for wrong in (
            {"temperature": -1},
            {"topK": 1.5},
            {"prompt": "the kat"},
            {"prompt": ["the"]},
            {"temperature": "1"},
        ):
            assert "error" in question(server, "/next", **{**how, **wrong})


def test_next_tokens_are_the_model_s_probabilities_at_the_temperature_from_the_topk(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    run = gptlab.load("runs/one")
    ids = [run.tokenizer.bos, *run.tokenizer.encode("the cat")]
    logits = run.model.logits(ids)[-1].astype(float)
    every = run.next("the cat", count=99)
    assert [token.probability for token in every] == pytest.approx(
        np.sort(softmax(logits))[::-1].tolist(), rel=1e-5
    )
    assert [token.share for token in every] == [token.probability for token in every]
    assert {token.text for token in every if not token.ends} == {
        f"the cat {word}" for word in run.tokenizer.pieces
    }
    assert [(token.token, token.text) for token in every if token.ends] == [("BOS", "the cat")]
    two = run.next("the cat", 0.25, 2)
    odds = (every[0].probability / every[1].probability) ** 4
    assert [token.share for token in two] == pytest.approx([odds / (1 + odds), 1 / (1 + odds)], rel=1e-4)
    assert [token.share for token in run.next("the cat", 0)] == [1.0]
    # Beyond blockSize the last tokens count.
    assert len(run.next("the cat sees a dog the cat sees a dog")) > 1
    assert run.next("a dog sees the cat runs")[0].share == pytest.approx(
        run.next("cat the cat dog sees the cat runs")[0].share, rel=1e-5
    )
    with pytest.raises(UserError, match="temperature must be at least 0"):
        run.next("the cat", -1)


@pytest.mark.slow
def test_the_command_says_its_address_and_ends_by_ctrl_c_in_a_line(place: Path) -> None:
    command = [sys.executable, "-m", "gptlab", "play", "tracking=none", "run=runs/one"]
    with subprocess.Popen(
        command, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(5)]
        assert re.fullmatch(r"    http://127\.0\.0\.1:\d+/\?token=[\w-]{32}\n", said[2])
        assert said[4] == "Ctrl-C ends it.\n"
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(said[2].strip()) as answer:
            assert b"What comes next?" in answer.read()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "\nended\n", "")


def test_a_port_that_is_taken_is_said(
    empty: PlayServer, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    assert main(["play", "tracking=none", f"port={empty.server_port}"]) == 2
    assert f"port {empty.server_port} of 127.0.0.1 is not free" in capsys.readouterr().err


def test_the_page_asks_nobody_but_its_server() -> None:
    assert not re.search(r"https?://|\binnerHTML\b|\beval\b|\bsrc=", page())
    assert "{{" not in page()


@pytest.mark.slow
@pytest.mark.skipif(bool(MISSING), reason=f"a real browser is needed: there is no {MISSING}")
def test_typing_choosing_and_comparing_in_a_browser(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    run = gptlab.load("runs/one")
    with served(Answers(gptlab.load, {"runs/one": run})) as server, running_browser(tmp_path) as browser:
        browser.resize(1000, 800)
        browser.open(server.address)
        browser.script(
            "window.failures = []; addEventListener('error', event => failures.push(event.message))"
        )
        typed(browser, "the cat")
        best = run.next("the cat", 1.0)[0]
        browser.wait_for_text(f"{100 * best.share:.1f}%")
        browser.script(
            "const t = document.getElementById('topK'); t.value = 1; t.dispatchEvent(new Event('input'))"
        )
        browser.wait_for_text("100.0%")
        first = next(token for token in run.next("the cat", 1.0) if not token.ends)
        browser.script(
            "const t = document.getElementById('topK'); t.value = 0; t.dispatchEvent(new Event('input'))"
        )
        browser.click(f"//button[span[text()='{first.token}']]")
        browser.wait("return document.getElementById('prompt').value === arguments[0]", first.text)
        typed(browser, "the kat")
        browser.wait_for_text("'kat' is not in the vocabulary")
        typed(browser, "a dog")
        browser.script(
            "const s = document.querySelectorAll('select')[1]; s.value = 'runs/one';"
            "s.dispatchEvent(new Event('change'))"
        )
        both = "return [...document.querySelectorAll('.tokens')].every(side => side.children.length > 1)"
        browser.wait(both)
        lists = browser.script("return [...document.querySelectorAll('.tokens')].map(side => side.innerText)")
        assert lists[0] == lists[1]
        browser.click("//button[text()='Go on']")
        browser.wait("return document.querySelector('.goes-on').innerText.startsWith('a dog')")
        folder = os.environ.get("GPTLAB_SCREENSHOTS")
        for width in (1000, 400):
            browser.resize(width, 800)
            assert browser.script("return document.documentElement.scrollWidth <= innerWidth")
            for scheme in ("light", "dark") if folder else ():
                browser.prefer(scheme)
                browser.screenshot(Path(str(folder)) / f"play-{scheme}-{width}.png")
        assert browser.script("return failures") == []


def typed(browser: Browser, text: str) -> None:
    code = "const p = document.getElementById('prompt'); p.value = arguments[0]; p.dispatchEvent(new Event('input'))"
    browser.wait("return document.documentElement.dataset.ready")
    browser.script(code, text)
