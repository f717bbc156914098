"""Serves the representative to remote stations: one POST per method, JSON in both directions, signed by the gateway.

Decides which callers are accepted (`ledger.request_signing`), sizes, and the status of each fault: 400 malformed, 401 caller
not accepted, 404 no such method, 413 too long, 503 unavailable now. URLs and log lines contain nothing secret.
Source: RFC 9110 (status codes); docs/representative.md, How a station asks.
"""

import asyncio
import contextlib
import hashlib
import ipaddress
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from edgegw.common.connections import Bounds, bounded
from edgegw.common.errors import AddressTakenError, ConfigError
from edgegw.common.trade_terms import Product
from edgegw.ledger.request_signing import Caller, Callers
from edgegw.ports.representative import Representative, RepresentativeError
from edgegw.representative.json_codec import (
    METHODS,
    OFFICE,
    CardLinks,
    MalformedJsonError,
    arguments_of,
    encoded,
    parse,
    written,
)
from edgegw.representative.service import RepresentativeService

BODY_BYTES_MAX = 64 * 1024
LINKS_WAIT_S = 20.0
_LOOK_S = 1.0
_AT_ONCE = 256  # connections
_AT_ONCE_OF_ONE = 128
_REQUEST_S = 20.0
_END_S = 3
_AHEAD_S = 2 * 86_400  # as far as a station plans
_REPORT_WH_MAX = 10**10

Report = Callable[[Product, int, int, str], None]
Log = Callable[[str, Mapping[str, object]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """Address and certificate of the server; without a certificate on loopback only."""

    host: str
    port: int
    certificate: Path | None = None
    key_file: Path | None = None


class _NoAnswerError(Exception):
    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class LinkBoard:
    """The card links for remote stations; reads the store after a change, at most once a second for all stations."""

    def __init__(self, representative: RepresentativeService, *, wait_s: float = LINKS_WAIT_S) -> None:
        self._office = representative
        self._wait_s = wait_s
        self._state: tuple[int, int] | None = None
        self._links: CardLinks | None = None
        self._looked_s = -_LOOK_S
        self._looking = asyncio.Lock()

    async def links(self, since: str) -> CardLinks | None:
        """See StationPort."""
        until_s = time.monotonic() + self._wait_s
        while True:
            found = await self._now()
            if found.version != since:
                return found
            if time.monotonic() >= until_s:
                return None
            await asyncio.sleep(min(_LOOK_S, self._wait_s))

    async def _now(self) -> CardLinks:
        async with self._looking:
            if self._links is None or time.monotonic() - self._looked_s >= _LOOK_S:
                self._looked_s = time.monotonic()
                state = await self._office.state()
                if self._links is None or state != self._state:
                    self._state, self._links = state, await self._read()
            return self._links

    async def _read(self) -> CardLinks:
        key, links = await self._office.card_links()
        version = hashlib.sha256(written([key, encoded(links)])).hexdigest()
        return CardLinks(version=version, key=key, links=links)


class RepresentativeServer:
    """The ASGI application `app`; `report` receives each load report with its gateway's id."""

    def __init__(
        self,
        representative: Representative,
        board: LinkBoard,
        callers: Callers,
        *,
        report: Report,
        now_ns: Callable[[], int],
        log: Log,
    ) -> None:
        self._office, self._board, self._callers = representative, board, callers
        self.log = log
        self._report, self._now_ns = report, now_ns
        self.app = Starlette(routes=[Route("/v1/{method}", self._answer, methods=["POST"])])

    async def _answer(self, request: Request) -> Response:
        try:
            return _said(200, {"answer": encoded(await self._heard(request))})
        except _NoAnswerError as fault:
            return _said(fault.status, {"error": str(fault)})
        except MalformedJsonError as fault:
            return _said(400, {"error": str(fault)})
        except RepresentativeError as fault:
            return _said(503, {"error": str(fault)})

    async def _heard(self, request: Request) -> object:
        """Authenticate and decode a request, and return its answer."""
        body = await _body(request)
        caller = self._callers.check(request.headers, request.url.path, body)
        if not isinstance(caller, Caller):
            address = request.client.host if request.client is not None else ""
            self.log("office.refused", {"address": address, "reason": caller.value})
            raise _NoAnswerError(401, caller.value)
        name = request.path_params["method"]
        method = METHODS.get(name)
        if method is None:
            raise _NoAnswerError(404, "no such method")
        return await self._do(name, arguments_of(method, parse(body)), caller)

    async def _do(self, name: str, arguments: dict[str, Any], caller: Caller) -> object:
        if name in OFFICE:
            ask: Callable[..., Awaitable[object]] = getattr(self._office, name)
            return await ask(**arguments)
        if name == "links":
            return await self._board.links(**arguments)
        self._take_report(caller, **arguments)
        return None

    def _take_report(self, caller: Caller, product: Product, interval: int, *, energy_wh: int) -> None:
        """Validate a load report and pass it on with the caller's gateway id."""
        now_s = self._now_ns() // 1_000_000_000
        if interval % 900 or not now_s - 900 <= interval <= now_s + _AHEAD_S:
            raise MalformedJsonError("arguments.interval: no quarter hour that is planned now")
        if not 0 <= energy_wh <= _REPORT_WH_MAX:
            raise MalformedJsonError("arguments.energy_wh: out of bounds")
        self._report(product, interval, energy_wh, caller.gateway_id)


@contextlib.asynccontextmanager
async def served(app: Starlette, place: Listening) -> AsyncIterator[int]:
    """Serve until the context ends; yields the port.

    Raises ConfigError (no TLS beyond loopback, or an invalid certificate) and AddressTakenError.
    """
    if place.certificate is None and not is_loopback(place.host):
        raise ConfigError((f"listen.host: {place.host} is not a loopback address; configure TLS",))
    config = uvicorn.Config(
        app,
        http=bounded(Bounds(most=_AT_ONCE, most_of_one=_AT_ONCE_OF_ONE, request_s=_REQUEST_S)),
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        limit_concurrency=_AT_ONCE + 1,
        timeout_graceful_shutdown=_END_S,
        ssl_certfile=None if place.certificate is None else str(place.certificate),
        ssl_keyfile=None if place.key_file is None else str(place.key_file),
    )
    try:
        config.load()
    except OSError as fault:  # ssl.SSLError is one
        raise ConfigError((f"listen.certificate: {place.certificate}: {fault.strerror or fault}",)) from fault
    with _listening(place) as door:
        server = _Server(config)
        task = asyncio.create_task(server.serve(sockets=[door]), name="office server")
        try:
            await server.up.wait()
            yield door.getsockname()[1]
        finally:
            server.should_exit = True
            await task


def is_loopback(host: str) -> bool:
    """Return whether a host is a loopback address or localhost."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Set `up` once the server listens."""
        await super().startup(sockets=sockets)
        self.up.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the process."""
        yield


@contextlib.contextmanager
def _listening(place: Listening) -> Iterator[socket.socket]:
    try:
        found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)[0]
        door = socket.create_server(found[4][:2], family=found[0], backlog=_AT_ONCE)
    except OSError as fault:
        raise AddressTakenError("listen.host, listen.port", f"{place.host}:{place.port}", fault) from fault
    with door:
        door.setblocking(False)
        yield door


async def _body(request: Request) -> bytes:
    """Return the whole body; raises _NoAnswerError where it is too long or the client disconnects."""
    parts = bytearray()
    try:
        async for part in request.stream():
            parts += part
            if len(parts) > BODY_BYTES_MAX:
                raise _NoAnswerError(413, f"longer than {BODY_BYTES_MAX} bytes")
    except ClientDisconnect as fault:
        raise _NoAnswerError(400, "hung up") from fault
    return bytes(parts)


def _said(status: int, value: dict[str, object]) -> Response:
    return Response(
        written(value),
        status_code=status,
        media_type="application/json",
        headers={"cache-control": "no-store", "connection": "close"},
    )
