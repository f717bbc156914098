"""Represent a transaction's outcome: committed, invalid, or not known yet.

"Unknown" means that the status must be queried again, never that a new transaction may be built.
Source: Fabric's gateway service (CommitStatus waits and never returns "not found"); docs/reliability.md, A submission.
"""

from dataclasses import dataclass

from edgegw.fabric.proto import gateway_pb2, peer_pb2


@dataclass(frozen=True, slots=True)
class Committed:
    """The transaction is VALID, in this block."""

    block: int


@dataclass(frozen=True, slots=True)
class Invalid:
    """The transaction is in a block without effect; `code` is its validation code. Final for this transaction id."""

    code: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """No peer reported the outcome before the deadline."""

    reason: str


Outcome = Committed | Invalid | Unknown


def outcome_of(answer: gateway_pb2.CommitStatusResponse) -> Committed | Invalid:
    """Return the outcome in a CommitStatus response."""
    if answer.result == peer_pb2.VALID:
        return Committed(answer.block_number)
    codes = peer_pb2.TxValidationCode
    known = answer.result in codes.values()
    return Invalid(codes.Name(answer.result) if known else str(int(answer.result)))
