"""Prices and slices of the market that the station may use.

Decides which fixed price is usable, which slices are open, and why energy is retail. Never computes a price: the ledger's
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
    """States of a slice: requested, drawn on, given back."""

    REQUESTED = "requested"
    OPEN = "open"
    RETURNING = "returning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """The ledger's price record of an interval: the price, or why there is none; `seen_ns` is when the station saw it."""

    product: Product
    interval: int
    price_mtok_per_kwh: int | None
    ceiling_mtok_per_kwh: int | None
    refusal: str | None
    seen_ns: int

    @property
    def in_time(self) -> bool:
        """Whether it was seen committed before its interval began; a later one is not used (LATE_PRICE)."""
        return self.seen_ns < self.interval * SECOND_NS


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """This station's part of an offer for one interval; `amount` and `left` are gross Wh (CHARGE) or milli-token (DISCHARGE)."""

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
    """Return the row key of a price."""
    return f"{product}:{interval}"


def usable_price(prices: Mapping[str, Price], product: Product, interval: int) -> int | None:
    """Return the price at which this station may trade in an interval, or None."""
    price = prices.get(key(product, interval))
    if price is None or not price.in_time:
        return None
    return price.price_mtok_per_kwh


def retail_reason(prices: Mapping[str, Price], product: Product, interval: int, *, limit: int) -> str:
    """Return why energy of this interval is retail where no slice serves it."""
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
    """Return the slices that may be drawn on, in the order of their reservation."""
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
    """Return how many Wh a slice still carries at a price."""
    if item.product == CHARGE:
        return item.left
    return affordable_wh(item.left, price_mtok_per_kwh)
