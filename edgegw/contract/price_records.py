"""Derive, fix and read the price of a zone, product and interval.

Decides when a price may be fixed; a fixed price never changes. All inputs are read from the world state, so a caller
cannot influence the result.
Source: docs/ledger.md, Price.
"""

from dataclasses import dataclass, replace

from edgegw.contract import keys
from edgegw.contract.call_state import CallState
from edgegw.contract.codec import Ident, Product, Seconds
from edgegw.contract.codes import Code, Refusal
from edgegw.contract.intervals import cut_off_ms, require_aligned, require_before
from edgegw.contract.periods import season_and_period
from edgegw.contract.price_formula import Window, quote
from edgegw.contract.records import PriceRecord
from edgegw.contract.tariffs import floor_at, loads_at, tariff_at


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceQuery:
    """Arguments of `DetermineCost`, `FixPrice` and `GetPrice`."""

    zone: Ident
    product: Product
    interval: Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """An interval's retail price by tariff (`ceiling`, milli-token per kWh), with the tariff and its load period."""

    tariff_id: str
    period: str
    ceiling: int


def determine_cost(ledger: CallState, args: PriceQuery) -> PriceRecord:
    """Return the fixed price, or a preview from what is posted so far; refuse if the window is empty."""
    require_aligned(args.interval)
    record = stored_price(ledger, args) or _derive(ledger, args)
    if record.price is None:
        raise Refusal(Code.PRICE_WINDOW_EMPTY, record.price_id)
    return record


def fix_price(ledger: CallState, args: PriceQuery) -> PriceRecord:
    """Return the interval's price record; the first call between cut-off and interval start creates it."""
    require_aligned(args.interval)
    stored = stored_price(ledger, args)
    if stored is not None:
        return stored
    require_before(ledger, args.interval)
    if ledger.now_ms < cut_off_ms(ledger, args.interval):
        raise Refusal(Code.CUT_OFF_OPEN, f"{args.interval} is still being posted for")
    record = replace(_derive(ledger, args), final=True, fixed_tx_id=ledger.tx_id, fixed_at_ms=ledger.now_ms)
    ledger.write(_key(args), record)
    return record


def get_price(ledger: CallState, args: PriceQuery) -> PriceRecord:
    """Return the fixed record, even one with a `refusal`; refuse with `PRICE_NOT_FIXED` if there is none."""
    return ledger.need(PriceRecord, _key(args), Code.PRICE_NOT_FIXED)


def stored_price(ledger: CallState, query: PriceQuery) -> PriceRecord | None:
    """Return the fixed record, or None."""
    return ledger.read(PriceRecord, _key(query))


def market_price(ledger: CallState, query: PriceQuery) -> tuple[PriceRecord, int]:
    """Return the fixed record and its price; refuse if no price is fixed or the window is empty."""
    record = get_price(ledger, query)
    if record.price is None:
        raise Refusal(Code.PRICE_WINDOW_EMPTY, record.price_id)
    return record, record.price


def retail_rate(ledger: CallState, query: PriceQuery) -> Rate:
    """Return the tariff's ceiling of an interval, at which retail energy is sold."""
    tariff = tariff_at(ledger, query.zone, query.interval)
    season, period = season_and_period(tariff.calendar, tariff.periods, query.interval + tariff.utc_offset_s)
    return Rate(
        tariff_id=tariff.tariff_id, period=period, ceiling=tariff.ceilings[query.product][season][period]
    )


def _key(query: PriceQuery) -> str:
    return keys.key("price", query.zone, query.product, keys.wide(query.interval))


def _derive(ledger: CallState, query: PriceQuery) -> PriceRecord:
    cfg = ledger.cfg
    tariff = tariff_at(ledger, query.zone, query.interval)
    season, period = season_and_period(tariff.calendar, tariff.periods, query.interval + tariff.utc_offset_s)
    posted = floor_at(ledger, query.zone, query.product, at_s=query.interval)
    loads = loads_at(ledger, query.zone, query.product, interval=query.interval)
    supply_wh = sum(load.wh for load in loads if load.side == "supply")
    demand_wh = sum(load.wh for load in loads if load.side == "demand")
    window = Window(
        floor=tariff.floors[query.product][season][period] if posted is None else posted,
        ceiling=tariff.ceilings[query.product][season][period],
        net_fee=cfg.net_fee_mtok,
        gain=cfg.gain_mtok,
        w_min_ppm=cfg.w_min_ppm,
        w_max_ppm=cfg.w_max_ppm,
    )
    result = quote(cfg.formula, window, supply_wh=supply_wh, demand_wh=demand_wh)
    return PriceRecord(
        price_id=f"{query.zone}:{query.product}:{query.interval}",
        formula=cfg.formula,
        zone=query.zone,
        product=query.product,
        interval=query.interval,
        period=period,
        tariff_id=tariff.tariff_id,
        floor=window.floor,
        floor_source="TARIFF" if posted is None else "POSTED",
        ceiling=window.ceiling,
        net_fee=window.net_fee,
        gain=window.gain,
        w_min_ppm=window.w_min_ppm,
        w_max_ppm=window.w_max_ppm,
        loads=loads,
        supply_wh=supply_wh,
        demand_wh=demand_wh,
        raw_ppm=result.raw_ppm,
        w_ppm=result.w_ppm,
        final=False,
        price=result.price,
        refusal=None if result.price is not None else "PRICE_WINDOW_EMPTY",
    )
