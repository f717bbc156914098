"""The OCPP edge commands the simulated charger: remote starts, and what a charger is allowed to transfer."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from fractions import Fraction
from pathlib import Path

import pytest

from edgegw.core.effects import AllowEnergyTransfer, ApplySetpoint, StartRemotely, StopRemotely
from edgegw.core.events import (
    AuthorizeRequested,
    ConnectorStatus,
    ConnectorStatusChanged,
    RemoteStartAnswered,
    SetpointAnswered,
    TransactionEnded,
    TransactionStarted,
    TransactionUpdated,
)
from firmware_sim.charger import Charger
from firmware_sim.scenario import build_scenario
from firmware_sim.station import SimulatedStation as Plant
from firmware_sim.world import NS_PER_S, Clock
from tests.support.chargers_running import Station, running
from tests.support.chargers_station import NOW_NS, PASSWORD
from tests.support.patience import until

TOKEN = "04A1B2C3"
SPEED = 60


@contextlib.asynccontextmanager
async def simulated(station: Station, version: str) -> AsyncIterator[Charger]:
    """A simulated charger of this version, with a car at its EVSE 1 whose first transaction is under way."""
    async with visited(station, version) as charger:
        await until(lambda: charger.tx is not None and charger.tx.verdict == "Accepted")
        yield charger


@contextlib.asynccontextmanager
async def visited(
    station: Station,
    version: str,
    *,
    id_token: str = TOKEN,
    arrival: str = "2026-11-22T08:00:30Z",
    speed: int = SPEED,
) -> AsyncIterator[Charger]:
    """A simulated charger of this version, to whose EVSE 1 a car comes."""
    evse = {"evse": "E1", "charger_id": "CP1", "ocpp": version, "password": PASSWORD}
    visit = {
        "evse": "E1",
        "id_token": id_token,
        "arrival": arrival,
        "departure": "2026-11-22T09:00:00Z",
        "wanted_wh": 20_000,
        "soc_percent": 60,
        "max_discharge_w": 7000,
    }
    world = {"utc_start": "2026-11-22T08:00:00Z", "utc_end": "2026-11-22T09:30:00Z"}
    world["csms"] = f"ws://127.0.0.1:{station.chargers.port}/ocpp"
    scenario = build_scenario({"world": world, "evses": [evse], "visits": [visit]}, Path())
    origin_ns = time.monotonic_ns()
    plant = Plant(
        scenario,
        Clock(
            monotonic_origin_ns=origin_ns,
            utc_origin_ns=scenario.utc_start_ns,
            speed=Fraction(speed),
            utc_end_ns=scenario.utc_end_ns,
        ),
    )
    stop = asyncio.Event()
    task = asyncio.create_task(plant.run(stop, lambda _: None))
    charger = plant.rigs["E1"].charger
    try:
        yield charger
    finally:
        stop.set()
        await task


@pytest.mark.parametrize("version", ["1.6", "2.0.1", "2.1"])
async def test_a_remote_start_begins_a_transaction(version: str) -> None:
    """An accepted start is followed by a start with the driver's token; at a running transaction it is refused."""
    async with running() as station, simulated(station, version):
        first = await station.until(TransactionStarted)
        station.chargers.command(StopRemotely(evse_id="evse-1", transaction_id=first.transaction_id))
        await station.until(TransactionEnded)
        station.chargers.command(StartRemotely(evse_id="evse-1", id_token=TOKEN, remote_start_id=77))
        answer = await station.until(RemoteStartAnswered)
        assert answer == RemoteStartAnswered(evse_id="evse-1", remote_start_id=77, accepted=True)
        second = await station.until(TransactionStarted, 2)
        assert (second.evse_id, second.id_token_hash) == ("evse-1", f"hash-of-{TOKEN}")
        assert second.transaction_id != first.transaction_id
        assert ('"remoteStartId":77' in second.frame.replace(" ", "")) == (version != "1.6")
        station.chargers.command(StartRemotely(evse_id="evse-1", id_token=TOKEN, remote_start_id=78))
        refused = await station.until(RemoteStartAnswered, 2)
        assert (refused.remote_start_id, refused.accepted, refused.reason) == (78, False, "Rejected")
    assert len(station.of(TransactionStarted)) == 2


@pytest.mark.parametrize("version", ["1.6", "2.0.1", "2.1"])
async def test_a_car_without_a_card_waits_for_its_remote_start(version: str) -> None:
    """A car without a card begins nothing by itself; the remote start begins its transaction, whose samples have the charge."""
    async with running() as station, visited(station, version, id_token="") as charger:
        await until(lambda: charger.visit is not None)
        await until(lambda: station.of(ConnectorStatusChanged)[-1].status is ConnectorStatus.OCCUPIED)
        assert station.of(TransactionStarted) == station.of(AuthorizeRequested) == []
        station.chargers.command(StartRemotely(evse_id="evse-1", id_token="WEB-1", remote_start_id=7))
        answer = await station.until(RemoteStartAnswered)
        assert answer.accepted
        started = await station.until(TransactionStarted)
        assert (started.evse_id, started.id_token_hash) == ("evse-1", "hash-of-WEB-1")
        updated = await station.until(TransactionUpdated)
        assert [sample.soc_bp for sample in updated.samples] == [6_000]


@pytest.mark.parametrize("version", ["1.6", "2.0.1", "2.1"])
async def test_a_remote_start_may_come_before_the_car(version: str) -> None:
    """A remote start before the car is accepted and begins when it plugs in, without a card."""
    async with (
        running() as edge,
        visited(edge, version, arrival="2026-11-22T08:00:20Z", speed=10) as charger,
    ):
        await edge.until(ConnectorStatusChanged)
        edge.chargers.command(StartRemotely(evse_id="evse-1", id_token="WEB-2", remote_start_id=8))
        answer = await edge.until(RemoteStartAnswered)
        assert (answer.accepted, charger.visit) == (True, None)
        started = await edge.until(TransactionStarted)
        assert started.id_token_hash == "hash-of-WEB-2"
        assert edge.of(AuthorizeRequested) == []


@pytest.mark.parametrize("version", ["1.6", "2.0.1", "2.1"])
async def test_allowing_a_transfer_does_no_harm(version: str) -> None:
    """A charger that gets the allowed transfer, even with a wrong id, accepts the commands that follow."""
    async with running(call_timeout_s=30.0) as station, simulated(station, version) as charger:
        started = await station.until(TransactionStarted)

        async def command(number: int, power_w: int, *, bidirectional: bool, allowed_id: str) -> bool:
            """What the core does at a begin: allow, then command; whether the setpoint was accepted."""
            allow = AllowEnergyTransfer(
                evse_id="evse-1", transaction_id=allowed_id, bidirectional=bidirectional
            )
            station.chargers.command(allow)
            station.chargers.command(
                ApplySetpoint(
                    evse_id="evse-1",
                    setpoint_id=number,
                    transaction_id=started.transaction_id,
                    power_w=power_w,
                    ends_ns=NOW_NS + 900 * NS_PER_S,
                    fallback_w=1400,
                )
            )
            answered: SetpointAnswered = await station.until(SetpointAnswered, number)
            return answered.accepted

        own_id = started.transaction_id
        assert await command(1, 5000, bidirectional=False, allowed_id=own_id)
        sells = await command(2, -3000, bidirectional=False, allowed_id=own_id)
        assert sells == (version != "2.1")  # only 2.1 is told, and obeys
        assert await command(3, 5000, bidirectional=True, allowed_id="another")
        assert await command(4, -3000, bidirectional=True, allowed_id=own_id)
        await until(lambda: charger.plant.registers(charger.clock.now_ns())[1] > 0)
        assert charger.tx is not None
        assert charger.tx.stop_reason is None
    assert len(station.of(TransactionStarted)) == 1
