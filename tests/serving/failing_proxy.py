"""A server between a client and a real one that breaks down after so many requests."""

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests

_OF_ONE_CONNECTION = {"connection", "transfer-encoding", "content-encoding", "content-length", "keep-alive"}


class FailingProxy(ThreadingHTTPServer):
    """Hands on the first `whole` requests, then closes connections.

    Attributes:
        behind: address of the real server.
        whole: how many requests it hands on.
        loses: whether the next request is still handed on, and only its answer lost.
        lost: method and path of requests that are handed on, and whose answers are lost.
        seen: requests so far.
    """

    daemon_threads = True

    def __init__(self, behind: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behind, self.uri = behind, f"http://127.0.0.1:{self.server_port}"
        self._lock = threading.Lock()
        self.mend()

    def mend(self, whole: int = 1 << 30, loses: bool = False, lost: str = "none") -> None:
        """Begins to count anew."""
        self.whole, self.loses, self.lost, self.seen = whole, loses, lost, 0

    def number(self) -> int:
        """Of the request that has come, from 0."""
        with self._lock:
            self.seen += 1
            return self.seen - 1


class _Handler(BaseHTTPRequestHandler):
    server: FailingProxy

    def _hand_on(self) -> None:
        number, size = self.server.number(), int(self.headers.get("Content-Length", 0))
        content = self.rfile.read(size)
        self.close_connection = True
        if number > self.server.whole or (number == self.server.whole and not self.server.loses):
            return
        headers = {k: v for k, v in self.headers.items() if k.lower() not in {*_OF_ONE_CONNECTION, "host"}}
        got = requests.request(self.command, self.server.behind + self.path, data=content, headers=headers, timeout=60)
        if number == self.server.whole or f"{self.command} {self.path}" == self.server.lost:
            return
        self.send_response(got.status_code)
        for key, value in got.headers.items():
            if key.lower() not in _OF_ONE_CONNECTION:
                self.send_header(key, value)
        self.send_header("Content-Length", str(len(got.content)))
        self.end_headers()
        self.wfile.write(got.content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _hand_on  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@contextlib.contextmanager
def failing_proxy(behind: str) -> Iterator[FailingProxy]:
    """A proxy that serves until the block ends."""
    proxy = FailingProxy(behind)
    thread = threading.Thread(target=proxy.serve_forever, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.shutdown()
        proxy.server_close()
        thread.join()
