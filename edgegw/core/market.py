"""What the station may use of the market: fixed prices seen in time, and its own slices of standing offers.

Decides how much of a segment is market energy and why the rest is retail. Never prices anything itself: the ledger's
record holds. Source: docs/ledger.md, Price and Retail.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from edgegw.common import trade_terms
from edgegw.common.trade_terms import Product
from edgegw.common.units import SECOND_NS, affordable_wh

CHARGE: Final = trade_terms.CHARGE
DISCHARGE: Final = trade_terms.DISCHARGE


class SliceState(StrEnum):
    """A slice is asked for, then drawn on, then given back."""

    REQUESTED = "requested"
    OPEN = "open"
    RETURNING = "returning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """The ledger's record of one interval: a price, or the refusal that left none; when this station saw it."""

    product: Product
    interval: int
    price_mtok_per_kwh: int | None
    ceiling_mtok_per_kwh: int | None
    refusal: str | None
    seen_ns: int

    @property
    def in_time(self) -> bool:
        """Seen committed before its interval began; a later one is not used (LATE_PRICE)."""
        return self.seen_ns < self.interval * SECOND_NS


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """This station's part of a standing offer for one interval: gross Wh (CHARGE) or milli-token (DISCHARGE)."""

    slice_id: str
    number: int
    offer_id: str
    product: Product
    interval: int
    amount: int
    left: int
    limit_mtok_per_kwh: int
    state: SliceState = SliceState.REQUESTED


def key(product: Product, interval: int) -> str:
    """Row key of a price."""
    return f"{product}:{interval}"


def usable_price(prices: Mapping[str, Price], product: Product, interval: int) -> int | None:
    """The price this station may trade at in an interval, or None."""
    price = prices.get(key(product, interval))
    if price is None or not price.in_time:
        return None
    return price.price_mtok_per_kwh


def retail_reason(prices: Mapping[str, Price], product: Product, interval: int, *, limit: int) -> str:
    """Why energy of this interval is retail, given that no slice served it."""
    price = prices.get(key(product, interval))
    if price is None:
        return "PRICE_NOT_FIXED"
    if price.refusal is not None:
        return "PRICE_WINDOW_EMPTY"
    if not price.in_time:
        return "LATE_PRICE"
    if price.price_mtok_per_kwh is not None and price.price_mtok_per_kwh > limit:
        return "PRICE_LIMIT"
    return "NO_SLICE"


def open_slices(slices: Iterable[Slice], product: Product, interval: int) -> list[Slice]:
    """Slices that may be drawn on, in the order they were reserved."""
    usable = [
        item
        for item in slices
        if item.product == product
        and item.interval == interval
        and item.state is SliceState.OPEN
        and item.left > 0
    ]
    return sorted(usable, key=lambda item: item.number)


def slice_wh(item: Slice, price_mtok_per_kwh: int) -> int:
    """How many Wh this slice still carries at a price."""
    if item.product == CHARGE:
        return item.left
    return affordable_wh(item.left, price_mtok_per_kwh)
