"""Implement the contract's stub at a Fabric peer: reads are requests, writes are sent together after a successful call.

Decides how ranges are paged. Requests go through `Ask`, which blocks until the peer responds. The stub stops at a
range's limit, but the peer reads to the end of its page of 100 and checks all it read for phantoms.
Source: Fabric's core/chaincode/handler.go (pages, query limit).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from google.protobuf.message import Message  # type: ignore[import-untyped]  # it ships no stubs

from edgegw.fabric import policy
from edgegw.fabric.proto import queryresult_pb2
from edgegw.fabric.proto.chaincode_pb2 import (
    ChaincodeMessage,
    DelState,
    GetHistoryForKey,
    GetState,
    GetStateByRange,
    PutState,
    PutStateMetadata,
    QueryMetadata,
    QueryResponse,
    QueryResponseMetadata,
    QueryStateClose,
    QueryStateNext,
    StateMetadata,
    WriteBatchState,
    WriteRecord,
)
from edgegw.fabric.wire import decode, encode
from edgegw.peer.chaincode.protocol import Call

FIRST_KEY = "\x01"
"""The start key of an unbounded range, because a peer accepts no empty one."""
QUERY_LIMIT_LEAST = 1000
"""The least `ledger.state.totalQueryLimit` assumed; a peer ends a range there without an error."""
_NS_PER_MS = 1_000_000


class Ask(Protocol):
    """Sends a request (type and body) to the peer and returns the payload of the response."""

    def __call__(self, kind: ChaincodeMessage.Type, body: Message) -> bytes:
        """Block until the peer responds; exceptions end the call."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of a key; a value of None is a deletion."""

    tx_id: str
    value: bytes | None
    timestamp_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Pairs of a range and the start of the next page; an empty bookmark marks the last page."""

    pairs: tuple[tuple[str, bytes], ...]
    bookmark: str


class PeerStub:
    """The contract's stub for one call, with two more functions of Fabric peers: `page` and `history`."""

    def __init__(self, call: Call, ask: Ask) -> None:
        self._ask = ask
        self._writes: dict[str, bytes | None] = {}
        self._policies: dict[str, bytes] = {}
        self.event: tuple[str, bytes] | None = None
        self.tx_id = call.call_id.tx_id
        self.timestamp_ms = call.timestamp_ms
        self.creator = call.creator

    def get(self, key: str) -> bytes | None:
        """Return the committed value of `key`, or None; never this transaction's own write."""
        return self._ask(ChaincodeMessage.GET_STATE, GetState(key=key)) or None

    def put(self, key: str, value: bytes) -> None:
        """Write `key` when the transaction commits."""
        self._writes[key] = value

    def delete(self, key: str) -> None:
        """Remove `key` when the transaction commits."""
        self._writes[key] = None

    def scan(self, start: str, end: str, limit: int) -> Iterator[tuple[str, bytes]]:
        """Yield at most `limit` committed pairs with start <= key < end, ascending."""
        while True:
            count, last = 0, start
            for pair in self._range(start, end, limit):
                yield pair
                count, last = count + 1, pair[0]
            limit -= count
            if count < QUERY_LIMIT_LEAST or limit == 0:
                return
            start = last + "\x00"

    def set_policy(self, key: str, msp_ids: Sequence[str]) -> None:
        """Require an endorsement of each of `msp_ids` for later writes of `key`."""
        self._policies[key] = policy.out_of(len(set(msp_ids)), msp_ids)

    def set_event(self, name: str, payload: bytes) -> None:
        """Set the transaction's event; a second call replaces the first."""
        self.event = (name, payload)

    def page(self, start: str, end: str, *, size: int, bookmark: str = "") -> Page:
        """Return one page of a range, with the peer's own bookmark. A call that reads pages may not write."""
        asked = GetStateByRange(
            startKey=start or FIRST_KEY,
            endKey=end,
            metadata=encode(QueryMetadata(pageSize=size, bookmark=bookmark)),
        )
        answer = decode(QueryResponse, self._ask(ChaincodeMessage.GET_STATE_BY_RANGE, asked))
        following = decode(QueryResponseMetadata, answer.metadata).bookmark
        return Page(pairs=tuple(_pairs(answer)), bookmark=following)

    def history(self, key: str) -> Iterator[Change]:
        """Yield every committed change of a key, newest first, from the peer's history database."""
        first = self._ask(ChaincodeMessage.GET_HISTORY_FOR_KEY, GetHistoryForKey(key=key))
        for answer in self._answers(first):
            for result in answer.results:
                change = decode(queryresult_pb2.KeyModification, result.resultBytes)
                at_ms = change.timestamp.seconds * 1000 + change.timestamp.nanos // _NS_PER_MS
                value = None if change.is_delete else change.value
                yield Change(tx_id=change.tx_id, value=value, timestamp_ms=at_ms)

    def send_writes(self, batch_max: int) -> None:
        """Send all writes and policies to the peer, in batches of `batch_max`, or singly if it is 0."""
        if not batch_max:
            for kind, body in self._single_writes():
                self._ask(kind, body)
            return
        records = self._records()
        for first in range(0, len(records), batch_max):
            batch = WriteBatchState(rec=records[first : first + batch_max])
            self._ask(ChaincodeMessage.WRITE_BATCH_STATE, batch)

    def _range(self, start: str, end: str, limit: int) -> Iterator[tuple[str, bytes]]:
        """Yield as `scan`, but end early at the peer's own query limit."""
        asked = GetStateByRange(startKey=start or FIRST_KEY, endKey=end)
        left = limit
        for answer in self._answers(self._ask(ChaincodeMessage.GET_STATE_BY_RANGE, asked)):
            for pair in _pairs(answer):
                if left == 0:
                    break
                yield pair
                left -= 1
            if left == 0:
                if answer.has_more:
                    self._ask(ChaincodeMessage.QUERY_STATE_CLOSE, QueryStateClose(id=answer.id))
                return

    def _answers(self, first: bytes) -> Iterator[QueryResponse]:
        """Yield the peer's responses to a query, each requested when the previous one is used up."""
        answer = decode(QueryResponse, first)
        yield answer
        while answer.has_more:
            following = self._ask(ChaincodeMessage.QUERY_STATE_NEXT, QueryStateNext(id=answer.id))
            answer = decode(QueryResponse, following)
            yield answer

    def _single_writes(self) -> Iterator[tuple[ChaincodeMessage.Type, Message]]:
        for key, value in self._writes.items():
            if value is None:
                yield ChaincodeMessage.DEL_STATE, DelState(key=key)
            else:
                yield ChaincodeMessage.PUT_STATE, PutState(key=key, value=value)
        for key, rule in self._policies.items():
            yield ChaincodeMessage.PUT_STATE_METADATA, PutStateMetadata(key=key, metadata=_metadata(rule))

    def _records(self) -> list[WriteRecord]:
        records = [
            WriteRecord(key=key, type=WriteRecord.DEL_STATE)
            if value is None
            else WriteRecord(key=key, value=value, type=WriteRecord.PUT_STATE)
            for key, value in self._writes.items()
        ]
        for key, rule in self._policies.items():
            records.append(
                WriteRecord(key=key, metadata=_metadata(rule), type=WriteRecord.PUT_STATE_METADATA)
            )
        return records


def _metadata(rule: bytes) -> StateMetadata:
    return StateMetadata(metakey=policy.VALIDATION_PARAMETER, value=rule)


def _pairs(answer: QueryResponse) -> Iterator[tuple[str, bytes]]:
    for result in answer.results:
        pair = decode(queryresult_pb2.KV, result.resultBytes)
        yield pair.key, pair.value
