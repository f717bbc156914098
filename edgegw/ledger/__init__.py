"""The gateway's and the participants' client of the ledger, in the order of the flow.

`identity` (who signs) -> `endorse` (propose, check the answer, sign) -> `client` (joins them all, and submits) ->
`commit` (how did it end?) -> `events`. `adapter` is the gateway's port over it; `paper` shows a block as the paper draws
it; `wire` is the only file that knows grpc; `errors` says what to do next. The same client is meant for the embedded peer
and for a Hyperledger Fabric peer.
"""

from edgegw.ledger.client import LedgerClient
from edgegw.ledger.commit import Committed, Invalid, Unknown
from edgegw.ledger.endorse import Endorsed
from edgegw.ledger.errors import (
    BusinessRefusal,
    ClockRefused,
    Conflicting,
    Forged,
    IdentityRefused,
    LedgerError,
    Mismatch,
    Misused,
    Unavailable,
    Undecided,
)
from edgegw.ledger.events import LedgerEvent

__all__ = [
    "BusinessRefusal",
    "ClockRefused",
    "Committed",
    "Conflicting",
    "Endorsed",
    "Forged",
    "IdentityRefused",
    "Invalid",
    "LedgerClient",
    "LedgerError",
    "LedgerEvent",
    "Mismatch",
    "Misused",
    "Unavailable",
    "Undecided",
    "Unknown",
]
