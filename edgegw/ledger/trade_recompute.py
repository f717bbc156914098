"""Recompute a trade from its record, its price record and the channel's constants, and check the station's evidence.

Decides whether key, energy, amount, fee, price and time follow from their inputs, one named check each (the names are
`ports.representative.CHECKS`). Makes no calls; its input may come from a dishonest peer.
Source: docs/contract.md (A line of RecordTrades, Time, Records).
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from edgegw.common.canonical_json import canonical_json, sha256_hex
from edgegw.common.trade_terms import IMPORT, RETAIL
from edgegw.common.units import gross_wh
from edgegw.contract.codec import MalformedError, decode
from edgegw.contract.price_formula import Window, quote
from edgegw.contract.records import Config, PriceRecord, Trade
from edgegw.fabric.identity import Identity
from edgegw.ledger.block_view import TRADE
from edgegw.ports.representative import Check

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NO_CONSTANTS = "no block before this one configures the channel"


def trade_checks(
    drawn: Mapping[str, Any], *, constants: Config | None, rate: Mapping[str, Any] | None = None
) -> Iterator[Check]:
    """Yield the checks of a trade in the five fields of `block_view`.

    `rate` is a price record of a retail trade's interval; without it the ceiling is not known, and the retail price is
    not checked.
    """
    try:
        trade = decode(Trade, drawn["Value"]["trade"])
    except MalformedError as fault:
        yield Check(name="key", holds=False, detail=f"not a trade record: {fault}")
        return
    place = f"{trade.meter_ref}:{trade.epoch}:{trade.direction}:{trade.start_wh}"
    yield Check(name="key", holds=drawn["KEY"] == TRADE + place and trade.trade_id == place, detail=place)
    yield _energy(trade, constants)
    amount = _money(trade.price, trade)
    yield _equal("amount", trade.amount, amount)
    derivation = drawn["Proof"]["price_derivation"]
    if trade.price_id is not None:
        wrong = _price_fault(trade, derivation, constants)
        yield Check(name="price", holds=not wrong, detail=wrong or str(trade.price))
    elif rate is not None:
        yield _equal("price", trade.price, _ceiling(rate))
    yield _equal("fee", trade.fee, _fee(trade, constants))
    yield _timestamp(trade, drawn["Timestamp"]["real"], constants)


def _equal(name: str, stands: int, made: int | None) -> Check:
    holds = stands == made
    return Check(
        name=name, holds=holds, detail=str(stands) if holds else f"recorded {stands}, computed {made}"
    )


def _money(price_mtok_per_kwh: int, trade: Trade) -> int:
    """Return the price of the registers' difference (not of the record's `wh`), rounded half up to the milli-token."""
    return (price_mtok_per_kwh * (trade.end_wh - trade.start_wh) + 500) // 1000


def _energy(trade: Trade, constants: Config | None) -> Check:
    moved_wh = trade.end_wh - trade.start_wh
    if moved_wh <= 0 or trade.wh != moved_wh:
        return Check(
            name="energy",
            holds=False,
            detail=f"recorded {trade.wh} Wh, the registers differ by {moved_wh} Wh",
        )
    if constants is None:
        return Check(name="energy", holds=False, detail=_NO_CONSTANTS)
    given_wh = moved_wh if trade.kind == RETAIL else gross_wh(moved_wh, constants.loss_for(trade.product))
    holds = trade.gross == given_wh
    return Check(
        name="energy",
        holds=holds,
        detail=str(moved_wh) if holds else f"{trade.gross} was given, not {given_wh}",
    )


def _fee(trade: Trade, constants: Config | None) -> int | None:
    if constants is None:
        return None
    return _money(0 if trade.kind == RETAIL else constants.net_fee_mtok, trade)


def _ceiling(rate: Mapping[str, Any]) -> int | None:
    try:
        return decode(PriceRecord, rate).ceiling
    except MalformedError:
        return None


def _price_fault(trade: Trade, derivation: Mapping[str, Any], constants: Config | None) -> str:
    """Return the fault of a market price, or an empty string if it is correct."""
    if constants is None:
        return _NO_CONSTANTS
    try:
        made = decode(PriceRecord, derivation)
    except MalformedError as fault:
        return f"not a price record: {fault}"
    window = Window(
        floor=made.floor,
        ceiling=made.ceiling,
        net_fee=constants.net_fee_mtok,
        gain=constants.gain_mtok,
        w_min_ppm=constants.w_min_ppm,
        w_max_ppm=constants.w_max_ppm,
    )
    posted = {side: sum(load.wh for load in made.loads if load.side == side) for side in ("supply", "demand")}
    if (made.price_id, made.zone, made.product, made.interval, made.final) != (
        *(trade.price_id, trade.zone, trade.product, trade.interval),
        True,
    ):
        return "the price record does not match the trade, or is not fixed"
    if (made.supply_wh, made.demand_wh) != (posted["supply"], posted["demand"]):
        return "supply and demand are not the sums of what was posted"
    price = quote(constants.formula, window, supply_wh=made.supply_wh, demand_wh=made.demand_wh).price
    if not price == made.price == trade.price:
        return f"{trade.price} was paid, {made.price} is on record, the formula makes {price}"
    return ""


def _timestamp(trade: Trade, real: str, constants: Config | None) -> Check:
    """Check that ledger time follows from the transaction's own time and is not before the interval."""
    if constants is None:
        return Check(name="timestamp", holds=False, detail=_NO_CONSTANTS)
    made_ms = (datetime.fromisoformat(real) - _EPOCH) // timedelta(milliseconds=1)
    if constants.time is not None:
        clock = constants.time
        made_ms = clock.ledger_origin_ms + max(0, made_ms - clock.real_origin_ms) * clock.speed
    if trade.ledger_time_ms >= trade.interval * 1000:
        return _equal("timestamp", trade.ledger_time_ms, made_ms)
    return Check(name="timestamp", holds=False, detail=f"before interval {trade.interval} began")


def evidence_checks(fact: Mapping[str, Any], trade: Trade, signers: Sequence[Identity]) -> tuple[Check, ...]:
    """Check a station's own evidence of a trade (journal fact `evidence`) against the ledger's record.

    One of `signers`, the certificates the station may have used, must have signed the evidence.
    """
    try:
        evidence = fact["evidence"]
        text = canonical_json(evidence)
        signature = bytes.fromhex(fact["signature"])
        (before, _), (_, after) = evidence["start"], evidence["end"]
        column = 2 if trade.direction == IMPORT else 3
        first_wh, last_wh = (int(reading[column]) // 1000 for reading in (before, after))
    except (KeyError, ValueError, TypeError, IndexError):
        return (Check(name="evidence_hash", holds=False, detail="no evidence can be read out of it"),)
    digest = sha256_hex(text)
    about = evidence.get("tradeId")
    signed = any(one.verify(text.encode("utf-8", "surrogatepass"), signature) for one in signers)
    return (
        Check(
            name="evidence_hash",
            holds=digest == trade.evidence_hash and about == trade.trade_id,
            detail=digest,
        ),
        Check(name="evidence_signature", holds=signed, detail=", ".join(one.msp_id for one in signers)),
        Check(
            name="evidence_registers",
            holds=first_wh <= trade.start_wh < trade.end_wh <= last_wh,
            detail=f"{first_wh} to {last_wh}",
        ),
    )
