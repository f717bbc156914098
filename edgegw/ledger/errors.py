"""Define the ledger's errors by what to do next, and classify gRPC failures into them.

    LedgerError
      BusinessRefusal   the contract refuses the call: a result, do not repeat it
      Unavailable       no peer answered, or too few could endorse: repeat later
      Duplicate         the transaction id is on the ledger already: query its commit status
      Mismatch          endorsers returned different results (usually different heights): endorse again
      ClockRefused      the peer refuses our timestamp: wait until the clock is right
      IdentityRefused   the peer refuses our certificate: wait until it is renewed
      Forged            the response is not our call or does not verify: stop, do not sign
      Misused           our request is malformed: a bug in this program
      Conflicting       invalid in every attempt: another client writes the same keys
      Undecided         the outcome is unknown: query it again under the same id

Source: docs/reliability.md, What a peer's failure means.
"""

import re
from dataclasses import dataclass

from edgegw.common import errors

_CHAINCODE = re.compile(r"chaincode response \d+, (.*)", re.DOTALL)
_CODED = re.compile(r"([A-Z][A-Z0-9_]*): ?(.*)", re.DOTALL)
_IDENTITY = (
    "access denied",
    "creator is malformed",
    "creator org unknown",
    "identity expired",
    "certificate has expired",
    "status=FORBIDDEN",
)
_COLLECTING = "failed to collect enough transaction endorsements"
_MALFORMED = ("incorrectly computed txid", "must be signed")
_DUPLICATE = re.compile(r"duplicate transaction found \[([^\]]*)\]")

# gRPC's texts when a peer is killed or unreachable; their status codes vary.
_BROKEN = re.compile(
    r"Stream removed|Socket closed|RST_STREAM|GOAWAY|failed to connect|Connection reset|keepalive"
)
# A peer's texts when it knows too few other peers; another peer of the organisation may know more.
_LONELY = (
    "no peers available",
    "no combination of peers",
    "no peer combination",
    "failed to find any endorsing peers",
)


class LedgerError(errors.LedgerError):
    """Base class of the ledger's faults and refusals."""


class BusinessRefusal(LedgerError):  # noqa: N818 - an answer, not an error
    """The contract refused the call: `code` (empty if it gave none) and `detail`."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}" if code else detail)
        self.code = code
        self.detail = detail


class Unavailable(LedgerError):  # noqa: N818 - named by what happened
    """No peer or orderer answered in time; whether the call had an effect is unknown."""


class Duplicate(LedgerError):  # noqa: N818 - named by what happened
    """A transaction with this id (`tx_id`) is on the ledger; CommitStatus returns its outcome."""

    def __init__(self, tx_id: str) -> None:
        super().__init__(f"transaction {tx_id} is on the ledger already")
        self.tx_id = tx_id


class Mismatch(LedgerError):  # noqa: N818 - named by what happened
    """Endorsers returned different results; nothing was written."""


class ClockRefused(LedgerError):  # noqa: N818 - named by what happened
    """The peer refuses the proposal's timestamp."""


class IdentityRefused(LedgerError):  # noqa: N818 - named by what happened
    """The peer or orderer refuses our identity or signature."""


class Forged(LedgerError):  # noqa: N818 - named by what happened
    """The peer's response does not match the request, or its endorsements do not verify."""


class Misused(LedgerError):  # noqa: N818 - named by what happened
    """The peer cannot read our request."""


class Conflicting(LedgerError):  # noqa: N818 - named by what happened
    """The transaction was invalid (`code`) in each attempt; nothing was written."""

    def __init__(self, code: str) -> None:
        super().__init__(f"invalid in each attempt, last {code}")
        self.code = code


class Undecided(LedgerError):  # noqa: N818 - named by what happened
    """The transaction is submitted and its outcome unknown: `tx_id` may still commit."""

    def __init__(self, tx_id: str) -> None:
        super().__init__(f"outcome of {tx_id} is unknown")
        self.tx_id = tx_id


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFailure(Exception):  # noqa: N818 - input of `classify`, never leaves this package
    """A failed gRPC call: status code name, message, and the messages of its error details."""

    code: str
    message: str
    details: tuple[str, ...] = ()


def classify(failure: CallFailure) -> LedgerError:
    """Return the error that determines what to do next; unknown failures are Unavailable, as repeating is safe."""
    said = "; ".join((failure.message, *failure.details))
    refusals = [found for text in (*failure.details, failure.message) if (found := _CHAINCODE.search(text))]
    if refusals and _COLLECTING not in failure.message:
        coded = _CODED.fullmatch(refusals[0][1])
        return BusinessRefusal(coded[1], coded[2]) if coded else BusinessRefusal("", refusals[0][1])
    duplicate = _DUPLICATE.search(said)
    if duplicate:
        return Duplicate(duplicate[1])
    for kind, codes, texts in _ROWS:
        if failure.code in codes or any(text in said for text in texts):
            return kind(said)
    # The own peer endorsed what another peer refused: a difference between peers, not a refusal.
    return Mismatch(said) if refusals else Unavailable(f"{failure.code}: {said}")


_ROWS: tuple[tuple[type[LedgerError], frozenset[str], tuple[str, ...]], ...] = (
    (Mismatch, frozenset(), ("ProposalResponsePayloads do not match",)),
    (ClockRefused, frozenset(), ("incorrect timestamp",)),
    (IdentityRefused, frozenset({"PERMISSION_DENIED", "UNAUTHENTICATED"}), _IDENTITY),
    (Misused, frozenset({"INVALID_ARGUMENT"}), _MALFORMED),
)


def peer_at_fault(failure: CallFailure) -> bool:
    """Return whether another peer may succeed: this one is unreachable, does not answer, or sees too few others."""
    said = "; ".join((failure.message, *failure.details))
    return (
        failure.code in {"UNAVAILABLE", "DEADLINE_EXCEEDED"}
        or _BROKEN.search(said) is not None
        or any(text in said for text in _LONELY)
    )
