"""Check what every trade needs: its id, the meter, register continuity, the interval's price and the amounts.

Runs before anything is written. Source: docs/ledger.md, Trades and Units.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from edgegw.common.units import amount_mtok, gross_wh
from edgegw.contract import keys
from edgegw.contract.call_state import CallState
from edgegw.contract.codec import (
    Digest,
    Direction,
    Epoch,
    Ident,
    Product,
    Reference,
    RegisterWh,
    Seconds,
    values,
)
from edgegw.contract.codes import CHARGE, DISCHARGE, GATEWAY, Code, Refusal
from edgegw.contract.metering import advance, meter_of, traded_key
from edgegw.contract.price_records import PriceQuery, market_price
from edgegw.contract.records import Meter, Register, Trade

DIRECTION_OF: Mapping[Product, Direction] = {CHARGE: "import", DISCHARGE: "export"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The energy a meter counted in one direction within one interval, as two register values."""

    trade_id: Reference
    meter_ref: Ident
    epoch: Epoch
    direction: Direction
    start_wh: RegisterWh
    end_wh: RegisterWh
    interval: Seconds
    evidence_hash: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Deal:
    """Parties, price, amounts and price source of a trade, before it is written."""

    buyer: str
    seller: str
    price: int
    amount: int
    fee: int
    gross: int
    price_id: str | None = None
    tariff_id: str | None = None
    period: str | None = None


def stored_trade(ledger: CallState, reading: Reading) -> Trade | None:
    """Return the trade stored under the reading's id, or None; refuse an id that does not match the reading."""
    derived = f"{reading.meter_ref}:{reading.epoch}:{reading.direction}:{reading.start_wh}"
    if reading.trade_id != derived:
        raise Refusal(Code.BAD_ARGUMENT, "tradeId is meterRef:epoch:direction:startWh")
    return ledger.read(Trade, keys.key("trade", reading.trade_id))


def meter_for(ledger: CallState, reading: Reading, kind: Literal["EVSE", "PLANT"]) -> Meter:
    """Return the reading's meter; refuse one of another kind and, to a gateway, another gateway's."""
    meter = meter_of(ledger, reading.meter_ref, reading.epoch)
    if meter.kind != kind:
        raise Refusal(Code.WRONG_KIND, f"{meter.meter_ref} is no {kind} meter")
    if ledger.creator.role == GATEWAY and meter.gateway_id != ledger.creator.gateway_id:
        raise Refusal(Code.NOT_AUTHORISED, "the meter is another gateway's")
    return meter


def next_register(ledger: CallState, meter: Meter, reading: Reading) -> Register:
    """Return the traded register after the reading; refuse what the meter cannot have counted."""
    key = traded_key(meter, reading.direction)
    return advance(ledger, meter, key, interval=reading.interval, span=(reading.start_wh, reading.end_wh))


def market_deal(ledger: CallState, query: PriceQuery, *, parties: tuple[str, str], wh: int) -> Deal:
    """Return the deal for `wh` at the interval's fixed price; `parties` is buyer and seller."""
    record, price = market_price(ledger, query)
    return Deal(
        buyer=parties[0],
        seller=parties[1],
        price=price,
        amount=amount_mtok(price, wh),
        fee=amount_mtok(record.net_fee, wh),
        gross=gross_wh(wh, ledger.cfg.loss_for(query.product)),
        price_id=record.price_id,
    )


def common_fields(ledger: CallState, reading: Reading, *, query: PriceQuery, deal: Deal) -> dict[str, Any]:
    """Return the fields that a trade copies from its reading and its deal."""
    return {
        **{name: getattr(reading, name) for name in Reading.__dataclass_fields__},
        **values(deal),
        "product": query.product,
        "zone": query.zone,
        "wh": reading.end_wh - reading.start_wh,
        "tx_id": ledger.tx_id,
        "ledger_time_ms": ledger.now_ms,
    }
