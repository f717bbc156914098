"""The ledger's errors, by what to do next, and how a gRPC failure becomes one.

    LedgerError
      BusinessRefusal   the contract says no: an answer, do not repeat
      Unavailable       nobody answered: repeat later
      Mismatch          endorsers differ (heights, usually): endorse again
      ClockRefused      our clock is off: hold until it is right
      IdentityRefused   our certificate is refused: hold until renewed
      Forged            the answer is not ours or does not verify: stop, do not sign
      Misused           we sent something malformed: a bug of ours
      Conflicting       committed as invalid once too often: somebody else writes the same keys
      Undecided         nobody could say how it ended: ask again under the same id

Source: fabric reference 6, reliability reference 2.2.
"""

import re
from dataclasses import dataclass

from edgegw import errors

_CHAINCODE = re.compile(r"chaincode response \d+, (.*)", re.DOTALL)
_CODED = re.compile(r"([A-Z][A-Z0-9_]*): ?(.*)", re.DOTALL)
_IDENTITY = ("access denied", "creator is malformed", "creator org unknown", "identity expired", "FORBIDDEN")


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
    for text in (*failure.details, failure.message):
        refusal = _CHAINCODE.search(text)
        if refusal:
            coded = _CODED.fullmatch(refusal[1])
            return BusinessRefusal(coded[1], coded[2]) if coded else BusinessRefusal("", refusal[1])
    said = "; ".join((failure.message, *failure.details))
    if "ProposalResponsePayloads do not match" in said:
        return Mismatch(said)
    if "incorrect timestamp" in said:
        return ClockRefused(said)
    if failure.code in {"PERMISSION_DENIED", "UNAUTHENTICATED"} or any(text in said for text in _IDENTITY):
        return IdentityRefused(said)
    if failure.code == "INVALID_ARGUMENT":
        return Misused(said)
    return Unavailable(f"{failure.code}: {said}")
