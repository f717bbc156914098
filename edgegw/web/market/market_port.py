"""What these pages ask of the representative about one member's offers and trades: a port.

Decides the questions. `representative.standing_offers.OfferBook` answers them; each method tells of the named member only, and raises
OfficeError.
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
        """The member's open offers, newest first."""

    async def offer(self, member_id: str, new: NewOffer) -> StandingOffer | RefusedRequest:
        """Make a standing offer."""

    async def close(self, member_id: str, offer_id: str) -> RefusedRequest | None:
        """Take back what no station has reserved."""

    async def lots(self, member_id: str) -> Sequence[LotShown]:
        """What a producer generated and has not put into an offer, newest first."""

    async def sold(self, member_id: str, *, bookmark: str = "", size: int = 20) -> TradesShown:
        """The member's trades, whichever side it was on, newest first."""
