"""The WebSocket server: who may open a socket, in which version, with what compression.

Decides HTTP answers (401, 404, 429) and the sub-protocol; never looks into a frame. The only file that knows the
`websockets` library.
Source: OCPP-J 1.6 §3; OCPP 2.1 Part 4 §3.1-§3.4; ruling: no sub-protocol offered means the configured version, and
one that may not be spoken is let in and closed with the reason.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from http import HTTPStatus
from urllib.parse import unquote

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from edgegw.chargers.connection import Socket
from edgegw.chargers.security import Gatekeeper, Verdict, basic_password
from edgegw.chargers.settings import StationSettings

_PATH = "/ocpp/"
_VERSIONS = {"ocpp2.1": "2.1", "ocpp2.0.1": "2.0.1", "ocpp1.6": "1.6"}  # in our order of preference
_NO_COMMON_VERSION = 1002
_REFUSED = 4001
_FRAME_BYTES_MAX = 1 << 20
_WINDOW_BITS = 10  # 1 KiB: enough for one message that resembles the last, 14 KiB a connection instead of 64

Welcome = Callable[[str, str, Socket], Awaitable[None]]
"""Takes charger id, version and socket, and returns when the socket is done with."""


class WebSocket:
    """A `Socket` over the library's connection."""

    def __init__(self, connection: ServerConnection) -> None:
        self._connection = connection

    async def send(self, text: str) -> None:
        """Send, or do nothing on a closed socket."""
        with contextlib.suppress(ConnectionClosed):
            await self._connection.send(text)

    async def frames(self) -> AsyncIterator[str]:
        """Text frames until the socket is closed; OCPP has no binary ones."""
        with contextlib.suppress(ConnectionClosed):
            async for frame in self._connection:
                if isinstance(frame, str):
                    yield frame

    async def is_alive(self, timeout_s: float) -> bool:
        """True when the other side answers a ping in time."""
        try:
            async with asyncio.timeout(timeout_s):
                await (await self._connection.ping())
        except (ConnectionClosed, TimeoutError):
            return False
        return True

    async def close(self, reason: str) -> None:
        """Refuse the other side, telling it why."""
        await self._connection.close(_REFUSED, reason)

    def abort(self) -> None:
        """Drop the socket without a word."""
        self._connection.transport.abort()


@contextlib.asynccontextmanager
async def listen(settings: StationSettings, gatekeeper: Gatekeeper, welcome: Welcome) -> AsyncIterator[int]:
    """Serve until the block is left; gives the port."""
    only = {charger.charger_id: charger.version for charger in settings.chargers}

    async def process_request(connection: ServerConnection, request: Request) -> Response | None:
        refusal = await _admit(gatekeeper, connection, request)
        if refusal is not None and refusal.status_code != HTTPStatus.TOO_MANY_REQUESTS:
            path = request.path.partition("?")[0]  # what follows may be a secret
            settings.log("charger.refused", {"path": path, "reason": refusal.reason_phrase})
        return refusal

    def select_subprotocol(
        connection: ServerConnection, offered: Sequence[Subprotocol]
    ) -> Subprotocol | None:
        return _select_subprotocol(offered, only[_admitted_id(connection)])

    async def handle(connection: ServerConnection) -> None:
        charger_id = _admitted_id(connection)
        expected = only[charger_id]
        version = _version(connection, expected or settings.listener.default_version)
        if version is None or expected not in {None, version}:
            spoken = [name for name, known in _VERSIONS.items() if expected in {None, known}]
            reason = f"sub-protocols spoken here: {', '.join(spoken)}"
            settings.log("charger.refused", {"charger_id": charger_id, "reason": reason})
            await connection.close(_NO_COMMON_VERSION, reason)
            return
        await welcome(charger_id, version, WebSocket(connection))

    compression = ServerPerMessageDeflateFactory(
        server_max_window_bits=_WINDOW_BITS,
        client_max_window_bits=_WINDOW_BITS,
        compress_settings={"memLevel": 3},
    )
    async with serve(
        handle,
        settings.listener.host,
        settings.listener.port,
        process_request=process_request,
        select_subprotocol=select_subprotocol,
        compression=None,
        extensions=[compression],
        ping_interval=settings.ping_interval_s,
        ping_timeout=None,  # advisory: some chargers never answer a ping
        close_timeout=settings.probe_timeout_s,
        max_size=_FRAME_BYTES_MAX,
        server_header=None,
    ) as server:
        yield next(iter(server.sockets)).getsockname()[1]


async def _admit(gatekeeper: Gatekeeper, connection: ServerConnection, request: Request) -> Response | None:
    charger_id = _charger_id(request.path)
    if charger_id is None:
        return connection.respond(404, "no charger here\n")
    headers = request.headers.get_all("Authorization")
    password = basic_password(headers[0] if len(headers) == 1 else None, charger_id)
    match await gatekeeper.check(charger_id, password):
        case Verdict.ADMITTED:
            return None
        case Verdict.UNKNOWN:
            return connection.respond(404, "no charger here\n")
        case Verdict.TOO_MANY:
            return connection.respond(429, "too many tries\n")
        case Verdict.REFUSED:
            response = connection.respond(401, "password needed\n")
            response.headers["WWW-Authenticate"] = 'Basic realm="ocpp", charset="UTF-8"'
            return response


def _charger_id(path: str) -> str | None:
    """The identity at the end of the path, percent-decoded (2.1 Part 4 §3.1.1)."""
    path = path.partition("?")[0]
    segment = path.removeprefix(_PATH)
    return unquote(segment) if path.startswith(_PATH) and segment and "/" not in segment else None


def _admitted_id(connection: ServerConnection) -> str:
    assert connection.request is not None
    charger_id = _charger_id(connection.request.path)
    assert charger_id is not None
    return charger_id


def _select_subprotocol(offered: Sequence[Subprotocol], expected: str | None) -> Subprotocol | None:
    """Our first choice among those offered, spelt as offered; None lets the handshake end without one."""
    for known in sorted(_VERSIONS, key=lambda name: _VERSIONS[name] != expected):
        for name in offered:
            if name.lower() == known:
                return name
    return None


def _version(connection: ServerConnection, default: str) -> str | None:
    if connection.subprotocol is not None:
        return _VERSIONS[connection.subprotocol.lower()]
    assert connection.request is not None
    offered = connection.request.headers.get_all("Sec-WebSocket-Protocol")
    return None if offered else default
