"""The other organisations of a run, put together: opened before the day, run through it, closed after it.

Decides the order (members, deposits, tariff and floors, meters, loads; at the end offers, sweep, payout) and nothing else.
Source: LEDGER, Who takes part and Around them.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edgegw.clock import StationClock
from edgegw.errors import ConfigError
from edgegw.participants import accounts
from edgegw.participants.accounts import KIND_MSP
from edgegw.participants.desk import ExchangeDesk
from edgegw.participants.industry import Industry
from edgegw.participants.oracle import Oracle
from edgegw.participants.port import LedgerPort
from edgegw.participants.producer import Plant, Producer, WallBox
from edgegw.participants.profiles import read_load, read_sun
from edgegw.participants.representative import Representative
from edgegw.participants.schedule import DAY_S, Schedule
from edgegw.participants.seat import Seat
from edgegw.participants.settings import Settings
from edgegw.participants.tariff import Tariff, read_tariff
from edgegw.ports import Clock
from edgegw.units import INTERVAL_S, SECOND_NS, interval_of

AT_ONCE = 8
Connect = Callable[[str, str], LedgerPort]
"""The way to the ledger of an organisation's named identity: (`ProducerMSP`, `oracle`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The run in UTC epoch seconds: its first quarter hour, and the end after which none is served."""

    begin_s: int
    end_s: int

    @classmethod
    def of(cls, clock: StationClock, end_s: int | None) -> "Span":
        """From the clock's mapping, where it has one; raises ConfigError where the end is nowhere told."""
        mapping = clock.mapping
        origin_ns = clock.now_ns() if mapping is None else mapping.utc_origin_ns
        if end_s is None and mapping is not None and mapping.utc_end_ns is not None:
            end_s = mapping.utc_end_ns // SECOND_NS
        if end_s is None:
            raise ConfigError(("end_s: neither the settings nor STATION_CLOCK tell the end of the run",))
        return cls(begin_s=interval_of(origin_ns), end_s=end_s)


class Consortium:
    """Oracle, producer, industry, exchange desk, and the representatives who sign their members up."""

    def __init__(self, settings: Settings, *, connect: Connect, clock: Clock, span: Span) -> None:
        tariff = read_tariff(settings.tariff)
        offset_s = tariff.utc_offset_s if settings.utc_offset_s is None else settings.utc_offset_s
        schedule = Schedule(clock=clock, cutoff_s=settings.cutoff_s, end_s=span.end_s)
        self._settings = settings
        self._effective_from = _effective_from(settings, tariff, span)
        self._representatives = {msp: connect(msp, "representative") for msp in set(KIND_MSP.values())}
        self._ev_users = Representative(
            self._representatives["EVUserMSP"], zone=settings.zone, schedule=schedule
        )
        self._desk = ExchangeDesk(ledger=connect("EVUserMSP", "exchange"))
        self._oracle = Oracle(
            ledger=connect("ProducerMSP", "oracle"),
            tariff=tariff,
            zone=settings.zone,
            utc_offset_s=offset_s,
            schedule=schedule,
        )
        self._producer = _producer(
            settings,
            self._representatives["ProducerMSP"],
            schedule,
            offset_and_begin_s=(offset_s, span.begin_s),
        )
        self._industry = _industry(settings, self._representatives["IndustryMSP"], schedule, tariff=tariff)

    async def open(self) -> None:
        """Everything that must stand before the first session, as fast as it goes; may be repeated."""
        await self._enrol()
        await self._oracle.post_tariff(self._effective_from)
        await self._register()
        async with asyncio.TaskGroup() as group:
            for role in (self._oracle, self._producer, self._industry):
                group.create_task(role.open())

    async def _enrol(self) -> None:
        """Members signed up, changed profiles committed to, deposits turned into tokens."""
        members = self._settings.members
        sign_ups = (
            accounts.sign_up(self._representatives[KIND_MSP[member.kind]], member.enrolment)
            for member in members
        )
        await accounts.at_most(AT_ONCE, sign_ups)
        for change in self._settings.changes:
            await self._ev_users.change(
                change.member_id, expected_version=change.expected_version, commitment=change.commitment
            )
        mints = (
            self._desk.mint(
                member.member_id, member.deposit_mtok, member.deposit_ref or f"deposit:{member.member_id}:1"
            )
            for member in members
            if member.deposit_mtok
        )
        await accounts.at_most(AT_ONCE, mints)

    async def _register(self) -> None:
        """Stations, gateways and the wall box's meter."""
        for station in self._settings.stations:
            await self._ev_users.register_station(station.station)
        for gateway in self._settings.gateways:
            await self._ev_users.register_gateway(
                gateway.gateway_id,
                certificate_sha256=gateway.certificate_sha256,
                stations=gateway.stations,
            )
        box = self._settings.producer.wall_box
        if box is not None:
            await self._ev_users.register_meter(
                box.meter_ref, epoch=box.epoch, gateway_id=box.gateway_id, rated_w=box.rated_w
            )

    async def run(self) -> None:
        """The day's loops; returns at the end of the run."""
        async with asyncio.TaskGroup() as group:
            for role in (self._oracle, self._producer, self._industry):
                group.create_task(role.run())

    async def close(self) -> dict[str, Any]:
        """Offers back, credits swept, the producer paid out; returns what the roles counted."""
        await self._producer.close()
        await self._industry.close()
        producer_id = self._settings.producer.member_id
        paid_mtok = await self._desk.pay_out(producer_id, f"payout:{producer_id}:1")
        supply = await self._desk.supply()
        entries = await accounts.history(self._representatives["ProducerMSP"], producer_id)
        return {
            "counts": self.counts,
            "paid_out_mtok": paid_mtok,
            "supply_mtok": supply.supply_mtok,
            "producer_history": Counter(entry["type"] for entry in entries),
        }

    @property
    def counts(self) -> dict[str, Counter[str]]:
        """Posts and refusals of each role."""
        return {
            "oracle": self._oracle.counts,
            "producer": self._producer.seat.counts,
            "industry": self._industry.seat.counts,
        }


def _effective_from(settings: Settings, tariff: Tariff, span: Span) -> int:
    """In effect before the run, whatever its date."""
    if settings.effective_from is not None:
        return settings.effective_from
    own_s = int(tariff.effective_from.timestamp()) // INTERVAL_S * INTERVAL_S
    return min(own_s, span.begin_s - DAY_S)


def _producer(
    settings: Settings, ledger: LedgerPort, schedule: Schedule, *, offset_and_begin_s: tuple[int, int]
) -> Producer:
    plant = settings.producer
    utc_offset_s, begin_s = offset_and_begin_s
    return Producer(
        seat=Seat(
            ledger=ledger,
            member_id=plant.member_id,
            zone=settings.zone,
            product="CHARGE",
            schedule=schedule,
        ),
        plant=Plant(
            meter_ref=plant.meter_ref,
            epoch=plant.epoch,
            sun=read_sun(plant.sun, peak_w=plant.peak_w, performance_bp=plant.performance_bp),
            utc_offset_s=utc_offset_s,
            begin_s=begin_s,
            evidence_key=bytes.fromhex(plant.evidence_key_hex),
        ),
        wall_box=None
        if plant.wall_box is None
        else WallBox(
            buyer_id=plant.wall_box.buyer_id,
            meter_ref=plant.wall_box.meter_ref,
            epoch=plant.wall_box.epoch,
            energy_wh=plant.wall_box.energy_wh,
        ),
    )


def _industry(settings: Settings, ledger: LedgerPort, schedule: Schedule, *, tariff: Tariff) -> Industry:
    site = settings.industry
    return Industry(
        seat=Seat(
            ledger=ledger,
            member_id=site.member_id,
            zone=settings.zone,
            product="DISCHARGE",
            schedule=schedule,
        ),
        load=read_load(site.load, annual_mwh=site.annual_mwh),
        utc_offset_s=tariff.utc_offset_s if settings.utc_offset_s is None else settings.utc_offset_s,
        offer_mtok=site.offer_mtok,
        limit_mtok_per_kwh=tariff.ceiling_mtok_per_kwh("DISCHARGE"),
    )
