"""What a member has given out of its account and not got back: open holds, offers and slices.

Decides what "held" means: the sum of what is left in open positions, found through the index
`pos~member~kind~id`. Drawing from a position touches neither account nor index, so settling never contends.
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
    """Milli-token and Wh."""

    tokens: int
    energy: int


def opened(ledger: CallState, position: Position) -> None:
    """Index a position that just opened."""
    ledger.mark(_index(position))


def closed(ledger: CallState, position: Position) -> None:
    """Take a position that ended out of the index."""
    ledger.remove(_index(position))


def _index(position: Position) -> str:
    if isinstance(position, Hold):
        return keys.key("pos", position.member_id, "hold", position.hold_id)
    if isinstance(position, Slice):
        return keys.key("pos", position.member_id, "slice", position.slice_id)
    return keys.key("pos", position.member_id, "offer", position.offer_id)


def held_by(ledger: CallState, member_id: str | None = None) -> Sums:
    """What is left in the open positions of one member, or of all."""
    start = keys.prefix("pos") if member_id is None else keys.prefix("pos", member_id)
    tokens = energy = 0
    for key, _ in ledger.scan(start):
        _, _, kind, position_id = key.split("~")
        position = ledger.read(_CLASS[kind], keys.key(kind, position_id))
        assert position is not None, key
        # A charging driver holds tokens, its seller energy; discharging it is the other way round.
        if (kind == "hold") == (position.product == CHARGE):
            tokens += position.left
        else:
            energy += position.left
    return Sums(tokens=tokens, energy=energy)
