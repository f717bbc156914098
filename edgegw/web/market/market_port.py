"""The port between the market's pages and the representative: one member's offers, lots and trades.

Implemented by `representative.standing_offers.OfferBook`. Each method concerns the named member only, and raises
RepresentativeError.
"""

from collections.abc import Sequence
from typing import Protocol

from edgegw.ports.representative import (
    LotShown,
    NewOffer,
    RefusedRequest,
    StandingOffer,
    TradesShown,
)


class MarketPort(Protocol):
    """One organisation's offers, lots and trades."""

    async def offers(self, member_id: str) -> Sequence[StandingOffer]:
        """Return the member's open offers, newest first."""

    async def offer(self, member_id: str, new: NewOffer) -> StandingOffer | RefusedRequest:
        """Make a standing offer."""

    async def close(self, member_id: str, offer_id: str) -> RefusedRequest | None:
        """Close an offer: release what no station has reserved."""

    async def lots(self, member_id: str) -> Sequence[LotShown]:
        """Return a producer's lots with their unsold energy, newest first; expired lots included."""

    async def sold(self, member_id: str, *, bookmark: str = "", size: int = 20) -> TradesShown:
        """Return a page of the member's trades as seller or buyer, newest first."""
