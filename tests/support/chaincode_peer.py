"""Fake a Fabric peer's half of the chaincode protocol over a real socket, with a dict as its state.

It answers as Fabric's chaincode handler does: pages of 100, a range that ends without an error at its query limit, an
empty value for a missing key, one request of a call at a time.
"""

import asyncio
import secrets
from bisect import bisect_left
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio

from edgegw.fabric.proto import chaincode_pb2, peer_pb2, queryresult_pb2
from edgegw.fabric.proto.chaincode_pb2 import ChaincodeMessage
from edgegw.fabric.transaction import build_proposal
from edgegw.fabric.wire import decode, encode
from tests.support.patience import PATIENCE_S

CHANNEL = "energych"


@dataclass
class Outcome:
    """How a call ended, and what it would write; `fault` is the text of an ERROR message."""

    tx_id: str
    response: peer_pb2.Response = field(default_factory=peer_pb2.Response)
    event: tuple[str, bytes] | None = None
    fault: str = ""
    writes: dict[str, bytes | None] = field(default_factory=dict)
    policies: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    busy: bool = False
    done: asyncio.Event = field(default_factory=asyncio.Event)
    iterators: dict[str, list[bytes]] = field(default_factory=dict)


@dataclass
class FakePeer:
    """The peer's end of one stream."""

    state: dict[str, bytes] = field(default_factory=dict)
    history: dict[str, list[queryresult_pb2.KeyModification]] = field(default_factory=dict)
    package_id: str = ""
    write_batch_max: int = 1000
    page_size: int = 100
    query_limit: int = 10_000
    accepts: bool = True
    faulty_key: str = "no such key"
    holding: bool = False
    held: list[ChaincodeMessage] = field(default_factory=list)
    arrived: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    echoes: int = 0
    calls: dict[str, Outcome] = field(default_factory=dict)
    outgoing: asyncio.Queue[ChaincodeMessage | None] = field(default_factory=asyncio.Queue)

    async def call(self, creator: bytes, function: str, *args: str, at_ms: int = 1_000) -> Outcome:
        """Run one call to its end; its writes are not applied."""
        outcome = self.begin(creator, function, *args, at_ms=at_ms)
        await outcome.done.wait()
        return outcome

    def begin(self, creator: bytes, function: str, *args: str, at_ms: int = 1_000) -> Outcome:
        """Send a call and return its outcome, which is filled in later."""
        proposal = build_proposal(
            creator=creator,
            nonce=secrets.token_bytes(24),
            timestamp_ns=at_ms * 1_000_000,
            channel=CHANNEL,
            chaincode="token",
            args=[function.encode(), *(arg.encode() for arg in args)],
        )
        outcome = self.calls[proposal.tx_id] = Outcome(proposal.tx_id)
        self.outgoing.put_nowait(
            ChaincodeMessage(
                type=ChaincodeMessage.TRANSACTION,
                payload=encode(peer_pb2.ChaincodeInput(args=proposal.args)),
                txid=proposal.tx_id,
                channel_id=CHANNEL,
                proposal=peer_pb2.SignedProposal(proposal_bytes=proposal.message),
            )
        )
        return outcome

    def commit(self, outcome: Outcome) -> None:
        """Apply a call's writes."""
        for key, value in outcome.writes.items():
            if value is None:
                self.state.pop(key, None)
            else:
                self.state[key] = value

    def ping(self) -> None:
        """Send a keepalive, which the chaincode has to return."""
        self.outgoing.put_nowait(ChaincodeMessage(type=ChaincodeMessage.KEEPALIVE))

    async def requests(self, count: int) -> None:
        """Wait until `count` more requests have come; with `holding` they are not answered."""
        for _ in range(count):
            await self.arrived.acquire()

    def release(self) -> None:
        """Answer the held requests, and from now on all requests at once."""
        self.holding = False
        while self.held:
            message = self.held.pop(0)
            outcome = self.calls[message.txid]
            outcome.busy = False
            self.outgoing.put_nowait(self._answer(message, outcome))

    def leave(self) -> None:
        """End the stream from the peer's side."""
        self.outgoing.put_nowait(None)

    async def messages(self) -> AsyncIterator[ChaincodeMessage]:
        """Yield the messages to the chaincode."""
        while (message := await self.outgoing.get()) is not None:
            yield message

    async def listen(self, stream: Any) -> None:
        """Receive the chaincode's messages until the stream ends. Raise AioRpcError if it ends with an error."""
        async for message in stream:
            self._take(message)

    def _take(self, message: ChaincodeMessage) -> None:
        if message.type == ChaincodeMessage.REGISTER:
            self.package_id = decode(peer_pb2.ChaincodeID, message.payload).name
            if self.accepts:
                abilities = chaincode_pb2.ChaincodeAdditionalParams(
                    use_write_batch=self.write_batch_max > 0, max_size_write_batch=self.write_batch_max
                )
                self.outgoing.put_nowait(ChaincodeMessage(type=ChaincodeMessage.REGISTERED))
                self.outgoing.put_nowait(
                    ChaincodeMessage(type=ChaincodeMessage.READY, payload=encode(abilities))
                )
                self.ready.set()
            return
        if message.type == ChaincodeMessage.KEEPALIVE:
            self.echoes += 1
            return
        outcome = self.calls[message.txid]
        if message.type == ChaincodeMessage.COMPLETED:
            outcome.response = decode(peer_pb2.Response, message.payload)
            if message.HasField("chaincode_event"):
                outcome.event = (message.chaincode_event.event_name, message.chaincode_event.payload)
            outcome.done.set()
        elif message.type == ChaincodeMessage.ERROR:
            outcome.fault = message.payload.decode()
            outcome.done.set()
        else:
            assert not outcome.busy, "a second request before the first was answered"
            outcome.busy = True
            self.held.append(message)
            self.arrived.release()
            if not self.holding:
                self.release()

    def _answer(self, message: ChaincodeMessage, outcome: Outcome) -> ChaincodeMessage:
        kind = ChaincodeMessage.Type.Name(message.type)
        outcome.requests.append(kind)
        payload, answer = b"", ChaincodeMessage.RESPONSE
        try:
            payload = self._ANSWERS[kind](self, message.payload, outcome)
        except LookupError as fault:
            payload, answer = f"{kind} failed: {fault}".encode(), ChaincodeMessage.ERROR
        return ChaincodeMessage(type=answer, payload=payload, txid=message.txid, channel_id=CHANNEL)

    def _get(self, body: bytes, _: Outcome) -> bytes:
        key = decode(chaincode_pb2.GetState, body).key
        if key == self.faulty_key:
            raise LookupError("leveldb is closed")
        return self.state.get(key, b"")

    def _put(self, body: bytes, outcome: Outcome) -> bytes:
        put = decode(chaincode_pb2.PutState, body)
        outcome.writes[put.key] = put.value
        return b""

    def _delete(self, body: bytes, outcome: Outcome) -> bytes:
        outcome.writes[decode(chaincode_pb2.DelState, body).key] = None
        return b""

    def _metadata(self, body: bytes, outcome: Outcome) -> bytes:
        put = decode(chaincode_pb2.PutStateMetadata, body)
        assert put.metadata.metakey == "VALIDATION_PARAMETER"
        outcome.policies[put.key] = put.metadata.value
        return b""

    def _batch(self, body: bytes, outcome: Outcome) -> bytes:
        records = decode(chaincode_pb2.WriteBatchState, body).rec
        assert len(records) <= self.write_batch_max
        for record in records:
            if record.type == chaincode_pb2.WriteRecord.PUT_STATE:
                outcome.writes[record.key] = record.value
            elif record.type == chaincode_pb2.WriteRecord.DEL_STATE:
                outcome.writes[record.key] = None
            else:
                assert record.type == chaincode_pb2.WriteRecord.PUT_STATE_METADATA
                outcome.policies[record.key] = record.metadata.value
        return b""

    def _range(self, body: bytes, outcome: Outcome) -> bytes:
        asked = decode(chaincode_pb2.GetStateByRange, body)
        assert asked.startKey, "a peer takes no empty start"
        names = sorted(self.state)
        found = names[bisect_left(names, asked.startKey) : bisect_left(names, asked.endKey)]
        if asked.metadata:
            return self._explicit_page(asked, found)
        return self._pages(self._pairs(found[: self.query_limit]), outcome)

    def _explicit_page(self, asked: chaincode_pb2.GetStateByRange, found: list[str]) -> bytes:
        wanted = decode(chaincode_pb2.QueryMetadata, asked.metadata)
        found = found[bisect_left(found, wanted.bookmark) :]
        following = found[wanted.pageSize] if len(found) > wanted.pageSize else ""
        answer = chaincode_pb2.QueryResponse(
            results=[
                chaincode_pb2.QueryResultBytes(resultBytes=pair)
                for pair in self._pairs(found[: wanted.pageSize])
            ],
            metadata=encode(chaincode_pb2.QueryResponseMetadata(bookmark=following)),
        )
        return encode(answer)

    def _pairs(self, names: Iterable[str]) -> list[bytes]:
        return [encode(queryresult_pb2.KV(key=name, value=self.state[name])) for name in names]

    def _history(self, body: bytes, outcome: Outcome) -> bytes:
        key = decode(chaincode_pb2.GetHistoryForKey, body).key
        return self._pages([encode(change) for change in self.history.get(key, [])], outcome)

    def _pages(self, results: list[bytes], outcome: Outcome) -> bytes:
        name = f"i{len(outcome.requests)}"
        outcome.iterators[name] = results
        return self._next_page(name, outcome)

    def _next(self, body: bytes, outcome: Outcome) -> bytes:
        return self._next_page(decode(chaincode_pb2.QueryStateNext, body).id, outcome)

    def _next_page(self, name: str, outcome: Outcome) -> bytes:
        results = outcome.iterators.pop(name)
        if len(results) > self.page_size:
            outcome.iterators[name] = results[self.page_size :]
        answer = chaincode_pb2.QueryResponse(
            results=[
                chaincode_pb2.QueryResultBytes(resultBytes=result) for result in results[: self.page_size]
            ],
            has_more=name in outcome.iterators,
            id=name,
        )
        return encode(answer)

    def _close(self, body: bytes, outcome: Outcome) -> bytes:
        del outcome.iterators[decode(chaincode_pb2.QueryStateClose, body).id]
        return b""

    _ANSWERS: "dict[str, Callable[[FakePeer, bytes, Outcome], bytes]]" = field(
        init=False,
        default_factory=lambda: {
            "GET_STATE": FakePeer._get,
            "PUT_STATE": FakePeer._put,
            "DEL_STATE": FakePeer._delete,
            "PUT_STATE_METADATA": FakePeer._metadata,
            "WRITE_BATCH_STATE": FakePeer._batch,
            "GET_STATE_BY_RANGE": FakePeer._range,
            "QUERY_STATE_NEXT": FakePeer._next,
            "QUERY_STATE_CLOSE": FakePeer._close,
            "GET_HISTORY_FOR_KEY": FakePeer._history,
        },
    )


@asynccontextmanager
async def connected(
    address: str, peer: FakePeer | None = None, *, credentials: Any = None
) -> AsyncIterator[FakePeer]:
    """Yield a peer whose stream is registered; it leaves at the end. Raise an error of the stream."""
    peer = peer or FakePeer()
    channel = (
        grpc.aio.insecure_channel(address)
        if credentials is None
        else grpc.aio.secure_channel(address, credentials)
    )
    async with channel:
        connect = channel.stream_stream("/protos.Chaincode/Connect", encode, ChaincodeMessage.FromString)
        stream = connect(peer.messages())
        listening = asyncio.ensure_future(peer.listen(stream))
        registered = asyncio.ensure_future(peer.ready.wait())
        await asyncio.wait([listening, registered], return_when=asyncio.FIRST_COMPLETED)
        if not peer.ready.is_set():
            registered.cancel()
            await listening
        try:
            yield peer
        finally:
            peer.leave()
            await asyncio.wait_for(listening, PATIENCE_S)


__all__ = ["CHANNEL", "FakePeer", "Outcome", "connected"]
