"""Runs the WebSocket servers, plain and TLS: sockets, handshakes, sub-protocol and compression.

Decides the OCPP version and the HTTP answer; `admission` decides who may connect, and nothing here reads a frame. A
handshake that fails below WebSocket becomes a logged refusal with its cause. The only file that knows the `websockets`
library.
Source: OCPP-J 1.6 §3; OCPP 2.1 Part 4 §3.1-§3.4; docs/ocpp.md, Connections (sub-protocol).
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidHeader, InvalidHeaderValue
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import CloseCode
from websockets.http11 import Request, Response
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from edgegw.chargers.admission import PLAIN, TLS, Admission, AdmissionControl, Attempt
from edgegw.chargers.connection import FRAME_BYTES_MAX, Socket
from edgegw.chargers.rejection_log import RejectionLog
from edgegw.chargers.settings import Log, StationSettings, VersionName
from edgegw.chargers.socket_limits import SocketLimits
from edgegw.chargers.tls import Tls, cause
from edgegw.common.errors import AddressTakenError, leaves

_VERSIONS: dict[str, VersionName] = {
    "ocpp2.1": "2.1",
    "ocpp2.0.1": "2.0.1",
    "ocpp1.6": "1.6",
}  # in our order of preference
_NO_COMMON_VERSION = 1002
_REFUSED = 4001
_WINDOW_BITS = 10  # 1 KiB: holds one message, and the next resembles it
_TLS_HANDSHAKE = 0x16  # first byte of a ClientHello
_BACKLOG = 100
_AGAIN_S = 0.1
_TEXTS = {
    401: "password required\n",
    403: "not allowed from this address\n",
    404: "unknown charger\n",
    426: "WebSocket only\n",
    429: "too many tries\n",
    503: "try again later\n",
}

OnAdmitted = Callable[[Admission, str, Socket], Awaitable[None]]
"""Takes the admission, the version and the socket; returns when the socket is no longer needed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The ports the servers listen on; `tls` is None without a TLS server."""

    plain: int
    tls: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerContext:
    """What every connection needs. `expected` returns the one version that a charger may speak, or None for any."""

    settings: Callable[[], StationSettings]
    admission_control: AdmissionControl
    refusals: RejectionLog
    on_admitted: OnAdmitted
    expected: Callable[[str], VersionName | None]
    socket_limits: SocketLimits = field(default_factory=SocketLimits)


class WebSocket:
    """Implements `connection.Socket` over the library's connection."""

    def __init__(self, connection: ServerConnection) -> None:
        self._connection = connection

    @property
    def overflowed(self) -> bool:
        """Whether the charger sent more than FRAME_BYTES_MAX in one frame."""
        sent = self._connection.protocol.close_sent
        return sent is not None and sent.code == CloseCode.MESSAGE_TOO_BIG

    async def send(self, text: str) -> None:
        """Send a text; do nothing on a closed socket."""
        with contextlib.suppress(ConnectionClosed):
            await self._connection.send(text)

    async def frames(self) -> AsyncIterator[str]:
        """Yield text frames until the socket is closed; OCPP has no binary ones."""
        with contextlib.suppress(ConnectionClosed):
            async for frame in self._connection:
                if isinstance(frame, str):
                    yield frame

    async def is_alive(self, timeout_s: float) -> bool:
        """Return True where the charger answers a ping in time."""
        try:
            async with asyncio.timeout(timeout_s):
                await (await self._connection.ping())
        except (ConnectionClosed, TimeoutError):
            return False
        return True

    async def close(self, reason: str) -> None:
        """Close the socket with code 4001 and a reason."""
        await self._connection.close(_REFUSED, reason)

    def abort(self) -> None:
        """Drop the socket without a close frame."""
        self._connection.transport.abort()


class _HandshakeConnection(ServerConnection):
    """A socket of the WebSocket library from its first byte on, above TLS where there is TLS."""

    admission: Admission | None = None
    _spoke = False
    _refused = False
    _counted: str | None = None  # the address that `socket_limits` counts it under

    def __init__(self, *arguments: Any, listener_context: ListenerContext, profile: int, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._listener_context = listener_context
        self.profile = profile

    @property
    def address(self) -> str:
        """The peer's IP address, "" where it is unknown."""
        return _address(self.transport.get_extra_info("peername"))

    def refuse(self, code: str, *, charger_id: str = "", detail: str = "") -> None:
        """Log why this socket is refused, once."""
        if not self._refused:
            self._refused = True
            path = "" if self.request is None else self.request.path.partition("?")[0]
            self._listener_context.refusals.note(
                code, address=self.address, charger_id=charger_id, path=path, detail=detail
            )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Extend the library's method: refuse a socket beyond the limits for unauthenticated ones."""
        super().connection_made(transport)
        if self._listener_context.socket_limits.enter(self.address):
            self._counted = self.address
        else:
            self.refuse("EGW-1009")
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Extend the library's method: stop counting the socket."""
        self.leave_limits()
        super().connection_lost(exc)

    def leave_limits(self) -> None:
        """Stop counting the socket among the unauthenticated ones."""
        if self._counted is not None:
            self._listener_context.socket_limits.leave(self._counted)
            self._counted = None

    def data_received(self, data: bytes) -> None:
        """Extend the library's method: refuse a ClientHello, whose end the HTTP parser would await in vain."""
        if not self._spoke:
            self._spoke = True
            if self.profile == PLAIN and data[0] == _TLS_HANDSHAKE:
                self.refuse("EGW-1107", detail="TLS came to the plain port: use ws://, or the TLS port")
                self.transport.abort()
                return
        super().data_received(data)

    async def handshake(self, *arguments: Any, **more: Any) -> None:
        """Extend the library's method: log why a handshake failed, unless the socket never sent a byte."""
        try:
            await super().handshake(*arguments, **more)
        finally:
            fault = self.protocol.handshake_exc
            is_unfinished = self.protocol.state is not OPEN and self.admission is None
            if self._spoke and (is_unfinished or fault is not None):
                charger_id = "" if self.admission is None else self.admission.charger_id
                self.refuse("EGW-1008", charger_id=charger_id, detail=_handshake_fault(fault))


@contextlib.asynccontextmanager
async def listen(listener_context: ListenerContext, tls: Tls | None) -> AsyncIterator[Ports]:
    """Serve while the block runs; raise AddressTakenError where an address cannot be bound."""
    settings = listener_context.settings()
    listener = settings.listener
    compression = ServerPerMessageDeflateFactory(
        server_no_context_takeover=True,  # our answers are short; keeps no window between them
        server_max_window_bits=_WINDOW_BITS,
        client_max_window_bits=_WINDOW_BITS,
        compress_settings={"memLevel": 3},
    )
    logger = _logger(settings.log)
    limits: dict[str, Any] = {
        "ping_interval": settings.ping_interval_s,
        "ping_timeout": None,  # advisory: some chargers never answer a ping
        "close_timeout": settings.probe_timeout_s,
    }
    async with contextlib.AsyncExitStack() as stack:
        with _bound("ocpp.host, ocpp.port", listener.host, listener.port):
            serving = serve(
                partial(_handle, listener_context),
                listener.host,
                listener.port,
                process_request=partial(_process_request, listener_context),
                select_subprotocol=partial(_select_subprotocol, listener_context),
                compression=None,
                extensions=[compression],
                open_timeout=listener.open_timeout_s,
                max_size=FRAME_BYTES_MAX,
                server_header=None,
                logger=logger,
                create_connection=partial(
                    _HandshakeConnection, listener_context=listener_context, profile=PLAIN
                ),  # type: ignore[arg-type]  # a factory is all it takes
                **limits,
            )
            server = await stack.enter_async_context(serving)
        plain = next(iter(server.sockets)).getsockname()[1]
        if tls is None or listener.tls is None:
            yield Ports(plain=plain, tls=None)
            return

        def handshake() -> _HandshakeConnection:
            """Return a connection like those of the plain server, to be run above TLS."""
            protocol = ServerProtocol(
                extensions=[compression],
                select_subprotocol=lambda _, offered: _select_subprotocol(listener_context, made, offered),
                max_size=FRAME_BYTES_MAX,
                logger=logger,
            )
            made = _HandshakeConnection(
                protocol, server, listener_context=listener_context, profile=TLS, **limits
            )
            return made

        async with _TlsServer(listener_context, tls, handshake, port=listener.tls.port) as port:
            yield Ports(plain=plain, tls=port)


@contextlib.contextmanager
def _bound(keys: str, host: str, port: int) -> Iterator[None]:
    """Raise AddressTakenError with the configuration keys of the address where binding fails inside the block."""
    try:
        yield
    except OSError as error:
        raise AddressTakenError(keys, f"{host}:{port}", error) from error


class _TlsServer:
    """Accepts sockets and runs the TLS handshake, so that a failed one is logged with its cause and address.

    The TLS servers of asyncio and uvloop report neither.
    """

    def __init__(
        self,
        listener_context: ListenerContext,
        tls: Tls,
        handshake: Callable[[], _HandshakeConnection],
        *,
        port: int,
    ) -> None:
        self._listener_context = listener_context
        self._tls = tls
        self._connect = handshake
        self._port = port
        self._tasks: set[asyncio.Task[None]] = set()
        self._socket: socket.socket | None = None

    async def __aenter__(self) -> int:
        host = self._listener_context.settings().listener.host
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with _bound("ocpp.host, ocpp.tls.port", host, self._port):
            self._socket = socket.create_server((host, self._port), family=family, backlog=_BACKLOG)
        self._socket.setblocking(False)
        self._keep(self._accept(self._socket))
        port: int = self._socket.getsockname()[1]
        return port

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._socket is not None:
            self._socket.close()

    def _keep(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, address = await loop.sock_accept(listening)
            except OSError:  # no file descriptor left, or gone already
                await asyncio.sleep(_AGAIN_S)
                continue
            if self._listener_context.socket_limits.enter(_address(address)):
                self._keep(self._secure(accepted, _address(address)))
            else:
                accepted.close()
                self._listener_context.refusals.note("EGW-1009", address=_address(address))

    async def _secure(self, accepted: socket.socket, address: str) -> None:
        """Run the TLS handshake; the socket is counted here until the connection counts itself."""
        timeout_s = self._listener_context.settings().listener.open_timeout_s
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                self._connect, accepted, ssl=self._tls.context, ssl_handshake_timeout=timeout_s
            )
        except OSError as error:  # TLS faults and timeouts are among them
            self._listener_context.refusals.note("EGW-1107", address=address, detail=cause(error))
        finally:
            self._listener_context.socket_limits.leave(address)


async def _process_request(
    listener_context: ListenerContext, connection: ServerConnection, request: Request
) -> Response | None:
    assert isinstance(connection, _HandshakeConnection)
    headers = request.headers
    attempt = Attempt(
        path=request.path,
        is_upgrade=_names(headers.get_all("Connection"), "upgrade")
        and _names(headers.get_all("Upgrade"), "websocket"),
        authorization=tuple(headers.get_all("Authorization")),
        address=connection.address,
        profile=connection.profile,
    )
    admitted = await listener_context.admission_control.admit(attempt)
    if isinstance(admitted, Admission):
        connection.admission = admitted
        if admitted.password_hash is None:
            connection.leave_limits()
        return None
    connection._refused = True  # noqa: SLF001 - of this very file
    response = connection.respond(admitted, _TEXTS[admitted])
    if admitted == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = 'Basic realm="ocpp", charset="UTF-8"'
    if admitted == HTTPStatus.UPGRADE_REQUIRED:
        response.headers["Upgrade"] = "websocket"
    return response


async def _handle(listener_context: ListenerContext, connection: ServerConnection) -> None:
    assert isinstance(connection, _HandshakeConnection)
    admission = connection.admission
    assert admission is not None
    expected = listener_context.expected(admission.charger_id)
    version = _version(connection, expected or listener_context.settings().listener.default_version)
    if version is None or expected not in {None, version}:
        spoken = ", ".join(name for name, known in _VERSIONS.items() if expected in {None, known})
        offered = ", ".join(_offered(connection))
        connection.refuse("EGW-1004", charger_id=admission.charger_id, detail=f"offered: {offered}")
        await connection.close(_NO_COMMON_VERSION, f"sub-protocols spoken here: {spoken}")
        return
    for handshake in (connection.request, connection.response):  # 5 KiB that are not needed any more
        if handshake is not None:
            handshake.headers.clear()
    await listener_context.on_admitted(admission, version, WebSocket(connection))


def _select_subprotocol(
    listener_context: ListenerContext, connection: ServerConnection, offered: Sequence[Subprotocol]
) -> Subprotocol | None:
    """Return our first choice among those offered, spelt as offered; None ends the handshake without one."""
    assert isinstance(connection, _HandshakeConnection)
    assert connection.admission is not None
    expected = listener_context.expected(connection.admission.charger_id)
    for known in sorted(_VERSIONS, key=lambda name: _VERSIONS[name] != expected):
        for name in offered:
            if name.lower() == known:
                return name
    return None


def _version(connection: ServerConnection, default: VersionName) -> VersionName | None:
    if connection.subprotocol is not None:
        return _VERSIONS[connection.subprotocol.lower()]
    return None if _offered(connection) else default


def _offered(connection: ServerConnection) -> list[str]:
    assert connection.request is not None
    return connection.request.headers.get_all("Sec-WebSocket-Protocol")


def _address(peer: Any) -> str:
    return str(peer[0]) if peer else ""


def _names(headers: Sequence[str], word: str) -> bool:
    return any(part.strip().lower() == word for header in headers for part in header.split(","))


def _handshake_fault(error: BaseException | None) -> str:
    """Return the kind of fault, without text of the request: it may hold a password."""
    match error:
        case None:
            return "not finished"
        case InvalidHeaderValue() | InvalidHeader():
            return f"header {error.name}"
        case _:
            return {"InvalidMessage": "no HTTP request"}.get(type(error).__name__, type(error).__name__)


class _LibraryLog(logging.Handler):
    """Logs the library's error records, which are faults of our own handlers, as `charger.failed`."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.ERROR)
        self.log = log

    def emit(self, record: logging.LogRecord) -> None:
        fault = record.exc_info[1] if record.exc_info else None
        told = [] if fault is None else [f"{type(leaf).__name__}: {leaf}" for leaf in leaves(fault)]
        self.log("charger.failed", {"reason": f"{record.getMessage()}: {'; '.join(told)}"})


def _logger(log: Log) -> logging.Logger:
    """Return a logger outside of the process's logger tree."""
    logger = logging.Logger("websockets", logging.ERROR)  # noqa: LOG001 - it must have no parent
    logger.addHandler(_LibraryLog(log))
    return logger
