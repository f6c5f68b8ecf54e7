"""A headless Chromium for tests: W3C WebDriver over HTTP to chromedriver, with the standard library."""

import base64
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
CHROMEDRIVER = shutil.which("chromedriver")
MISSING = " and ".join(
    name for name, found in (("chromium", CHROMIUM), ("chromedriver", CHROMEDRIVER)) if found is None
)

FLAGS = (
    "--headless=new",
    "--no-sandbox",  # a container may give neither user namespaces nor another user than root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
SIZE = (1400, 900)


class Browser:
    """One tab. What a page must come to show is waited for; what never comes fails with what is there."""

    def __init__(self, session: str) -> None:
        self._session = session

    def open(self, address: str) -> None:
        """Go to an address; returns when the document is loaded, before its scripts are done."""
        self._call("POST", "/url", url=address)

    def resize(self, width: int, height: int) -> None:
        """Make what the page has to itself so large, in pixels."""
        frame = self.script("return [outerWidth - innerWidth, outerHeight - innerHeight]")
        self._call("POST", "/window/rect", width=width + frame[0], height=height + frame[1])

    def script(self, code: str, *arguments: Any) -> Any:
        """What a JavaScript function body returns; `arguments[0]` ... are its arguments."""
        return self._call("POST", "/execute/sync", script=code, args=list(arguments))

    def wait(self, code: str, *arguments: Any, seconds: float = 60.0) -> Any:
        """The first value of `script` that is true; fails after `seconds`, with the page's text."""
        deadline = time.monotonic() + seconds
        while not (value := self.script(code, *arguments)):
            assert time.monotonic() < deadline, f"never came true: {code} {arguments} in\n{self.text()}"
            time.sleep(0.1)
        return value

    def wait_for_text(self, *texts: str) -> str:
        """The text of the page once it has all of `texts`."""
        code = "return [...arguments].every(text => document.body?.innerText.includes(text))"
        self.wait(code, *texts)
        return self.text()

    def text(self) -> str:
        """What the page says, as a person would select it."""
        return self.script("return document.body?.innerText ?? ''")

    def find(self, xpath: str) -> dict[str, str]:
        """The first visible element, once there is one: for `click`, or as an argument of `script`."""
        return self.wait(
            "const found = document.evaluate(arguments[0], document, null, 7);"
            "for (let i = 0; i < found.snapshotLength; i++)"
            " if (found.snapshotItem(i).getClientRects().length) return found.snapshotItem(i);",
            xpath,
        )

    def click(self, xpath: str, seconds: float = 30.0) -> None:
        """Click the first visible element, as a mouse would."""
        deadline = time.monotonic() + seconds
        while True:
            (element,) = self.find(xpath).values()
            try:
                return self._call("POST", f"/element/{element}/click")
            except RuntimeError as refusal:
                # A page that is still drawing itself has replaced, covered or moved what was found.
                passing = str(refusal).startswith(
                    ("stale element", "element click intercepted", "element not")
                )
                if not passing or time.monotonic() > deadline:
                    raise
            time.sleep(0.1)

    def hover(self, xpath: str, across: float = 0.5, down: float = 0.5) -> None:
        """Move the mouse to a place in the first visible element, (0, 0) its top left, (1, 1) its bottom right."""
        found = self.find(xpath)
        x, y = self.script(
            "const [found, across, down] = arguments; found.scrollIntoView({block: 'center'});"
            # A page hears that it was scrolled with the next frame.
            "await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));"
            "const box = found.getBoundingClientRect();"
            "return [box.left + across * box.width, box.top + down * box.height].map(Math.round)",
            *(found, across, down),
        )
        move = {"type": "pointerMove", "duration": 0, "origin": "viewport", "x": x, "y": y}
        pointer = {
            "type": "pointer",
            "id": "mouse",
            "parameters": {"pointerType": "mouse"},
            "actions": [move],
        }
        self._call("POST", "/actions", actions=[pointer])

    def prefer(self, scheme: str) -> None:
        """Be a browser whose user prefers `light` or `dark` pages."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        command = {"cmd": "Emulation.setEmulatedMedia", "params": {"features": features}}
        self._call("POST", "/goog/cdp/execute", **command)

    def run_first(self, code: str) -> None:
        """Run a script in every page that is opened from here on, before any of its own."""
        command = {"cmd": "Page.addScriptToEvaluateOnNewDocument", "params": {"source": code}}
        self._call("POST", "/goog/cdp/execute", **command)

    def type(self, text: str) -> None:
        """Press the keys of a text, wherever the cursor is."""
        keys = [{"type": kind, "value": sign} for sign in text for kind in ("keyDown", "keyUp")]
        self._call("POST", "/actions", actions=[{"type": "key", "id": "keyboard", "actions": keys}])

    def screenshot(self, path: Path) -> None:
        """What the window shows, as a PNG."""
        path.write_bytes(base64.b64decode(self._call("GET", "/screenshot")))

    def _call(self, method: str, path: str, **fields: Any) -> Any:
        return _call(method, self._session + path, **fields)


@contextmanager
def running_browser(folder: Path) -> Iterator[Browser]:
    """A browser with a fresh profile; `folder` keeps chromedriver's log. It ends whole in any case."""
    assert CHROMIUM and CHROMEDRIVER, f"no {MISSING}"
    # Not in `folder`: a path that is too long for a Unix socket keeps Chromium from starting.
    profile = tempfile.mkdtemp(prefix="browser-")
    with (folder / "chromedriver.log").open("w+") as log:
        driver = subprocess.Popen(
            [CHROMEDRIVER, "--port=0"],
            stdout=log,
            stderr=log,
            # What Chromium keeps outside its profile goes there as well.
            env={**os.environ, "HOME": profile, "XDG_CONFIG_HOME": profile, "XDG_CACHE_HOME": profile},
            start_new_session=True,
        )
        try:
            base = _address(driver, folder / "chromedriver.log")
            options = {
                "binary": CHROMIUM,
                "args": [*FLAGS, f"--user-data-dir={profile}", f"--window-size={SIZE[0]},{SIZE[1]}"],
            }
            capabilities = {"browserName": "chrome", "goog:chromeOptions": options}
            made = _call("POST", f"{base}/session", capabilities={"alwaysMatch": capabilities})
            session = f"{base}/session/{made['sessionId']}"
            browser = Browser(session)
            try:
                browser.resize(*SIZE)
                yield browser
            finally:
                with suppress(OSError, RuntimeError):
                    _call("DELETE", session)
        finally:
            # Chromium is in the driver's process group, its own children included.
            with suppress(ProcessLookupError):
                os.killpg(driver.pid, signal.SIGKILL)
            driver.wait()
            shutil.rmtree(profile, ignore_errors=True)


def _address(driver: "subprocess.Popen[bytes]", log: Path) -> str:
    """Where chromedriver listens, from the line in which it says so."""
    deadline = time.monotonic() + 60.0
    while time.monotonic() < deadline and driver.poll() is None:
        _, said, rest = log.read_text(errors="replace").partition("started successfully on port ")
        if said and "." in rest:
            return f"http://127.0.0.1:{rest.partition('.')[0]}"
        time.sleep(0.05)
    raise RuntimeError(f"chromedriver did not start:\n{log.read_text(errors='replace')}")


def _call(method: str, address: str, **fields: Any) -> Any:
    body = json.dumps(fields).encode() if method == "POST" else None
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"}, method=method)
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(request, timeout=120) as answer:
            return json.load(answer)["value"]
    except urllib.error.HTTPError as error:
        with error:
            refusal = json.loads(error.read())["value"]
        raise RuntimeError(f"{refusal['error']}: {refusal['message']}") from None
