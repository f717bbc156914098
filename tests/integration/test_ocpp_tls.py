"""Security profile 2: who is admitted over TLS, why others are not, and certificates that change at run time."""

import asyncio
import contextlib
import socket
import ssl
import warnings
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import uvloop
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from edgegw.chargers.settings import ListenerSettings, TlsSettings
from edgegw.chargers.tls import CIPHER_SUITES, Tls, server_context
from edgegw.common.errors import ConfigError
from edgegw.store.security_profiles import ChargerProfiles
from tests.support.certificates import Authority, Pair
from tests.support.chargers_running import Station, basic, dial, heartbeat, running
from tests.support.patience import PATIENCE_S

Log = list[tuple[str, Mapping[str, object]]]
RUNNERS = pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])


def settings(ecdsa: Pair, rsa: Pair | None = None) -> TlsSettings:
    return TlsSettings(
        port=0,
        certificate=ecdsa.certificate,
        key_file=ecdsa.key_file,
        rsa_certificate=rsa.certificate if rsa else None,
        rsa_key_file=rsa.key_file if rsa else None,
    )


@contextlib.asynccontextmanager
async def secured(tls: TlsSettings, log: Log, **more: Any) -> AsyncIterator[Station]:
    """A station with both ports."""
    listener = ListenerSettings(
        host="127.0.0.1", port=0, tls=tls, open_timeout_s=more.pop("open_timeout_s", 10.0)
    )
    async with running(listener=listener, log=lambda *entry: log.append(entry), **more) as station:
        yield station


def dial_tls(station: Station, context: ssl.SSLContext, charger_id: str = "CP1") -> connect:
    url = f"wss://127.0.0.1:{station.chargers.tls_port}/ocpp/{charger_id}"
    return connect(url, ssl=context, additional_headers=basic(charger_id), subprotocols=["ocpp1.6"])  # type: ignore[list-item]  # plain text


def agreed(connection: ClientConnection) -> tuple[str, str]:
    """Cipher suite and TLS version of an open connection."""
    session = connection.transport.get_extra_info("ssl_object")
    return session.cipher()[0], session.version()


def only(context: ssl.SSLContext, suite: str) -> ssl.SSLContext:
    """TLS 1.2 with one suite."""
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(suite)
    return context


def old(context: ssl.SSLContext) -> ssl.SSLContext:
    """TLS 1.1 and no more."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


@RUNNERS
def test_each_kind_of_charger_gets_through(run: Callable[[Any], Any], tmp_path: Path) -> None:
    """ECDSA only, RSA only (also without ECDHE) and TLS 1.3: each suite of the standard works on one port."""
    authority = Authority(tmp_path)
    tls = settings(authority.issue("ecdsa"), authority.issue("rsa", is_rsa=True))

    async def scenario() -> None:
        async with secured(tls, []) as station:
            for suite in CIPHER_SUITES:
                async with dial_tls(station, only(authority.trusting(), suite)) as charger:
                    assert agreed(charger) == (suite, "TLSv1.2")
                    assert charger.transport.get_extra_info("ssl_object").compression() is None
                    assert (await heartbeat(charger))[0] == 3
            newest = authority.trusting()
            newest.minimum_version = ssl.TLSVersion.TLSv1_3
            async with dial_tls(station, newest) as charger, dial(station, "CP|2") as plain:
                assert agreed(charger)[1] == "TLSv1.3"
                assert (await heartbeat(charger))[0] == 3
                assert (await heartbeat(plain))[0] == 3

    run(scenario())


async def raw(port: int | None, data: bytes) -> bytes:
    """What a port answers to some bytes, until it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with contextlib.closing(writer), contextlib.suppress(ConnectionError):
        writer.write(data)
        async with asyncio.timeout(PATIENCE_S):
            return await reader.read()
    return b""


def greet(port: int | None, context: ssl.SSLContext) -> None:
    """A handshake by hand, because asyncio's client closes without the alert that has the reason."""
    with (
        socket.create_connection(("127.0.0.1", port or 0), timeout=PATIENCE_S) as connection,
        pytest.raises(ssl.SSLError),
    ):
        context.wrap_socket(connection, server_hostname="127.0.0.1")


@RUNNERS
def test_failed_handshakes_name_their_cause(run: Callable[[Any], Any], tmp_path: Path) -> None:
    """Each failed handshake (TLS 1.1, unknown authority, no common suite, plain HTTP, timeout, wrong port) is one log line."""
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    log: Log = []

    async def refused(station: Station, context: ssl.SSLContext) -> None:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await dial_tls(station, context)

    async def scenario() -> None:
        async with secured(settings(authority.issue("server")), log) as station:
            port = station.chargers.tls_port
            await refused(station, old(authority.trusting()))
            await asyncio.to_thread(greet, port, other.trusting())
            await refused(station, only(authority.trusting(), "ECDHE-ECDSA-AES128-SHA256"))
            await raw(port, b"GET /ocpp/CP1 HTTP/1.1\r\nHost: x\r\nAuthorization: Basic c2VjcmV0\r\n\r\n")
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await connect(f"wss://127.0.0.1:{station.chargers.port}/ocpp/CP1", ssl=authority.trusting())
            async with dial_tls(station, authority.trusting()) as charger:
                assert (await heartbeat(charger))[0] == 3
        async with secured(settings(authority.issue("server")), log, open_timeout_s=0.2) as station:
            assert await raw(station.chargers.tls_port, b"\x16") == b""

    run(scenario())
    found = [fields for name, fields in log if name == "charger.refused"]
    assert {(fields["code"], fields["address"]) for fields in found} == {("EGW-1107", "127.0.0.1")}
    assert [fields["detail"] for fields in found] == [
        "the charger does not support TLS 1.2",
        "the charger does not know the CA of our certificate",
        "no cipher suite in common",
        "plain HTTP came to the TLS port: use wss://",
        "TLS came to the plain port: use ws://, or the TLS port",
        "timed out",
    ]
    assert "c2VjcmV0" not in repr(log)


@RUNNERS
def test_what_comes_early_is_not_lost(run: Callable[[Any], Any], tmp_path: Path) -> None:
    """A request that arrives in one piece with the end of the TLS handshake, or in many pieces, is read whole."""
    authority = Authority(tmp_path)

    async def scenario() -> None:
        async with secured(settings(authority.issue("server")), []) as station:
            for _ in range(20):  # TLS 1.3: the client speaks right after its Finished
                async with dial_tls(station, authority.trusting()) as charger:
                    assert (await heartbeat(charger))[0] == 3
            lost = socket.create_connection(("127.0.0.1", station.chargers.tls_port or 0))
            lost.close()  # gone before a word
            async with dial_tls(station, authority.trusting()) as charger:
                assert (await heartbeat(charger))[0] == 3

    run(scenario())


async def test_certificates_change_while_it_runs(tmp_path: Path) -> None:
    """New connections get the new pair, old ones stay; a pair that does not match is refused and the old one serves on."""
    first, second = Authority(tmp_path, "first"), Authority(tmp_path, "second")
    pair, other = first.issue("server"), second.issue("other", is_rsa=True)
    async with secured(settings(pair), []) as station, dial_tls(station, first.trusting()) as charger:
        await heartbeat(charger)
        pair.certificate.write_bytes(other.certificate.read_bytes())
        with pytest.raises(ConfigError, match="EGW-4003"):
            station.chargers.reload_tls()
        async with dial_tls(station, first.trusting(), "CP|2") as late:
            await heartbeat(late)
        pair.key_file.write_bytes(other.key_file.read_bytes())
        station.chargers.reload_tls()
        async with dial_tls(station, second.trusting(), "CP|2") as late:
            await heartbeat(late)
        with pytest.raises(ssl.SSLError):
            await dial_tls(station, first.trusting(), "CP|2")
        assert (await heartbeat(charger))[0] == 3


def test_bad_pairs_are_named(tmp_path: Path) -> None:
    """All faults of a certificate pair are reported at once: unreadable, not PEM, another key, readable by others, encrypted."""
    authority = Authority(tmp_path)
    good, other = authority.issue("good"), authority.issue("other", is_rsa=True)
    assert Tls(settings(good, other)).context.get_ciphers()
    with pytest.raises(ConfigError, match="EGW-4003") as missing:
        server_context(settings(Pair(tmp_path / "none.pem", good.key_file)))
    assert "none.pem" in str(missing.value)
    with pytest.raises(ConfigError, match="EGW-4003"):
        server_context(settings(Pair(good.key_file, good.key_file)))
    with pytest.raises(ConfigError, match=r"EGW-4003.*other\.pem"):  # a key that is right for the first pair
        server_context(settings(good, Pair(other.certificate, good.key_file)))
    other.key_file.chmod(0o644)
    with pytest.raises(ConfigError) as both:
        server_context(settings(Pair(other.certificate, good.key_file), other))
    assert [fault[:8] for fault in both.value.faults] == ["EGW-4003", "EGW-4002"]
    assert "expected 0600" in both.value.faults[1]


async def test_the_profile_only_rises(tmp_path: Path) -> None:
    """A charger that came with TLS is refused without, also after a restart, until an operator lowers it; others are not."""
    authority = Authority(tmp_path)
    tls, store = settings(authority.issue("server")), ChargerProfiles(tmp_path / "chargers.db")
    log: Log = []
    async with secured(tls, log, profiles=store) as station:
        async with dial(station) as plain:
            await heartbeat(plain)
        async with dial_tls(station, authority.trusting()) as charger:
            await heartbeat(charger)
    async with secured(tls, log, profiles=ChargerProfiles(tmp_path / "chargers.db")) as station:
        with pytest.raises(InvalidStatus) as lower:
            await dial(station)
        with pytest.raises(InvalidStatus) as wrong:
            await dial(station, password="wrong")
        assert lower.value.response.status_code == 401
        assert lower.value.response.body == wrong.value.response.body
        async with dial(station, "CP|2") as other:
            await heartbeat(other)
        store.lower("CP1")
        async with dial(station) as plain:
            await heartbeat(plain)
    refused = [(fields["code"], fields["charger_id"]) for name, fields in log if name == "charger.refused"]
    assert refused == [("EGW-1106", "CP1"), ("EGW-1103", "CP1")]


async def test_without_its_memory_only_tls_is_let_in(tmp_path: Path) -> None:
    """If the store of security profiles cannot be used, plain connections are refused and TLS is not."""
    authority = Authority(tmp_path)
    (tmp_path / "chargers.db").write_text("no database at all, and long enough to be seen as none")
    store = ChargerProfiles(tmp_path / "chargers.db")
    async with secured(settings(authority.issue("server")), [], profiles=store) as station:
        with pytest.raises(InvalidStatus):
            await dial(station)
        async with dial_tls(station, authority.trusting()) as charger:
            await heartbeat(charger)


async def test_plain_only_from_named_networks(tmp_path: Path) -> None:
    """From other networks a plain connection is refused with 403, whatever the password; over TLS the charger is admitted."""
    authority = Authority(tmp_path)
    log: Log = []
    listener = ListenerSettings(
        host="127.0.0.1", port=0, tls=settings(authority.issue("server")), plaintext_networks=()
    )
    async with running(listener=listener, log=lambda *entry: log.append(entry)) as station:
        for password in ("wrong", None):
            with pytest.raises(InvalidStatus) as refused:
                await dial(station, password=password)
            assert refused.value.response.status_code == 403
        async with dial_tls(station, authority.trusting()) as charger:
            await heartbeat(charger)
    (line,) = [fields for name, fields in log if name == "charger.refused"]
    assert (line["code"], line["charger_id"]) == ("EGW-1105", "CP1")
    assert "ocpp.plaintext_networks" in str(line["remedy"])
