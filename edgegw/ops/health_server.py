"""The HTTP server for machines that watch this one: /healthz, /readyz, /status.json and /metrics, on loopback.

Decides status codes and headers only. It runs in threads of its own and reads immutable values, so that it also answers
when the event loop is stuck, which is when it is needed. Nothing here changes anything: GET and HEAD, no body read.
"""

import contextlib
import json
import socket
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from edgegw.common.errors import AddressTakenError
from edgegw.ops.logs import log_event

_JSON = "application/json"
_HOSTS = ("localhost", "127.0.0.1", "[::1]")
_REQUEST_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Views:
    """What is shown. Each is called in a thread of the server and must not wait for the loop."""

    alive: Callable[[], Mapping[str, object]]  # has "ok"
    ready: Callable[[], Mapping[str, object]]  # has "ok"
    status: Callable[[], Mapping[str, object]]
    metrics: Callable[[], bytes]
    metrics_type: str


@contextlib.contextmanager
def serve_health(host: str, port: int, views: Views) -> Iterator[int]:
    """Serve until the block is left; gives the port. Raises AddressTakenError."""

    class Handler(_Handler):
        """Bound to these views."""

        shown = views
        hosts = (*_HOSTS, f"[{host}]" if ":" in host else host)

    class Server(_Server):
        """Of the address's family."""

        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

    try:
        server = Server((host, port), Handler)
    except OSError as error:
        raise AddressTakenError("health.host, health.port", f"{host}:{port}", error) from error
    thread = Thread(target=server.serve_forever, name="health", daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Whoever hung up is nobody's fault; a view that failed is ours, and its line names where."""
        fault = sys.exception()
        if isinstance(fault, Exception) and not isinstance(fault, OSError):
            where = traceback.extract_tb(fault.__traceback__)[-1]
            reason = f"{type(fault).__name__}: {fault} ({Path(where.filename).name}:{where.lineno})"
            log_event("health.failed", {"reason": reason, "remedy": "edgegw support"}, level="error")


class _Handler(BaseHTTPRequestHandler):
    shown: Views
    hosts: tuple[str, ...]
    timeout = _REQUEST_S
    server_version = "edgegw"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer one of the four paths."""
        path = self.path.partition("?")[0]
        if self.headers.get("Host", "").rpartition(":")[0].lower() not in self.hosts and (
            self.headers.get("Host", "").lower() not in self.hosts
        ):
            self._answer(421, _JSON, b'{"error": "EGW-3001 unknown host"}\n')
        elif path in {"/healthz", "/readyz"}:
            found = self.shown.alive() if path == "/healthz" else self.shown.ready()
            self._answer(200 if found["ok"] else 503, _JSON, _text(found))
        elif path == "/status.json":
            self._answer(200, _JSON, _text(self.shown.status()))
        elif path == "/metrics":
            self._answer(200, self.shown.metrics_type, self.shown.metrics())
        else:
            self._answer(404, _JSON, b'{"paths": ["/healthz", "/readyz", "/status.json", "/metrics"]}\n')

    do_HEAD = do_GET  # noqa: N815 - the library's name

    def _answer(self, code: int, content_type: str, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Requests are not logged: a scrape every few seconds says nothing."""


def _text(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, sort_keys=True).encode() + b"\n"
