"""Bad input from meters, row by row of docs/meters.md (When a meter misbehaves): a clear answer, nothing lost, the other meter goes on.

The real path: a Modbus TCP server with two meters behind it, the bus that reads them, and the core that judges.
"""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from edgegw.common.clock import StationClock
from edgegw.common.error_codes import REMEDIES
from edgegw.core.effects import LogEvent
from edgegw.core.events import Event, MeterAdopted
from edgegw.core.metering import MeterAccount, faults
from edgegw.core.state import EvseSettings, Settings
from edgegw.core.station import new_station, step
from edgegw.meters.meter_port import Meters, MeterSettings
from edgegw.meters.profile import Profile, named_profile
from tests.support.modbus_bus import BusMeter, BusServer, frame, refusal, serve_bus
from tests.support.patience import PATIENCE_S

BAD, GOOD = "M-1", "M-2"


@dataclass
class Cabinet:
    """Two meters behind one address, read into a station; `lines` are what it logged of the bad one."""

    bus: BusServer
    profile: Profile
    meters: Meters = field(init=False)
    lines: list[tuple[str, dict[str, object]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        evses = {"E1": EvseSettings(evse_id="E1", charger_id="C", meter_id=BAD, rated_w=22_000)}
        settings = Settings(
            station_id="S", zone="Z", gateway_id="G", evses=evses, meter_evse={BAD: "E1"}, nonce_key=b"k"
        )
        step_mwh = self.profile.import_.lsb_mwh
        accounts = {
            name: MeterAccount(meter_id=name, meter_ref=name, power_w_max=22_000, step_mwh=step_mwh)
            for name in (BAD, GOOD)
        }
        self.clock = StationClock()
        self.station = new_station(settings, accounts)

    def take(self, event: Event) -> None:
        """One step of the core."""
        outcome = step(self.station, event, self.clock.now_ns())
        self.station = outcome.station
        self.lines += [
            (effect.name, dict(effect.fields))
            for effect in outcome.effects
            if isinstance(effect, LogEvent)
            and effect.fields.get("meter_id") == BAD
            and "code" in effect.fields
        ]

    def account(self, meter_id: str = BAD) -> MeterAccount:
        return self.station.meters[meter_id]

    @property
    def bad(self) -> BusMeter:
        return self.bus.meters[1]

    async def until(self, reached: Callable[[], bool], *, ask: str = "") -> None:
        """Wait for something that the station comes to know; `ask` reads that meter again and again."""
        async with asyncio.timeout(PATIENCE_S):
            while not reached():
                if ask:
                    self.meters.request(ask)
                await asyncio.sleep(0.01)

    async def read_twice(self, meter_id: str) -> None:
        """Two more good readings."""
        count = self.account(meter_id).accepted
        await self.until(lambda: self.account(meter_id).accepted >= count + 2, ask=meter_id)

    def codes(self) -> list[tuple[str, str]]:
        return [(name, str(fields["code"])) for name, fields in self.lines]


@asynccontextmanager
async def cabinet(profile: str) -> AsyncIterator[Cabinet]:
    """Both meters were read once."""
    async with serve_bus(bad=profile, good=profile) as bus:
        made = Cabinet(bus, named_profile(profile))
        settings = [
            MeterSettings(
                meter_id=name,
                profile=named_profile(profile),
                host="127.0.0.1",
                port=bus.port,
                unit_id=unit,
                poll_s=900,
            )
            for unit, name in enumerate((BAD, GOOD), 1)
        ]
        made.meters = Meters(settings, made.clock, made.take)
        task = asyncio.create_task(made.meters.run())
        try:
            await made.until(lambda: bool(made.account().accepted and made.account(GOOD).accepted))
            for unit in made.meters._bus_of[BAD]._units:
                unit.probe_s = 0.2  # a unit that failed twice is left alone for so long
            yield made
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def float_words(value: float) -> list[int]:
    return list(struct.unpack(">2H", struct.pack(">f", value)))


def with_words(words: list[int], at: int) -> Callable[[bytes, bytes], bytes]:
    """Other words in the energy block of an SDM630, from its word `at` on."""

    def twist(request: bytes, right: bytes) -> bytes:
        if request[7] != 4:
            return right
        first = 9 + 2 * at
        return right[:first] + struct.pack(f">{len(words)}H", *words) + right[first + 2 * len(words) :]

    return twist


def refuse_energy(request: bytes, right: bytes) -> bytes:
    """Refuse to read the energy, but not model and serial."""
    return refusal(request, 2) if request[8:10] == b"\x50\x00" else right


def in_another_name(request: bytes, right: bytes) -> bytes:
    """Unit 9 answers, with the right registers."""
    return frame(request, right[7:], unit=9)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One kind of bad input: what the meter does, and what is logged of it."""

    profile: str
    twist: Callable[[bytes, bytes], bytes]
    said: list[tuple[str, str]]
    detail: str
    answered: bool = True  # whether what it sent counts as discarded readings


NO_NUMBER = [("reading.quarantined", "EGW-2003"), ("meter.read_failed", "EGW-2003")]
JUMP = [("reading.quarantined", "EGW-2004"), ("meter.read_failed", "EGW-2004")]
ROWS = {
    "row-26-exception-2": Row(
        profile="abb-b23",
        twist=refuse_energy,
        said=[("meter.read_failed", "EGW-2001")],
        detail='register 0x5000 not present (illegal data address); check profile "abb-b23"',
        answered=False,
    ),
    "row-27-nan": Row(
        profile="eastron-sdm630",
        twist=with_words([0x7FC0, 0], 20),
        said=NO_NUMBER,
        detail="no number in import",
    ),
    "row-27-infinity": Row(
        profile="eastron-sdm630",
        twist=with_words([0x7F80, 0, 0xFF80, 0], 20),
        said=NO_NUMBER,
        detail="no number in import and export",
    ),
    "row-27-no-value": Row(
        profile="eastron-sdm630",
        twist=with_words([0x8000, 0], 22),
        said=NO_NUMBER,
        detail="no number in export",
    ),
    "row-28-energy-3.4e38": Row(
        profile="eastron-sdm630",
        twist=with_words(float_words(3.4e38), 20),
        said=JUMP,
        detail="jump of 3399999",
    ),
    "row-30-wrong-unit": Row(
        profile="abb-b23",
        twist=in_another_name,
        said=[("meter.read_failed", "EGW-2008")],
        detail="unit 9 answered instead of unit 1; discarded",
        answered=False,
    ),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
async def test_a_meter_that_misbehaves(row: Row) -> None:
    """A fault is logged once with code, detail and remedy; registers stay, the other meter is read, and later all is counted."""
    async with cabinet(row.profile) as station:
        before = station.account()
        station.bad.twist = row.twist
        await station.until(lambda: BAD in faults(station.station.meters), ask=BAD)
        code = row.said[-1][1]
        assert faults(station.station.meters)[BAD].code == code
        assert station.codes() == row.said
        detail, remedy = (str(station.lines[-1][1][key]) for key in ("detail", "remedy"))
        assert detail.startswith(row.detail)
        assert remedy == REMEDIES[code].remedy

        await station.read_twice(GOOD)
        assert (station.account().last, station.account().epoch) == (before.last, 1)
        assert (station.account().quarantined >= 3) == row.answered

        station.bad.flow(before.step_mwh)
        station.bad.twist = None
        await station.until(lambda: station.account().trouble is None, ask=BAD if row.answered else "")
        assert station.codes() == [*row.said, ("meter.recovered", code)]
        last = station.account().last
        assert last is not None
        assert before.last is not None
        assert (station.account().epoch, last.import_mwh - before.last.import_mwh) == (1, before.step_mwh)


async def test_a_jump_names_energy_time_and_power() -> None:
    """The log says how many Wh in how many seconds, and what the rated power allows."""
    async with cabinet("eastron-sdm630") as station:
        station.bad.twist = with_words(float_words(9_000.0), 20)
        await station.until(lambda: bool(station.lines), ask=BAD)
        words = str(station.lines[0][1]["detail"]).split()
        assert words[:4] == ["jump", "of", "8000000", "Wh"]
        assert words[-5:] == ["22.000", "kW", "x", words[5], "s"]


@pytest.mark.parametrize("_row", [29], ids=["row-29-serial-changed"])
async def test_another_meter_in_its_place(_row: int) -> None:
    """Nothing of it counts and it is said once; after `adopt` its own registers open an epoch, and no epoch mixes two meters."""
    async with cabinet("abb-b23") as station:
        before = station.account()
        station.bad.model.set_serial("4711")
        station.bad.now = station.bad.now._replace(import_mwh=5_000_000_000)
        station.bus.meters[1].twist = lambda request, _right: refusal(request, 6)
        await station.until(lambda: station.account().trouble is not None, ask=BAD)
        station.bad.twist = None
        await station.until(lambda: station.account().stranger == "4711", ask=BAD)
        await station.read_twice(GOOD)
        assert station.codes() == [("meter.read_failed", "EGW-2002"), ("meter.read_failed", "EGW-2007")]
        assert station.lines[-1][1]["detail"] == (
            f"meter replaced? was 1001, is 4711. Run: edgegw meter adopt {BAD}"
        )
        assert (station.account().last, station.account().epoch) == (before.last, 1)

        station.take(MeterAdopted(meter_id=BAD, serial="4711"))
        await station.until(lambda: station.account().epoch == 2, ask=BAD)
        account = station.account()
        assert (account.serial, account.trouble) == ("4711", None)
        assert account.first is not None
        assert account.first.import_mwh == 5_000_000_000
        assert station.codes()[-1] == ("meter.recovered", "EGW-2007")
