"""Validate the transactions of a block: a validation code for each, and the writes of the valid ones.

Depends on the block, the roots and the world state alone, so that a replay gives the same codes. Never reads a clock:
a certificate that expires later does not invalidate an old block.
Source: Fabric's core/committer/txvalidator/v20; Fabric documentation, Endorsement policies (key-level).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from edgegw.fabric import policy, rwset, transaction
from edgegw.fabric.identity import Identity, parse_identity
from edgegw.fabric.proto import common_pb2, peer_pb2
from edgegw.fabric.rwset import ReadWriteSet
from edgegw.fabric.transaction import EndorsedTransaction
from edgegw.fabric.trust import Roots
from edgegw.fabric.wire import MalformedMessageError, decode
from edgegw.peer.endorse import WRITERS
from edgegw.peer.world_state import PendingBlock, World


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What every validator of the channel uses: names, roots and the chaincode's endorsement policy."""

    channel: str
    chaincode: str
    roots: Roots
    policy: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One transaction's validation result; `rwset` is None unless VALID."""

    tx_id: str
    code: int
    rwset: ReadWriteSet | None = None
    event: peer_pb2.ChaincodeEvent | None = None


def validate(
    envelopes: Iterable[bytes], rules: Rules, world: World, *, known: Callable[[str], bool]
) -> list[Verdict]:
    """Return verdicts in the block's order; `known` returns whether an earlier block contains a transaction id."""
    pending = PendingBlock(world)
    seen: set[str] = set()
    verdicts = []
    for envelope in envelopes:
        verdict = _judge(envelope, rules, pending, known=lambda tx_id: tx_id in seen or known(tx_id))
        seen.add(verdict.tx_id)
        if verdict.rwset is not None:
            pending.accept(verdict.rwset)
        verdicts.append(verdict)
    return verdicts


def _judge(raw: bytes, rules: Rules, pending: PendingBlock, *, known: Callable[[str], bool]) -> Verdict:
    try:
        envelope = decode(common_pb2.Envelope, raw)
        parsed = transaction.parse_transaction(envelope.payload)
    except MalformedMessageError:
        return Verdict(tx_id="", code=peer_pb2.BAD_PAYLOAD)
    code = _check_envelope(parsed, envelope.signature, rules)
    if code == peer_pb2.VALID and known(parsed.tx_id):
        code = peer_pb2.DUPLICATE_TXID
    if code != peer_pb2.VALID:
        return Verdict(tx_id=parsed.tx_id, code=code)
    try:
        recorded = rwset.parse(rules.chaincode, parsed.rwset)
    except MalformedMessageError:
        return Verdict(tx_id=parsed.tx_id, code=peer_pb2.BAD_RWSET)
    if not _endorsed(parsed, recorded, rules=rules, pending=pending):
        return Verdict(tx_id=parsed.tx_id, code=peer_pb2.ENDORSEMENT_POLICY_FAILURE)
    code = pending.conflict(recorded)
    if code != peer_pb2.VALID:
        return Verdict(tx_id=parsed.tx_id, code=code)
    return Verdict(tx_id=parsed.tx_id, code=code, rwset=recorded, event=parsed.event)


def _check_envelope(parsed: EndorsedTransaction, signature: bytes, rules: Rules) -> int:
    """Return the code of the checks that need neither endorsements nor state."""
    event = parsed.event
    named = (parsed.tx_id, parsed.chaincode)
    checks = (
        (parsed.channel == rules.channel, peer_pb2.TARGET_CHAIN_NOT_FOUND),
        (parsed.chaincode == rules.chaincode, peer_pb2.INVALID_CHAINCODE),
        (
            is_writer_signature(rules.roots, parsed.message, signature, creator=parsed.creator),
            peer_pb2.BAD_CREATOR_SIGNATURE,
        ),
        (
            parsed.tx_id == transaction.transaction_id(parsed.nonce, parsed.creator),
            peer_pb2.BAD_PROPOSAL_TXID,
        ),
        (parsed.proposal_hash == parsed.expected_hash, peer_pb2.INVALID_ENDORSER_TRANSACTION),
        (
            event is None or (event.tx_id, event.chaincode_id) == named,
            peer_pb2.INVALID_ENDORSER_TRANSACTION,
        ),
    )
    return next((code for holds, code in checks if not holds), peer_pb2.VALID)


def is_writer_signature(roots: Roots, message: bytes, signature: bytes, *, creator: bytes) -> bool:
    """Return whether a member with a writing role signed `message`."""
    try:
        identity = parse_identity(creator)
    except MalformedMessageError:
        return False
    return (
        roots.issued(identity) and bool(identity.node_roles & WRITERS) and identity.verify(message, signature)
    )


def endorsers(parsed: EndorsedTransaction, roots: Roots) -> list[Identity]:
    """Return the distinct members with a valid endorsement of this transaction."""
    verified: dict[bytes, Identity] = {}
    for endorser, signature in parsed.endorsements:
        try:
            identity = parse_identity(endorser)
        except MalformedMessageError:
            continue
        if roots.issued(identity) and identity.verify(parsed.response_payload + endorser, signature):
            verified[endorser] = identity
    return list(verified.values())


def _endorsed(
    parsed: EndorsedTransaction, recorded: ReadWriteSet, *, rules: Rules, pending: PendingBlock
) -> bool:
    """Return whether the endorsements satisfy each written key's policy, and the chaincode's for keys without one."""
    signers: Sequence[Identity] = endorsers(parsed, rules.roots)
    written = {*recorded.writes, *recorded.policies}
    own = {pending.policy(key) for key in written} if written else {None}
    return all(policy.satisfied(rules.policy if entry is None else entry, signers) for entry in own)
