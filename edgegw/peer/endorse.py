"""Endorse a proposal: check its signature, simulate it once, sign the result with the organisations' peers.

Decides whether a proposal may be simulated, and which organisations sign. Never changes the world state.
Source: Fabric's core/endorser (order and wording of the refusals).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from edgegw.fabric import policy, rwset, transaction
from edgegw.fabric.identity import Identity, KeySigner, parse_identity
from edgegw.fabric.proto import peer_pb2
from edgegw.fabric.rwset import RangeRead, ReadWriteSet, Version
from edgegw.fabric.transaction import Proposal
from edgegw.fabric.trust import Roots
from edgegw.fabric.wire import MalformedMessageError
from edgegw.peer.invocation import Contract, caller, words
from edgegw.peer.world_state import World

WRITERS = frozenset({"client", "admin"})
READERS = frozenset({"client", "admin", "peer"})
TIME_WINDOW_NS = 15 * 60 * 1_000_000_000


class ProposalRefusedError(Exception):
    """The proposal may not be simulated; the message is a real endorser's."""


class Recorder:
    """The contract's stub: reads the committed world state, and records reads and writes."""

    def __init__(self, world: World, proposal: Proposal, creator: Identity) -> None:
        self._world = world
        self._reads: dict[str, Version | None] = {}
        self._ranges: list[RangeRead] = []
        self._writes: dict[str, bytes | None] = {}
        self._policies: dict[str, bytes] = {}
        self.event: tuple[str, bytes] | None = None
        self.tx_id = proposal.tx_id
        self.timestamp_ms = proposal.timestamp_ns // 1_000_000
        self.creator = caller(creator)

    def get(self, key: str) -> bytes | None:
        """Return the committed value of `key`, or None; never this transaction's own write."""
        entry = self._world.get(key)
        self._reads[key] = None if entry is None else entry[1]
        return None if entry is None else entry[0]

    def put(self, key: str, value: bytes) -> None:
        """Write `key` when the transaction commits."""
        self._writes[key] = value

    def delete(self, key: str) -> None:
        """Remove `key` when the transaction commits."""
        self._writes[key] = None

    def scan(self, start: str, end: str, limit: int) -> Iterator[tuple[str, bytes]]:
        """Yield at most `limit` committed pairs with start <= key < end, ascending."""
        seen = RangeRead(start, end)
        self._ranges.append(seen)
        for key, value, version in self._world.scan(start, end):
            if len(seen.reads) == limit:
                return
            seen.reads.append((key, version))
            yield key, value
        seen.exhausted = True

    def set_policy(self, key: str, msp_ids: Sequence[str]) -> None:
        """Require an endorsement of each of `msp_ids` for later writes of `key`."""
        self._policies[key] = policy.out_of(len(set(msp_ids)), msp_ids)

    def set_event(self, name: str, payload: bytes) -> None:
        """Set the transaction's event; a second call replaces the first."""
        self.event = (name, payload)

    def recorded(self) -> ReadWriteSet:
        """Return the read-write set so far; a range that was not read to its end ends at the last key read."""
        ranges = [
            seen if seen.exhausted else RangeRead(seen.start, seen.reads[-1][0], seen.reads)
            for seen in self._ranges
            if seen.exhausted or seen.reads
        ]
        return ReadWriteSet(
            reads=self._reads, ranges=tuple(ranges), writes=self._writes, policies=self._policies
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """The result of a simulation: the response, the read-write set, and the bytes every endorser signs."""

    response: peer_pb2.Response
    recorded: ReadWriteSet
    payload: bytes


def check_proposal(
    signed: peer_pb2.SignedProposal, roots: Roots, *, now_ns: int, known: Callable[[str], bool]
) -> tuple[Proposal, Identity]:
    """Return the proposal and its creator; `known` returns whether a transaction id is on the ledger.

    Raises:
        ProposalRefusedError: malformed, unknown creator, wrong signature, id or time, or a duplicate.
    """
    try:
        proposal = transaction.parse_proposal(signed.proposal_bytes)
    except MalformedMessageError as fault:
        raise ProposalRefusedError(f"error validating proposal: {fault}") from fault
    try:
        creator = parse_identity(proposal.creator)
    except MalformedMessageError as fault:
        raise ProposalRefusedError(
            "error validating proposal: creator org unknown, creator is malformed"
        ) from fault
    if not roots.issued(creator):
        raise ProposalRefusedError("error validating proposal: creator org unknown, creator is malformed")
    denied = f"access denied: channel [{proposal.channel}] creator org [{creator.msp_id}]"
    if not roots.valid_at(creator, now_ns):
        raise ProposalRefusedError(f"error validating proposal: {denied}: identity expired")
    if not creator.verify(signed.proposal_bytes, signed.signature) or not creator.node_roles & WRITERS:
        raise ProposalRefusedError(f"error validating proposal: {denied}")
    expected = transaction.transaction_id(proposal.nonce, proposal.creator)
    if proposal.tx_id != expected:
        raise ProposalRefusedError(
            f"error validating proposal: incorrectly computed txid '{proposal.tx_id}' -- expected '{expected}'"
        )
    if abs(proposal.timestamp_ns - now_ns) > TIME_WINDOW_NS:
        raise ProposalRefusedError(
            f"request unauthorized due to incorrect timestamp {_instant(proposal.timestamp_ns)}, "
            f"peer time {_instant(now_ns)}, peer.authentication.timewindow 15m0s"
        )
    if known(proposal.tx_id):
        raise ProposalRefusedError(
            f"duplicate transaction found [{proposal.tx_id}]. Creator [{proposal.creator.hex()}]"
        )
    return proposal, creator


def simulate(contract: Contract, world: World, proposal: Proposal, *, creator: Identity) -> Simulation:
    """Run the call on the committed world state without changing it."""
    recorder = Recorder(world, proposal, creator)
    answer = contract(recorder, *words(proposal.args))
    response = peer_pb2.Response(status=answer.status, message=answer.message, payload=answer.payload)
    recorded = recorder.recorded()
    event = None
    if recorder.event is not None:
        event = peer_pb2.ChaincodeEvent(
            chaincode_id=proposal.chaincode,
            tx_id=proposal.tx_id,
            event_name=recorder.event[0],
            payload=recorder.event[1],
        )
    payload = transaction.build_response_payload(
        proposal, rwset=rwset.serialize(proposal.chaincode, recorded), event=event, response=response
    )
    return Simulation(response=response, recorded=recorded, payload=payload)


def choose_organisations(
    world: World, recorded: ReadWriteSet, preferred: Sequence[str], *, least: int
) -> tuple[str, ...]:
    """Return the endorsers: the first `least` preferred organisations and all in the policies of written keys."""
    needed = set(preferred[:least])
    for key in {*recorded.writes, *recorded.policies}:
        own = world.policy(key)
        if own is not None:
            needed |= policy.organisations(own)
    return tuple(msp_id for msp_id in preferred if msp_id in needed)


def sign(
    payload: bytes, peers: Mapping[str, Sequence[KeySigner]], msp_ids: Sequence[str]
) -> list[tuple[bytes, bytes]]:
    """Return (endorser, signature) of one peer of each organisation, over payload and endorser."""
    endorsements = []
    for msp_id in msp_ids:
        signer = peers[msp_id][payload[-1] % len(peers[msp_id])]
        endorser = signer.identity.serialized
        endorsements.append((endorser, signer.sign(EndorsementText(payload, endorser))))
    return endorsements


@dataclass(frozen=True, slots=True)
class EndorsementText:
    """The bytes that an endorser's signature covers."""

    payload: bytes
    endorser: bytes

    @property
    def message(self) -> bytes:
        """The payload, followed by the endorser's identity."""
        return self.payload + self.endorser


def _instant(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns // 1_000_000_000, UTC).isoformat()
