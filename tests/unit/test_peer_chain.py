"""Validation, chain, store and audit: the codes of a real peer, and a file that can be recomputed."""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from edgegw.fabric import block as blocks
from edgegw.fabric import transaction
from edgegw.fabric.proto import common_pb2, peer_pb2
from edgegw.fabric.wire import decode, encode
from edgegw.peer.audit import read_block, replay, verify
from edgegw.peer.chain import Chain, Cutting
from edgegw.peer.gateway import events_of
from edgegw.peer.store import FILE_NAME, Store, StoreError
from edgegw.peer.validate import Verdict, validate
from edgegw.peer.world_state import World
from tests.support.peer_network import ORGS, Network

ALL_ORGS = ("EVUserMSP", "IndustryMSP", "ProducerMSP")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Network:
    return Network(tmp_path_factory.mktemp("network"))


def _judge(network: Network, *envelopes: bytes, world: World | None = None, known: bool = False) -> list[int]:
    verdicts = validate(envelopes, network.rules, world or World(), known=lambda _: known)
    return [verdict.code for verdict in verdicts]


def _commit(network: Network, world: World, number: int, *envelopes: bytes) -> list[Verdict]:
    verdicts = validate(envelopes, network.rules, world, known=lambda _: False)
    world.apply(number, [(at, entry.rwset) for at, entry in enumerate(verdicts) if entry.rwset is not None])
    return verdicts


def test_two_that_read_one_key_and_a_copy_get_their_codes(network: Network) -> None:
    """In one block the first is valid, the second conflicts, and the copy is a duplicate."""
    first = network.envelope(World(), "Add", key="k", n=1)
    second = network.envelope(World(), "Add", key="k", n=1)
    assert _judge(network, first, second, first) == [
        peer_pb2.VALID,
        peer_pb2.MVCC_READ_CONFLICT,
        peer_pb2.DUPLICATE_TXID,
    ]
    assert _judge(network, first, known=True) == [peer_pb2.DUPLICATE_TXID]


def test_an_insert_into_a_range_that_was_counted_is_a_phantom(network: Network) -> None:
    """Counting a range and adding to it cannot both be valid in one block, in this order."""
    count = network.envelope(World(), "Count", start="a", end="b", into="n")
    insert = network.envelope(World(), "PutBlind", key="a1", value="x")
    assert _judge(network, insert, count) == [peer_pb2.VALID, peer_pb2.PHANTOM_READ_CONFLICT]
    assert _judge(network, count, insert) == [peer_pb2.VALID, peer_pb2.VALID]


@pytest.mark.parametrize("orgs", [(), ("EVUserMSP",), ("EVUserMSP", "EVUserMSP")])
def test_one_organisation_is_not_enough(network: Network, orgs: tuple[str, ...]) -> None:
    """Two of three organisations must endorse; signing twice for one does not help."""
    envelope = network.envelope(World(), "Add", orgs=orgs, key="k", n=1)
    assert _judge(network, envelope) == [peer_pb2.ENDORSEMENT_POLICY_FAILURE]


def test_a_guarded_key_needs_everyone_it_names(network: Network) -> None:
    """A key with its own policy is refused with two endorsements and written with three, deletion included."""
    world = World()
    _commit(network, world, 0, network.envelope(world, "Guard", key="g", msps=ALL_ORGS))
    for function in ("Put", "Delete"):
        two = network.envelope(world, function, orgs=ORGS, key="g", value="x")
        three = network.envelope(world, function, orgs=ALL_ORGS, key="g", value="x")
        assert _judge(network, two, three, world=world) == [
            peer_pb2.ENDORSEMENT_POLICY_FAILURE,
            peer_pb2.VALID,
        ]


def test_a_changed_response_loses_its_endorsements(network: Network) -> None:
    """Bytes that endorsers did not sign are not endorsed, even when the creator signs them."""
    endorsed = network.endorsed(World(), "Add", key="k", n=1)
    payload = decode(common_pb2.Payload, endorsed.message)
    payload.data = payload.data.replace(b'{"value":1}', b'{"value":9}')
    forged = transaction.parse_transaction(encode(payload))
    assert _judge(network, network.signed(forged)) == [peer_pb2.ENDORSEMENT_POLICY_FAILURE]


def _with_arguments(network: Network) -> bytes:
    """Other arguments than those that were endorsed."""
    endorsed = network.endorsed(World(), "Add", key="k", n=1)
    payload = decode(common_pb2.Payload, endorsed.message)
    payload.data = payload.data.replace(b'"n": 1', b'"n": 2')
    return network.signed(transaction.parse_transaction(encode(payload)))


def _with_channel(network: Network, name: str) -> bytes:
    endorsed = network.endorsed(World(), "Add", key="k", n=1)
    payload = decode(common_pb2.Payload, endorsed.message)
    channel = decode(common_pb2.ChannelHeader, payload.header.channel_header)
    if name == "txid":
        channel.tx_id = "0" * 64
    else:
        channel.channel_id = name
    payload.header.channel_header = encode(channel)
    return network.signed(transaction.parse_transaction(encode(payload)))


def test_envelopes_are_checked_before_anything_else(network: Network) -> None:
    """Creator's signature, id, channel, proposal hash: each has its code."""
    endorsed = network.endorsed(World(), "Add", key="k", n=1)
    unsigned = transaction.build_envelope(endorsed.message, b"")
    assert _judge(
        network,
        b"\xff",
        unsigned,
        _with_channel(network, "txid"),
        _with_channel(network, "other"),
        _with_arguments(network),
    ) == [
        peer_pb2.BAD_PAYLOAD,
        peer_pb2.BAD_CREATOR_SIGNATURE,
        peer_pb2.BAD_PROPOSAL_TXID,
        peer_pb2.TARGET_CHAIN_NOT_FOUND,
        peer_pb2.INVALID_ENDORSER_TRANSACTION,
    ]


@asynccontextmanager
async def _chain(network: Network, data: Path, cutting: Cutting | None = None) -> AsyncIterator[Chain]:
    chain = Chain(Store(data / FILE_NAME), network.rules, cutting or Cutting(count=2, timeout_s=0.01))
    running = asyncio.create_task(chain.run())
    try:
        yield chain
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await chain.close()


async def test_a_block_is_cut_by_count_and_by_time(network: Network, tmp_path: Path) -> None:
    """Three transactions at once with at most two a block: two blocks, linked by hash."""
    async with _chain(network, tmp_path) as chain:
        ids = []
        for number in range(3):
            endorsed = network.endorsed(chain.world, "Add", key=f"k{number}", n=1)
            ids.append(endorsed.tx_id)
            chain.order(network.signed(endorsed))
        assert [await chain.wait_outcome(tx_id) for tx_id in ids] == [(0, 0), (0, 0), (1, 0)]
        first = blocks.parse_block(await chain.wait_block(0))
        second = blocks.parse_block(await chain.wait_block(1))
    assert first.header.previous_hash == b""
    assert second.header.previous_hash == blocks.header_hash(first.header)
    assert (len(first.data.data), len(second.data.data)) == (2, 1)


async def test_who_stops_waiting_breaks_nothing(network: Network, tmp_path: Path) -> None:
    """A caller that goes away leaves no trace; the others still get the outcome."""
    async with _chain(network, tmp_path) as chain:
        endorsed = network.endorsed(chain.world, "Add", key="k", n=1)
        gone = asyncio.create_task(chain.wait_outcome(endorsed.tx_id))
        never = asyncio.create_task(chain.wait_outcome("never"))
        stays = asyncio.create_task(chain.wait_outcome(endorsed.tx_id))
        await asyncio.sleep(0)
        gone.cancel()
        never.cancel()
        chain.order(network.signed(endorsed))
        assert await stays == (0, peer_pb2.VALID)
        assert not chain._waiting


async def test_the_first_outcome_stays(network: Network, tmp_path: Path) -> None:
    """A copy in a later block is a duplicate there and changes nothing, restarts included."""
    async with _chain(network, tmp_path) as chain:
        endorsed = network.endorsed(chain.world, "Add", key="k", n=1)
        for number in range(2):
            chain.order(network.signed(endorsed))
            await chain.wait_block(number)
        assert chain.outcome(endorsed.tx_id) == (0, peer_pb2.VALID)
        assert blocks.codes_of(blocks.parse_block(await chain.wait_block(1))) == bytes([9])
    async with _chain(network, tmp_path) as chain:
        assert chain.outcome(endorsed.tx_id) == (0, peer_pb2.VALID)
        assert chain.height == 2


CALLS: list[tuple[str, dict[str, Any]]] = [
    ("Add", {"key": "a", "n": 1}),
    ("Guard", {"key": "g", "msps": ALL_ORGS}),
    ("Delete", {"key": "a"}),
    ("Add", {"key": "b", "n": 2}),
]


async def _grow(network: Network, data: Path) -> None:
    async with _chain(network, data) as chain:
        for number, (function, args) in enumerate(CALLS):
            chain.order(network.envelope(chain.world, function, **args))
            await chain.wait_block(number)


async def test_a_restart_continues_world_policies_and_hash_chain(network: Network, tmp_path: Path) -> None:
    """After a restart state, policies and hash chain are there, and the next block links to the last one."""
    await _grow(network, tmp_path)
    async with _chain(network, tmp_path) as chain:
        assert chain.world.get("a") is None
        assert chain.world.policy("g") is not None
        chain.order(network.envelope(chain.world, "Add", key="b", n=1))
        await chain.wait_block(4)
        assert chain.world.get("b") == (b"3", (4, 0))
    assert verify(tmp_path, network.rules).faults == ()


async def test_what_was_acknowledged_is_committed_at_an_orderly_stop(
    network: Network, tmp_path: Path
) -> None:
    """A stop while a block is filling writes that block."""
    async with _chain(network, tmp_path, Cutting(count=100, timeout_s=30)) as chain:
        chain.order(network.envelope(chain.world, "Add", key="a", n=1))
        await asyncio.sleep(0.01)
        chain.order(network.envelope(chain.world, "Add", key="b", n=1))
    assert verify(tmp_path, network.rules).codes == {"VALID": 2}


async def test_verify_recomputes_everything_and_says_what_it_does_not_prove(
    network: Network, tmp_path: Path
) -> None:
    """An untouched file has no faults; the report says that one process has all keys."""
    await _grow(network, tmp_path)
    report = verify(tmp_path, network.rules)
    assert (report.blocks, report.codes, report.faults) == (4, {"VALID": 4}, ())
    assert "all three organisations" in report.remark


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("UPDATE state SET value = x'39' WHERE key = 'b'", "stored world differs from the blocks"),
        ("UPDATE state SET policy = NULL WHERE key = 'g'", "stored world differs from the blocks"),
        ("DELETE FROM block WHERE number = 1", "block 1: number differs"),
        ("UPDATE block SET raw = x'ff' WHERE number = 2", "block 2: no Block"),
    ],
)
async def test_verify_finds_what_was_changed(
    network: Network, tmp_path: Path, statement: str, fault: str
) -> None:
    """A changed value, a dropped policy, a missing or damaged block: each is named."""
    await _grow(network, tmp_path)
    db = sqlite3.connect(tmp_path / FILE_NAME)
    db.execute(statement)
    db.commit()
    db.close()
    assert fault in verify(tmp_path, network.rules).faults


async def test_a_flipped_bit_anywhere_in_a_block_is_found(network: Network, tmp_path: Path) -> None:
    """Header, data or codes: no byte of a block that means something can change unseen."""
    await _grow(network, tmp_path)
    raw = [read_block(tmp_path, number) or b"" for number in range(4)]
    assert replay(raw, network.rules, World()).faults == ()
    for at in range(0, len(raw[1]), 97):
        changed = raw[1][:at] + bytes([raw[1][at] ^ 1]) + raw[1][at + 1 :]
        report = replay([raw[0], changed, *raw[2:]], network.rules, World())
        assert report.faults, f"byte {at}"


async def test_only_valid_transactions_have_events(network: Network, tmp_path: Path) -> None:
    """A conflicting copy of a call announces nothing; `after` skips what was seen in its block."""
    async with _chain(network, tmp_path, Cutting(count=3, timeout_s=1)) as chain:
        both = [network.endorsed(chain.world, "Add", key="k", n=1) for _ in range(2)]
        other = network.endorsed(chain.world, "Add", key="o", n=1)
        for endorsed in (*both, other):
            chain.order(network.signed(endorsed))
        raw = await chain.wait_block(0)
    assert [event.tx_id for event in events_of(raw, "token", "")] == [both[0].tx_id, other.tx_id]
    assert [event.tx_id for event in events_of(raw, "token", both[0].tx_id)] == [other.tx_id]
    assert [event.tx_id for event in events_of(raw, "token", "elsewhere")] == [both[0].tx_id, other.tx_id]
    assert events_of(raw, "another", "") == []


def test_the_file_is_for_its_owner_only(tmp_path: Path) -> None:
    """Whatever the umask, and so are the log and the index that SQLite puts beside it."""
    before = os.umask(0)
    try:
        store = Store(tmp_path / FILE_NAME)
        assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
        store.close()
    finally:
        os.umask(before)


def test_a_file_of_another_version_is_refused(tmp_path: Path) -> None:
    """A peer does not touch what a newer one wrote."""
    db = sqlite3.connect(tmp_path / FILE_NAME)
    db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(StoreError, match="version 99"):
        Store(tmp_path / FILE_NAME)


async def test_a_full_disk_shows_nothing(network: Network, tmp_path: Path) -> None:
    """If a block cannot be written the chain stops, and its effects are not visible."""
    chain = Chain(Store(tmp_path / FILE_NAME), network.rules, Cutting(count=1))
    running = asyncio.create_task(chain.run())
    chain._store._db.execute("PRAGMA query_only=ON")
    endorsed = network.endorsed(chain.world, "Add", key="k", n=1)
    chain.order(network.signed(endorsed))
    with pytest.raises(sqlite3.OperationalError):
        await running
    assert (chain.height, chain.outcome(endorsed.tx_id), chain.world.get("k")) == (0, None, None)
    await chain.close()
