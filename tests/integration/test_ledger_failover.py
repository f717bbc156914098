"""With two peers of an organisation, callers do not notice that the first one dies or hangs."""

import asyncio
import shutil
import time
from contextlib import aclosing
from pathlib import Path

import pytest

from edgegw.ledger import Committed, LedgerClient, Unavailable
from edgegw.ledger.client import Patience
from edgegw.ledger.identity import load_signer, load_trust
from tests.support.patience import PATIENCE_S
from tests.support.peer_process import PeerProcess, running_peer
from tests.support.proxy import Door, doors


def client_of(peer: PeerProcess, places: list[Door], **patience: float) -> LedgerClient:
    times = {"pause_s": 0.01, "status_s": 2, "endorse_s": 10, "submit_s": 10, "undecided_s": 10} | patience
    return LedgerClient(
        [door.endpoint for door in places],
        load_signer(peer.data / "crypto" / "EVUserMSP/gateway1"),
        load_trust(peer.data / "crypto" / "trust.json"),
        channel="energych",
        chaincode="token",
        patience=Patience(**times),  # type: ignore[arg-type]  # whole numbers and fractions of seconds
    )


async def test_a_peer_killed_between_steps_is_replaced(tmp_path: Path) -> None:
    """Endorsed at one peer, submitted and asked for at the other; the first one is asked again when it is back."""
    async with (
        running_peer(tmp_path) as peer,
        doors(peer.endpoint) as places,
        client_of(peer, places) as client,
    ):
        endorsed = await client.endorse("Add", {"key": "k", "n": 1})
        assert (places[0].connections, places[1].connections) == (1, 0)
        await places[0].shut()
        await client.submit(endorsed.envelope)
        assert isinstance(await client.commit_status(endorsed.tx_id), Committed)
        assert await client.execute("Add", {"key": "k", "n": 1}) == {"value": 2}
        await places[0].open()
        async with asyncio.timeout(PATIENCE_S):
            while places[0].connections == 1:
                assert await client.evaluate("Get", {"key": "k"}) == {"value": "2"}
                await asyncio.sleep(0.05)


async def test_a_peer_killed_under_load_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """Sixteen callers, both peers killed and back in turn: every call ends once."""
    async with (
        running_peer(tmp_path) as peer,
        doors(peer.endpoint) as places,
        client_of(peer, places) as client,
    ):
        killed = asyncio.Event()

        async def caller(name: str) -> int:
            count = 0
            while not killed.is_set():
                count += 1
                assert await client.execute("Add", {"key": name, "n": 1}) == {"value": count}
            return count

        async def killer() -> None:
            for door in (places[0], places[1], places[0]):
                await asyncio.sleep(0.15)
                await door.shut()
                await asyncio.sleep(0.05)
                await door.open()
            killed.set()

        _, *counts = await asyncio.gather(killer(), *(caller(f"k{number}") for number in range(16)))
        for number, count in enumerate(counts):
            assert await client.evaluate("Get", {"key": f"k{number}"}) == {"value": str(count)}
        assert min(door.connections for door in places) > 0


async def test_a_peer_that_hangs_is_left_within_the_deadline(tmp_path: Path) -> None:
    """No reset, no refusal, just silence: the call is answered by the other peer in the same deadline."""
    async with (
        running_peer(tmp_path) as peer,
        doors(peer.endpoint) as places,
        client_of(peer, places, evaluate_s=6) as client,
    ):
        await client.evaluate("Whoami")
        places[0].hang()
        began_s = time.monotonic()
        assert (await client.evaluate("Whoami"))["role"] == "gateway"
        assert time.monotonic() - began_s < 6
        assert (await client.evaluate("Whoami"))["role"] == "gateway"


async def test_events_go_on_at_the_other_peer(tmp_path: Path) -> None:
    """No event is lost and none comes twice when the peer of the stream dies."""
    async with (
        running_peer(tmp_path) as peer,
        doors(peer.endpoint) as places,
        client_of(peer, places) as client,
        peer.client() as other,
    ):
        await other.execute("Add", {"key": "k", "n": 1})
        async with asyncio.timeout(PATIENCE_S), aclosing(client.events(0)) as events:
            seen = [(await anext(events)).payload["value"]]
            for door in (places[0], places[1]):
                await door.shut()
                await door.open()
                await other.execute("Add", {"key": "k", "n": 1})
                seen.append((await anext(events)).payload["value"])
        assert seen == [1, 2, 3]


async def test_a_peer_that_lags_behind_is_not_asked(tmp_path: Path) -> None:
    """After a change of peers a call is answered by a peer that has the commits already seen, or not at all."""
    async with running_peer(tmp_path / "ahead") as ahead, doors(ahead.endpoint, 1) as places:
        shutil.copytree(ahead.data / "crypto", tmp_path / "behind" / "crypto")
        async with (
            running_peer(tmp_path / "behind") as behind,
            doors(behind.endpoint, 1) as others,
            client_of(ahead, [*places, *others], behind_s=0.3) as client,
        ):
            await client.execute("Add", {"key": "k", "n": 1})
            await places[0].shut()
            with pytest.raises(Unavailable, match="lags behind block 0"):
                await client.evaluate("Get", {"key": "k"})
            async with behind.client() as filler:
                await filler.execute("Add", {"key": "k", "n": 7})
            assert await client.evaluate("Get", {"key": "k"}) == {"value": "7"}


async def test_with_no_peer_left_nothing_hangs(tmp_path: Path) -> None:
    """Without a peer the caller gets the fault within its deadline, and is served again when one is back."""
    async with (
        running_peer(tmp_path) as peer,
        doors(peer.endpoint) as places,
        client_of(peer, places) as client,
    ):
        for door in places:
            await door.shut()
        with pytest.raises(Unavailable):
            await client.evaluate("Whoami")
        await places[1].open()
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    await client.evaluate("Whoami")
                except Unavailable:
                    await asyncio.sleep(0.05)
                else:
                    break
