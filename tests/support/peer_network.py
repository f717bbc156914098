"""Create identities, proposals and endorsed envelopes for tests of the peer, without a process."""

import json
import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgegw.fabric import transaction
from edgegw.fabric.identity import KeySigner
from edgegw.fabric.proto import peer_pb2
from edgegw.fabric.transaction import EndorsedTransaction, Proposal
from edgegw.ledger.identity import Signer, load_signer
from edgegw.peer import membership
from edgegw.peer.endorse import Recorder, Simulation, sign, simulate
from edgegw.peer.server import CHAINCODE, CHANNEL, rules_for
from edgegw.peer.world_state import World
from tests.support import toy_contract

ORGS = ("EVUserMSP", "ProducerMSP")


class Network:
    """A network's identities in a folder, and what tests build with them."""

    def __init__(self, data: Path) -> None:
        membership.found(data / "crypto")
        self.data = data
        self.crypto = data / "crypto"
        self.rules = rules_for(data)
        self.peers: dict[str, tuple[KeySigner, ...]] = membership.load_peers(self.crypto)

    def signer(self, member: str = "EVUserMSP/gateway1") -> KeySigner:
        """Return a member's signer."""
        signer = load_signer(self.crypto / member)
        assert isinstance(signer, KeySigner)
        return signer

    def propose(
        self, function: str, *, signer: Signer | None = None, at_ns: int | None = None, **args: Any
    ) -> tuple[Proposal, peer_pb2.SignedProposal]:
        """Return a signed proposal to call the toy contract."""
        by = signer or self.signer()
        proposal = transaction.build_proposal(
            creator=by.identity.serialized,
            nonce=secrets.token_bytes(24),
            timestamp_ns=time.time_ns() if at_ns is None else at_ns,
            channel=CHANNEL,
            chaincode=CHAINCODE,
            args=(function.encode(), json.dumps(args).encode()),
        )
        return proposal, peer_pb2.SignedProposal(proposal_bytes=proposal.message, signature=by.sign(proposal))

    def simulate(self, world: World, proposal: Proposal) -> Simulation:
        """Simulate a proposal with the toy contract."""
        return simulate(toy_contract.invoke, world, proposal, creator=self.signer().identity)

    def endorsed(
        self, world: World, function: str, *, orgs: Sequence[str] = ORGS, **args: Any
    ) -> EndorsedTransaction:
        """Return a call that is simulated on `world` and endorsed by these organisations."""
        proposal, _ = self.propose(function, **args)
        payload = self.simulate(world, proposal).payload
        message = transaction.build_transaction(proposal, payload, sign(payload, self.peers, orgs))
        return transaction.parse_transaction(message)

    def envelope(self, world: World, function: str, *, orgs: Sequence[str] = ORGS, **args: Any) -> bytes:
        """Return the envelope of such a call, signed by its creator and ready for a block."""
        return self.signed(self.endorsed(world, function, orgs=orgs, **args))

    def signed(self, endorsed: EndorsedTransaction) -> bytes:
        """Return the envelope with the creator's signature."""
        return transaction.build_envelope(endorsed.message, self.signer().sign(endorsed))

    def recorder(self, world: World) -> Recorder:
        """Return a recording stub over `world`."""
        return Recorder(world, self.propose("Get")[0], self.signer().identity)
