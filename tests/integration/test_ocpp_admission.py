"""Connections to the listener that are no charger: each is logged in one line with its cause, and answered briefly."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import uvloop
from websockets.exceptions import InvalidMessage

from edgegw.chargers import socket_limits
from edgegw.chargers.connection import Connection
from edgegw.chargers.settings import ListenerSettings, TlsSettings
from edgegw.common import rate_limited_log
from tests.support.certificates import Authority
from tests.support.chargers_running import Station, basic, dial, heartbeat, running
from tests.support.patience import PATIENCE_S

Log = list[tuple[str, Mapping[str, object]]]
KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
AUTH = f"Authorization: {basic('CP1')['Authorization']}\r\n"
UPGRADE = "Connection: Upgrade\r\nUpgrade: websocket\r\n"


@contextlib.asynccontextmanager
async def logging(log: Log, **more: Any) -> AsyncIterator[Station]:
    async with running(log=lambda *entry: log.append(entry), **more) as station:
        yield station


async def raw(station: Station, text: str) -> str:
    """What a request as text is answered, until the other side closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", station.chargers.port)
    with contextlib.closing(writer), contextlib.suppress(ConnectionError):
        writer.write(text.encode("latin-1"))
        async with asyncio.timeout(PATIENCE_S):
            return (await reader.read()).decode()
    return ""


def get(path: str, *headers: str) -> str:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n{''.join(headers)}\r\n"


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize(
    ("text", "status", "detail"),
    [
        (get("/"), "426", "no Upgrade: websocket with Connection: Upgrade"),
        (get("/ocpp/CP1", AUTH, "Upgrade: websocket\r\n", KEY), "426", "no Upgrade"),
        (get("/ocpp/CP1", AUTH, "Connection: keep-alive, Upgrade\r\nUpgrade: h2c\r\n", KEY), "426", "no Upgrade"),
        (get("/ocpp/CP1", AUTH, UPGRADE), "400", "header Sec-WebSocket-Key"),
        (get("/ocpp/CP1", AUTH, UPGRADE, KEY.replace("13", "8")), "400", "header Sec-WebSocket-Version"),
        (get("/ocpp/CP1", AUTH, UPGRADE, KEY).replace("GET", "PUT"), "405", "InvalidMethod"),
        (get("/ocpp/CP1", AUTH, UPGRADE, "X: " + "y" * 9000 + "\r\n"), "431", "HeaderLineTooLong"),
        (get("/ocpp/" + "x" * 9000), "414", "RequestLineTooLong"),
        ("SSH-2.0-OpenSSH_9.2\r\n", "", "no HTTP request"),
        ("GET /ocpp/CP1 HTTP/1.1\r\nAuthorization: c2VjcmV0", "", "not finished"),
    ],
)  # fmt: skip
def test_what_is_no_websocket(run: Callable[[Any], Any], text: str, status: str, detail: str) -> None:
    """EGW-1008 with the cause, never with the request's own words; the next charger is served."""
    log: Log = []

    async def scenario() -> None:
        listener = ListenerSettings(host="127.0.0.1", port=0, open_timeout_s=2)
        async with logging(log, listener=listener) as station:
            answer = await raw(station, text)
            assert answer[9:12] == status
            assert "EGW" not in answer
            async with dial(station, "CP|2") as charger:
                assert (await heartbeat(charger))[0] == 3

    run(scenario())
    (fields,) = [fields for name, fields in log if name == "charger.refused"]
    assert (fields["code"], fields["address"]) == ("EGW-1008", "127.0.0.1")
    assert str(fields["detail"]).startswith(detail)
    assert "c2VjcmV0" not in repr(log)
    assert AUTH.rsplit(maxsplit=1)[-1] not in repr(log)
    assert not [name for name, _ in log if name == "charger.failed"]


async def test_a_socket_that_says_nothing_is_nobodys() -> None:
    """A port that is looked at and left alone leaves no line."""
    log: Log = []
    async with logging(log) as station:
        _, writer = await asyncio.open_connection("127.0.0.1", station.chargers.port)
        writer.close()
        await writer.wait_closed()
        async with dial(station) as charger:
            await heartbeat(charger)
    assert [name for name, _ in log if name == "charger.refused"] == []


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_nobody_s_sockets_are_bounded(
    run: Callable[[Any], Any], secure: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EGW-1009: beyond the bound a socket is dropped, who is in stays, and there is room again when the others are gone."""
    log: Log = []
    monkeypatch.setattr(
        socket_limits.SocketLimits.__init__, "__kwdefaults__", {"address_max": 3, "all_max": 9}
    )
    pair = Authority(tmp_path).issue("server")
    tls = TlsSettings(port=0, certificate=pair.certificate, key_file=pair.key_file)

    async def scenario() -> None:
        listener = ListenerSettings(host="127.0.0.1", port=0, tls=tls)
        async with logging(log, listener=listener) as station, dial(station) as charger:
            port = station.chargers.tls_port if secure else station.chargers.port
            idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(4)]
            async with asyncio.timeout(PATIENCE_S):
                dropped, _ = await asyncio.wait(
                    [asyncio.ensure_future(ended(reader)) for reader, _ in idle],
                    return_when=asyncio.FIRST_COMPLETED,
                )
            assert len(dropped) == 1
            assert (await heartbeat(charger))[0] == 3
            for _, writer in idle:
                writer.close()
            async with asyncio.timeout(PATIENCE_S):
                while not await is_let_in(station):  # noqa: ASYNC110 - a stranger's door is no event
                    await asyncio.sleep(0.01)

    run(scenario())
    refused = [fields for name, fields in log if name == "charger.refused" and fields["code"] == "EGW-1009"]
    assert [fields["address"] for fields in refused] == ["127.0.0.1"]


async def ended(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""


async def is_let_in(station: Station) -> bool:
    try:
        async with dial(station, "CP|2") as other:
            return bool((await heartbeat(other))[0] == 3)
    except (ConnectionError, EOFError, InvalidMessage):
        return False


def test_the_lobby_counts_each_address_and_all() -> None:
    """One address does not take everybody's room; who has left makes room."""
    room = socket_limits.SocketLimits(address_max=2, all_max=3)
    assert [room.enter(address) for address in "aaabc"] == [True, True, False, True, False]
    room.leave("a")
    assert [room.enter(address) for address in "bcc"] == [True, False, False]


async def test_a_fault_of_ours_is_told_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception while serving a charger is one log line that names it, and affects no other charger."""
    log: Log = []

    async def fail(_: Connection) -> None:
        raise ExceptionGroup("several", [ZeroDivisionError("of ours")])

    async with logging(log) as station:
        with monkeypatch.context() as broken:
            broken.setattr(Connection, "serve", fail)
            async with dial(station) as charger:
                await charger.wait_closed()
        async with dial(station, "CP|2") as other:
            await heartbeat(other)
    failed = [fields["reason"] for name, fields in log if name == "charger.failed"]
    assert failed == ["connection handler failed: ZeroDivisionError: of ours"]


def test_seldom_counts_what_it_does_not_tell() -> None:
    """A message is logged at once, then once a minute with the count since; over all keys the lines per minute are bounded."""
    now = [0.0]
    often = rate_limited_log.RateLimitedLog(lambda: now[0], most=3)
    assert [often.due("a") for _ in range(4)] == [1, 0, 0, 0]
    now[0] = 61.0
    assert often.due("a") == 4
    assert [often.due(key) for key in "bcde"] == [1, 1, 0, 0]
    now[0] = 122.0
    assert often.due("d") == 1
    flood = rate_limited_log.RateLimitedLog(lambda: 0.0, most=10_000)
    for key in range(1000):
        flood.due(key)
    assert len(flood._logged) <= rate_limited_log.KEYS_MAX


async def test_the_ring_of_refusals_is_bounded() -> None:
    """The newest fifty kinds of refusal are kept, each with its count."""
    async with running() as station:
        for number in range(60):
            station.chargers._refusals.note("EGW-1005", address="10.0.0.1", charger_id=f"X{number}")
        station.chargers._refusals.note("EGW-1005", address="10.0.0.1", charger_id="X59")
        kept = station.chargers.refusals()
    assert (len(kept), kept[0].charger_id, kept[-1].charger_id, kept[-1].count) == (50, "X10", "X59", 2)
