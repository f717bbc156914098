"""The OCPP edge over real sockets: sessions with the `ocpp` package's chargers in all versions, and commands."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import ocpp.v16
import ocpp.v16.call
import ocpp.v16.call_result
import ocpp.v21
import ocpp.v21.call
import ocpp.v21.call_result
import ocpp.v201
import ocpp.v201.call
import ocpp.v201.call_result
import pytest
from ocpp.routing import on
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from edgegw.core.effects import (
    AllowEnergyTransfer,
    ApplySetpoint,
    StartRemotely,
    StopRemotely,
)
from edgegw.core.events import (
    AuthorizeRequested,
    ChargerBooted,
    ChargerConnected,
    ChargerDisconnected,
    RemoteStartAnswered,
    SetpointAnswered,
    TransactionEnded,
    TransactionStarted,
)
from tests.support.chargers_running import Station, dial, running
from tests.support.chargers_station import NOW, NOW_NS, charger_settings, station_settings
from tests.support.patience import PATIENCE_S


@pytest.fixture
async def station() -> AsyncIterator[Station]:
    async with running() as found:
        yield found


class Recorder:
    """The CALLs that the charger got, by action; the library calls the handlers of its subclasses."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.status = "Accepted"


def profile_kind(profile: dict[str, Any]) -> str:
    """Return what distinguishes the default of 0 W, which every charger gets, from a transaction's profiles."""
    is_default = profile["charging_profile_purpose"] == "TxDefaultProfile"
    return "the default of 0 W" if is_default else "SetChargingProfile"


class Charger16(Recorder, ocpp.v16.ChargePoint):  # type: ignore[misc]  # the library has no types
    @on("ChangeConfiguration")  # type: ignore[untyped-decorator]  # same
    def change(self, **told: Any) -> Any:
        self.told.append(("ChangeConfiguration", told))
        refused = "SoC" in told["value"]
        return ocpp.v16.call_result.ChangeConfiguration(status="Rejected" if refused else "Accepted")

    @on("TriggerMessage")  # type: ignore[untyped-decorator]  # same
    def trigger(self, **told: Any) -> Any:
        self.told.append(("TriggerMessage", told))
        return ocpp.v16.call_result.TriggerMessage(status="Accepted")

    @on("SetChargingProfile")  # type: ignore[untyped-decorator]  # same
    def profile(self, **told: Any) -> Any:
        self.told.append((profile_kind(told["cs_charging_profiles"]), told))
        return ocpp.v16.call_result.SetChargingProfile(status=self.status)

    @on("RemoteStartTransaction")  # type: ignore[untyped-decorator]  # same
    def begin(self, **told: Any) -> Any:
        self.told.append(("RemoteStartTransaction", told))
        return ocpp.v16.call_result.RemoteStartTransaction(status=self.status)

    @on("RemoteStopTransaction")  # type: ignore[untyped-decorator]  # same
    def stop(self, **told: Any) -> Any:
        self.told.append(("RemoteStopTransaction", told))
        return ocpp.v16.call_result.RemoteStopTransaction(status="Accepted")


def handlers_2(package: Any) -> dict[str, Any]:
    """The handlers that 2.0.1 and 2.1 share."""
    results = package.call_result

    def set_variables(self: Any, set_variable_data: list[Any], **_: Any) -> Any:
        self.told.append(("SetVariables", {"set_variable_data": set_variable_data}))
        outcome = [
            {"attribute_status": "Accepted", "component": each["component"], "variable": each["variable"]}
            for each in set_variable_data
        ]
        return results.SetVariables(set_variable_result=outcome)

    def simple(action: str) -> Any:
        def handle(self: Any, **told: Any) -> Any:
            profile = told.get("charging_profile")
            self.told.append((action if profile is None else profile_kind(profile), told))
            return getattr(results, action)(status=self.status)

        handle.__name__ = action  # the library looks handlers up by their function's name
        return on(action)(handle)

    actions = ["TriggerMessage", "SetChargingProfile", "RequestStartTransaction", "RequestStopTransaction"]
    if package is ocpp.v21:
        actions += ["UpdateDynamicSchedule", "NotifyAllowedEnergyTransfer"]
    return {
        "set_variables": on("SetVariables")(set_variables),
        **{action: simple(action) for action in actions},
    }


Charger201 = type("Charger201", (Recorder, ocpp.v201.ChargePoint), handlers_2(ocpp.v201))
Charger21 = type("Charger21", (Recorder, ocpp.v21.ChargePoint), handlers_2(ocpp.v21))


@contextlib.asynccontextmanager
async def plugged(station: Station, kind: Any, offered: str) -> AsyncIterator[Any]:
    """A charger of the `ocpp` package, listening."""
    async with dial(station, offered=(offered,)) as socket:
        charger = kind("CP1", socket)
        task = asyncio.create_task(charger.start())
        try:
            yield charger
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionClosed):
                await task


async def told(charger: Any, action: str, count: int = 1) -> dict[str, Any]:
    """Wait for the `count`-th CALL of an action that the charger got."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            found: list[dict[str, Any]] = [payload for name, payload in charger.told if name == action]
            if len(found) >= count:
                return found[count - 1]
            await asyncio.sleep(0.005)


def setpoint(setpoint_id: int, power_w: int, transaction_id: str, ends_s: int = 900) -> ApplySetpoint:
    """A setpoint of evse-1 that ends `ends_s` from now."""
    return ApplySetpoint(
        evse_id="evse-1",
        setpoint_id=setpoint_id,
        transaction_id=transaction_id,
        power_w=power_w,
        ends_ns=NOW_NS + ends_s * 1_000_000_000,
        fallback_w=1400,
    )


async def test_session_16(station: Station) -> None:
    """A 1.6 charger of the `ocpp` package boots, is configured, charges, discharges on command, and stops."""
    calls = ocpp.v16.call
    async with plugged(station, Charger16, "ocpp1.6") as charger:
        boot = await charger.call(calls.BootNotification(charge_point_model="M", charge_point_vendor="V"))
        assert (boot.status, boot.interval, boot.current_time) == ("Accepted", 300, NOW)
        await told(charger, "TriggerMessage")
        keys = [payload["key"] for action, payload in charger.told if action == "ChangeConfiguration"]
        assert keys == [
            "MeterValuesSampledData",
            "MeterValuesSampledData",
            "StopTxnSampledData",
            "MeterValueSampleInterval",
        ]
        card = await charger.call(calls.Authorize(id_tag="04A1"))
        assert card.id_tag_info["status"] == "Accepted"
        start = await charger.call(
            calls.StartTransaction(connector_id=1, id_tag="04A1", meter_start=5, timestamp=NOW)
        )
        transaction_id = str(start.transaction_id)
        assert transaction_id == station.of(TransactionStarted)[0].transaction_id
        station.chargers.command(setpoint(1, -7000, transaction_id))
        assert await station.until(SetpointAnswered) == SetpointAnswered(
            evse_id="evse-1", setpoint_id=1, accepted=True
        )
        fallback, active = (
            await told(charger, "SetChargingProfile"),
            await told(charger, "SetChargingProfile", 2),
        )
        assert fallback["cs_charging_profiles"]["stack_level"] < active["cs_charging_profiles"]["stack_level"]
        station.chargers.command(setpoint(2, 11_000, transaction_id))
        assert (await station.until(SetpointAnswered, 2)).accepted
        assert len([1 for action, _ in charger.told if action == "SetChargingProfile"]) == 3
        station.chargers.command(StopRemotely(evse_id="evse-1", transaction_id=transaction_id))
        assert await told(charger, "RemoteStopTransaction") == {"transaction_id": start.transaction_id}
        stop = calls.StopTransaction(meter_stop=9, timestamp=NOW, transaction_id=start.transaction_id)
        assert (await charger.call(stop)).id_tag_info is None
    assert [type(event) for event in station.events if not isinstance(event, SetpointAnswered)] == [
        ChargerConnected,
        ChargerBooted,
        AuthorizeRequested,
        TransactionStarted,
        TransactionEnded,
    ]


@pytest.mark.parametrize(
    ("kind", "package", "offered"), [(Charger201, ocpp.v201, "ocpp2.0.1"), (Charger21, ocpp.v21, "ocpp2.1")]
)
async def test_session_2(station: Station, kind: Any, package: Any, offered: str) -> None:
    """A 2.x charger of the `ocpp` package boots, is configured, and is commanded in its version's words."""
    async with plugged(station, kind, offered) as charger:
        where = {"model": "M", "vendor_name": "V"}
        boot = await charger.call(package.call.BootNotification(charging_station=where, reason="PowerUp"))
        assert (boot.status, boot.interval) == ("Accepted", 300)
        await told(charger, "TriggerMessage", 2)
        card = await charger.call(package.call.Authorize(id_token={"id_token": "04A1", "type": "ISO14443"}))
        assert card.id_token_info["status"] == "Accepted"
        event = package.call.TransactionEvent(
            event_type="Started",
            timestamp=NOW,
            trigger_reason="Authorized",
            seq_no=0,
            transaction_info={"transaction_id": "T1"},
            evse={"id": 1},
            id_token={"id_token": "04A1", "type": "ISO14443"},
        )
        assert (await charger.call(event)).id_token_info["status"] == "Accepted"
        station.chargers.command(
            AllowEnergyTransfer(evse_id="evse-1", transaction_id="T1", bidirectional=True)
        )
        station.chargers.command(setpoint(1, -7000, "T1"))
        assert (await station.until(SetpointAnswered)).accepted
        rest = (await told(charger, "the default of 0 W"))["charging_profile"]["charging_schedule"][0]
        assert rest["charging_schedule_period"] == [{"start_period": 0, "limit": 0}]
        profile = (await told(charger, "SetChargingProfile", 2))["charging_profile"]
        assert profile["charging_profile_kind"] == ("Dynamic" if package is ocpp.v21 else "Absolute")
        station.chargers.command(setpoint(2, -5000, "T1"))
        assert (await station.until(SetpointAnswered, 2)).accepted
        if package is ocpp.v21:
            update = await told(charger, "UpdateDynamicSchedule")
            assert update["schedule_update"] == {"setpoint": -5000}
            assert charger.told.index(
                ("NotifyAllowedEnergyTransfer", (await told(charger, "NotifyAllowedEnergyTransfer")))
            ) < [action for action, _ in charger.told].index("SetChargingProfile")
        charger.status = "Rejected"
        station.chargers.command(setpoint(3, -4000, "T1", ends_s=800))
        answered = await station.until(SetpointAnswered, 3)
        assert (answered.accepted, answered.reason) == (False, "Rejected")
        station.chargers.command(StopRemotely(evse_id="evse-1", transaction_id="T1"))
        assert await told(charger, "RequestStopTransaction") == {"transaction_id": "T1"}


async def test_every_setpoint_gets_one_outcome() -> None:
    """A charger that never answers: the sent setpoint times out, a superseded one says so, waiting ones are lost."""
    async with running(call_timeout_s=0.2) as station:
        station.chargers.command(setpoint(0, 1, "1"))
        async with dial(station) as socket:
            await station.until(ChargerConnected)
            station.chargers.command(setpoint(1, 1, "1"))
            json.loads(await socket.recv())
            station.chargers.command(setpoint(2, 2, "1"))
            station.chargers.command(setpoint(3, 3, "1"))
            await station.until(SetpointAnswered, 3)
            json.loads(await socket.recv())
            station.chargers.command(setpoint(4, 4, "1"))
        await station.until(ChargerDisconnected)
    outcomes = {event.setpoint_id: event.reason for event in station.of(SetpointAnswered)}
    assert outcomes == {0: "lost", 1: "timeout", 2: "superseded", 3: "lost", 4: "lost"}
    assert not any(event.accepted for event in station.of(SetpointAnswered))


def start(remote_start_id: int, id_token: str = "04A1") -> StartRemotely:
    """A start at evse-2."""
    return StartRemotely(evse_id="evse-2", id_token=id_token, remote_start_id=remote_start_id)


@pytest.mark.parametrize(
    ("kind", "offered", "action", "payload"),
    [
        (Charger16, "ocpp1.6", "RemoteStartTransaction", {"connector_id": 2, "id_tag": "04A1"}),
        (
            Charger21,
            "ocpp2.1",
            "RequestStartTransaction",
            {"evse_id": 2, "id_token": {"id_token": "04A1", "type": "Central"}, "remote_start_id": 1},
        ),
    ],
)
async def test_remote_start(*, kind: Any, offered: str, action: str, payload: dict[str, Any]) -> None:
    """A remote start is sent in the version's message, and accepted, rejected and impossible ones are reported."""
    async with running() as station, plugged(station, kind, offered) as charger:
        await station.until(ChargerConnected)
        station.chargers.command(start(1))
        first = await station.until(RemoteStartAnswered)
        assert first == RemoteStartAnswered(evse_id="evse-2", remote_start_id=1, accepted=True)
        assert await told(charger, action) == payload
        charger.status = "Rejected"
        station.chargers.command(start(2))
        await station.until(RemoteStartAnswered, 2)
        station.chargers.command(start(3, id_token="T" * 256))
        await station.until(RemoteStartAnswered, 3)
        assert len([name for name, _ in charger.told if name == action]) == 2
    outcomes = [(event.remote_start_id, event.reason) for event in station.of(RemoteStartAnswered)]
    assert outcomes == [(1, ""), (2, "Rejected"), (3, "TokenTooLong")]


async def test_every_remote_start_gets_one_outcome() -> None:
    """With a charger that is away or never answers, a start is lost, times out or is superseded, each reported once."""
    async with running(call_timeout_s=0.2) as station:
        station.chargers.command(start(0))
        async with dial(station) as socket:
            await station.until(ChargerConnected)
            station.chargers.command(start(1))
            json.loads(await socket.recv())
            station.chargers.command(start(2))
            station.chargers.command(start(3))
            await station.until(RemoteStartAnswered, 3)
            json.loads(await socket.recv())
            station.chargers.command(start(4))
        await station.until(ChargerDisconnected)
    outcomes = {event.remote_start_id: event.reason for event in station.of(RemoteStartAnswered)}
    assert outcomes == {0: "lost", 1: "timeout", 2: "superseded", 3: "lost", 4: "lost"}
    assert len(station.of(RemoteStartAnswered)) == len(outcomes)


@pytest.mark.parametrize("answer", [[3, {"status": "Rejected"}], [4, "NotSupported", "", {}]])
async def test_a_charger_may_decline_the_allowed_transfer(station: Station, answer: list[Any]) -> None:
    """A 2.1 charger that rejects NotifyAllowedEnergyTransfer, or does not know it, is sent its setpoint next."""
    async with dial(station, offered=("ocpp2.1",)) as socket:
        await station.until(ChargerConnected)
        station.chargers.command(setpoint(1, 7000, "T1"))
        allow = AllowEnergyTransfer(evse_id="evse-1", transaction_id="T1", bidirectional=False)
        station.chargers.command(allow)
        frame = json.loads(await socket.recv())
        assert frame[2] == "NotifyAllowedEnergyTransfer"
        await socket.send(json.dumps([answer[0], frame[1], *answer[1:]]))
        assert json.loads(await socket.recv())[2] == "SetChargingProfile"


async def test_discharge_and_stops_go_first() -> None:
    """With one CALL outstanding, stops are sent before all others, discharges before charges and starts."""
    async with running(call_timeout_s=5.0) as station, dial(station) as socket:
        await station.until(ChargerConnected)
        second = ApplySetpoint(
            evse_id="evse-2",
            setpoint_id=2,
            transaction_id="2",
            power_w=-1,
            ends_ns=NOW_NS + 10**10,
            fallback_w=0,
        )
        station.chargers.command(setpoint(9, 9, "1"))
        first = json.loads(await socket.recv())
        station.chargers.command(setpoint(1, 1, "1"))
        station.chargers.command(start(5))
        station.chargers.command(second)
        station.chargers.command(StopRemotely(evse_id="evse-1", transaction_id="1"))
        seen: list[Any] = []
        frame = first
        while len(seen) < 5:
            seen.append((frame[2], frame[3].get("connectorId")))
            await socket.send(json.dumps([3, frame[1], {"status": "Rejected"}]))
            if len(seen) < 5:
                frame = json.loads(await socket.recv())
    assert seen == [
        ("SetChargingProfile", 1),
        ("RemoteStopTransaction", None),
        ("SetChargingProfile", 2),
        ("SetChargingProfile", 1),
        ("RemoteStartTransaction", 2),
    ]


async def test_a_connected_charger_hears_of_another_sample_interval() -> None:
    """A reload's sample interval is sent to connected chargers too, and nothing else is sent again."""

    async def interval(socket: ClientConnection) -> str:
        """Accept every CALL, and return the sample interval of the next one that sets it."""
        async with asyncio.timeout(PATIENCE_S):
            async for text in socket:
                frame = json.loads(text)
                if frame[0] == 2:
                    await socket.send(json.dumps([3, frame[1], {"status": "Accepted"}]))
                    if frame[3].get("key") == "MeterValueSampleInterval":
                        return str(frame[3]["value"])
        raise AssertionError("the station hung up")

    async with running(charger_settings("CP1")) as station, dial(station) as socket:
        await socket.send('[2,"h","Heartbeat",{}]')
        assert await interval(socket) == "60"
        await station.chargers.adopt(station_settings(charger_settings("CP1"), sample_interval_s=7))
        assert await interval(socket) == "7"
