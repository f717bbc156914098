"""The simulated charger on a real socket, in each OCPP version."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from firmware_sim.scenario import build_scenario
from firmware_sim.sealed_books import seal_of
from firmware_sim.station import SimulatedStation
from firmware_sim.world import NS_PER_S, Clock, parse_ns
from tests.support.csms import (
    NOW,
    PASSWORD,
    SPEED,
    START,
    VERSIONS,
    Csms,
    Payload,
    csms,
    default_answer,
)
from tests.support.patience import until

ANSWERS: dict[str, Payload] = {
    "BootNotification": {"status": "Accepted", "currentTime": NOW, "interval": 300},
    "Heartbeat": {"currentTime": NOW},
    "Authorize": {"idTagInfo": {"status": "Accepted"}, "idTokenInfo": {"status": "Accepted"}},
    "StartTransaction": {"transactionId": 7, "idTagInfo": {"status": "Accepted"}},
    "NotifyEVChargingNeeds": {"status": "Accepted"},
}


def scenario_of(double: Csms, **changes: Any) -> Payload:
    evse = {"evse": "E1", "charger_id": "CP-1", "ocpp": double.version, "password": PASSWORD}
    visit = {
        "evse": "E1",
        "id_token": "04A1B2C3",
        "arrival": "2019-06-10T12:02:00Z",
        "departure": "2019-06-10T12:32:00Z",
        "wanted_wh": 2000,
        "soc_percent": 60,
        "max_discharge_w": 7000,
    }
    visit |= changes.pop("visit", {})
    evse |= changes.pop("evse", {})
    world = {"utc_start": START, "utc_end": "2019-06-10T12:45:00Z", "answer_timeout_s": 0.5}
    world |= {"csms": f"ws://127.0.0.1:{double.port}/ocpp"}
    return {"world": world, "evses": [evse], "visits": [visit], **changes}


@asynccontextmanager
async def running(table: Payload, speed: int = SPEED) -> AsyncIterator[SimulatedStation]:
    scenario = build_scenario(table, Path())
    clock = Clock(
        monotonic_origin_ns=time.monotonic_ns() + NS_PER_S // 10,
        utc_origin_ns=scenario.utc_start_ns,
        speed=Fraction(speed),
        utc_end_ns=scenario.utc_end_ns,
    )
    station = SimulatedStation(scenario, clock)
    stop = asyncio.Event()
    task = asyncio.create_task(station.run(stop, lambda _: None))
    try:
        yield station
    finally:
        stop.set()
        await task


def profile(version: str, power_w: int, *, duration_s: int = 600, level: int = 2, tx: Any = 7) -> Payload:
    """Return the version's SetChargingProfile payload."""
    period: Payload = {"startPeriod": 0, "limit": power_w}
    kind = "Relative"
    if version == "2.1" and power_w < 0:
        kind, period = "Dynamic", {"startPeriod": 0, "operationMode": "CentralSetpoint", "setpoint": power_w}
    schedule = {"duration": duration_s, "chargingRateUnit": "W", "chargingSchedulePeriod": [period]}
    body = {
        "stackLevel": level,
        "chargingProfilePurpose": "TxProfile",
        "chargingProfileKind": kind,
        "transactionId": tx,
    }
    if version == "1.6":
        body |= {"chargingProfileId": level, "chargingSchedule": schedule}
        return {"connectorId": 1, "csChargingProfiles": body}
    body |= {"id": level, "chargingSchedule": [{"id": 1, **schedule}]}
    return {"evseId": 1, "chargingProfile": body}


async def started(double: Csms) -> Any:
    """Wait for the start and return the transaction's id."""
    if double.version == "1.6":
        await double.until(lambda: double.of("StartTransaction"))
        return 7
    await double.until(lambda: double.events("Started"))
    return double.events("Started")[0]["transactionInfo"]["transactionId"]


async def accepted(double: Csms, station: SimulatedStation) -> Any:
    """Wait until the charger has read that its start is accepted, and return the transaction's id."""
    tx_id = await started(double)
    charger = station.rigs["E1"].charger
    await until(lambda: charger.tx is not None and charger.tx.verdict == "Accepted")
    return tx_id


def exported_mwh(station: SimulatedStation) -> int:
    """Return what E1's plant has exported so far."""
    return station.rigs["E1"].plant.registers(station.clock.now_ns())[1]


async def ended(double: Csms) -> Payload:
    """Wait for the transaction's end and return its message."""
    if double.version == "1.6":
        await double.until(lambda: double.of("StopTransaction"))
        return double.of("StopTransaction")[0]
    await double.until(lambda: double.events("Ended"))
    return double.events("Ended")[0]


def values_of(meter_value: Payload) -> dict[str, int]:
    return {each["measurand"]: int(each["value"]) for each in meter_value["sampledValue"]}


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_visit_is_told_from_boot_to_unplug(version: str) -> None:
    """Law: a served visit is reported in order, its registers match the sealed books, and it takes what it wants."""
    async with csms(version) as double, running(scenario_of(double)) as station:
        await started(double)
        last = await ended(double)
        await double.until(lambda: double.calls[-1][0] == "StatusNotification")
        books = station.seal()
    assert double.paths == ["/ocpp/CP-1"]
    assert double.headers == ["Basic " + base64.b64encode(f"CP-1:{PASSWORD}".encode()).decode()]
    actions = [action for action, _ in double.calls]
    assert actions[0] == "BootNotification"
    assert actions.index("Authorize") < actions.index(
        "StartTransaction" if version == "1.6" else "TransactionEvent"
    )
    visit = books["evses"]["E1"]["visits"][0]
    assert visit["outcome"] == "served"
    assert visit["import_mwh"] == 2_000_000
    end_wh = books["evses"]["E1"]["register_end_mwh"]["import"] // 1000
    final = values_of(last["transactionData"][-1] if version == "1.6" else last["meterValue"][0])
    assert 0 <= end_wh - final["Energy.Active.Import.Register"] <= 2, "only standby follows"
    if version != "1.6":
        assert [each["seqNo"] for each in double.of("TransactionEvent")] == list(
            range(len(double.of("TransactionEvent")))
        )
    assert books["seal"] == seal_of(json.loads(json.dumps(books)))


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_setpoint_discharges_until_it_ends(version: str) -> None:
    """Law: a discharge profile is obeyed for exactly its duration, then the level below holds."""

    def answer(action: str, payload: Payload) -> Payload | None:
        found = default_answer(action, payload)
        if action == "Authorize" and version == "2.1" and found is not None:
            found["allowedEnergyTransfer"] = ["AC_BPT"]
        return found

    async with csms(version, answer) as double, running(scenario_of(double)) as station:
        tx = await accepted(double, station)
        assert await double.ask(
            "SetChargingProfile", profile(version, 0, level=1, duration_s=86400, tx=tx)
        ) == {"status": "Accepted"}
        sale = await double.ask("SetChargingProfile", profile(version, -3600, tx=tx))
        assert sale == {"status": "Accepted"}
        await ended(double)
        books = station.seal()
    sold_mwh = books["evses"]["E1"]["visits"][0]["export_mwh"]
    assert 598_000 <= sold_mwh <= 600_000, "begins when it arrives, a moment late, and never outlives its end"
    assert books["evses"]["E1"]["quarters"][-1]["export_mwh"] == sold_mwh


async def test_dynamic_schedule_and_permission_in_2_1() -> None:
    """Law: 2.1 refuses a sale that was never allowed, and each update starts the dead-man's time again."""
    async with csms("2.1") as double, running(scenario_of(double), 150) as station:
        tx = await accepted(double, station)
        refused = await double.ask("SetChargingProfile", profile("2.1", -3600, tx=tx))
        assert refused["status"] == "Rejected"
        allowed = {"transactionId": tx, "allowedEnergyTransfer": ["AC_BPT"]}
        assert (await double.ask("NotifyAllowedEnergyTransfer", allowed))["status"] == "Accepted"
        await double.ask("SetChargingProfile", profile("2.1", 0, level=1, duration_s=86400, tx=tx))
        await double.ask("SetChargingProfile", profile("2.1", -3600, duration_s=300, tx=tx))
        await until(lambda: exported_mwh(station) > 60_000)
        update = {"chargingProfileId": 2, "scheduleUpdate": {"setpoint": -1800}}
        assert (await double.ask("UpdateDynamicSchedule", update))["status"] == "Accepted"
        await until(lambda: station.rigs["E1"].plant.offered_w(station.clock.now_ns()) >= 0)
        sold_mwh = exported_mwh(station)
        await double.until(
            lambda: any(
                e["triggerReason"] == "OperationModeChanged"
                or e["transactionInfo"].get("operationMode") == "CentralSetpoint"
                for e in double.of("TransactionEvent")
            )
        )
        assert (await double.ask("RequestStopTransaction", {"transactionId": tx}))["status"] == "Accepted"
        assert (await ended(double))["transactionInfo"]["stoppedReason"] == "Remote"
    first_mwh = sold_mwh - 150_000
    assert 60_000 <= first_mwh <= 300_000, "a first part at 3.6 kW, then exactly 300 s at 1.8 kW"


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_refused_start_gets_nothing(version: str) -> None:
    """Law: no energy flows before Accepted; a refusal is the visit's outcome and ends the transaction."""

    def answer(action: str, payload: Payload) -> Payload | None:
        if action == "StartTransaction":
            return {"transactionId": 7, "idTagInfo": {"status": "Blocked"}}
        if action == "TransactionEvent" and payload["eventType"] == "Started":
            return {"idTokenInfo": {"status": "Blocked"}}
        return default_answer(action, payload)

    async with csms(version, answer) as double, running(scenario_of(double)) as station:
        last = await ended(double)
        books = station.seal()
    reason = last["reason"] if version == "1.6" else last["transactionInfo"]["stoppedReason"]
    assert reason == "DeAuthorized"
    visit = books["evses"]["E1"]["visits"][0]
    assert (visit["outcome"], visit["import_mwh"]) == ("refused:Blocked", 0)


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_reboot_keeps_the_transaction(version: str) -> None:
    """Law: a charger that reboots in a transaction boots again, continues under the same id and loses no energy."""
    fault = {"kind": "charger_reboot", "evse": "E1", "at": "2019-06-10T12:10:00Z", "duration_s": 120}
    async with csms(version) as double, running(scenario_of(double, faults=[fault])) as station:
        await ended(double)
        books = station.seal()
    assert len(double.of("BootNotification")) == 2
    assert len(double.of("StartTransaction")) + len(double.events("Started")) == 1
    if version == "2.1":
        assert [e for e in double.of("TransactionEvent") if e["triggerReason"] == "TxResumed"]
    assert books["evses"]["E1"]["visits"][0]["import_mwh"] == 2_000_000
    assert books["evses"]["E1"]["visits"][0]["transactions"] == 1


@pytest.mark.parametrize("version", VERSIONS)
async def test_duplicates_carry_the_same_content_under_new_ids(version: str) -> None:
    """Law: a duplicated transaction message is the same message twice, with different message ids."""
    fault = {"kind": "duplicate_messages", "evse": "E1", "at": START, "duration_s": 7200}
    async with csms(version) as double, running(scenario_of(double, faults=[fault])):
        await ended(double)
        await double.until(lambda: len(double.of("StopTransaction")) + len(double.events("Ended")) == 2)
    billing = [c for c in double.calls if c[0] in {"StartTransaction", "StopTransaction", "TransactionEvent"}]
    assert billing[::2] == billing[1::2]
    assert len(set(double.ids)) == len(double.ids)


async def test_an_outage_is_told_afterwards_in_order() -> None:
    """Law: events of an outage are sent after the reconnect, in order, with their own times and the offline flag."""
    fault = {"kind": "socket_drop", "evse": "E1", "at": "2019-06-10T12:10:00Z", "duration_s": 600}
    async with csms("2.0.1") as double, running(scenario_of(double, faults=[fault])) as station:
        await ended(double)
        books = station.seal()
    events = double.of("TransactionEvent")
    assert [each["seqNo"] for each in events] == list(range(len(events)))
    times = [parse_ns(each["timestamp"]) for each in events]
    assert times == sorted(times)
    offline = [each for each in events if each["offline"]]
    assert offline
    assert parse_ns(offline[0]["timestamp"]) < parse_ns("2019-06-10T12:20:00Z")
    assert len(double.of("BootNotification")) == 1, "a lost socket is no boot"
    assert books["evses"]["E1"]["visits"][0]["outcome"] == "served"


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_unanswered_start_is_sent_again(version: str) -> None:
    """Law: an unanswered transaction message is sent again under a new id, with the same content."""
    seen: list[str] = []

    def answer(action: str, payload: Payload) -> Payload | None:
        start = action == "StartTransaction" or payload.get("eventType") == "Started"
        if start and len(seen) < 1:
            seen.append(action)
            return None
        return default_answer(action, payload)

    async with csms(version, answer) as double, running(scenario_of(double)):
        await ended(double)
    starts = double.of("StartTransaction") or double.events("Started")
    assert len(starts) == 2
    assert starts[0] == starts[1]


@pytest.mark.parametrize("version", VERSIONS)
async def test_unknown_calls_and_settings_are_answered(version: str) -> None:
    """Law: every call is answered, an unknown one with NotImplemented; settings are stored and returned."""
    async with csms(version) as double, running(scenario_of(double)):
        await double.until(lambda: double.of("StatusNotification"))
        if version == "1.6":
            key = {"key": "MeterValueSampleInterval", "value": "60"}
            assert (await double.ask("ChangeConfiguration", key))["status"] == "Accepted"
            told = await double.ask("GetConfiguration", {"key": ["MeterValueSampleInterval", "Nonsense"]})
            assert told["configurationKey"][0]["value"] == "60"
            assert told["unknownKey"] == ["Nonsense"]
            assert await double.ask("GetLocalListVersion", {}) == {"error": "NotImplemented"}
            return
        name = {"component": {"name": "SampledDataCtrlr"}, "variable": {"name": "TxUpdatedInterval"}}
        row = {**name, "attributeValue": "60"}
        told = await double.ask("SetVariables", {"setVariableData": [row]})
        assert told["setVariableResult"][0]["attributeStatus"] == "Accepted"
        told = await double.ask("GetVariables", {"getVariableData": [name]})
        assert told["getVariableResult"][0]["attributeValue"] == "60"
        assert await double.ask("GetLocalListVersion", {}) == {"error": "NotImplemented"}
        if version == "2.1":
            assert await double.ask("ClearTariffs", {}) == {"error": "NotImplemented"}


async def test_meter_and_charger_show_the_same_plant() -> None:
    """Law: meter and charger show the same plant's registers; a counter reset restarts only the meter's."""
    meter = Path(__file__).parents[2] / "configs/meters/eastron-sdm630.json"
    fault = {"kind": "counter_reset", "evse": "E1", "at": "2019-06-10T12:25:00Z"}
    evse = {"meter_profile": str(meter), "import_register_mwh": 5_000_000}
    async with csms("1.6") as double, running(scenario_of(double, evse=evse, faults=[fault])) as station:
        await double.until(lambda: double.of("StartTransaction"))
        post = station.rigs["E1"]
        assert post.meter is not None
        assert station.meter_ports()["E1"] > 0
        await ended(double)
        shown = post.meter.registers()
        true_mwh = post.plant.registers(station.clock.now_ns())[0]
        books = station.seal()
    assert shown.import_mwh < 1_000_000
    assert true_mwh >= 7_000_000
    assert books["evses"]["E1"]["resets"][0]["import_mwh"] >= 7_000_000


async def test_late_messages_keep_their_own_times() -> None:
    """Law: messages held back arrive later, in order, with the times at which things happened."""
    fault = {"kind": "late_messages", "evse": "E1", "at": "2019-06-10T12:00:30Z", "duration_s": 600}
    table = scenario_of(Csms("1.6"), visit={"wanted_wh": 1000}, faults=[fault])
    async with csms("1.6") as double:
        table["world"]["csms"] = f"ws://127.0.0.1:{double.port}/ocpp"
        async with running(table, speed=SPEED // 4) as station:  # two real seconds of late messages
            await started(double)
            arrived_ns = station.clock.now_ns()
            await ended(double)
            books = station.seal()
    let_go_ns = parse_ns("2019-06-10T12:10:30Z")
    assert parse_ns(double.of("StartTransaction")[0]["timestamp"]) < let_go_ns <= arrived_ns
    assert books["evses"]["E1"]["visits"][0]["outcome"] == "served"


async def test_a_silent_meter_answers_again_afterwards() -> None:
    """Law: a silent meter is silent for its time only, while the physics continues."""
    meter = Path(__file__).parents[2] / "configs/meters/eastron-sdm630.json"
    fault = {"kind": "silent_meter", "evse": "E1", "at": "2019-06-10T12:02:00Z", "duration_s": 300}
    async with csms("1.6") as double:
        table = scenario_of(double, evse={"meter_profile": str(meter)}, faults=[fault])
        async with running(table) as station:
            post = station.rigs["E1"]
            await station.clock.sleep_until(parse_ns("2019-06-10T12:04:00Z"))
            assert post.meter is not None
            silent = post.meter.faults.silent
            await station.clock.sleep_until(parse_ns("2019-06-10T12:09:00Z"))
            assert (silent, post.meter.faults.silent) == (True, False)
            assert post.meter.registers().import_mwh > 0


async def test_a_car_that_was_stopped_can_be_started_again() -> None:
    """Law: after a remote stop a remote start begins a second transaction of the same visit."""
    async with csms("2.0.1") as double, running(scenario_of(double)) as station:
        first = await started(double)
        assert (await double.ask("RequestStopTransaction", {"transactionId": first}))["status"] == "Accepted"
        await double.until(lambda: double.events("Ended"))
        token = {"idToken": "04A1B2C3", "type": "ISO14443"}
        told = await double.ask("RequestStartTransaction", {"idToken": token, "remoteStartId": 3})
        assert told["status"] == "Accepted"
        await double.until(lambda: len(double.events("Ended")) == 2)
        books = station.seal()
    second = double.events("Started")[1]
    assert second["transactionInfo"]["remoteStartId"] == 3
    assert second["transactionInfo"]["transactionId"] == told["transactionId"] != first
    visit = books["evses"]["E1"]["visits"][0]
    assert (visit["outcome"], visit["transactions"]) == ("served", 2)
    assert visit["stop_reasons"] == ["Remote", "EVDisconnected"]
