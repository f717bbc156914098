"""Post and look up the inputs of a price: dated tariffs, hourly floors, supply and demand.

Decides who may post what and until when. A tariff is never edited, only superseded; after the cut-off no input of
an interval's price can change. Source: docs/contract.md, PostTariff in full; docs/ledger.md, Price.
"""

from dataclasses import dataclass
from typing import Annotated

from edgegw.contract import keys
from edgegw.contract.call_state import CallState
from edgegw.contract.codec import (
    Digest,
    EnergyWh,
    Ident,
    Period,
    Price,
    Product,
    Reference,
    Seconds,
    Whole,
    unpack,
    values,
)
from edgegw.contract.codes import CHARGE, DISCHARGE, EV_MSP, INDUSTRY_MSP, PRODUCER_MSP, Code, Refusal
from edgegw.contract.intervals import cut_off_ms, require_aligned
from edgegw.contract.periods import Calendar, Hours, require_complete
from edgegw.contract.records import Load

HOUR_S = 3600
PERIODS = ("light", "mid", "peak")
SIDES = {
    CHARGE: {"supply": PRODUCER_MSP, "demand": EV_MSP},
    DISCHARGE: {"supply": EV_MSP, "demand": INDUSTRY_MSP},
}
UtcOffset = Annotated[int, Whole(-50_400, 50_400)]
Rates = dict[Product, dict[Ident, dict[Period, Price]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PostTariff:
    """Arguments of `PostTariff`. Hours are ranges of minutes of the local day; rates are by product, season, period."""

    tariff_id: Reference
    zone: Ident
    effective_from: Seconds
    utc_offset_s: UtcOffset
    document_hash: Digest
    calendar: Calendar
    periods: dict[Ident, Hours]
    ceilings: Rates
    floors: Rates


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff(PostTariff):
    """A tariff as posted."""

    request: Digest
    tx_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PostFloor:
    """Arguments of `PostFloor`: the price sellers get elsewhere in one hour."""

    zone: Ident
    product: Product
    hour: Seconds
    floor: Price


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor(PostFloor):
    """A floor as posted."""

    tx_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PostLoad:
    """Arguments of `PostLoad`: the energy of the caller's own side of one interval."""

    zone: Ident
    product: Product
    interval: Seconds
    wh: EnergyWh


def post_tariff(ledger: CallState, args: PostTariff) -> Tariff:
    """Store a dated tariff; only a zone's first one may begin in the past."""
    by_id = keys.key("tariffid", args.tariff_id)
    stored = ledger.read(Tariff, by_id)
    if stored is not None:
        ledger.repeated(stored, Code.ID_CONFLICT)
        return stored
    require_aligned(args.effective_from)
    require_aligned(args.utc_offset_s)
    require_complete(args.calendar, args.periods)
    for rates in (args.ceilings, args.floors):
        _require_rates(rates, args.calendar)
    others = tariffs_of(ledger, args.zone)
    if any(other.effective_from == args.effective_from for other in others):
        raise Refusal(Code.ID_CONFLICT, "another tariff begins at that time")
    if others and args.effective_from * 1000 <= ledger.now_ms:
        raise Refusal(Code.TARIFF_IN_PAST, "a tariff is superseded in the future only")
    tariff = Tariff(**values(args), request=ledger.request, tx_id=ledger.tx_id)
    ledger.guard("tariff")
    ledger.write(by_id, tariff)
    ledger.write(keys.key("tariff", args.zone, keys.wide(args.effective_from)), tariff)
    return tariff


def _require_rates(rates: Rates, calendar: Calendar) -> None:
    seasons = calendar.seasons.keys()
    complete = rates.keys() == {CHARGE, DISCHARGE} and all(
        by_season.keys() == seasons
        and all(set(by_period) == set(PERIODS) for by_period in by_season.values())
        for by_season in rates.values()
    )
    if not complete:
        raise Refusal(Code.BAD_ARGUMENT, "rates need each product, season and period")


def tariffs_of(ledger: CallState, zone: str) -> list[Tariff]:
    """Return the zone's tariffs, oldest first."""
    return [unpack(Tariff, raw) for _, raw in ledger.scan(keys.prefix("tariff", zone))]


def tariff_at(ledger: CallState, zone: str, at_s: int) -> Tariff:
    """Return the tariff in force at an instant; refuse with `NO_TARIFF` if there is none."""
    in_force = [tariff for tariff in tariffs_of(ledger, zone) if tariff.effective_from <= at_s]
    if not in_force:
        raise Refusal(Code.NO_TARIFF, zone)
    return in_force[-1]


def post_floor(ledger: CallState, args: PostFloor) -> Floor:
    """Store an hour's floor until the cut-off of its first interval; a later call replaces it."""
    if args.hour % HOUR_S:
        raise Refusal(Code.INTERVAL_MISALIGNED, f"{args.hour} is no full hour")
    _require_open(ledger, args.hour)
    key = keys.key("floor", args.zone, args.product, keys.wide(args.hour))
    stored = ledger.read(Floor, key)
    if stored is not None and stored.floor == args.floor:
        return stored
    floor = Floor(**values(args), tx_id=ledger.tx_id)
    ledger.write(key, floor)
    return floor


def floor_at(ledger: CallState, zone: str, product: Product, *, at_s: int) -> int | None:
    """Return the posted floor of the hour that contains an instant, or None."""
    hour = at_s // HOUR_S * HOUR_S
    posted = ledger.read(Floor, keys.key("floor", zone, product, keys.wide(hour)))
    return None if posted is None else posted.floor


def post_load(ledger: CallState, args: PostLoad) -> Load:
    """Store the energy of the caller's side of an interval until the cut-off; a later call replaces it."""
    require_aligned(args.interval)
    msp = ledger.creator.msp_id
    side = next((side for side, poster in SIDES[args.product].items() if poster == msp), None)
    if side is None:
        raise Refusal(Code.WRONG_ORG, f"{msp} has no side in {args.product}")
    _require_open(ledger, args.interval)
    key = keys.key("load", args.zone, args.product, keys.wide(args.interval), msp)
    stored = ledger.read(Load, key)
    if stored is not None and stored.wh == args.wh:
        return stored
    load = Load(msp=msp, side="supply" if side == "supply" else "demand", wh=args.wh, tx_id=ledger.tx_id)
    ledger.write(key, load)
    return load


def loads_at(ledger: CallState, zone: str, product: Product, *, interval: int) -> tuple[Load, ...]:
    """Return what was posted for an interval, by organisation; an organisation that posted nothing is absent."""
    found = (
        ledger.read(Load, keys.key("load", zone, product, keys.wide(interval), msp))
        for msp in sorted(SIDES[product].values())
    )
    return tuple(load for load in found if load is not None)


def _require_open(ledger: CallState, start: int) -> None:
    if ledger.now_ms >= cut_off_ms(ledger, start):
        raise Refusal(Code.CUT_OFF_PASSED, f"nothing more is posted for {start}")
