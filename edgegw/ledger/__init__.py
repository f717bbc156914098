"""The ledger client of the gateway and of the participants, for the embedded peer and for a Hyperledger Fabric peer.

`client` evaluates, endorses, submits and follows events, `client_factory` opens one from the configuration. It uses
`identity` (signers), `renewal` (replaces a renewed certificate), `keys`, `credentials` and `token` (where private keys
are), `peers` (selects a peer, fails over), `endorse` (checks a peer's response before signing), `commit` (outcomes),
`events`, `errors` (by what to do next) and `grpc_wire`, the only module that imports grpc.
`adapter` implements the gateway's ledger port. `view` answers what pages show; `receipt` locates a transaction,
`block_view` presents a block in five fields, `proof` recomputes a block and `trade_recompute` a trade in it.
`request_signing` signs a station's requests to its representative and verifies them there.
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
