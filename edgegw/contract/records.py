"""Define the records of the world state that more than one module reads, one frozen dataclass each.

An account stores only what is available. Held amounts are stored in the hold, offer or slice, pending amounts in
credits, so that no amount is stored twice. Source: docs/contract.md, Records.
"""

from dataclasses import dataclass
from typing import Literal

from edgegw.contract.codec import (
    BasisPoints,
    Count,
    Delta,
    Digest,
    Direction,
    EnergyWh,
    Epoch,
    Ident,
    Kind,
    LossBp,
    Millis,
    Ppm,
    Price,
    Product,
    Quantity,
    Reference,
    Seconds,
    Span,
)
from edgegw.contract.codes import CHARGE


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeMapping:
    """A sandbox's accelerated time; it does not advance before the real origin."""

    real_origin_ms: Millis
    ledger_origin_ms: Millis
    speed: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The channel's constants, written once under the guard key."""

    request: Digest
    channel: Ident
    formula: Literal["sdr-share/1", "mmr/1"]
    cutoff_s: Span
    hold_expiry_s: Span
    late_window_s: Span
    gain_mtok: Price
    w_min_ppm: Ppm
    w_max_ppm: Ppm
    net_fee_mtok: Price
    loss_bp: LossBp
    discharge_loss_bp: LossBp
    time: TimeMapping | None = None

    def loss_for(self, product: Product) -> int:
        """Return the basis points lost between the seller's and the buyer's meter."""
        return self.loss_bp if product == CHARGE else self.discharge_loss_bp


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """The value of guard and index keys: the transaction that wrote it."""

    tx_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A random id with a commitment, without personal data. A member that left has neither commitment nor tag."""

    request: Digest
    member_id: Ident
    kind: Kind
    msp: str
    status: Literal["ACTIVE", "SUSPENDED", "LEFT"]
    version: Count
    commitment: Digest | None = None
    dup_tag: Digest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointer:
    """The value of a key that refers to a member: for the duplicate check and the channel's supplier."""

    member_id: Ident


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What a member can spend (milli-token) and sell (Wh)."""

    member_id: Ident
    tokens: Quantity
    energy: Quantity
    version: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Credit:
    """An amount for a member, written without reading the account and swept into it later by its id."""

    tokens: Quantity
    energy: Quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """One transaction's energy (Wh) from the sources and into the sinks outside the accounts."""

    generation: Quantity = 0
    outside: Quantity = 0
    grid: Quantity = 0
    industry: Quantity = 0
    conversion: Quantity = 0
    loss: Quantity = 0
    expired: Quantity = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An entry of a member's history; the deltas add up to what the member owns, including held and pending."""

    type: str
    id: str
    tokens: Delta
    energy: Delta
    tx_id: str
    ledger_time_ms: Millis


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """A metering point for one epoch of its register. A meter of kind `EVSE` has a gateway."""

    request: Digest
    meter_ref: Ident
    epoch: Epoch
    zone: Ident
    kind: Literal["EVSE", "PLANT"]
    rated_w: EnergyWh
    gateway_id: Ident | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """A meter's register after the last recorded energy, and how much of it was counted in `interval`."""

    wh: Quantity
    interval: Seconds
    interval_wh: Quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class Lot:
    """Energy a producer's meter counted in one interval; `free` is the part that is in no offer."""

    request: Digest
    lot_id: Reference
    member_id: Ident
    meter_ref: Ident
    epoch: Epoch
    interval: Seconds
    start_wh: Quantity
    end_wh: Quantity
    wh: Quantity
    free: Quantity
    evidence_hash: Digest
    expires_at: Seconds
    tx_id: str
    ledger_time_ms: Millis


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A standing offer. `amount` and `left` are gross Wh for CHARGE, milli-token for DISCHARGE."""

    request: Digest
    offer_id: Reference
    member_id: Ident
    msp: str
    product: Product
    zone: Ident
    amount: Quantity
    left: Quantity
    limit_price: Price
    valid_from: Seconds
    valid_to: Seconds
    max_wh_per_gateway_day: EnergyWh
    status: Literal["OPEN", "CLOSED"]
    opened_at_ms: Millis
    lot_id: Reference | None = None
    lot_interval: Seconds | None = None
    lot_expires_at: Seconds | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """The part of an offer that one gateway may draw in one interval; units as in the offer."""

    request: Digest
    slice_id: Reference
    offer_id: Reference
    gateway_id: Ident
    member_id: Ident
    product: Product
    zone: Ident
    interval: Seconds
    amount: Quantity
    drawn: Quantity
    returned: Quantity
    limit_price: Price
    status: Literal["OPEN", "RETURNED"]
    lot_id: Reference | None = None

    @property
    def left(self) -> int:
        """What can still be drawn."""
        return self.amount - self.drawn - self.returned


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A driver's reservation for a session: milli-token for CHARGE, gross Wh for DISCHARGE."""

    request: Digest
    hold_id: Reference
    gateway_id: Ident
    member_id: Ident
    msp: str
    product: Product
    max_wh: EnergyWh
    limit_price: Price
    accept_retail: bool
    reserved: Quantity
    drawn: Quantity
    released: Quantity
    status: Literal["OPEN", "CLOSED"]
    opened_at_ms: Millis
    expires_at_ms: Millis

    @property
    def left(self) -> int:
        """What can still be drawn."""
        return self.reserved - self.drawn - self.released


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """The energy one organisation posted for its side of an interval."""

    msp: str
    side: Literal["supply", "demand"]
    wh: EnergyWh
    tx_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceRecord:
    """A price with all inputs it was computed from; `refusal` is set instead of `price` if the window is empty."""

    price_id: Reference
    formula: str
    zone: Ident
    product: Product
    interval: Seconds
    period: Literal["light", "mid", "peak"]
    tariff_id: Reference
    floor: Price
    floor_source: Literal["TARIFF", "POSTED"]
    ceiling: Price
    net_fee: Price
    gain: Price
    w_min_ppm: Ppm
    w_max_ppm: Ppm
    loads: tuple[Load, ...]
    supply_wh: EnergyWh
    demand_wh: EnergyWh
    raw_ppm: Ppm
    w_ppm: Ppm
    final: bool
    price: Price | None = None
    refusal: Literal["PRICE_WINDOW_EMPTY"] | None = None
    fixed_tx_id: str | None = None
    fixed_at_ms: Millis | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """A trade of metered energy: the buyer paid `amount + fee` milli-token, the seller gave `gross` Wh."""

    trade_id: Reference
    kind: Literal["MARKET", "RETAIL", "DIRECT"]
    product: Product
    zone: Ident
    interval: Seconds
    buyer: Ident
    seller: Ident
    meter_ref: Ident
    epoch: Epoch
    direction: Direction
    start_wh: Quantity
    end_wh: Quantity
    wh: EnergyWh
    gross: Quantity
    price: Price
    amount: Quantity
    fee: Quantity
    evidence_hash: Digest
    tx_id: str
    ledger_time_ms: Millis
    price_id: Reference | None = None
    tariff_id: Reference | None = None
    period: Literal["light", "mid", "peak"] | None = None
    hold_id: Reference | None = None
    slice_id: Reference | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attestation:
    """A car's dischargeable energy as its gateway measured it, and the account's energy before it was set to that."""

    request: Digest
    attest_id: Reference
    member_id: Ident
    dischargeable_wh: EnergyWh
    soc_bp: BasisPoints
    min_soc_bp: BasisPoints
    capacity_wh: EnergyWh
    evidence_hash: Digest
    before_wh: Quantity
    tx_id: str
    ledger_time_ms: Millis


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchanged:
    """Tokens minted for one deposit or burned for one payout."""

    request: Digest
    ref: Reference
    member_id: Ident
    amount: Quantity
    tx_id: str
    ledger_time_ms: Millis
