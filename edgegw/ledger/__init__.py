"""The gateway's and the participants' client of the ledger, in the order of the flow.

`identity` (who signs; `renewal`: with the certificate that is there now; `token`: with a key in hardware) -> `peers`
(which of the organisation's peers is asked) -> `endorse` (propose, check the answer, sign) -> `client` (joins them all,
and submits) -> `commit` (how did it end?) -> `events`. `adapter` is the gateway's port over it; `opening` makes a client
from the configuration; `caller` signs a station's questions to its representative and checks who asked; `receipt` says
where a transaction stands, `paper` shows a block as the paper draws it, `proof` recomputes one (`figures`: a trade in it);
`view` is what pages see; `wire` is the only file that knows grpc; `errors` says what to do next. The same client is meant
for the embedded peer and for a Hyperledger Fabric peer.
"""

from edgegw.ledger.client import LedgerClient
from edgegw.ledger.commit import Committed, Invalid, Unknown
from edgegw.ledger.endorse import Endorsed
from edgegw.ledger.errors import (
    BusinessRefusal,
    ClockRefused,
    Conflicting,
    Duplicate,
    Forged,
    IdentityRefused,
    LedgerError,
    Mismatch,
    Misused,
    Unavailable,
    Undecided,
)
from edgegw.ledger.events import LedgerEvent
from edgegw.ledger.receipt import Receipt

__all__ = [
    "BusinessRefusal",
    "ClockRefused",
    "Committed",
    "Conflicting",
    "Duplicate",
    "Endorsed",
    "Forged",
    "IdentityRefused",
    "Invalid",
    "LedgerClient",
    "LedgerError",
    "LedgerEvent",
    "Mismatch",
    "Misused",
    "Receipt",
    "Unavailable",
    "Undecided",
    "Unknown",
]
