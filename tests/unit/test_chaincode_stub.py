"""The contract's reads and writes become the right requests to a Fabric peer."""

import pytest
from google.protobuf.message import Message  # type: ignore[import-untyped]  # it ships no stubs

from edgegw.contract.stub import Creator
from edgegw.fabric import policy
from edgegw.fabric.proto import queryresult_pb2
from edgegw.fabric.proto.chaincode_pb2 import ChaincodeMessage
from edgegw.fabric.wire import encode
from edgegw.peer.chaincode.protocol import Call, CallId
from edgegw.peer.chaincode.stub import QUERY_LIMIT_LEAST, Change, PeerStub
from tests.support.chaincode_peer import FakePeer, Outcome

CALL = Call(
    call_id=CallId("energych", "7" * 64),
    creator=Creator(msp_id="EVUserMSP", role="gateway"),
    timestamp_ms=5,
    function="f",
    args=(),
)


def hosted(peer: FakePeer) -> tuple[PeerStub, Outcome]:
    """A stub that talks to a fake peer without a socket."""
    outcome = Outcome(CALL.call_id.tx_id)

    def ask(kind: ChaincodeMessage.Type, body: Message) -> bytes:
        asked = ChaincodeMessage(type=kind, payload=encode(body), txid=outcome.tx_id)
        answer = peer._answer(asked, outcome)
        assert answer.type == ChaincodeMessage.RESPONSE, answer.payload
        return answer.payload

    return PeerStub(CALL, ask), outcome


def numbered(count: int) -> dict[str, bytes]:
    return {f"k~{number:05d}": str(number).encode() for number in range(count)}


def test_a_missing_key_is_none() -> None:
    """An empty answer means that there is no such key."""
    stub, _ = hosted(FakePeer({"a": b"1"}))
    assert (stub.get("a"), stub.get("b")) == (b"1", None)
    assert (stub.tx_id, stub.timestamp_ms, stub.creator) == ("7" * 64, 5, CALL.creator)


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 250])
def test_a_range_over_pages(count: int) -> None:
    """A range is complete and in order, however many pages it takes, and leaves no iterator open."""
    state = numbered(count)
    stub, outcome = hosted(FakePeer({**state, "a": b"", "l": b""}))
    assert dict(stub.scan("k~", "k~\x7f", 100_000)) == state
    assert outcome.requests.count("QUERY_STATE_NEXT") == max(0, (count - 1) // 100)
    assert outcome.iterators == {}


@pytest.mark.parametrize(
    ("limit", "closed"), [(1, 1), (99, 1), (100, 1), (150, 1), (200, 1), (250, 0), (251, 0)]
)
def test_a_limit_ends_the_range_and_closes_it(limit: int, closed: int) -> None:
    """No more than `limit` pairs; what the peer still holds open is closed."""
    stub, outcome = hosted(FakePeer(numbered(250)))
    assert [key for key, _ in stub.scan("k~", "k~\x7f", limit)] == sorted(numbered(250))[:limit]
    assert outcome.requests.count("QUERY_STATE_CLOSE") == closed
    assert outcome.iterators == {}


def test_a_limit_of_nothing_finds_nothing() -> None:
    """A limit of 0 gives no pair."""
    stub, _ = hosted(FakePeer(numbered(3)))
    assert list(stub.scan("k~", "k~\x7f", 0)) == []


@pytest.mark.parametrize("count", [QUERY_LIMIT_LEAST, 2 * QUERY_LIMIT_LEAST, 2_345])
def test_a_peer_that_ends_ranges_silently(count: int) -> None:
    """A range that the peer's totalQueryLimit cuts off is continued, so that sums of the contract are complete."""
    peer = FakePeer(numbered(count), query_limit=QUERY_LIMIT_LEAST)
    stub, _ = hosted(peer)
    assert len(list(stub.scan("k~", "k~\x7f", 100_000))) == count
    stub, _ = hosted(peer)
    assert len(list(stub.scan("k~", "k~\x7f", count - 1))) == count - 1


def test_an_open_start_has_a_first_key() -> None:
    """A peer takes no empty start key (the fake asserts it)."""
    stub, _ = hosted(FakePeer({"a": b"1"}))
    assert list(stub.scan("", "b", 5)) == [("a", b"1")]
    assert stub.page("", "b", size=5).pairs == (("a", b"1"),)


def test_pages_with_the_peers_bookmark() -> None:
    """Page after page gives the whole range; the last bookmark is empty."""
    stub, outcome = hosted(FakePeer(numbered(25)))
    found: list[str] = []
    bookmark, pages = "", 0
    while pages == 0 or bookmark:
        page = stub.page("k~", "k~\x7f", size=10, bookmark=bookmark)
        found += [key for key, _ in page.pairs]
        bookmark, pages = page.bookmark, pages + 1
    assert (pages, found) == (3, sorted(numbered(25)))
    assert set(outcome.requests) == {"GET_STATE_BY_RANGE"}


def test_the_history_of_a_key() -> None:
    """Each change with its transaction and time, a deletion without a value."""
    changes = [
        queryresult_pb2.KeyModification(tx_id="b", is_delete=True),
        queryresult_pb2.KeyModification(tx_id="a", value=b"1"),
    ]
    changes[1].timestamp.seconds, changes[1].timestamp.nanos = 3, 4_000_000
    stub, _ = hosted(FakePeer(history={"k": changes}, page_size=1))
    assert list(stub.history("k")) == [
        Change(tx_id="b", value=None, timestamp_ms=0),
        Change(tx_id="a", value=b"1", timestamp_ms=3_004),
    ]


def _write(stub: PeerStub) -> None:
    stub.put("a", b"0")
    stub.put("a", b"1")
    stub.delete("b")
    stub.put("c", b"2")
    stub.delete("c")
    stub.set_policy("a", ("IndustryMSP", "EVUserMSP"))


RULE = policy.out_of(2, ("EVUserMSP", "IndustryMSP"))


@pytest.mark.parametrize(
    ("batch_max", "requests"),
    [
        (0, ["PUT_STATE", "DEL_STATE", "DEL_STATE", "PUT_STATE_METADATA"]),
        (1000, ["WRITE_BATCH_STATE"]),
        (3, ["WRITE_BATCH_STATE"] * 2),
    ],
)
def test_writes_leave_together(batch_max: int, requests: list[str]) -> None:
    """The last write of a key counts, one by one as in batches; a key's policy is its VALIDATION_PARAMETER."""
    stub, outcome = hosted(FakePeer(write_batch_max=batch_max))
    _write(stub)
    assert stub.get("a") is None, "no sight of its own writes"
    assert outcome.requests == ["GET_STATE"]
    stub.send_writes(batch_max)
    assert outcome.requests[1:] == requests
    assert outcome.writes == {"a": b"1", "b": None, "c": None}
    assert outcome.policies == {"a": RULE}


@pytest.mark.parametrize("batch_max", [0, 1000])
def test_a_call_that_reads_sends_no_write(batch_max: int) -> None:
    """Nothing to write, nothing sent."""
    stub, outcome = hosted(FakePeer())
    stub.send_writes(batch_max)
    assert outcome.requests == []


def test_the_last_event_counts() -> None:
    """A second event replaces the first."""
    stub, _ = hosted(FakePeer())
    assert stub.event is None
    stub.set_event("a", b"")
    stub.set_event("b", b"x")
    assert stub.event == ("b", b"x")
