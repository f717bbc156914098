"""Call the ledger: evaluate, endorse, submit, query the commit status, follow events, or all in one `execute`.

Decides deadlines and when to endorse a call again. Stores nothing: a caller that must survive a crash stores the
endorsed envelope before `submit`.
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
    """Deadlines of single calls, and how long and how often `execute` retries. Seconds are real time."""

    evaluate_s: float = 10
    endorse_s: float = 35
    submit_s: float = 35
    status_s: float = 5
    undecided_s: float = 60
    behind_s: float = 3  # time for a peer to catch up with the last block this client has seen
    attempts: int = 8
    pause_s: float = 0.05


class LedgerClient:
    """A client of one identity at its organisation's gateway peers. Use `async with`, or call `close`."""

    def __init__(  # noqa: PLR0913 - one per connection property
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
        """Set up the client; the first call connects.

        `endpoints` are in order of preference; `roots` are the organisations whose peers may endorse; `tls` holds the
        PEM roots of the peers' server certificates, None for plain text; `organisations_least` is the least number of
        organisations that must endorse.
        """
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
        self._block_seen = -1  # last block in which this client saw a commit

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
        """Return the result of a query; nothing is written. Raises subclasses of LedgerError except Mismatch."""
        proposal = self._propose(self._chaincode, (function.encode(), call_argument(args or {})))
        return parse_result(await self._evaluate(proposal))

    async def endorse(self, function: str, args: dict[str, Any] | None = None) -> Endorsed:
        """Have a call endorsed, check the response and sign it. Nothing is written until `submit`.

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
        """Send a signed envelope to the orderer. A return means "accepted", not "committed".

        Raises:
            Unavailable: the orderer may or may not have accepted it: call `commit_status`.
            IdentityRefused, Misused: it was not accepted.
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
        """Return whether the envelope's identity has expired while the current one has not.

        Such an envelope can no longer commit, so the call may be endorsed again under the renewed identity.
        """
        try:
            creator = transaction.parse_transaction(decode(common_pb2.Envelope, envelope).payload).creator
            signed_by = parse_identity(creator)
        except MalformedMessageError:
            return False
        at_ns = self._now_ns()
        return signed_by.expired(at_ns) and not self._signer.identity.expired(at_ns)

    async def commit_status(self, tx_id: str, timeout_s: float | None = None) -> Outcome:
        """Return how the transaction ended, or Unknown if no peer answers in time. Raises IdentityRefused."""
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
        """Endorse, submit and wait for the commit; endorse again after a conflict. Return the call's result.

        For calls that carry an id of their own, so that repeating them after a crash is safe.

        Raises:
            BusinessRefusal, ClockRefused, IdentityRefused, Unavailable, Mismatch, Forged: nothing written.
            Conflicting: invalid in each attempt. Undecided: the outcome is unknown and it may still commit.
        """
        last: LedgerError = Conflicting("never tried")
        for attempt in range(self._patience.attempts):
            if attempt:
                # The pause grows and is random, so that two callers that write one key do not collide again.
                await asyncio.sleep(self._patience.pause_s * attempt * (1 + random.random()))  # noqa: S311 - jitter
            try:
                endorsed = await self.endorse(function, args)
            except (Mismatch, Duplicate) as fault:
                last = fault  # the next attempt has a new transaction id; the caller's id detects a repeat
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
        """Yield events from `start_block` on, after `after_tx_id` in it, without end; None starts at the next block.

        Raises:
            Unavailable: only with None, if the ledger's height cannot be read. IdentityRefused, Misused.
        """
        start = await self.height() if start_block is None else start_block
        async with aclosing(follow(self._open_events, start_block=start, after_tx_id=after_tx_id)) as found:
            async for event in found:
                yield event

    async def block(self, number: int) -> bytes:
        """Return raw common.Block bytes. Raises BusinessRefusal (empty code) if there is no such block."""
        args = (b"GetBlockByNumber", self._channel.encode(), str(number).encode())
        return (await self._evaluate(self._propose(_SYSTEM_CHAINCODE, args))).payload

    async def height(self) -> int:
        """Return the number of blocks."""
        return (await self.chain_tip()).height

    async def chain_tip(self) -> common_pb2.BlockchainInfo:
        """Return the number of blocks and the last one's hash."""
        args = (b"GetChainInfo", self._channel.encode())
        answer = await self._evaluate(self._propose(_SYSTEM_CHAINCODE, args))
        return decode(common_pb2.BlockchainInfo, answer.payload)

    async def receipt(self, tx_id: str) -> Receipt:
        """Return the receipt of a transaction. Raises BusinessRefusal (empty code) if no block contains it."""
        args = (b"GetBlockByTxID", self._channel.encode(), tx_id.encode())
        raw = (await self._evaluate(self._propose(_SYSTEM_CHAINCODE, args))).payload
        try:
            return receipt_of(raw, tx_id)
        except MalformedMessageError as fault:
            raise Forged(f"{tx_id}: {fault}") from fault

    async def _settle(self, endorsed: Endorsed) -> Committed | Invalid:
        """Submit the same bytes until their outcome is known; raise Undecided after `undecided_s`."""
        until = time.monotonic() + self._patience.undecided_s
        while True:
            # Even after an error the orderer may have accepted it: only the commit status decides.
            with suppress(Unavailable):
                await self.submit(endorsed.envelope)
            outcome: Outcome = Unknown("not asked")
            with suppress(Unavailable):  # for example, a PKCS#11 token cannot sign the query
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
        """Evaluate at the own organisation's peers only, because results from another's cannot be trusted."""

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
        """Wait until a peer has the blocks seen at another one, so that it does not simulate on an old state.

        Raises:
            CallFailure: UNAVAILABLE if the peer does not catch up in time, or does not answer.
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
