"""Servers within the tests that answer as they are told, or as a true one does to which they pass all on."""

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Handler(BaseHTTPRequestHandler):
    """One request, with its body read."""

    server: "Server"
    body = b""

    def handle_any(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append((f"{self.command} {self.path}", self.headers.get("Authorization")))
        self.close_connection = True
        with suppress(OSError):  # who asks has given up
            self.server.answer(self)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

    def reply(self, status: int, content: bytes = b"", length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *rest: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, answer: Callable[[Handler], None]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer = answer
        self.asked: list[tuple[str, str | None]] = []  # each request, and the credentials that came with it
        self.ended = threading.Event()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *rest: object) -> None:
        pass


@contextmanager
def serving(answer: Callable[[Handler], None]) -> Iterator[Server]:
    """A server whose requests, each in a thread, are answered by this."""
    server = Server(answer)
    thread = threading.Thread(target=server.serve_forever, args=[0.05], daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.ended.set()
        server.shutdown()
        thread.join()
        server.socket.close()


def saying(status: int, content: str | dict[str, Any] = "", **headers: str) -> Callable[[Handler], None]:
    """The same answer to whatever is asked."""
    text = content if isinstance(content, str) else json.dumps(content)
    return lambda handler: handler.reply(status, text.encode(), **headers)


def passing_on(port: int) -> Callable[[Handler], None]:
    """What the server at that port of this machine answers."""

    def answer(handler: Handler) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        with_length = {"Content-Length": str(len(handler.body))} if handler.body else {}
        kept = {"Content-Type", "Accept", "Content-Length"}
        headers = {name: value for name, value in handler.headers.items() if name in kept} | with_length
        try:
            connection.request(handler.command, handler.path, handler.body or None, headers)
            answered = connection.getresponse()
            kind = answered.headers.get("Content-Type", "")
            handler.reply(answered.status, answered.read(), **{"Content-Type": kind})
        finally:
            connection.close()

    return answer
