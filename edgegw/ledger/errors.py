"""The ledger's errors, by what to do next, and how a gRPC failure becomes one.

    LedgerError
      BusinessRefusal   the contract says no: an answer, do not repeat
      Unavailable       nobody answered, or too few could: repeat later
      Duplicate         this transaction id is on the ledger already: ask CommitStatus how it ended
      Mismatch          endorsers differ (heights, usually): endorse again
      ClockRefused      our clock is off: hold until it is right
      IdentityRefused   our certificate is refused: hold until renewed
      Forged            the answer is not ours or does not verify: stop, do not sign
      Misused           we sent something malformed: a bug of ours
      Conflicting       committed as invalid once too often: somebody else writes the same keys
      Undecided         nobody could say how it ended: ask again under the same id

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

# How a connection ends when its peer is killed or out of reach, in gRPC's own words, under whatever code.
_BROKEN = re.compile(
    r"Stream removed|Socket closed|RST_STREAM|GOAWAY|failed to connect|Connection reset|keepalive"
)
# What one peer says that knows too few others; another one of the organisation may know more.
_LONELY = (
    "no peers available",
    "no combination of peers",
    "no peer combination",
    "failed to find any endorsing peers",
)


class LedgerError(errors.LedgerError):
    """Any fault or refusal of the ledger."""


class BusinessRefusal(LedgerError):  # noqa: N818 - an answer, not an error
    """The contract refused: `code` (empty where it gave none) and `detail`."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}" if code else detail)
        self.code = code
        self.detail = detail


class Unavailable(LedgerError):  # noqa: N818 - named by what happened
    """No peer or orderer answered in time; whether the call had an effect is not known."""


class Duplicate(LedgerError):  # noqa: N818 - named by what happened
    """A transaction of this id (`tx_id`) is on the ledger; how it ended, CommitStatus tells."""

    def __init__(self, tx_id: str) -> None:
        super().__init__(f"transaction {tx_id} is on the ledger already")
        self.tx_id = tx_id


class Mismatch(LedgerError):  # noqa: N818 - named by what happened
    """Endorsers gave different results; nothing was written."""


class ClockRefused(LedgerError):  # noqa: N818 - named by what happened
    """The peer refuses our proposal time."""


class IdentityRefused(LedgerError):  # noqa: N818 - named by what happened
    """The peer or orderer refuses our identity or signature."""


class Forged(LedgerError):  # noqa: N818 - named by what happened
    """The peer's answer is not what we asked for, or its endorsements do not verify."""


class Misused(LedgerError):  # noqa: N818 - named by what happened
    """The peer cannot read our request."""


class Conflicting(LedgerError):  # noqa: N818 - named by what happened
    """The transaction was invalid (`code`) in each attempt; nothing was written."""

    def __init__(self, code: str) -> None:
        super().__init__(f"invalid in each attempt, last {code}")
        self.code = code


class Undecided(LedgerError):  # noqa: N818 - named by what happened
    """Submitted, outcome unknown: `tx_id` may still commit."""

    def __init__(self, tx_id: str) -> None:
        super().__init__(f"outcome of {tx_id} is unknown")
        self.tx_id = tx_id


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFailure(Exception):  # noqa: N818 - raw material of `classify`, never leaves this package
    """A gRPC call's end: code name, message, and the messages of its error details."""

    code: str
    message: str
    details: tuple[str, ...] = ()


def classify(failure: CallFailure) -> LedgerError:
    """The error that says what to do next; what nobody knows is Unavailable (repeating is safe)."""
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
    # Our own peer had endorsed what another one refused: a difference between peers, and no answer.
    return Mismatch(said) if refusals else Unavailable(f"{failure.code}: {said}")


_ROWS: tuple[tuple[type[LedgerError], frozenset[str], tuple[str, ...]], ...] = (
    (Mismatch, frozenset(), ("ProposalResponsePayloads do not match",)),
    (ClockRefused, frozenset(), ("incorrect timestamp",)),
    (IdentityRefused, frozenset({"PERMISSION_DENIED", "UNAUTHENTICATED"}), _IDENTITY),
    (Misused, frozenset({"INVALID_ARGUMENT"}), _MALFORMED),
)


def peer_at_fault(failure: CallFailure) -> bool:
    """Whether another peer of the organisation may do better: this one is gone, hangs, or sees too few others."""
    said = "; ".join((failure.message, *failure.details))
    return (
        failure.code in {"UNAVAILABLE", "DEADLINE_EXCEEDED"}
        or _BROKEN.search(said) is not None
        or any(text in said for text in _LONELY)
    )
