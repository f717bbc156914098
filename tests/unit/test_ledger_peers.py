"""Which peer of the organisation is asked, and which one instead: judged by outcomes alone."""

import asyncio

import pytest

from edgegw.ledger.errors import CallFailure
from edgegw.ledger.peers import REST_FIRST_S, REST_MOST_S, PeerEndpoint, Peers

GONE = CallFailure(code="UNAVAILABLE", message="failed to connect to all addresses")
REFUSED = CallFailure(code="ABORTED", message="m", details=("chaincode response 500, ZERO_TOKENS: x",))
LATE = CallFailure(code="DEADLINE_EXCEEDED", message="Deadline Exceeded")


class Organisation:
    """Two peers that answer or fail as configured; every call is recorded with its time."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.asked: list[tuple[str, float]] = []
        self.failing: dict[str, CallFailure] = {}
        self.takes_s: dict[str, float] = {}
        self.peers = Peers(("p0", "p1"), tls=None, now_s=lambda: self.now_s)

    async def ask(self, *, timeout_s: float = 10, waits: bool = False) -> str:
        return await self.peers.call(self._answer, timeout_s=timeout_s, waits=waits)

    async def _answer(self, market_client: PeerEndpoint, timeout_s: float) -> str:
        self.asked.append((market_client.endpoint, timeout_s))
        self.now_s += self.takes_s.get(market_client.endpoint, 0)
        if market_client.endpoint in self.failing:
            raise self.failing[market_client.endpoint]
        return market_client.endpoint

    @property
    def asked_first(self) -> str:
        """Endpoint of the peer that the next call goes to."""
        return self.peers._order()[0].endpoint

    def took(self) -> list[str]:
        asked, self.asked = [endpoint for endpoint, _ in self.asked], []
        return asked


async def test_the_preferred_peer_serves_while_it_can() -> None:
    """No second peer is asked for what the first one answers, with all the time there is for the last."""
    org = Organisation()
    assert [await org.ask() for _ in range(3)] == ["p0"] * 3
    assert org.took() == ["p0"] * 3


@pytest.mark.parametrize(
    "failure",
    [
        GONE,
        CallFailure(code="UNAVAILABLE", message="Stream removed (recvmsg:Connection reset by peer (104))"),
        CallFailure(code="UNKNOWN", message="Stream removed (Socket closed)"),
        CallFailure(code="INTERNAL", message="Received RST_STREAM with error code 2"),
        CallFailure(code="UNAVAILABLE", message="keepalive watchdog timeout"),
        CallFailure(code="UNAVAILABLE", message="no orderers could successfully process transaction"),
        CallFailure(
            code="FAILED_PRECONDITION", message="no peers available to evaluate chaincode token in c"
        ),
        CallFailure(code="FAILED_PRECONDITION", message="no peer combination can satisfy the policy"),
        LATE,
    ],
)
async def test_a_failed_peer_is_replaced_within_the_call(failure: CallFailure) -> None:
    """Gone, hung, or alone: the next peer answers, the caller sees nothing, and it stays the one that is asked."""
    org = Organisation()
    org.failing["p0"] = failure
    assert await org.ask() == "p1"
    assert org.took() == ["p0", "p1"]
    del org.failing["p0"]
    assert await org.ask() == "p1"
    assert org.took() == ["p1"]
    assert org.asked_first == "p1"


async def test_the_preferred_peer_is_tried_again_after_its_rest() -> None:
    """Back to the first peer once its rest is over; rests grow to a bound, and end with a call that works."""
    org = Organisation()
    org.failing["p0"] = GONE
    rests = []
    for _ in range(8):
        await org.ask()
        began_s = org.now_s
        while org.asked_first != "p0":
            org.now_s += 0.5
        rests.append(org.now_s - began_s)
    assert rests == [1, 2, 4, 8, 16, 30, 30, 30]
    assert (REST_FIRST_S, REST_MOST_S) == (1, 30)
    del org.failing["p0"]
    assert await org.ask() == "p0"
    org.failing["p0"] = GONE
    await org.ask()
    org.now_s += REST_FIRST_S
    assert org.asked_first == "p0"


@pytest.mark.parametrize(
    "failure", [REFUSED, CallFailure(code="PERMISSION_DENIED", message="Failed evaluating policy")]
)
async def test_an_answer_is_no_failure(failure: CallFailure) -> None:
    """An answer that another peer would only repeat is not requested twice, and is no failure of the peer."""
    org = Organisation()
    org.failing["p0"] = failure
    with pytest.raises(CallFailure):
        await org.ask()
    assert org.took() == ["p0"]
    assert org.asked_first == "p0"


async def test_waiting_in_vain_is_no_failure() -> None:
    """CommitStatus knows no "not found": running out of time says nothing of the peer."""
    org = Organisation()
    org.failing["p0"] = LATE
    with pytest.raises(CallFailure):
        await org.ask(waits=True)
    assert org.asked == [("p0", 10)]
    assert org.asked_first == "p0"


async def test_with_all_peers_gone_each_is_asked_once() -> None:
    """The last failure is the caller's; the next call asks first who may be back soonest."""
    org = Organisation()
    org.failing = {"p0": GONE, "p1": GONE}
    with pytest.raises(CallFailure):
        await org.ask()
    assert org.took() == ["p0", "p1"]
    org.now_s += 5
    with pytest.raises(CallFailure):
        await org.ask()
    assert org.took() == ["p0", "p1"]


async def test_many_calls_that_break_at_once_are_one_failure() -> None:
    """A peer that dies under load rests as long as one that dies idle."""
    org = Organisation()
    started = asyncio.Barrier(32)

    async def broken(market_client: PeerEndpoint, _timeout_s: float) -> None:
        if market_client.endpoint == "p0":
            await started.wait()
            raise GONE

    await asyncio.gather(*(org.peers.call(broken, timeout_s=10) for _ in range(32)))
    assert org.asked_first == "p1"
    org.now_s += REST_FIRST_S
    assert org.asked_first == "p0"


async def test_a_peer_that_hangs_leaves_time_for_another() -> None:
    """The deadline is the call's, not each peer's; a single peer has all of it."""
    org = Organisation()
    org.failing["p0"], org.takes_s["p0"] = LATE, 5
    assert await org.ask(timeout_s=10) == "p1"
    assert org.asked == [("p0", 5), ("p1", 5)]
    org = Organisation()
    org.failing["p0"], org.takes_s["p0"] = LATE, 10
    with pytest.raises(CallFailure):
        await org.ask(timeout_s=10)
    assert org.took() == ["p0"]
