"""Serve /healthz, /readyz, /status.json and /metrics over HTTP for monitoring systems.

Decides status codes and headers only. Runs in its own threads and reads immutable values, so that it also answers while
the event loop is blocked. Read-only: GET and HEAD, and request bodies are not read.
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
    """Functions that return what is shown; they run in the server's threads and must not wait for the event loop."""

    alive: Callable[[], Mapping[str, object]]  # has "ok"
    ready: Callable[[], Mapping[str, object]]  # has "ok"
    status: Callable[[], Mapping[str, object]]
    metrics: Callable[[], bytes]
    metrics_type: str


@contextlib.contextmanager
def serve_health(host: str, port: int, views: Views) -> Iterator[int]:
    """Serve within the block and yield the port. Raises AddressTakenError."""

    class Handler(_Handler):
        """Serves these views."""

        shown = views
        hosts = (*_HOSTS, f"[{host}]" if ":" in host else host)

    class Server(_Server):
        """Uses the address's family."""

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
        """Log a fault in a view with its location; ignore OSError, which a client that disconnects causes."""
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
        """Answer a GET or HEAD request for one of the four paths."""
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
        """Log nothing: monitoring systems send a request every few seconds."""


def _text(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, sort_keys=True).encode() + b"\n"
