"""Serve an ASGI application with uvicorn in the caller's event loop, on one address, with or without TLS.

Decides socket, TLS and limits of the HTTP server. Never installs signal handlers, never logs requests.
"""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from edgegw.common.connections import Bounds, bounded
from edgegw.common.errors import AddressTakenError, ConfigError
from edgegw.web.site import WebSettings

HEADER_BYTES_MAX = 16 * 1024
CONNECTIONS_MAX = 1024
CONNECTIONS_OF_ONE = 256  # many drivers of a car park may share one public address
REQUEST_S = 20.0
WAITING_MAX = 256
KEEP_ALIVE_S = 15
END_S = 2


class _Server(uvicorn.Server):
    """Installs no signal handlers: the daemon handles signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class WebServer:
    """A web server on one address. The constructor binds it; raises AddressTakenError, ConfigError."""

    def __init__(self, application: ASGIApp, settings: WebSettings) -> None:
        self._settings = settings
        self._tls = _tls(settings)
        self._socket = _bound(settings)
        self.port: int = self._socket.getsockname()[1]
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # the guard logs failures
        context = self._tls
        self._server = _Server(
            uvicorn.Config(
                application,
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                http=bounded(
                    Bounds(most=CONNECTIONS_MAX, most_of_one=CONNECTIONS_OF_ONE, request_s=REQUEST_S)
                ),
                ws="none",
                backlog=WAITING_MAX,
                h11_max_incomplete_event_size=HEADER_BYTES_MAX,
                limit_concurrency=CONNECTIONS_MAX + 1,  # `bounded` drops connections earlier
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=END_S,
                ssl_context_factory=None if context is None else lambda _config, _default: context,
            )
        )

    @property
    def origin(self) -> str:
        """Scheme, first name and port of the server."""
        scheme = "https" if self._settings.is_secure else "http"
        name = self._settings.names[0]
        return f"{scheme}://{name}:{self.port}"

    async def run(self) -> None:
        """Serve until cancelled."""
        serving = asyncio.ensure_future(self._server.serve([self._socket]))
        try:
            await asyncio.shield(serving)
        except asyncio.CancelledError:
            self._server.should_exit = True
            await serving
            raise
        finally:
            self._socket.close()

    def close(self) -> None:
        """Close the listening socket of a server that never ran."""
        self._socket.close()

    def reload(self) -> None:
        """Load the certificate again for new connections; raises ConfigError and keeps the old one if it is unusable."""
        if self._tls is not None:
            _tls(self._settings)
            _load(self._tls, self._settings)


def _bound(settings: WebSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    door = socket.socket(family)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        door.bind((settings.host, settings.port))
        door.listen(WAITING_MAX)
    except OSError as error:
        door.close()
        keys = f"{settings.section}.host, {settings.section}.port"
        raise AddressTakenError(keys, f"{settings.host}:{settings.port}", error) from error
    door.setblocking(False)
    return door


def _tls(settings: WebSettings) -> ssl.SSLContext | None:
    if settings.certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    _load(context, settings)
    return context


def _load(context: ssl.SSLContext, settings: WebSettings) -> None:
    assert settings.certificate is not None
    try:
        context.load_cert_chain(settings.certificate, settings.key_file)
    except (OSError, ssl.SSLError) as error:
        keys = f"{settings.section}.certificate, {settings.section}.key_file"
        raise ConfigError((f"{keys}: {settings.certificate}: {error}",)) from error
