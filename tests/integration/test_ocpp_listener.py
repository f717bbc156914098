"""The OCPP listener over real sockets: who is admitted, in which version, and what happens to a second connection."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from edgegw.chargers.basic_authentication import (
    ADDRESS_FAILURES_MAX,
    FAILURES_MAX,
    ID_FAILURES_MAX,
    Gatekeeper,
    Presented,
    Verdict,
    basic_password,
)
from edgegw.chargers.charger_port import Chargers
from edgegw.chargers.settings import ListenerSettings, TlsSettings
from edgegw.common.errors import AddressTakenError
from edgegw.common.passwords import hash_password
from edgegw.core.effects import (
    Acknowledge,
    AnswerCall,
)
from edgegw.core.events import (
    ChargerConnected,
    ChargerDisconnected,
    TransactionUpdated,
)
from tests.support.certificates import Authority
from tests.support.chargers_running import Station, dial, heartbeat, running
from tests.support.chargers_station import (
    NOW,
    PASSWORD,
    StillClock,
    charger_settings,
    password_hash,
    station_settings,
)
from tests.support.patience import PATIENCE_S


@pytest.fixture
async def station() -> AsyncIterator[Station]:
    async with running() as found:
        yield found


@pytest.mark.parametrize(
    ("charger_id", "more", "status"),
    [
        ("CP1", {"password": None}, 401),
        ("CP1", {"password": "wrong"}, 401),
        ("CP1", {"user": "CP|2"}, 401),
        ("CP3", {}, 404),
        ("a/b", {}, 404),
    ],
)
async def test_strangers_stay_out(
    station: Station, charger_id: str, more: dict[str, Any], status: int
) -> None:
    """A charger needs its own name and password; an unknown one is not here."""
    with pytest.raises(InvalidStatus) as refused:
        await dial(station, charger_id, **more)
    assert refused.value.response.status_code == status
    assert station.events == []


async def test_tries_are_limited(station: Station) -> None:
    """After five wrong passwords the right one has to wait, too, except for a charger that was connected before."""
    for _ in range(FAILURES_MAX):
        with pytest.raises(InvalidStatus):
            await dial(station, password="wrong")
    with pytest.raises(InvalidStatus) as refused:
        await dial(station)
    assert refused.value.response.status_code == 429
    async with dial(station, "CP|2") as socket:
        assert (await heartbeat(socket))[0] == 3


async def test_gatekeeper_remembers_good_passwords() -> None:
    """Another's failures do not lock out a charger that was connected before; failures are forgotten after a minute."""
    now = [0.0]
    gatekeeper = Gatekeeper({"CP1": password_hash()}, lambda: now[0])
    good = PASSWORD.encode()

    async def check(charger_id: str, password: bytes) -> Verdict:
        return await gatekeeper.check(charger_id, password, address="10.0.0.1")

    assert await check("CP1", good) is Verdict.ADMITTED
    for _ in range(FAILURES_MAX):
        assert await check("CP1", b"wrong") is Verdict.REFUSED
        assert await check("CP9", good) is Verdict.UNKNOWN
    assert await check("CP1", b"wrong") is Verdict.TOO_MANY
    assert await check("CP9", good) is Verdict.TOO_MANY
    assert await check("CP1", good) is Verdict.ADMITTED
    now[0] = 61.0
    assert await check("CP9", good) is Verdict.UNKNOWN


async def test_a_neighbour_does_not_lock_a_charger_out() -> None:
    """Failures under another's id count at the address they come from; only very many of them, from many, close the id."""
    gatekeeper = Gatekeeper({"CP1": password_hash()}, lambda: 0.0)
    good = PASSWORD.encode()
    for _ in range(ADDRESS_FAILURES_MAX):
        gatekeeper.count_failure("CP1", "10.0.0.66")
    assert await gatekeeper.check("CP1", good, address="10.0.0.66") is Verdict.TOO_MANY
    for number in range(ID_FAILURES_MAX - ADDRESS_FAILURES_MAX - 1):
        gatekeeper.count_failure("CP1", f"10.0.1.{number}")
    assert not gatekeeper.is_locked("CP1", "10.0.0.1")
    gatekeeper.count_failure("CP1", "10.0.2.1")
    assert gatekeeper.is_locked("CP1", "10.0.0.1")
    other = Gatekeeper({"CP1": password_hash()}, lambda: 0.0)
    other.count_failure("CP1", "10.0.0.66")
    assert await other.check("CP1", good, address="10.0.0.1") is Verdict.ADMITTED


async def test_an_address_has_its_limit_too() -> None:
    """An address that tries one id after the other is locked out; other addresses are not."""
    gatekeeper = Gatekeeper({"CP1": password_hash()}, lambda: 0.0)
    for number in range(ADDRESS_FAILURES_MAX):
        gatekeeper.count_failure(f"X{number}", "10.0.0.1")
    good = PASSWORD.encode()
    assert await gatekeeper.check("CP1", good, address="10.0.0.1") is Verdict.TOO_MANY
    assert await gatekeeper.hash_of("X", good, address="10.0.0.1") is None
    assert await gatekeeper.check("CP1", good, address="10.0.0.2") is Verdict.ADMITTED


@pytest.mark.parametrize(
    ("sent", "verdict"),
    [
        (b"\x00\xaf", Verdict.ADMITTED),
        (b"00AF", Verdict.ADMITTED),
        (b"00af", Verdict.ADMITTED),
        (b"\x00\xae", Verdict.REFUSED),
        (b"00ae", Verdict.REFUSED),
    ],
)
@pytest.mark.parametrize("configured", ["00af", "00AF"])
async def test_a_key_of_hex_digits_may_be_sent_either_way(
    sent: bytes, verdict: Verdict, configured: str
) -> None:
    """A 1.6 AuthorizationKey is accepted as its bytes and as its hex digits, in either case."""
    gatekeeper = Gatekeeper({"CP1": hash_password(configured)}, lambda: 0.0)
    assert await gatekeeper.check("CP1", sent, address="10.0.0.1") is verdict


async def test_a_key_of_printable_bytes_is_a_key() -> None:
    """Bytes that happen to be text are tried as the key they may be."""
    gatekeeper = Gatekeeper({"CP1": hash_password(b"ABC-xyz".hex())}, lambda: 0.0)
    assert await gatekeeper.check("CP1", b"ABC-xyz", address="10.0.0.1") is Verdict.ADMITTED


@pytest.mark.parametrize(
    ("headers", "password"),
    [
        (["Basic " + base64.b64encode(b"CP1:a:b").decode()], b"a:b"),
        (["basic " + base64.b64encode(b"CP1:\xff\x00").decode()], b"\xff\x00"),
        (["Basic " + base64.b64encode(b"CP2:x").decode()], Presented.OTHER_USER),
        (["Basic " + base64.b64encode(b"CP1:").decode()], Presented.NOTHING),
        (["Basic " + base64.b64encode(b"CP1").decode()], Presented.NOTHING),
        (["Basic ???"], Presented.NOTHING),
        (["Bearer x"], Presented.NOTHING),
        (["Basic " + base64.b64encode(b"CP1:a").decode()] * 2, Presented.NOTHING),
        ([], Presented.NOTHING),
    ],
)
def test_basic_header(headers: list[str], password: bytes | Presented) -> None:
    """The password is bytes after the charger's own name, in the only header there is."""
    assert basic_password(headers, "CP1") == password


def test_an_id_may_hold_colons() -> None:
    """A user name that is the whole id is the charger's, colons or not."""
    header = "Basic " + base64.b64encode(b"a:b:secret").decode()
    assert basic_password([header], "a:b") == b"secret"


@pytest.mark.parametrize(
    ("offered", "chosen", "version"),
    [
        (("ocpp1.6", "ocpp2.1"), "ocpp2.1", "2.1"),
        (("ocpp1.6", "ocpp2.0.1"), "ocpp2.0.1", "2.0.1"),
        (("ocpp1.6",), "ocpp1.6", "1.6"),
        (None, None, "1.6"),
    ],
)
async def test_version_is_ours_to_choose(
    station: Station, offered: Sequence[str] | None, chosen: str | None, version: str
) -> None:
    """The newest common version is spoken; who offers none gets the configured one; the path is percent-decoded."""
    async with dial(station, "CP|2", offered=offered) as socket:
        assert socket.subprotocol == chosen
        assert (await heartbeat(socket)) == [3, "h", {"currentTime": NOW}]
    assert station.events[0] == ChargerConnected(charger_id="CP|2", version=version)
    await station.until(ChargerDisconnected)


async def test_a_version_belongs_to_its_connection(station: Station) -> None:
    """A charger that looks in with 1.6 and comes back with 2.0.1 is spoken to in each connection's own version."""
    async with dial(station, "CP|2", offered=("ocpp1.6",)) as probe:
        assert (await heartbeat(probe))[0] == 3
    await station.until(ChargerDisconnected)
    async with dial(station, "CP|2", offered=("ocpp2.0.1",)) as socket:
        await socket.send('[2,"t","StartTransaction",{}]')
        async with asyncio.timeout(PATIENCE_S):
            while (answer := json.loads(await socket.recv()))[1] != "t":
                """CALLs of the station come between."""
        assert answer[:3] == [4, "t", "NotImplemented"]
        assert (await heartbeat(socket))[0] == 3
    assert [event.version for event in station.of(ChargerConnected)] == ["1.6", "2.0.1"]


async def test_a_late_answer_is_nobodys() -> None:
    """An answer that comes after its CALL timed out ends no other CALL; a charger that never answers is still served."""
    async with running(call_timeout_s=0.05) as station, dial(station) as socket:
        await socket.send('[2,"h","Heartbeat",{}]')
        asked: list[str] = []
        async with asyncio.timeout(PATIENCE_S):
            while len(asked) < 3:
                frame = json.loads(await socket.recv())
                if frame[0] == 2:
                    asked.append(frame[1])
        for message_id in asked[:2]:
            await socket.send(json.dumps([3, message_id, {"status": "Accepted"}]))
        assert (await heartbeat(socket))[0] == 3
        assert station.chargers.counts["frame.late_answer"] == 2


async def test_no_common_version(station: Station) -> None:
    """A charger that offers only unknown versions is accepted and closed with the reason."""
    async with dial(station, offered=("ocpp1.5",)) as socket:
        assert socket.subprotocol is None
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert (socket.close_code, "ocpp2.1" in (socket.close_reason or "")) == (1002, True)
    assert station.events == []


@pytest.mark.parametrize(
    ("offered", "version", "close_code"),
    [
        (("ocpp2.1", "ocpp2.0.1"), "2.0.1", None),
        (None, "2.0.1", None),
        (("ocpp2.1", "ocpp1.6"), None, 1002),
    ],
)
async def test_a_charger_of_one_version(
    offered: Sequence[str] | None, version: str | None, close_code: int | None
) -> None:
    """A charger with a configured version gets that one, whether it offers it or none; with another it is closed."""
    logged: list[tuple[str, Mapping[str, object]]] = []
    charger = charger_settings("CP1", version="2.0.1")
    async with running(charger, log=lambda *entry: logged.append(entry)) as station:
        async with dial(station, offered=offered) as socket:
            if version is None:
                with pytest.raises(ConnectionClosed):
                    await socket.recv()
                assert socket.close_reason == "sub-protocols spoken here: ocpp2.0.1"
            else:
                await heartbeat(socket)
            assert socket.close_code == close_code
        connected = [event.version for event in station.of(ChargerConnected)]
    assert connected == ([] if version is None else [version])
    assert [name for name, _ in logged] == (["charger.refused"] if version is None else [])


async def test_who_stays_out_is_logged() -> None:
    """An unknown charger, a wrong password, too many of them and a doubled connection each leave one line, however often; all are counted."""
    logged: list[tuple[str, Mapping[str, object]]] = []
    async with running(log=lambda *entry: logged.append(entry)) as station:
        for charger_id, password in [("CP3", PASSWORD), *[("CP|2", "wrong")] * (FAILURES_MAX + 1)]:
            with pytest.raises(InvalidStatus):
                await dial(station, charger_id, password=password)
        first = await dial(station)
        await heartbeat(first)
        async with dial(station) as second:
            with pytest.raises(ConnectionClosed):
                await second.recv()
        first.transport.pause_reading()  # half open: it acknowledges bytes and reads none
        async with dial(station) as third:
            await heartbeat(third)
        first.transport.abort()
    refused = [(fields["code"], fields["charger_id"]) for name, fields in logged if name == "charger.refused"]
    assert refused == [("EGW-1005", "CP3"), ("EGW-1103", "CP|2"), ("EGW-1104", "CP|2"), ("EGW-1007", "CP1")]
    assert [(each.code, each.count) for each in station.chargers.refusals()] == [
        ("EGW-1005", 1), ("EGW-1103", FAILURES_MAX), ("EGW-1104", 1), ("EGW-1007", 1),
    ]  # fmt: skip
    assert ("charger.replaced", {"charger_id": "CP1"}) in logged
    assert PASSWORD not in repr(logged)


async def test_compression_is_offered(station: Station) -> None:
    """Permessage-deflate is agreed on with a small window (2.1 Part 4 §3.4)."""
    async with dial(station) as socket:
        assert "server_max_window_bits=10" in socket.response.headers["Sec-WebSocket-Extensions"]  # type: ignore[union-attr]  # the handshake is done


async def test_second_connection_of_a_living_charger(station: Station) -> None:
    """While the first connection answers pings a second is refused, and the first is not affected."""
    async with dial(station) as first:
        await heartbeat(first)
        async with dial(station) as second:
            with pytest.raises(ConnectionClosed):
                await second.recv()
            assert second.close_code == 4001
        assert (await heartbeat(first))[0] == 3
    assert station.chargers.counts["connection.duplicate"] == 1
    assert len(station.of(ChargerConnected)) == 1


async def test_second_connection_of_a_dead_charger(station: Station) -> None:
    """A first socket that answers nothing is replaced, and the core's answer to it goes nowhere."""
    station.is_mute = True
    first = await dial(station)
    await first.send('[2,"v","MeterValues",{"connectorId":1,"meterValue":[]}]')
    stale = await station.until(TransactionUpdated)
    first.transport.pause_reading()  # half open: it acknowledges bytes and reads none
    async with dial(station) as second:
        assert (await heartbeat(second))[0] == 3
        kinds = [type(event) for event in station.events]
        assert kinds == [ChargerConnected, TransactionUpdated, ChargerDisconnected, ChargerConnected]
        await second.send('[2,"v","MeterValues",{"connectorId":2,"meterValue":[]}]')
        fresh = await station.until(TransactionUpdated, 2)
        station.chargers.answer(AnswerCall(call=stale.call, answer=Acknowledge()))
        station.chargers.answer(AnswerCall(call=fresh.call, answer=Acknowledge()))
        answers = [await heartbeat(second)]
        assert answers[0] == [3, "v", {}]
        assert json.loads(await second.recv()) == [3, "h", {"currentTime": NOW}]
    assert station.chargers.counts["answer.dropped"] == 1
    first.transport.abort()


async def test_flood_of_billing_messages_is_held_back(station: Station) -> None:
    """A charger that floods is read no further than the core keeps up; in the end all is answered."""
    station.is_mute = True
    async with dial(station) as socket:
        for number in range(80):
            await socket.send(
                json.dumps([2, f"v{number}", "MeterValues", {"connectorId": 1, "meterValue": []}])
            )
        await station.until(TransactionUpdated, 64)
        await asyncio.sleep(0.05)
        assert len(station.of(TransactionUpdated)) == 64
        station.is_mute = False
        for event in station.of(TransactionUpdated):
            station.chargers.answer(AnswerCall(call=event.call, answer=Acknowledge()))
        answered: set[str] = set()
        async with asyncio.timeout(PATIENCE_S):
            while len(answered) < 80:
                frame = json.loads(await socket.recv())
                if frame[0] == 3:
                    answered.add(frame[1])
    assert answered == {f"v{number}" for number in range(80)}


async def test_a_taken_address_is_told_by_its_keys(tmp_path: Path) -> None:
    """Plain or TLS: who starts a second daemon, or names another machine's address, hears which keys to change."""
    async with running() as other:
        taken = other.chargers.port
        plain = ListenerSettings(host="127.0.0.1", port=taken)
        with pytest.raises(AddressTakenError, match=f"^ocpp.host, ocpp.port: 127.0.0.1:{taken}: "):
            await Chargers(station_settings(listener=plain), other.emit, StillClock()).run()
        pair = Authority(tmp_path).issue("a")
        secure = TlsSettings(port=taken, certificate=pair.certificate, key_file=pair.key_file)
        tls = ListenerSettings(host="127.0.0.1", port=0, tls=secure)
        with pytest.raises(AddressTakenError, match=f"^ocpp.host, ocpp.tls.port: 127.0.0.1:{taken}: "):
            await Chargers(station_settings(listener=tls), other.emit, StillClock()).run()
