"""Unconfigured chargers over real sockets: they wait, are listed, approved or rejected, and cannot affect others."""

import asyncio
import contextlib
import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from edgegw.chargers import pending_dialogue
from edgegw.chargers.pending_chargers import RECORDS_MAX, WAITING_MAX
from edgegw.chargers.settings import ChargerSettings, ListenerSettings, TlsSettings
from edgegw.core.events import ChargerBooted, ChargerConnected
from tests.support.certificates import Authority
from tests.support.chargers_running import basic, dial, heartbeat, running
from tests.support.chargers_station import (
    NOW,
    NOW_NS,
    PASSWORD,
    charger_settings,
    station_settings,
)
from tests.support.patience import PATIENCE_S, until
from tests.support.whole_edge import assert_clean, call, whole_edge

OPEN = ListenerSettings(host="127.0.0.1", port=0, accept_unknown=True)


async def ask(socket: ClientConnection, action: str, payload: dict[str, Any]) -> Any:
    """The answer to a CALL of a stranger, which is never asked anything itself."""
    await socket.send(json.dumps([2, action, action, payload]))
    async with asyncio.timeout(PATIENCE_S):
        return json.loads(await socket.recv())


async def closed(socket: ClientConnection) -> str:
    """Wait until the other side closes; its reason."""
    async with asyncio.timeout(PATIENCE_S):
        with contextlib.suppress(ConnectionClosed):
            while True:
                await socket.recv()
    return socket.close_reason or ""


async def test_a_stranger_waits_and_is_listed() -> None:
    """Boot is answered Pending with the time, notifications are acknowledged, the rest is refused; the core gets no event."""
    logged: list[tuple[str, Mapping[str, object]]] = []
    async with running(listener=OPEN, log=lambda *entry: logged.append(entry)) as station:
        async with dial(station, "NEW") as socket:
            boot = {
                "chargePointVendor": "V\x1b[31m", "chargePointModel": "M", "chargeBoxSerialNumber": "S1",
                "firmwareVersion": "1.0",
            }  # fmt: skip
            pending = {"currentTime": NOW, "interval": pending_dialogue.ASK_AGAIN_S, "status": "Pending"}
            assert await ask(socket, "BootNotification", boot) == [3, "BootNotification", pending]
            assert (await ask(socket, "Heartbeat", {}))[2] == {"currentTime": NOW}
            for number in (0, 2, 1, 1000, -1):
                status = {"connectorId": number, "errorCode": "NoError", "status": "Available"}
                assert (await ask(socket, "StatusNotification", status))[2] == {}
            for action in (
                "StartTransaction",
                "StopTransaction",
                "MeterValues",
                "Authorize",
                "DataTransfer",
                "Foo",
            ):
                assert (await ask(socket, action, {"idTag": "CARD"}))[2] == "GenericError"
            (pending_charger,) = station.chargers.pending_chargers()
        assert (pending_charger.charger_id, pending_charger.address, pending_charger.version) == (
            "NEW",
            "127.0.0.1",
            "1.6",
        )
        assert (pending_charger.vendor, pending_charger.model, pending_charger.serial) == (
            "V\\x1b[31m",
            "M",
            "S1",
        )
        assert (pending_charger.firmware, pending_charger.evses, pending_charger.security_profile) == (
            "1.0",
            (1, 2),
            1,
        )
        assert (pending_charger.first_seen_ns, pending_charger.last_seen_ns) == (NOW_NS, NOW_NS)
        assert (pending_charger.connected, pending_charger.rejected) == (True, False)
        assert pending_charger.password_hash.startswith("$argon2id$")
        assert "argon2" not in repr(pending_charger)
        assert station.events == []
    assert [name for name, _ in logged] == ["charger.discovered"]
    assert PASSWORD not in repr(logged)


@pytest.mark.parametrize("version", ["2.0.1", "2.1"])
async def test_a_stranger_of_2_x(version: str) -> None:
    """TC_B_30 and TC_B_31: what is no boot is a SecurityError before acceptance; what moves nothing is acknowledged."""
    async with running(listener=OPEN) as station, dial(station, "NEW", offered=(f"ocpp{version}",)) as socket:
        boot = {
            "reason": "PowerUp",
            "chargingStation": {"vendorName": "V", "model": "M", "serialNumber": "S"},
        }
        assert (await ask(socket, "BootNotification", boot))[2]["status"] == "Pending"
        status = {"evseId": 3, "connectorId": 1, "connectorStatus": "Available", "timestamp": NOW}
        assert (await ask(socket, "StatusNotification", status))[2] == {}
        event = {"generatedAt": NOW, "seqNo": 0, "eventData": []}
        assert (await ask(socket, "NotifyEvent", event))[2] == {}
        for action in ("TransactionEvent", "MeterValues", "Authorize"):
            assert (await ask(socket, action, {}))[:3] == [4, action, "SecurityError"]
        (pending_charger,) = station.chargers.pending_chargers()
        assert (
            pending_charger.version,
            pending_charger.vendor,
            pending_charger.serial,
            pending_charger.evses,
        ) == (
            version,
            "V",
            "S",
            (3,),
        )


async def test_sixteen_wait_and_no_more() -> None:
    """The seventeenth gets 503 and a line; when one leaves there is a place again. Known chargers never wait."""
    async with running(listener=OPEN) as station, contextlib.AsyncExitStack() as stack:
        first = await stack.enter_async_context(dial(station, "N0"))
        for number in range(1, WAITING_MAX):
            await stack.enter_async_context(dial(station, f"N{number}"))
        with pytest.raises(InvalidStatus) as full:
            await dial(station, "LATE")
        assert full.value.response.status_code == 503
        assert station.chargers.refusals()[-1].code == "EGW-1006"
        async with dial(station, "CP1") as known:
            await heartbeat(known)
        await first.close()
        await until(lambda: not all(each.connected for each in station.chargers.pending_chargers()))
        async with dial(station, "LATE") as late:
            assert (await ask(late, "Heartbeat", {}))[0] == 3


async def test_a_crowd_at_once_is_no_way_around_it() -> None:
    """However many connect at the same moment, sixteen stay; the others get an HTTP status or a close reason."""
    async with running(listener=OPEN) as station:

        async def come(number: int) -> str:
            try:
                socket = await dial(station, f"N{number}")
            except InvalidStatus as refused:
                return str(refused.response.status_code)
            try:
                answered = (await ask(socket, "Heartbeat", {}))[0] == 3
            except ConnectionClosed:
                return socket.close_reason or ""
            return "waits" if answered else "?"

        found = sorted(await asyncio.gather(*(come(number) for number in range(WAITING_MAX + 6))))
        assert found.count("waits") == WAITING_MAX
        assert set(found) <= {"waits", "503", "too many chargers wait already"}
        assert len([each for each in station.chargers.pending_chargers() if each.connected]) == WAITING_MAX


async def test_who_waits_keeps_its_place() -> None:
    """While a pending charger is connected its id and password cannot be taken over; afterwards they can."""
    async with running(listener=OPEN) as station:
        first = await dial(station, "NEW")
        await ask(first, "Heartbeat", {})
        async with dial(station, "NEW", password="of an impostor") as second:
            assert "connected already" in await closed(second)
        assert station.chargers.refusals()[-1].code == "EGW-1007"
        (before,) = station.chargers.pending_chargers()
        first.transport.pause_reading()  # half open: it acknowledges bytes and reads none
        async with dial(station, "NEW") as third:
            assert (await ask(third, "Heartbeat", {}))[0] == 3
            assert station.chargers.pending_chargers() == (before,)
        first.transport.abort()


async def test_an_approved_stranger_comes_back_as_itself() -> None:
    """Approval closes the pending socket; with the password that it presented, the charger is then admitted."""
    async with running(listener=OPEN) as station:
        async with dial(station, "NEW") as socket:
            await ask(socket, "Heartbeat", {})
            (pending_charger,) = station.chargers.pending_chargers()
            approved = ChargerSettings(
                charger_id="NEW", password_hash=pending_charger.password_hash, evses={1: "evse-7"}
            )
            settings = station_settings(charger_settings("CP1"), approved, listener=OPEN)
            await station.chargers.adopt(settings)
            assert "approved" in await closed(socket)
        assert station.chargers.pending_chargers() == ()
        async with dial(station, "NEW") as socket:
            assert (await heartbeat(socket))[0] == 3
            assert station.chargers.connected() == ("NEW",)
            with pytest.raises(InvalidStatus) as refused:
                await dial(station, "NEW", password="another")
            assert refused.value.response.status_code == 401


async def test_adopting_changes_only_what_changed() -> None:
    """An unchanged charger keeps its socket; a changed or removed one loses it; passwords and ids hold at once."""
    async with running() as station:
        same, changed = await dial(station, "CP1"), await dial(station, "CP|2")
        await heartbeat(same)
        await heartbeat(changed)
        other = replace(charger_settings("CP|2", evses={1: "evse-9"}), dialect="none")
        await station.chargers.adopt(station_settings(charger_settings("CP1"), other))
        assert "configuration changed" in await closed(changed)
        assert (await heartbeat(same))[0] == 3
        async with dial(station, "CP|2") as back:
            await heartbeat(back)
            await station.chargers.adopt(station_settings(charger_settings("CP1")))
            await closed(back)
        with pytest.raises(InvalidStatus) as gone:
            await dial(station, "CP|2")
        assert gone.value.response.status_code == 404
        assert (await heartbeat(same))[0] == 3
        await same.close()


async def test_a_rejected_stranger_stays_out() -> None:
    """Closed, listed as rejected, refused as if it did not exist; until it is approved after all."""
    logged: list[tuple[str, Mapping[str, object]]] = []
    async with running(listener=OPEN, log=lambda *entry: logged.append(entry)) as station:
        assert not await station.chargers.reject("NEVER-SEEN")
        async with dial(station, "NEW") as socket:
            await ask(socket, "Heartbeat", {})
            assert await station.chargers.reject("NEW")
            assert "rejected" in await closed(socket)
        with pytest.raises(InvalidStatus) as refused:
            await dial(station, "NEW")
        assert refused.value.response.status_code == 404
        (pending_charger,) = station.chargers.pending_chargers()
        assert (pending_charger.rejected, pending_charger.connected) == (True, False)
        assert await station.chargers.reject("NEW")
        approved = charger_settings("NEW", evses={1: "evse-7"})
        await station.chargers.adopt(station_settings(approved, listener=OPEN))
        async with dial(station, "NEW") as socket:
            await heartbeat(socket)
    assert ("charger.rejected", {"charger_id": "NEW"}) in logged


async def test_no_password_no_waiting_room() -> None:
    """Without Basic authentication, or with another's name, an unknown charger is not listed."""
    async with running(listener=OPEN) as station:
        for more in ({"password": None}, {"user": "CP1"}):
            with pytest.raises(InvalidStatus) as refused:
                await dial(station, "NEW", **more)
            assert refused.value.response.status_code == 401
        assert station.chargers.pending_chargers() == ()


async def test_a_stranger_that_changes_its_password_is_slowed_down() -> None:
    """Each new password costs us a hash: five in a minute, then 429."""
    async with running(listener=OPEN) as station:
        for number in range(5):
            async with dial(station, "NEW", password=f"no {number}"):
                pass
        with pytest.raises(InvalidStatus) as refused:
            await dial(station, "NEW", password="no 5")
        assert refused.value.response.status_code == 429


async def test_a_silent_stranger_gives_up_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """A silent pending charger is dropped; its record stays."""
    monkeypatch.setattr(pending_dialogue, "SILENCE_S", 0.05)
    async with running(listener=OPEN) as station, dial(station, "NEW") as socket:
        await closed(socket)
        await until(lambda: not station.chargers.pending_chargers()[0].connected)


async def test_the_list_of_strangers_is_short() -> None:
    """Made-up ids push out the oldest that left, and never one that waits or was rejected."""
    async with running(listener=OPEN) as station:
        async with dial(station, "BAD") as bad, dial(station, "STAYS"):
            await ask(bad, "Heartbeat", {})
            await station.chargers.reject("BAD")
            for number in range(RECORDS_MAX):
                url = f"ws://127.0.0.1:{station.chargers.port}/ocpp/N{number}"
                station.chargers._gatekeeper._failures[1].forget("127.0.0.1")  # as if a minute had passed
                async with connect(url, additional_headers=basic(f"N{number}", "one")):
                    pass
            ids = [each.charger_id for each in station.chargers.pending_chargers()]
        assert len(ids) == RECORDS_MAX
        assert {"BAD", "STAYS", f"N{RECORDS_MAX - 1}"} <= set(ids)


async def test_nothing_a_stranger_says_reaches_core_or_journal(tmp_path: Path) -> None:
    """With the whole gateway running, no message of an unknown charger leaves a frame, a session or a further log line."""
    async with whole_edge(tmp_path, accept_unknown=True) as edge:
        async with edge.dial("NEW") as socket:
            for action in (
                "BootNotification",
                "StartTransaction",
                "MeterValues",
                "StopTransaction",
                "Heartbeat",
            ):
                await call(socket, action, {"connectorId": 1, "idTag": "04A1B2C3D4E5F6", "meterStart": 1})
            await socket.send("hello")
            await socket.send('[3,"x",{}]')
            assert (await call(socket, "Heartbeat", {}))[0] == 3
        assert edge.frames() == []
        assert [line["event"] for line in edge.lines("charger.discovered", "frame.flawed")] == [
            "charger.discovered"
        ]
        assert edge.lines("charger.connected", "charger.booted") == []
        async with edge.dial("B") as known:
            assert (await call(known, "Heartbeat", {}))[0] == 3
        assert_clean(edge)


@pytest.mark.parametrize("version", ["1.6", "2.0.1", "2.1"])
async def test_a_simulated_charger_from_stranger_to_session(tmp_path: Path, version: str) -> None:
    """`firmware-sim charger` comes over TLS, waits Pending, is approved with what it presented, and boots as itself."""
    authority = Authority(tmp_path)
    pair = authority.issue("server")
    tls = TlsSettings(port=0, certificate=pair.certificate, key_file=pair.key_file)
    listener = ListenerSettings(host="127.0.0.1", port=0, accept_unknown=True, plaintext_networks=(), tls=tls)
    async with running(listener=listener) as station:
        command = [
            sys.executable, "-m", "firmware_sim", "charger", "--id", "NEW", "--ocpp", version, "--password", PASSWORD,
            "--csms", f"wss://127.0.0.1:{station.chargers.tls_port}/ocpp", "--ca-file", str(authority.ca_file),
        ]  # fmt: skip
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
        try:
            await until(lambda: any(each.model for each in station.chargers.pending_chargers()))
            waits = station.chargers.pending_chargers()
            (pending_charger,) = waits
            assert (
                pending_charger.charger_id,
                pending_charger.version,
                pending_charger.security_profile,
            ) == ("NEW", version, 2)
            assert station.events == []
            approved = ChargerSettings(
                charger_id="NEW", password_hash=pending_charger.password_hash, evses={1: "evse-7"}
            )
            await station.chargers.adopt(station_settings(approved, listener=listener))
            await until(lambda: bool(station.of(ChargerBooted)))
        finally:
            process.terminate()
            await process.wait()
    assert station.of(ChargerConnected)[0].version == version
