"""Check an endorsed transaction before the client signs it.

Decides whether the peer's response is the proposed call with enough valid endorsements; only then is it signed.
Source: Fabric documentation, Transaction flow; the official clients sign whatever their peer returns, this one does not.
"""

import json
from dataclasses import dataclass
from typing import Any

from edgegw.fabric import transaction
from edgegw.fabric.identity import parse_identity
from edgegw.fabric.proto import peer_pb2
from edgegw.fabric.transaction import EndorsedTransaction, Proposal
from edgegw.fabric.trust import Roots
from edgegw.fabric.wire import MalformedMessageError
from edgegw.ledger.errors import Forged

_PEER = "peer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endorsed:
    """A transaction ready to be stored and submitted: its id, the signed envelope, and the call's result."""

    tx_id: str
    envelope: bytes
    result: dict[str, Any]


def call_argument(args: dict[str, Any]) -> bytes:
    """Return the contract's one argument: `args` and the version as canonical JSON (sorted keys, no spaces)."""
    return json.dumps({"v": 1, **args}, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def parse_result(response: peer_pb2.Response) -> dict[str, Any]:
    """Return the JSON object in a call's response; raise Forged if it is not one."""
    try:
        result = json.loads(response.payload or b"{}")
    except ValueError as fault:
        raise Forged("the contract's response is not JSON") from fault
    if not isinstance(result, dict):
        raise Forged("the contract's response is not a JSON object")
    return result


def check_endorsed(message: bytes, proposal: Proposal, roots: Roots, *, least: int) -> EndorsedTransaction:
    """Return the parsed response if it is `proposal`, endorsed by peers of at least `least` organisations.

    Raises:
        Forged: it differs from the proposal, or an endorsement does not verify.
    """
    try:
        answer = transaction.parse_transaction(message)
        ours = {
            "header": answer.header == proposal.header,
            "arguments": answer.chaincode_payload == transaction.without_transient(proposal.payload),
            "proposal hash": answer.proposal_hash == proposal.hash,
            "endorsements": len(_endorsing(answer, roots)) >= least,
        }
    except MalformedMessageError as fault:
        raise Forged(f"{proposal.tx_id}: {fault}") from fault
    wrong = [name for name, holds in ours.items() if not holds]
    if wrong:
        raise Forged(f"{proposal.tx_id}: {', '.join(wrong)} not as proposed")
    return answer


def _endorsing(answer: EndorsedTransaction, roots: Roots) -> frozenset[str]:
    """Return the organisations whose peers endorsed; the empty set if any signature is invalid."""
    msp_ids = set()
    for endorser, signature in answer.endorsements:
        identity = parse_identity(endorser)
        if not (
            roots.issued(identity)
            and _PEER in identity.node_roles
            and identity.verify(answer.response_payload + endorser, signature)
        ):
            return frozenset()
        msp_ids.add(identity.msp_id)
    return frozenset(msp_ids)
