"""Builds the roles of the other organisations, opens the market, runs the roles and closes the market.

Decides the order (constants, members, deposits, tariff and floors, meters, loads; at the end offers, sweep, payout) and
which identity each role uses; nothing else.
Source: docs/ledger.md, Who takes part; docs/contract.md, Functions.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from edgegw.common.clock import Clock, StationClock
from edgegw.common.trade_terms import CHARGE, DISCHARGE
from edgegw.common.units import INTERVAL_S, SECOND_NS, interval_of
from edgegw.participants.industry import Industry
from edgegw.participants.load_profiles import read_load, read_sun
from edgegw.participants.market_client import MarketClient
from edgegw.participants.oracle import Oracle
from edgegw.participants.producer import Plant, Producer, WallBox
from edgegw.participants.settings import ConstantsSettings, Settings
from edgegw.participants.tariff_file import Tariff, read_tariff
from edgegw.representative import ledger_accounts
from edgegw.representative.ledger_accounts import KIND_MSP
from edgegw.representative.ledger_port import LedgerPort
from edgegw.representative.ledger_role import RepresentativeRole
from edgegw.representative.posting_schedule import DAY_S, NEVER_S, Schedule
from edgegw.representative.token_issuance import Deposit, ExchangeDesk, Teller

AT_ONCE = 8
Role = Literal["representative", "oracle", "producer", "industry", "desk"]
ROLES: tuple[Role, ...] = ("representative", "oracle", "producer", "industry", "desk")
SEATS: Mapping[str, Role] = {
    "EVUserMSP": "representative",
    "ProducerMSP": "producer",
    "IndustryMSP": "industry",
}
"""The role that signs up the members of each organisation."""
Connect = Callable[[str, str], LedgerPort]
"""Returns the ledger as an organisation's identity calls it, by MSP id and name: (`ProducerMSP`, `oracle`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The run in UTC epoch seconds: its first quarter hour, and the end, from which no interval is served."""

    begin_s: int
    end_s: int

    @classmethod
    def of(cls, clock: StationClock, settings: Settings) -> "Span":
        """Return the span of the settings, else of the clock's mapping, else from now on without an end."""
        mapping = clock.mapping
        begin_s, end_s = settings.begin_s, settings.end_s
        if begin_s is None:
            begin_s = interval_of(clock.now_ns() if mapping is None else mapping.utc_origin_ns)
        if end_s is None and mapping is not None and mapping.utc_end_ns is not None:
            end_s = mapping.utc_end_ns // SECOND_NS
        return cls(begin_s=begin_s, end_s=NEVER_S if end_s is None else end_s)


class Consortium:
    """Oracle, producer, industry, exchange desk, and the representatives that sign members up; or some of them.

    `listed` returns all deposits where their list has changed, else None; the exchange desk polls it.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        connect: Connect,
        clock: Clock,
        span: Span,
        roles: Collection[Role] = ROLES,
        listed: Callable[[], Sequence[Deposit] | None] = lambda: None,
    ) -> None:
        tariff = read_tariff(settings.tariff)
        schedule = Schedule(clock=clock, cutoff_s=settings.cutoff_s, end_s=span.end_s)
        self._settings = settings
        self._connect = connect
        self._effective_from = _effective_from(settings, tariff, span)
        self._representatives = {
            msp: connect(msp, "representative") for msp, role in SEATS.items() if role in roles
        }
        self._ev_users: RepresentativeRole | None = None
        self._teller: Teller | None = None
        self._oracle: Oracle | None = None
        self._producer: Producer | None = None
        self._industry: Industry | None = None
        if "representative" in roles:
            ledger = self._representatives["EVUserMSP"]
            self._ev_users = RepresentativeRole(ledger, zone=settings.zone, schedule=schedule)
        if "desk" in roles:
            self._teller = Teller(desk=ExchangeDesk(ledger=connect("EVUserMSP", "exchange")), listed=listed)
        if "oracle" in roles:
            self._oracle = _oracle(settings, connect("ProducerMSP", "oracle"), schedule, tariff=tariff)
        if "producer" in roles:
            since = _utc_offset_s(settings, tariff), span.begin_s
            ledger = self._representatives["ProducerMSP"]
            self._producer = _producer(settings, ledger, schedule, offset_and_begin_s=since)
        if "industry" in roles:
            ledger = self._representatives["IndustryMSP"]
            self._industry = _industry(settings, ledger, schedule, tariff=tariff)

    @property
    def _traders(self) -> list[Oracle | Producer | Industry]:
        return [role for role in (self._oracle, self._producer, self._industry) if role is not None]

    async def open(self) -> None:
        """Write everything to the ledger that the first session needs; may be repeated."""
        if self._settings.constants is not None and self._ev_users is not None:
            await self._configure(self._settings.constants)
        await self._enrol()
        if self._oracle is not None:
            await self._oracle.post_tariff(self._effective_from)
        if self._ev_users is not None:
            await self._register(self._ev_users)
        async with asyncio.TaskGroup() as group:
            for role in self._traders:
                group.create_task(role.open())

    async def _configure(self, constants: ConstantsSettings) -> None:
        """Write the channel's constants; a repeat must have the same values."""
        arguments: dict[str, Any] = {
            "channel": self._settings.channel,
            "cutoffS": self._settings.cutoff_s,
        }
        if constants.time is not None:
            arguments["time"] = {
                "realOriginMs": constants.time.real_origin_ms,
                "ledgerOriginMs": constants.time.ledger_origin_ms,
                "speed": constants.time.speed,
            }
        await self._connect("EVUserMSP", "admin").execute("Configure", arguments)

    async def _enrol(self) -> None:
        """Sign members up, commit to changed profiles, mint deposits."""
        sign_ups = (
            ledger_accounts.sign_up(self._representatives[KIND_MSP[member.kind]], member.enrolment)
            for member in self._settings.members
            if KIND_MSP[member.kind] in self._representatives
        )
        await ledger_accounts.at_most(AT_ONCE, sign_ups)
        if self._ev_users is not None:
            for change in self._settings.changes:
                await self._ev_users.change(
                    change.member_id, expected_version=change.expected_version, commitment=change.commitment
                )
        if self._teller is not None:
            await self._teller.open(self._settings.all_deposits)

    async def _register(self, ev_users: RepresentativeRole) -> None:
        """Register stations, gateways and the wall box's meter."""
        for station in self._settings.stations:
            await ev_users.register_station(station.station)
        for gateway in self._settings.gateways:
            await ev_users.register_gateway(
                gateway.gateway_id,
                certificate_sha256=gateway.certificate_sha256,
                stations=gateway.stations,
            )
        box = self._settings.producer.wall_box
        if box is not None:
            await ev_users.register_meter(
                box.meter_ref, epoch=box.epoch, gateway_id=box.gateway_id, rated_w=box.rated_w
            )

    async def run(self) -> None:
        """Run the roles; return at the end of the run."""
        async with asyncio.TaskGroup() as group:
            telling = None
            if self._teller is not None:
                telling = group.create_task(self._teller.run(self._settings.all_deposits))
            trading = [group.create_task(role.run()) for role in self._traders]
            if trading and telling is not None:
                await asyncio.wait(trading)
                telling.cancel()

    async def close(self) -> dict[str, Any]:
        """Close offers, sweep credits and pay the producer out; return the counts and totals. Needs all roles."""
        assert self._producer is not None
        assert self._industry is not None
        assert self._teller is not None
        await self._producer.close()
        await self._industry.close()
        producer_id = self._settings.producer.member_id
        paid_mtok = await self._teller.desk.pay_out(producer_id, f"payout:{producer_id}:1")
        supply = await self._teller.desk.supply()
        entries = await ledger_accounts.history(self._representatives["ProducerMSP"], producer_id)
        return {
            "counts": self.counts,
            "paid_out_mtok": paid_mtok,
            "supply_mtok": supply.supply_mtok,
            "producer_history": Counter(entry["type"] for entry in entries),
        }

    @property
    def counts(self) -> dict[str, Counter[str]]:
        """Posts and refusals by role, for the roles of this process."""
        found: dict[str, Counter[str]] = {}
        if self._oracle is not None:
            found["oracle"] = self._oracle.counts
        if self._producer is not None:
            found["producer"] = self._producer.market_client.counts
        if self._industry is not None:
            found["industry"] = self._industry.market_client.counts
        if self._teller is not None:
            found["desk"] = self._teller.counts
        return found


def _utc_offset_s(settings: Settings, tariff: Tariff) -> int:
    return tariff.utc_offset_s if settings.utc_offset_s is None else settings.utc_offset_s


def _effective_from(settings: Settings, tariff: Tariff, span: Span) -> int:
    """Return the instant from which the tariff applies: before the run, also where its own date is later."""
    if settings.effective_from is not None:
        return settings.effective_from
    own_s = int(tariff.effective_from.timestamp()) // INTERVAL_S * INTERVAL_S
    return min(own_s, span.begin_s - DAY_S)


def _oracle(settings: Settings, ledger: LedgerPort, schedule: Schedule, *, tariff: Tariff) -> Oracle:
    return Oracle(
        ledger=ledger,
        tariff=tariff,
        zone=settings.zone,
        utc_offset_s=_utc_offset_s(settings, tariff),
        schedule=schedule,
    )


def _producer(
    settings: Settings, ledger: LedgerPort, schedule: Schedule, *, offset_and_begin_s: tuple[int, int]
) -> Producer:
    plant = settings.producer
    utc_offset_s, begin_s = offset_and_begin_s
    return Producer(
        market_client=MarketClient(
            ledger=ledger,
            member_id=plant.member_id,
            zone=settings.zone,
            product=CHARGE,
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
        market_client=MarketClient(
            ledger=ledger,
            member_id=site.member_id,
            zone=settings.zone,
            product=DISCHARGE,
            schedule=schedule,
        ),
        load=read_load(site.load, annual_mwh=site.annual_mwh),
        utc_offset_s=_utc_offset_s(settings, tariff),
        offer_mtok=site.offer_mtok,
        limit_mtok_per_kwh=tariff.ceiling_mtok_per_kwh(DISCHARGE),
    )
