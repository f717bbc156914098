"""Validate a transaction as a peer does, and return the validation code that it should have.

Decides by the organisations' roots and the state before the transaction. Source: Fabric's validator: envelope,
duplicate, endorsement policy (two of three organisations, or a written key's own), then MVCC and phantoms.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import IntEnum

from firmware_sim.audit.blocks import Transaction
from firmware_sim.audit.identity import Identity, Roots
from firmware_sim.audit.protobuf import MalformedError, Message
from firmware_sim.audit.state import State

LEAST = 2
PEER_ROLE = 3
WRITERS = {"client", "admin"}


class Code(IntEnum):
    """The validation codes that this auditor distinguishes."""

    VALID = 0
    BAD_PAYLOAD = 2
    BAD_CREATOR_SIGNATURE = 4
    INVALID_ENDORSER_TRANSACTION = 5
    BAD_PROPOSAL_TXID = 8
    DUPLICATE_TXID = 9
    ENDORSEMENT_POLICY_FAILURE = 10
    MVCC_READ_CONFLICT = 11
    PHANTOM_READ_CONFLICT = 12
    TARGET_CHAIN_NOT_FOUND = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The code that a transaction should have, its creator if known, and the organisations that endorsed it."""

    code: Code
    creator: Identity | None = None
    endorsers: frozenset[str] = frozenset()


class Judge:
    """Validates the transactions of one channel and chaincode, which the first transaction determines."""

    def __init__(self, roots: Roots) -> None:
        self._roots = roots
        self._place: tuple[str, frozenset[str]] | None = None
        self._seen: set[str] = set()

    def verdict(self, transaction: Transaction, state: State) -> Verdict:
        """Return the verdict on a transaction, given the state before it."""
        creator = self._roots.identity(transaction.creator)
        endorsers = endorsing(transaction, self._roots)
        code = self._envelope(transaction, creator)
        if code is Code.VALID and transaction.tx_id in self._seen:
            code = Code.DUPLICATE_TXID
        if code is Code.VALID:
            code = _endorsed_and_current(transaction, state, endorsers)
        self._seen.add(transaction.tx_id)
        return Verdict(code=code, creator=creator, endorsers=endorsers)

    def _envelope(self, transaction: Transaction, creator: Identity | None) -> Code:
        place = (transaction.channel, transaction.chaincodes)
        self._place = self._place or place
        if place != self._place or len(transaction.chaincodes) != 1:
            return Code.TARGET_CHAIN_NOT_FOUND
        if (
            creator is None
            or not creator.nodes & WRITERS
            or not creator.signed(transaction.payload, transaction.signature)
        ):
            return Code.BAD_CREATOR_SIGNATURE
        if hashlib.sha256(transaction.nonce + transaction.creator).hexdigest() != transaction.tx_id:
            return Code.BAD_PROPOSAL_TXID
        proposal_hash = hashlib.sha256(transaction.proposed).digest()
        own_event = transaction.event_tx_id in {None, transaction.tx_id}
        if transaction.proposal_hash != proposal_hash or transaction.status != 200 or not own_event:
            return Code.INVALID_ENDORSER_TRANSACTION
        return Code.VALID


def _endorsed_and_current(transaction: Transaction, state: State, endorsers: frozenset[str]) -> Code:
    """Check the endorsements for the chaincode and each written key, then that all reads are current."""
    written = transaction.writes.keys() | transaction.policies.keys()
    policies = {state.policies[key] for key in written if key in state.policies}
    bare = not written or any(key not in state.policies for key in written)
    if (bare and len(endorsers) < LEAST) or not all(satisfied(policy, endorsers) for policy in policies):
        return Code.ENDORSEMENT_POLICY_FAILURE
    if not state.reads_current(transaction):
        return Code.MVCC_READ_CONFLICT
    return Code.VALID if state.ranges_current(transaction) else Code.PHANTOM_READ_CONFLICT


def endorsing(transaction: Transaction, roots: Roots) -> frozenset[str]:
    """Return the organisations whose peers have signed the transaction's result."""
    found = set()
    for endorser, signature in transaction.endorsements:
        identity = roots.identity(endorser)
        if (
            identity is not None
            and "peer" in identity.nodes
            and identity.signed(transaction.response_payload + endorser, signature)
        ):
            found.add(identity.msp)
    return frozenset(found)


def satisfied(policy: bytes, signers: frozenset[str]) -> bool:
    """Return whether the signers' peers satisfy a key's policy; False for any form but "n of these peers"."""
    try:
        n, msps = read_policy(policy)
    except MalformedError:
        return False
    return len(msps & signers) >= n


def read_policy(policy: bytes) -> tuple[int, frozenset[str]]:
    """Decode a SignaturePolicyEnvelope "peers of n of these organisations". Raise MalformedError for any other."""
    envelope = Message(policy)
    rule = envelope.message(2).message(2)
    principals = [Message(principal.blob(2)) for principal in envelope.messages(3)]
    indexes = [each.whole(1) for each in rule.messages(2)]
    if indexes != list(range(len(principals))) or not indexes:
        raise MalformedError("a policy of another form")
    if any(principal.whole(2) != PEER_ROLE for principal in principals):
        raise MalformedError("a policy of other roles than peers")
    return rule.whole(1), frozenset(principal.text(1) for principal in principals)
