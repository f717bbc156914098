"""An order without a card: a plugged car, a real socket, the real loop and core; ledger and meter say yes at once."""

import asyncio
import contextlib
import itertools
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import pytest

from edgegw.chargers.charger_port import Chargers
from edgegw.chargers.settings import ChargerSettings, ListenerSettings, StationSettings
from edgegw.common.canonical_json import sha256_hex
from edgegw.common.clock import ClockMapping, StationClock
from edgegw.common.units import amount_mtok
from edgegw.core import evse_status, station
from edgegw.core.effects import EndorseSubmission, Query, SubmitEnvelope
from edgegw.core.events import CommitKnown, Endorsed, OrderPlaced, QueryAnswered, RegisterRead
from edgegw.core.evse_status import EvseActivity, EvseStatus
from edgegw.core.metering import MeterAccount
from edgegw.core.orders import Aim, Order, OrderState
from edgegw.gateway.inbox import Inbox
from edgegw.gateway.loop import Adapters, Gateway
from edgegw.gateway.row_codec import decode_row
from firmware_sim.evse_rig import EvseRig
from firmware_sim.scenario import build_scenario
from firmware_sim.station import SimulatedStation as Simulator
from firmware_sim.world import Clock, parse_ns
from tests.support.chargers_station import PASSWORD, password_hash
from tests.support.core_bench import RETAIL, settings
from tests.support.gateway_fakes import FakeJournal
from tests.support.patience import PATIENCE_S

SPEED = 20
START = "2026-11-22T08:00:00Z"
ORDER_WH = 300
GRAIN_WH = 13  # two seconds at 22 kW, and the Wh that floors cut


class Yes:
    """A meter that shows the simulated plant's registers, and a ledger that commits everything at once."""

    def __init__(self, inbox: Inbox, clock: StationClock) -> None:
        self._inbox = inbox
        self._clock = clock
        self._endorsed: dict[str, str] = {}
        self.post: EvseRig | None = None
        self.paid_wh = 0

    async def poll(self) -> None:
        """Read A1's meter five times a second, every four of the station's."""
        while True:
            self.request("MA1")
            await asyncio.sleep(0.2)

    def request(self, meter_id: str) -> None:
        now_ns = self._clock.now_ns()
        import_mwh = export_mwh = 0
        if meter_id == "MA1" and self.post is not None:
            import_mwh, export_mwh, _ = self.post.plant.registers(now_ns)
        self._inbox.put(
            RegisterRead(
                meter_id=meter_id, t0_ns=now_ns, t1_ns=now_ns, import_mwh=import_mwh, export_mwh=export_mwh,
                power_w=None, serial="7",
            )
        )  # fmt: skip

    def endorse(self, effect: EndorseSubmission) -> None:
        result: dict[str, object] = {"reserved": "40000000"}
        if effect.function == "RecordTrades":
            lines = json.loads(effect.arguments_json)["lines"]
            sizes = {line["tradeId"]: int(line["endWh"]) - int(line["startWh"]) for line in lines}
            self.paid_wh += sum(sizes.values())
            result = {
                "results": [
                    {"tradeId": name, "status": "RECORDED", "amount": str(amount_mtok(100_000, size))}
                    for name, size in sizes.items()
                ]
            }
        self._inbox.put(
            Endorsed(submission_id=effect.submission_id, tx_id="t", envelope_hex="00", result=result)
        )

    def submit(self, effect: SubmitEnvelope) -> None:
        self._inbox.put(
            CommitKnown(submission_id=effect.submission_id, tx_id=effect.tx_id, code="VALID", block=1)
        )

    def query(self, effect: Query) -> None:
        self._inbox.put(QueryAnswered(key=effect.key, result=None))

    def report(self, product: str, interval: int, energy_wh: int) -> None:
        """Ignore the report."""


@dataclass
class Running:
    """What runs."""

    gateway: Gateway
    inbox: Inbox
    journal: FakeJournal
    clock: StationClock
    yes: Yes
    post: EvseRig

    def look(self) -> EvseStatus:
        """A1 as a page would show it."""
        return evse_status.live(self.gateway.station, "A1", self.clock.now_ns())

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for what only the core, or the charger, knows."""
        async with asyncio.timeout(PATIENCE_S):
            while not condition():  # noqa: ASYNC110 - neither part tells a test
                await asyncio.sleep(0.02)

    def stored(self) -> Order:
        """The order as the journal has it."""
        return decode_row(Order, self.journal.stored["orders/o1"])


@contextlib.asynccontextmanager
async def running(version: str) -> AsyncIterator[Running]:
    """A gateway, and a simulated charger A with a car that came without a card, half full, wanting more than is ordered."""
    mapping = ClockMapping(
        monotonic_origin_ns=time.monotonic_ns(), utc_origin_ns=parse_ns(START), speed=SPEED
    )
    inbox, clock, numbers = Inbox(), StationClock(mapping), itertools.count(1000)
    edge = Chargers(
        StationSettings(
            listener=ListenerSettings(host="127.0.0.1", port=0),
            chargers=(ChargerSettings(charger_id="A", password_hash=password_hash(), evses={1: "A1"}),),
            hash_token=sha256_hex,
            fresh_transaction_id=lambda: next(numbers),
            fresh_message_id=lambda: secrets.token_hex(4),
        ),
        inbox.put,
        clock,
    )
    yes, journal = Yes(inbox, clock), FakeJournal([])
    accounts = {
        f"M{name}": MeterAccount(meter_id=f"M{name}", meter_ref=f"r{name}", power_w_max=29_000, step_mwh=1)
        for name in ("A1", "A2", "B1")
    }
    adapters = Adapters(
        clock=clock, journal=journal, chargers=edge, meters=yes, ledger=yes, representative=yes,
        log=lambda _name, _fields: None, sign_evidence=lambda _: "00",
    )  # fmt: skip
    gateway = Gateway(station.new_station(settings(), accounts), adapters, inbox)
    tasks = [asyncio.create_task(edge.run()), asyncio.create_task(gateway.run())]
    await edge.listening.wait()
    simulator = _simulator(version, f"ws://127.0.0.1:{edge.port}/ocpp", mapping)
    yes.post = simulator.rigs["A1"]
    stop = asyncio.Event()
    tasks += [
        asyncio.create_task(simulator.run(stop, lambda _: None)),
        asyncio.create_task(yes.poll()),
    ]
    try:
        yield Running(gateway, inbox, journal, clock, yes, simulator.rigs["A1"])
        assert not any(task.done() for task in tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _simulator(version: str, csms: str, mapping: ClockMapping) -> Simulator:
    evse = {"evse": "A1", "charger_id": "A", "ocpp": version, "password": PASSWORD, "rated_w": 22_000}
    visit = {
        "evse": "A1", "id_token": "", "arrival": "2026-11-22T08:00:05Z", "departure": "2026-11-22T09:00:00Z",
        "wanted_wh": 20_000, "soc_percent": 50, "max_charge_w": 22_000,
    }  # fmt: skip
    world = {"utc_start": START, "utc_end": "2026-11-22T09:30:00Z", "csms": csms}
    scenario = build_scenario({"world": world, "evses": [evse], "visits": [visit]}, Path())
    return Simulator(
        scenario,
        Clock(
            monotonic_origin_ns=mapping.monotonic_origin_ns,
            utc_origin_ns=mapping.utc_origin_ns,
            speed=Fraction(SPEED),
            utc_end_ns=scenario.utc_end_ns,
        ),
    )


@pytest.mark.parametrize("version", ["1.6", "2.1"])
async def test_an_order_charges_its_energy_and_stops(version: str) -> None:
    """Plugged, ordered, charged to the Wh that a charger can end at, stopped from here, done; the meter's Wh are trades."""
    async with running(version) as edge:
        await edge.until(lambda: edge.look().word is EvseActivity.PLUGGED)
        order = Order(
            order_id="o1",
            evse_id="A1",
            id_token_hash=sha256_hex("ORDER-1"),
            terms=RETAIL,
            aim=Aim.CHARGE,
            energy_wh=ORDER_WH,
        )
        edge.inbox.put(OrderPlaced(order=order, id_token="ORDER-1"))
        await edge.until(lambda: edge.look().word is EvseActivity.CHARGING)
        assert edge.stored().state is OrderState.RUNNING
        assert edge.look().member_id == RETAIL.member_id
        await edge.until(lambda: edge.stored().state is OrderState.DONE)
        await edge.until(lambda: edge.look().word is EvseActivity.PLUGGED and not edge.gateway.station.lines)
        visit = edge.post.charger.visit
        assert visit is not None
        delivered_wh = visit.import_mwh // 1000
        assert abs(delivered_wh - ORDER_WH) <= GRAIN_WH
        assert visit.stop_reasons == ["Remote"]
        assert abs(edge.yes.paid_wh - delivered_wh) <= 1, "standby apart, each Wh is a trade"
        assert "ORDER-1" not in json.dumps([fact.body for facts, _ in edge.journal.commits for fact in facts])
