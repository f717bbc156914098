"""The client: evaluate, endorse, submit, commit status, events, and all of them in one go.

Decides deadlines, and when a call is worth endorsing again. Keeps nothing: what must survive a crash
(the endorsed envelope) is the caller's to store before `submit`.
Source: docs/reliability.md, A submission; Fabric documentation, Fabric Gateway.
"""

import asyncio
import random
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from edgegw.common.validation_codes import ENDORSE_AGAIN
from edgegw.fabric import transaction
from edgegw.fabric.identity import parse_identity
from edgegw.fabric.proto import common_pb2, gateway_pb2, peer_pb2
from edgegw.fabric.transaction import EventsQuery, Proposal, StatusQuery
from edgegw.fabric.trust import Roots
from edgegw.fabric.wire import MalformedMessageError, decode
from edgegw.ledger import commit
from edgegw.ledger.commit import Committed, Invalid, Outcome, Unknown
from edgegw.ledger.endorse import Endorsed, call_argument, check_endorsed, parse_result
from edgegw.ledger.errors import (
    CallFailure,
    Conflicting,
    Duplicate,
    Forged,
    IdentityRefused,
    LedgerError,
    Mismatch,
    Misused,
    Unavailable,
    Undecided,
    classify,
)
from edgegw.ledger.events import LedgerEvent, follow
from edgegw.ledger.identity import Signer
from edgegw.ledger.peers import PeerEndpoint, Peers
from edgegw.ledger.receipt import Receipt, receipt_of

_SYSTEM_CHAINCODE = "qscc"


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Deadlines of single calls, and how long and often `execute` tries. Seconds are real ones."""

    evaluate_s: float = 10
    endorse_s: float = 35
    submit_s: float = 35
    status_s: float = 5
    undecided_s: float = 60
    behind_s: float = 3  # a peer that lags behind what we saw committed gets so long to catch up
    attempts: int = 8
    pause_s: float = 0.05


class LedgerClient:
    """One identity at its organisation's gateway peers. Use `async with`, or `close` at the end."""

    def __init__(  # noqa: PLR0913 - one a connection property
        self,
        endpoints: str | Sequence[str],
        signer: Signer,
        roots: Roots,
        *,
        channel: str,
        chaincode: str,
        tls: bytes | None = None,
        tls_name: str | None = None,
        patience: Patience | None = None,
        organisations_least: int = 2,
        now_ns: Callable[[], int] = time.time_ns,
        nonce: Callable[[], bytes] = lambda: secrets.token_bytes(transaction.NONCE_BYTES),
    ) -> None:
        """`endpoints`: in order of preference; `roots`: who may endorse; `tls`: PEM roots of the peers' server certificates."""
        self._signer = signer
        self._roots = roots
        self._channel = channel
        self._chaincode = chaincode
        self._patience = patience or Patience()
        self._organisations_least = organisations_least
        self._now_ns = now_ns
        self._nonce = nonce
        places = (endpoints,) if isinstance(endpoints, str) else tuple(endpoints)
        self._peers = Peers(places, tls=tls, tls_name=tls_name)
        self._block_seen = -1  # last block in which we saw something committed

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End all calls and streams."""
        await self._peers.close()

    async def evaluate(self, function: str, args: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ask the contract; nothing is written. Raises LedgerError's children but Mismatch."""
        proposal = self._propose(self._chaincode, (function.encode(), call_argument(args or {})))
        return parse_result(await self._evaluate(proposal))

    async def endorse(self, function: str, args: dict[str, Any] | None = None) -> Endorsed:
        """Have a call endorsed, check the answer, sign it. Nothing is written until `submit`.

        Raises:
            BusinessRefusal, Mismatch, Unavailable, ClockRefused, IdentityRefused, Duplicate, Forged, Misused
        """
        proposal = self._propose(self._chaincode, (function.encode(), call_argument(args or {})))
        request = gateway_pb2.EndorseRequest(
            transaction_id=proposal.tx_id, channel_id=self._channel, proposed_transaction=self._sign(proposal)
        )

        async def ask(endpoint: PeerEndpoint, timeout_s: float) -> gateway_pb2.EndorseResponse:
            await self._caught_up(endpoint)
            return await endpoint.connection.endorse(request, timeout_s=timeout_s)

        try:
            answer = await self._peers.call(ask, timeout_s=self._patience.endorse_s)
        except CallFailure as failure:
            raise classify(failure) from failure
        endorsed = check_endorsed(
            answer.prepared_transaction.payload, proposal, self._roots, least=self._organisations_least
        )
        envelope = transaction.build_envelope(endorsed.message, self._signer.sign(endorsed))
        return Endorsed(tx_id=proposal.tx_id, envelope=envelope, result=parse_result(endorsed.response))

    async def submit(self, envelope: bytes) -> None:
        """Hand a signed envelope to the orderer. Returning means "taken", not "committed".

        Raises:
            Unavailable: it may have been taken all the same: ask `commit_status`.
            IdentityRefused, Misused: it was not taken.
        """
        try:
            prepared = decode(common_pb2.Envelope, envelope)
            tx_id = transaction.parse_transaction(prepared.payload).tx_id
        except MalformedMessageError as fault:
            raise Misused(f"stored envelope: {fault}") from fault
        request = gateway_pb2.SubmitRequest(
            transaction_id=tx_id, channel_id=self._channel, prepared_transaction=prepared
        )

        async def ask(endpoint: PeerEndpoint, timeout_s: float) -> None:
            await endpoint.connection.submit(request, timeout_s=timeout_s)

        try:
            await self._peers.call(ask, timeout_s=self._patience.submit_s)
        except CallFailure as failure:
            raise classify(failure) from failure

    def outlived(self, envelope: bytes) -> bool:
        """Whether an envelope's identity has expired while ours, renewed, has not: it may be endorsed anew then."""
        try:
            creator = transaction.parse_transaction(decode(common_pb2.Envelope, envelope).payload).creator
            signed_by = parse_identity(creator)
        except MalformedMessageError:
            return False
        at_ns = self._now_ns()
        return signed_by.expired(at_ns) and not self._signer.identity.expired(at_ns)

    async def commit_status(self, tx_id: str, timeout_s: float | None = None) -> Outcome:
        """How the transaction ended; Unknown where nobody says so in time. Raises IdentityRefused."""
        query = StatusQuery(tx_id=tx_id, channel=self._channel, creator=self._signer.identity.serialized)
        request = gateway_pb2.SignedCommitStatusRequest(
            request=query.message, signature=self._signer.sign(query)
        )
        deadline_s = self._patience.status_s if timeout_s is None else timeout_s

        async def ask(endpoint: PeerEndpoint, timeout_s: float) -> gateway_pb2.CommitStatusResponse:
            found = await endpoint.connection.commit_status(request, timeout_s=timeout_s)
            endpoint.height = max(endpoint.height, found.block_number + 1)
            return found

        try:
            answer = await self._peers.call(ask, timeout_s=deadline_s, waits=True)
        except CallFailure as failure:
            fault = classify(failure)
            if isinstance(fault, IdentityRefused):
                raise fault from failure
            return Unknown(str(fault))
        self._block_seen = max(self._block_seen, answer.block_number)
        return commit.outcome_of(answer)

    async def execute(self, function: str, args: dict[str, Any] | None = None) -> dict[str, Any]:
        """Endorse, submit and see it committed; a conflict is endorsed again. Gives the call's result.

        For callers whose calls carry an id of their own, so that a crash in between does no harm.

        Raises:
            BusinessRefusal, ClockRefused, IdentityRefused, Unavailable, Mismatch, Forged: nothing written.
            Conflicting: invalid in each attempt. Undecided: it may yet commit.
        """
        last: LedgerError = Conflicting("never tried")
        for attempt in range(self._patience.attempts):
            if attempt:
                # The pause grows and is random: two callers of one key must not meet again.
                await asyncio.sleep(self._patience.pause_s * attempt * (1 + random.random()))  # noqa: S311 - jitter
            try:
                endorsed = await self.endorse(function, args)
            except (Mismatch, Duplicate) as fault:
                last = fault  # a duplicate has its own id; another one is made, and the caller's id tells them apart
                continue
            outcome = await self._settle(endorsed)
            if isinstance(outcome, Committed):
                return endorsed.result
            last = Conflicting(outcome.code)
            if outcome.code not in ENDORSE_AGAIN:
                break
        raise last

    async def events(
        self, start_block: int | None = None, *, after_tx_id: str = ""
    ) -> AsyncGenerator[LedgerEvent, None]:
        """Events from a block on, behind `after_tx_id` in it, for ever. None: from the next block on.

        Raises:
            Unavailable: with None only, where the ledger's height cannot be asked. IdentityRefused, Misused.
        """
        start = await self.height() if start_block is None else start_block
        async with aclosing(follow(self._open_events, start_block=start, after_tx_id=after_tx_id)) as found:
            async for event in found:
                yield event

    async def block(self, number: int) -> bytes:
        """Raw common.Block bytes. Raises BusinessRefusal (empty code) where there is no such block."""
        args = (b"GetBlockByNumber", self._channel.encode(), str(number).encode())
        return (await self._evaluate(self._propose(_SYSTEM_CHAINCODE, args))).payload

    async def height(self) -> int:
        """The number of blocks."""
        return (await self.chain_tip()).height

    async def chain_tip(self) -> common_pb2.BlockchainInfo:
        """The number of blocks and the last one's hash."""
        args = (b"GetChainInfo", self._channel.encode())
        answer = await self._evaluate(self._propose(_SYSTEM_CHAINCODE, args))
        return decode(common_pb2.BlockchainInfo, answer.payload)

    async def receipt(self, tx_id: str) -> Receipt:
        """Where a committed transaction stands. Raises BusinessRefusal (empty code) where no block has it."""
        args = (b"GetBlockByTxID", self._channel.encode(), tx_id.encode())
        raw = (await self._evaluate(self._propose(_SYSTEM_CHAINCODE, args))).payload
        try:
            return receipt_of(raw, tx_id)
        except MalformedMessageError as fault:
            raise Forged(f"{tx_id}: {fault}") from fault

    async def _settle(self, endorsed: Endorsed) -> Committed | Invalid:
        """Submit the same bytes until somebody knows how they ended; raises Undecided."""
        until = time.monotonic() + self._patience.undecided_s
        while True:
            # Refused or not, it may have been taken: only the outcome tells.
            with suppress(Unavailable):
                await self.submit(endorsed.envelope)
            outcome: Outcome = Unknown("not asked")
            with suppress(Unavailable):  # a token that cannot sign the question, for one
                outcome = await self.commit_status(endorsed.tx_id)
            if not isinstance(outcome, Unknown):
                return outcome
            if time.monotonic() >= until:
                raise Undecided(endorsed.tx_id)
            await asyncio.sleep(self._patience.pause_s)

    def _propose(self, chaincode: str, args: tuple[bytes, ...]) -> Proposal:
        return transaction.build_proposal(
            creator=self._signer.identity.serialized,
            nonce=self._nonce(),
            timestamp_ns=self._now_ns(),
            channel=self._channel,
            chaincode=chaincode,
            args=args,
        )

    def _sign(self, proposal: Proposal) -> peer_pb2.SignedProposal:
        return peer_pb2.SignedProposal(proposal_bytes=proposal.message, signature=self._signer.sign(proposal))

    async def _evaluate(self, proposal: Proposal) -> peer_pb2.Response:
        """At our own organisation's peers: another's answer proves nothing to us."""

        async def ask(endpoint: PeerEndpoint, timeout_s: float) -> gateway_pb2.EvaluateResponse:
            if proposal.chaincode != _SYSTEM_CHAINCODE:
                await self._caught_up(endpoint)
            return await self._ask_one(endpoint, proposal, timeout_s)

        try:
            answer = await self._peers.call(ask, timeout_s=self._patience.evaluate_s)
        except CallFailure as failure:
            raise classify(failure) from failure
        return answer.result

    async def _ask_one(
        self, endpoint: PeerEndpoint, proposal: Proposal, timeout_s: float
    ) -> gateway_pb2.EvaluateResponse:
        request = gateway_pb2.EvaluateRequest(
            transaction_id=proposal.tx_id,
            channel_id=self._channel,
            proposed_transaction=self._sign(proposal),
            target_organizations=[self._signer.identity.msp_id],
        )
        return await endpoint.connection.evaluate(request, timeout_s=timeout_s)

    async def _caught_up(self, endpoint: PeerEndpoint) -> None:
        """Wait until a peer has the blocks that we saw committed at another one: it would judge by an old state.

        Raises:
            CallFailure: UNAVAILABLE: it does not catch up in time, or does not answer.
        """
        until = time.monotonic() + self._patience.behind_s
        while endpoint.height <= self._block_seen:
            args = (b"GetChainInfo", self._channel.encode())
            answer = await self._ask_one(
                endpoint, self._propose(_SYSTEM_CHAINCODE, args), self._patience.behind_s
            )
            endpoint.height = decode(common_pb2.BlockchainInfo, answer.result.payload).height
            if endpoint.height > self._block_seen:
                return
            if time.monotonic() >= until:
                raise CallFailure(
                    code="UNAVAILABLE", message=f"{endpoint.endpoint} lags behind block {self._block_seen}"
                )
            await asyncio.sleep(self._patience.pause_s)

    async def _open_events(
        self, start_block: int, after_tx_id: str
    ) -> AsyncGenerator[gateway_pb2.ChaincodeEventsResponse, None]:
        query = EventsQuery(
            channel=self._channel,
            chaincode=self._chaincode,
            creator=self._signer.identity.serialized,
            start_block=start_block,
            after_tx_id=after_tx_id,
        )
        request = gateway_pb2.SignedChaincodeEventsRequest(
            request=query.message, signature=self._signer.sign(query)
        )
        async with aclosing(self._peers.events(request)) as answers:
            async for answer in answers:
                self._block_seen = max(self._block_seen, answer.block_number)
                yield answer
