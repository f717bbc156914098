"""Index a member's open holds, offers and slices, and add up what they hold.

"Held" is the sum of what is left in open positions, found through the index `pos~member~kind~id`. Drawing from a
position reads and writes neither account nor index, so settlements never contend for them.
"""

from dataclasses import dataclass

from edgegw.contract import keys
from edgegw.contract.call_state import CallState
from edgegw.contract.codes import CHARGE
from edgegw.contract.records import Hold, Offer, Slice

Position = Hold | Offer | Slice
_CLASS: dict[str, type[Position]] = {"hold": Hold, "offer": Offer, "slice": Slice}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """Sums in milli-token (`tokens`) and Wh (`energy`)."""

    tokens: int
    energy: int


def opened(ledger: CallState, position: Position) -> None:
    """Add a new position to the index."""
    ledger.mark(_index(position))


def closed(ledger: CallState, position: Position) -> None:
    """Remove a closed position from the index."""
    ledger.remove(_index(position))


def _index(position: Position) -> str:
    if isinstance(position, Hold):
        return keys.key("pos", position.member_id, "hold", position.hold_id)
    if isinstance(position, Slice):
        return keys.key("pos", position.member_id, "slice", position.slice_id)
    return keys.key("pos", position.member_id, "offer", position.offer_id)


def held_by(ledger: CallState, member_id: str | None = None) -> Sums:
    """Return what is left in the open positions of one member, or of all members."""
    start = keys.prefix("pos") if member_id is None else keys.prefix("pos", member_id)
    tokens = energy = 0
    for key, _ in ledger.scan(start):
        _, _, kind, position_id = key.split("~")
        position = ledger.read(_CLASS[kind], keys.key(kind, position_id))
        assert position is not None, key
        # A charging driver holds tokens and the seller energy; when discharging it is the reverse.
        if (kind == "hold") == (position.product == CHARGE):
            tokens += position.left
        else:
            energy += position.left
    return Sums(tokens=tokens, energy=energy)
