"""The web server over real sockets: plain and TLS, a new certificate without a restart, limits, and a clean end."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.types import Receive, Scope, Send

from edgegw.common.errors import AddressTakenError, ConfigError
from edgegw.web import server as web_server
from edgegw.web.application import application
from edgegw.web.driver import home
from edgegw.web.server import WebServer
from edgegw.web.site import WebSettings
from tests.support.certificates import Authority
from tests.support.patience import PATIENCE_S
from tests.support.web_site import World


@contextlib.asynccontextmanager
async def serving(world: World, settings: WebSettings) -> AsyncIterator[WebServer]:
    """A server that runs until the block is left, and then ends."""
    server = WebServer(application(replace(world.site(), settings=settings), {"home": home.routes}), settings)
    running = asyncio.ensure_future(server.run())
    try:
        yield server
    finally:
        running.cancel()
        async with asyncio.timeout(PATIENCE_S):
            with contextlib.suppress(asyncio.CancelledError):
                await running


async def ask(port: int, request: str, tls: ssl.SSLContext | None = None) -> str:
    """One request as it is; the answer up to its end."""
    async with asyncio.timeout(PATIENCE_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
        writer.write(request.encode())
        answer = await reader.read()
        writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()
    return answer.decode(errors="replace")


def get(path: str = "/", extra: str = "") -> str:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{extra}\r\n"


LOCAL = WebSettings(host="127.0.0.1", port=0, names=("localhost",), secret=b"s" * 32)


async def test_pages_are_served_and_the_server_ends() -> None:
    """A page is served without naming the program; after the server ends nothing listens."""
    async with serving(World(), LOCAL) as server:
        answer = await ask(server.port, get())
        assert answer.startswith("HTTP/1.1 200")
        assert "uvicorn" not in answer.lower()
        assert server.origin == f"http://localhost:{server.port}"
    with pytest.raises(ConnectionError):
        await ask(server.port, get())


async def test_rubbish_is_no_request() -> None:
    """Bytes that are not HTTP, or an endless header line, are refused and do not affect others."""
    async with serving(World(), LOCAL) as server:
        assert " 400 " in (await ask(server.port, "\x16\x03\x01 hello\r\n\r\n")).splitlines()[0]
        endless = await ask(server.port, f"GET / HTTP/1.1\r\nHost: localhost\r\nX: {'a' * 100_000}")
        assert endless == "" or endless.split()[1] in {"400", "431"}
        assert (await ask(server.port, get())).startswith("HTTP/1.1 200")


async def test_tls_and_a_new_certificate_without_a_restart(tmp_path: Path) -> None:
    """Over TLS cookies are bound to the host; a renewed certificate serves new connections, a broken one changes nothing."""
    old, new = Authority(tmp_path, "old"), Authority(tmp_path, "new")
    pair = old.issue("page")
    certificate, key_file = pair.certificate, pair.key_file
    secure = replace(LOCAL, certificate=certificate, key_file=key_file)
    async with serving(World(), secure) as server:
        answer = await ask(server.port, get(), old.trusting())
        assert "strict-transport-security" in answer.lower()
        assert "__Host-edgegw_visitor=" in answer
        assert "secure" in answer.lower().split("__host-edgegw_visitor=")[1].splitlines()[0]
        assert "not encrypted" not in answer
        new.issue("page")
        server.reload()
        assert (await ask(server.port, get(), new.trusting())).startswith("HTTP/1.1 200")
        certificate.write_text("rubbish")
        with pytest.raises(ConfigError, match=r"web\.certificate"):
            server.reload()
        assert (await ask(server.port, get(), new.trusting())).startswith("HTTP/1.1 200")
    with pytest.raises(ConfigError, match=r"web\.certificate"):
        WebServer(application(World().site(), {}), secure)


async def test_a_taken_port_is_named() -> None:
    """If another program has the port, the fault names the configuration keys to change."""
    async with serving(World(), LOCAL) as server:
        assert (await ask(server.port, get())).startswith("HTTP/1.1 200")
        taken = replace(LOCAL, port=server.port)
        with pytest.raises(AddressTakenError, match=r"web\.host, web\.port"):
            WebServer(application(World().site(), {}), taken)


async def test_one_address_holds_its_share_of_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection beyond an address's share, or beyond all of them, is dropped; one that ends makes room again."""
    for name in ("CONNECTIONS_OF_ONE", "CONNECTIONS_MAX"):
        with monkeypatch.context() as patched:
            patched.setattr(web_server, name, 2)
            async with serving(World(), LOCAL) as server, asyncio.timeout(PATIENCE_S):
                silent = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(2)]
                assert await refused(server.port)
                silent[0][1].close()
                await silent[0][1].wait_closed()
                while await refused(server.port):
                    pass
                silent[1][1].close()


async def refused(port: int) -> bool:
    """Whether a connection is dropped before it is answered."""
    try:
        return await ask(port, get()) == ""
    except ConnectionError:
        return True


async def test_who_does_not_ask_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence, half a head and half a body are dropped after their time; an answer may take longer than that."""
    monkeypatch.setattr(web_server, "REQUEST_S", 0.5)
    over = asyncio.Event()

    async def slow(_scope: Scope, _receive: Receive, send: Send) -> None:
        await over.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    server = WebServer(slow, LOCAL)
    running = asyncio.ensure_future(server.run())
    async with asyncio.timeout(PATIENCE_S):
        whole = asyncio.ensure_future(ask(server.port, get()))
        for begun in (
            "",
            "GET / HTTP/1.1\r\nHost: a",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx",
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(begun.encode())
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
            writer.close()
        assert not whole.done()
        over.set()
        assert (await whole).endswith("ok")
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
