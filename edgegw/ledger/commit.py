"""How did it end? Committed, invalid, or not known yet.

Decides nothing: "unknown" is a state to ask again, never a reason to build a new transaction.
Source: Fabric's gateway service: CommitStatus never says "not found", it waits (docs/reliability.md, A submission).
"""

from dataclasses import dataclass

from edgegw.fabric.proto import gateway_pb2, peer_pb2


@dataclass(frozen=True, slots=True)
class Committed:
    """VALID, in this block."""

    block: int


@dataclass(frozen=True, slots=True)
class Invalid:
    """In a block, without effect; `code` is the validation code's name. Final for this transaction id."""

    code: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody could say before the deadline."""

    reason: str


Outcome = Committed | Invalid | Unknown


def outcome_of(answer: gateway_pb2.CommitStatusResponse) -> Committed | Invalid:
    """The outcome in a CommitStatus answer."""
    if answer.result == peer_pb2.VALID:
        return Committed(answer.block_number)
    codes = peer_pb2.TxValidationCode
    known = answer.result in codes.values()
    return Invalid(codes.Name(answer.result) if known else str(int(answer.result)))
