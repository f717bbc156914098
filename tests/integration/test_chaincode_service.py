"""The chaincode service over real sockets: a fake peer drives the real contract, and everything that goes wrong."""

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from edgegw.contract import Creator, Response, Stub, invoke
from edgegw.fabric.identity import Identity
from edgegw.fabric.proto.chaincode_pb2 import ChaincodeMessage
from edgegw.fabric.wire import encode
from edgegw.peer import membership
from edgegw.peer.chaincode import server, session
from edgegw.peer.invocation import caller
from tests.support import contract_world as cw
from tests.support.chaincode_host import PACKAGE_ID, adding, connected_service, service
from tests.support.chaincode_peer import FakePeer, connected
from tests.support.contract_world import MemoryStub, World
from tests.support.patience import PATIENCE_S


class Members:
    """Certificates for the creators that tests of the contract name."""

    def __init__(self, crypto: Path) -> None:
        self._crypto = crypto
        self._known: dict[Creator, Identity] = {}
        membership.found(crypto)

    def identity(self, creator: Creator) -> Identity:
        if creator not in self._known:
            folder = membership.enrol(
                self._crypto,
                membership.Enrolment(
                    msp_id=creator.msp_id,
                    name=f"as-{creator.role}-{creator.gateway_id}".rstrip("-"),
                    role=creator.role,
                    gateway=creator.gateway_id,
                ),
            )
            pem = next(folder.glob("*cert*")).read_bytes()
            self._known[creator] = Identity(msp_id=creator.msp_id, certificate_pem=pem)
        return self._known[creator]


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> Members:
    return Members(tmp_path_factory.mktemp("crypto"))


@pytest.fixture(scope="module")
def someone(members: Members) -> bytes:
    return members.identity(cw.GATE).serialized


class Recording(World):
    """The in-memory host, which notes every call."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Creator, str, tuple[str, ...], int]] = []

    def respond(self, creator: Creator, function: str, args: Any) -> Response:
        self.calls.append((creator, function, tuple(args), self.now_s * 1000))
        return super().respond(creator, function, args)


def a_day(monkeypatch: pytest.MonkeyPatch) -> Recording:
    """Configuration, sign-ups, a metered session with its trades, history by pages, and refusals."""
    monkeypatch.setattr(cw, "World", Recording)
    world = cw.session()
    assert isinstance(world, Recording)
    lines = [cw.line(cw.LIGHT, 1000, 2500), cw.line(cw.LIGHT, 2500, 2600)]
    world.call(cw.GATE, "RecordTrades", lines=lines)
    world.call(cw.GATE, "Release", holdId="H1")
    for number in range(5):
        world.mint("EVB", 1000 + number)
    page = world.call(cw.EVU, "historyAPI", memberId="EVB", pageSize=2)
    world.call(cw.EVU, "historyAPI", memberId="EVB", pageSize=2, bookmark=page["bookmark"])
    transfer = {**cw.line(cw.LIGHT, 2600, 2700), "buyerId": "EVB", "sellerId": "PRO1"}
    world.respond(cw.GATE, "transfer", [json.dumps({"v": 1, **transfer})])
    world.respond(cw.GATE, "Mint", [json.dumps({"v": 1})])
    world.respond(cw.GATE, "NoSuchFunction", [])
    world.respond(cw.GATE, "SignUp", ["no JSON"])
    world.totals()
    return world


@pytest.mark.parametrize(("page_size", "batch_max"), [(100, 1000), (2, 0), (3, 5)])
async def test_a_recorded_day_gives_the_same_ledger(
    page_size: int, batch_max: int, members: Members, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call, replayed through the service, answers and writes as the contract run in place: in batches, one by one."""
    recorded = a_day(monkeypatch).calls
    state: dict[str, bytes] = {}
    peer = FakePeer(page_size=page_size, write_batch_max=batch_max)
    statuses = []
    async with service() as (address, _), connected(address, peer):
        for creator, function, args, at_ms in recorded:
            identity = members.identity(creator)
            outcome = await peer.call(identity.serialized, function, *args, at_ms=at_ms)
            stub = MemoryStub(state, outcome.tx_id, at_ms, caller(identity))
            expected = invoke(stub, function, args)
            said = outcome.response
            assert not outcome.fault
            assert Response(status=said.status, message=said.message, payload=said.payload) == expected
            assert outcome.event == stub.event
            assert list(outcome.writes.items()) == stub.writes
            assert set(outcome.policies) == set(stub.policies)
            assert outcome.iterators == {}
            peer.commit(outcome)
            state.update({key: value for key, value in stub.writes if value is not None})
            for key in [key for key, value in stub.writes if value is None]:
                state.pop(key, None)
            statuses.append(said.status)
    assert peer.state == state
    assert peer.package_id == PACKAGE_ID
    assert statuses.count(500) >= 3
    assert len(recorded) > 25
    assert any(key.startswith("trade~") for key in state)


async def test_refusals_read_as_the_embedded_peers(someone: bytes) -> None:
    """A refusal is a response of status 500 with `CODE: detail`, writes nothing and has no event."""
    async with service() as (address, log), connected(address) as peer:
        outcome = await peer.call(someone, "totalSupply")
        refused = await peer.call(someone, "PostTariff", '{"v":1}')
    assert outcome.response.status == 200
    assert json.loads(outcome.response.payload)["supply"] == "0"
    assert (refused.response.status, refused.response.message.partition(":")[0]) == (500, "NOT_AUTHORISED")
    assert refused.event is None
    assert refused.writes == {}
    assert log.of("chaincode.failed") == []


async def test_twenty_calls_at_once(someone: bytes) -> None:
    """Twenty calls on one stream are answered each with its own; all are under way at the same time."""
    peer = FakePeer({str(number): str(number).encode() for number in range(21)})
    peer.holding = True
    async with service(adding, threads=20) as (address, log), connected(address, peer):
        begun = [peer.begin(someone, f"sum{number}", str(number), str(number + 1)) for number in range(20)]
        await peer.requests(20)
        assert all(outcome.busy for outcome in begun)
        peer.release()
        for number, outcome in enumerate(begun):
            await outcome.done.wait()
            assert outcome.response.payload == str(2 * number + 1).encode()
            assert outcome.writes == {f"sum{number}": outcome.response.payload}
    assert log.of("chaincode.stopped") == [{"calls_finished": 20, "calls_lost": 0, "level": "info"}]


async def test_calls_run_beside_each_other(someone: bytes) -> None:
    """A call that waits holds up no other: all of them meet at a barrier that only all of them can pass."""
    barrier = threading.Barrier(8, timeout=PATIENCE_S)

    def meeting(stub: Stub, _function: str, _args: tuple[str, ...]) -> Response:
        barrier.wait()
        return Response(status=200, payload=stub.get("k") or b"")

    async with service(meeting, threads=8) as (address, _), connected(address, FakePeer({"k": b"v"})) as peer:
        outcomes = await asyncio.gather(*(peer.call(someone, "Meet") for _ in range(8)))
    assert [outcome.response.payload for outcome in outcomes] == [b"v"] * 8


async def test_two_peers_at_one_service(someone: bytes) -> None:
    """Each stream has its own state and its own end; both are logged."""
    async with service(adding) as (address, log), connected(address, FakePeer({"a": b"1"})) as first:
        async with connected(address, FakePeer({"a": b"2"})) as second:
            one, two = await asyncio.gather(first.call(someone, "s", "a"), second.call(someone, "s", "a"))
            assert (one.response.payload, two.response.payload) == (b"1", b"2")
        assert (await first.call(someone, "s", "a")).response.payload == b"1"
    assert len(log.of("chaincode.registered")) == len(log.of("chaincode.disconnected")) == 2


async def test_a_fault_of_the_peer_ends_the_call(someone: bytes) -> None:
    """A peer's failed request is an ERROR with the peer's text, not a refusal of the contract; the next call works."""
    peer = FakePeer({"a": b"1"}, faulty_key="b")
    async with service(adding) as (address, log), connected(address, peer):
        failed = await peer.call(someone, "s", "a", "b")
        assert (failed.fault, failed.response.status) == ("GET_STATE failed: leveldb is closed", 0)
        assert failed.writes == {}
        assert (await peer.call(someone, "s", "a")).response.payload == b"1"
    assert log.of("chaincode.failed") == []


async def test_a_fault_of_ours_is_logged_and_ends_the_call(someone: bytes) -> None:
    """An exception of the contract ends its call with an ERROR that has only the exception's class, and is logged."""
    async with service(adding) as (address, log), connected(address, FakePeer({"a": b"no number"})) as peer:
        failed = await peer.call(someone, "s", "a")
        assert failed.fault == "the contract could not be run: ValueError"
    (line,) = log.of("chaincode.failed")
    assert (line["tx_id"], line["function"], line["level"]) == (failed.tx_id, "s", "error")
    assert "chaincode_host.py" in line["where"]


async def test_keepalive_comes_back(someone: bytes) -> None:
    """Pings before, between and after calls are answered."""
    async with service(adding) as (address, _), connected(address) as peer:
        peer.ping()
        await peer.call(someone, "s")
        peer.ping()
        await peer.call(someone, "s")
        assert peer.echoes == 2


async def test_too_many_calls_are_sent_away(someone: bytes) -> None:
    """Beyond the limit a call fails at once with the reason, and running calls are served."""
    peer = FakePeer()
    peer.holding = True
    async with service(adding, calls_max=2, threads=1) as (address, _), connected(address, peer):
        begun = [peer.begin(someone, f"s{number}", "a") for number in range(3)]
        sent_away = peer.begin(someone, "s4", "a")
        peer.release()
        await sent_away.done.wait()
        await asyncio.gather(*(outcome.done.wait() for outcome in begun))
        assert "2 calls under way" in sent_away.fault or "2 calls under way" in begun[2].fault
        assert [outcome.response.payload for outcome in begun[:2]] == [b"0", b"0"]
        assert (await peer.call(someone, "s5", "a")).response.payload == b"0"


async def test_a_lost_stream_frees_its_calls(someone: bytes) -> None:
    """When a peer goes in the middle of calls, their threads end; another stream is served by the only thread there is."""
    peer = FakePeer()
    peer.holding = True
    async with service(adding, threads=1) as (address, log):
        channel = grpc.aio.insecure_channel(address)
        connect = channel.stream_stream("/protos.Chaincode/Connect", encode, ChaincodeMessage.FromString)
        lost = connect(peer.messages())
        await lost.read()
        peer.outgoing.put_nowait(_message("REGISTERED"))
        peer.outgoing.put_nowait(_message("READY"))
        peer.begin(someone, "s", "a")
        peer.begin(someone, "s", "a")
        assert await lost.read(), "the first call's request"
        await channel.close()
        async with connected(address, FakePeer({"a": b"7"})) as second:
            assert (await second.call(someone, "s", "a")).response.payload == b"7"
    ended = log.of("chaincode.disconnected")
    assert ended[0]["calls_lost"] == 2
    assert log.of("chaincode.failed") == []


def _message(kind: str) -> ChaincodeMessage:
    return ChaincodeMessage(type=ChaincodeMessage.Type.Value(kind))


async def test_streams_cut_anywhere(someone: bytes) -> None:
    """However often and wherever streams are cut, no call is counted twice, and none keeps its thread."""
    rounds, width = 25, 12
    async with service(adding, threads=4) as (address, log):
        for number in range(rounds):
            peer = FakePeer({"a": b"1"})
            channel = grpc.aio.insecure_channel(address)
            connect = channel.stream_stream("/protos.Chaincode/Connect", encode, ChaincodeMessage.FromString)
            stream = connect(peer.messages())
            listening = asyncio.ensure_future(peer.listen(stream))
            await peer.ready.wait()
            for _ in range(width):
                peer.begin(someone, "s", "a", "b", "a")
            await peer.requests(number + 1)
            await channel.close()
            await asyncio.gather(listening, return_exceptions=True)
        async with connected(address, FakePeer({"a": b"7"})) as last:
            outcomes = await asyncio.gather(*(last.call(someone, "s", "a") for _ in range(width)))
        assert {outcome.response.payload for outcome in outcomes} == {b"7"}
    lost = sum(line["calls_lost"] for line in log.of("chaincode.disconnected"))
    (stopped,) = log.of("chaincode.stopped")
    assert stopped["calls_lost"] == 0
    assert width <= stopped["calls_finished"] <= (rounds + 1) * width - lost
    assert lost > 0
    assert log.of("chaincode.failed") == []


async def test_a_peer_that_does_not_accept_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that says nothing to our registration is left with the reason, and the log says it."""
    monkeypatch.setattr(server, "REGISTRATION_S", 0.05)
    async with service() as (address, log):
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            async with connected(address, FakePeer(accepts=False)):
                pass
    assert ended.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert "did not accept the package id" in (ended.value.details() or "")
    assert [line["level"] for line in log.of("chaincode.refused")] == ["warning"]
    assert log.of("chaincode.registered") == []


async def test_a_peer_that_refuses_the_package_or_leaves_at_once() -> None:
    """An ERROR to our registration ends the stream with the peer's reason; a peer that just leaves is no event."""
    async with service() as (address, log):
        stubborn = FakePeer(accepts=False)
        refusal = _message("ERROR")
        refusal.payload = b"unknown package"
        stubborn.outgoing.put_nowait(refusal)
        with pytest.raises(grpc.aio.AioRpcError, match="unknown package"):
            async with connected(address, stubborn):
                pass
        fleeting = FakePeer(accepts=False)
        fleeting.leave()
        async with grpc.aio.insecure_channel(address) as channel:
            connect = channel.stream_stream("/protos.Chaincode/Connect", encode, ChaincodeMessage.FromString)
            await fleeting.listen(connect(fleeting.messages()))
    assert [line["reason"] for line in log.of("chaincode.refused")] == [
        "the peer does not accept the package: unknown package"
    ]


async def test_a_peer_that_never_answers(someone: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that waits beyond what any peer allows ends with an ERROR, and its thread is free again."""
    monkeypatch.setattr(session, "ANSWER_S", 0.05)
    peer = FakePeer({"a": b"1"}, holding=True)
    async with service(adding, threads=1) as (address, _), connected(address, peer):
        silent = await peer.call(someone, "s", "a")
        assert silent.fault.startswith("no answer from the peer within")
        monkeypatch.setattr(session, "ANSWER_S", PATIENCE_S)
        peer.held.clear()
        peer.holding = False
        assert (await peer.call(someone, "s", "a")).response.payload == b"1"


async def test_stopping_does_not_wait_for_ever(someone: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that its peer leaves hanging is broken off when the time for finishing is over, and counted."""
    monkeypatch.setattr(server, "DRAIN_S", 0.05)
    peer = FakePeer(holding=True)
    async with connected_service(adding, peer) as (stop, stopped, log):
        peer.begin(someone, "s", "a")
        await peer.requests(1)
        stop.set()
        await stopped
    assert log.of("chaincode.stopped") == [{"calls_finished": 0, "calls_lost": 1, "level": "info"}]


async def test_a_peer_that_breaks_the_protocol() -> None:
    """A message that the protocol does not allow ends the stream with the reason; the service continues."""
    peer = FakePeer()
    async with service() as (address, log):
        with pytest.raises(grpc.aio.AioRpcError, match="REGISTERED in phase READY"):
            async with connected(address, peer):
                peer.outgoing.put_nowait(_message("REGISTERED"))
        async with connected(address):
            pass
    assert "phase READY" in log.of("chaincode.refused")[0]["reason"]


async def test_stopping_finishes_what_runs(someone: bytes) -> None:
    """At the end running calls are answered, and new ones are refused with the reason."""
    peer = FakePeer({"a": b"4"})
    peer.holding = True
    async with connected_service(adding, peer) as (stop, stopped, log):
        running = peer.begin(someone, "s", "a")
        await peer.requests(1)
        stop.set()
        while not (late := await peer.call(someone, "t")).fault:
            pass
        peer.release()
        await running.done.wait()
        await stopped
    assert late.fault == "the chaincode service is stopping"
    assert running.response.payload == b"4"
    assert log.of("chaincode.stopped")[0]["calls_lost"] == 0
