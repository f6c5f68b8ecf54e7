"""The page's server: of this machine alone, and of whoever knows its address with the token.

A page from elsewhere that is open in the same browser can send requests here, and a name of its own can be made to lead
here (DNS rebinding): so the Host must be this machine's, the token must come with each request in a header that no form
can set, and nothing says that others may read the answers (no CORS).
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qs, urlsplit

from gptlab import strict_json
from gptlab.errors import UserError
from gptlab.play.answers import Answers

HOST = "127.0.0.1"
TOKEN = "X-Gptlab-Token"  # the header of each question
LARGEST = 1 << 17  # bytes of a question
STATIC = files("gptlab.play") / "static"
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Refused(Exception):
    def __init__(self, status: HTTPStatus, said: str) -> None:
        super().__init__(said)
        self.status = status


class PlayServer(ThreadingHTTPServer):
    """Listens on loopback; port 0 is any that is free. Raises OSError for one that is taken."""

    daemon_threads = True

    def __init__(self, answers: Answers, port: int = 0) -> None:
        self.token = secrets.token_urlsafe(24)
        self.routes: Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "/runs": lambda _: answers.runs(),
            "/next": answers.next,
            "/generate": answers.generate,
        }
        super().__init__((HOST, port), Handler)

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.server_port}/?token={self.token}"

    @property
    def hosts(self) -> tuple[str, ...]:
        return f"{HOST}:{self.server_port}", f"localhost:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: PlayServer
    timeout = 60
    _body: bytes | None = None
    server_version, sys_version = "gptlab", ""

    def do_GET(self) -> None:
        self._answer(self._page)

    def do_POST(self) -> None:
        # Read whoever asks: a connection that is closed with something unread in it is reset, its answer lost.
        length = self.headers.get("Content-Length", "")
        known = length.isascii() and length.isdigit() and int(length) <= LARGEST
        self._body = self.rfile.read(int(length)) if known else None
        self._answer(self._question)

    def _answer(self, found: Callable[[], tuple[bytes, str]]) -> None:
        try:
            self._check_host()
            content, kind = found()
            status = HTTPStatus.OK
        except UserError as error:
            content, kind = as_json({"error": str(error)}), "application/json"
            status = HTTPStatus.UNPROCESSABLE_ENTITY
        except Refused as error:
            content, kind, status = f"{error}\n".encode(), "text/plain", error.status
        try:
            self.send_response(status)
            for name, value in HEADERS.items():
                self.send_header(name, value)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        except (BrokenPipeError, ConnectionResetError):  # the page asked anew, and hung up
            self.close_connection = True

    def _check_host(self) -> None:
        if self.headers.get("Host") not in self.server.hosts:
            raise Refused(
                HTTPStatus.FORBIDDEN, "This page is for this machine: open the address that was printed."
            )
        origin = self.headers.get("Origin")
        if origin is not None and origin.removeprefix("http://") not in self.server.hosts:
            raise Refused(HTTPStatus.FORBIDDEN, "This page answers no other page.")

    def _check_token(self, given: str) -> None:
        if not hmac.compare_digest(given.encode(), self.server.token.encode()):
            raise Refused(HTTPStatus.FORBIDDEN, "Open the address as it was printed, with its token.")

    def _page(self) -> tuple[bytes, str]:
        asked = urlsplit(self.path)
        if asked.path != "/":
            raise Refused(HTTPStatus.NOT_FOUND, "There is nothing here.")
        self._check_token(parse_qs(asked.query).get("token", [""])[0])
        return page().encode(), "text/html"

    def _question(self) -> tuple[bytes, str]:
        self._check_token(self.headers.get(TOKEN, ""))
        route = self.server.routes.get(self.path)
        if route is None:
            raise Refused(HTTPStatus.NOT_FOUND, "There is nothing here.")
        if self._body is None:
            raise Refused(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A request must have at most {LARGEST} bytes."
            )
        try:
            asked = json.loads(self._body)
        except (ValueError, RecursionError):
            asked = None
        if not isinstance(asked, dict):
            raise Refused(HTTPStatus.BAD_REQUEST, "A request must be one JSON object.")
        return as_json(route(asked)), "application/json"

    def log_message(self, *arguments: Any) -> None:
        """Nothing: the terminal says what a person is to know."""


def as_json(content: Any) -> bytes:
    return strict_json.dumps(content).encode()


def page() -> str:
    """The page in one piece."""
    parts = {name: (STATIC / f"play.{name}").read_text(encoding="utf-8") for name in ("html", "css", "js")}
    return parts["html"].replace("{{style}}", parts["css"]).replace("{{script}}", parts["js"])
