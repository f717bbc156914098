"""The recomputation of a block finds every change in it, in its neighbours and in its trades, and names it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgegw.fabric import block as blocks
from edgegw.fabric.identity import KeySigner
from edgegw.fabric.proto import common_pb2
from edgegw.fabric.trust import Roots
from edgegw.fabric.wire import MalformedMessageError, encode
from edgegw.ledger.proof import Neighbours, block_checks, prove_block, transaction_checks
from edgegw.ledger.receipt import receipt_of
from edgegw.peer import membership
from tests.support.audit_world import Run, tiny_day
from tests.support.contract_world import LIGHT
from tests.support.peer_network import Network
from tests.unit.test_block_view import DIRECT, MARKET, RETAIL
from tests.unit.test_block_view import Peer as PaperPeer


class Peer(PaperPeer):
    """A run's blocks, their tip, and what a test puts in the place of one of them."""

    async def chain_tip(self) -> common_pb2.BlockchainInfo:
        """Height and last hash."""
        last = blocks.parse_block(self.raw[-1])
        return common_pb2.BlockchainInfo(
            height=len(self.raw), currentBlockHash=blocks.header_hash(last.header)
        )


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return tiny_day(tmp_path_factory.mktemp("day"))


async def proven(run: Run, folder: Path, key: str) -> dict[str, Any]:
    peer = Peer(run, folder)
    roots = membership.load_roots(run.world.crypto)
    return await prove_block(peer, run.find(key)[0], roots)


@pytest.mark.parametrize("trade_id", [MARKET, RETAIL, DIRECT])
async def test_an_honest_block_is_proven(day: Run, tmp_path: Path, trade_id: str) -> None:
    """Header, hashes, signatures and the five fields of a market, a retail and a direct trade."""
    shown = await proven(day, tmp_path, f"trade~{trade_id}")
    assert shown["faults"] == []
    assert shown["verified"] is True
    keys = [trade["KEY"] for one in shown["transactions"] for trade in one["trades"]]
    assert f"trade~{trade_id}" in keys
    assert "third endorsement" in shown["remark"]


async def test_every_block_of_a_run_is_proven(day: Run, tmp_path: Path) -> None:
    """The first one, the last one, and all between."""
    peer, roots = Peer(day, tmp_path), membership.load_roots(day.world.crypto)
    for number in range(len(peer.raw)):
        assert (await prove_block(peer, number, roots))["faults"] == []


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"amount": "1"}, ["amount"]),
        ({"price": "1"}, ["amount", "price"]),
        ({"wh": "1"}, ["energy"]),
        ({"gross": "1"}, ["energy"]),
        ({"fee": "1"}, ["fee"]),
        ({"priceId": "Z:CHARGE:900"}, ["price"]),
        ({"tradeId": "M:0:import:1"}, ["key"]),
        ({"ledgerTimeMs": LIGHT * 1000}, ["timestamp"]),
        ({"ledgerTimeMs": 1}, ["timestamp"]),
        ({"wh": "much"}, ["key"]),
    ],
)
async def test_a_trade_that_does_not_add_up_is_found(
    day: Run, tmp_path: Path, change: dict[str, Any], names: list[str]
) -> None:
    """A trade that does not add up is found, even if all organisations signed it."""
    run = day.copy()
    run.forge(f"trade~{MARKET}", lambda records: records[f"trade~{MARKET}"].update(change))
    shown = await proven(run, tmp_path, f"trade~{MARKET}")
    assert [fault.partition(" does")[0] for fault in shown["faults"]] == [
        f"trade~{MARKET}: {name}" for name in names
    ]


async def test_a_retail_price_is_the_ceiling(day: Run, tmp_path: Path) -> None:
    """If the interval's price record has the ceiling, a retail price must be the tariff's ceiling."""
    run = day.copy()
    run.forge(f"trade~{RETAIL}", lambda records: records[f"trade~{RETAIL}"].update(price="1", amount="1"))
    (fault,) = (await proven(run, tmp_path, f"trade~{RETAIL}"))["faults"]
    assert fault == f"trade~{RETAIL}: price does not hold: recorded 1, computed 98300"


def mapped(change: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    return lambda records: records["cfg"].update(time=change)


async def test_a_mapped_time_is_recomputed(day: Run, tmp_path: Path) -> None:
    """With mapped time, the ledger's time in the trade must follow from the transaction's time."""
    run = day.copy()
    at_ms = (LIGHT + 900) * 1000
    clock = {"realOriginMs": at_ms - 5, "ledgerOriginMs": at_ms, "speed": 60}
    run.forge("cfg", mapped(clock))
    assert run.find("cfg") == (0, 0)
    faults = (await proven(run, tmp_path, f"trade~{MARKET}"))["faults"]
    assert {fault.rpartition(" does")[0] for fault in faults} == {
        f"trade~{MARKET}: timestamp", f"trade~{RETAIL}: timestamp"
    }  # fmt: skip

    def tell(records: dict[str, Any]) -> None:
        for trade_id in (MARKET, RETAIL):
            records[f"trade~{trade_id}"].update(ledgerTimeMs=at_ms + 300)

    run.forge(f"trade~{MARKET}", tell)
    assert (await proven(run, tmp_path, f"trade~{MARKET}"))["faults"] == []


async def test_without_the_channels_constants_nothing_follows(day: Run, tmp_path: Path) -> None:
    """Constants that one organisation alone endorsed are none; what needs them does not hold."""
    run = day.copy()
    run.forge("cfg", lambda _: None, msps=["EVUserMSP"])
    faults = (await proven(run, tmp_path, f"trade~{DIRECT}"))["faults"]
    assert [fault.split(":")[4].split()[0] for fault in faults] == ["energy", "price", "fee", "timestamp"]


async def test_a_price_that_the_ledger_does_not_have_is_found(day: Run, tmp_path: Path) -> None:
    """A market trade whose price record is gone has no price."""
    run = day.copy()
    run.forge(f"trade~{MARKET}", lambda records: records[f"trade~{MARKET}"].update(interval=LIGHT - 900))
    faults = (await proven(run, tmp_path, f"trade~{MARKET}"))["faults"]
    assert any("PRICE_NOT_FIXED" in fault for fault in faults)


async def test_too_few_endorsements_are_found(day: Run, tmp_path: Path) -> None:
    """One organisation alone proves nothing, whatever the validation code says."""
    run = day.copy()
    run.forge(f"trade~{MARKET}", lambda _: None, msps=["EVUserMSP"])
    faults = (await proven(run, tmp_path, f"trade~{MARKET}"))["faults"]
    assert faults == ["transaction 0: endorsements does not hold: EVUserMSP"]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Network:
    return Network(tmp_path_factory.mktemp("network"))


def sealed(network: Network, *envelopes: bytes) -> common_pb2.Block:
    block = blocks.build_block(1, b"before", list(envelopes))
    blocks.set_codes(block, [0] * len(envelopes))
    return block


def faults_of(block: common_pb2.Block, roots: Roots, **changed: bytes) -> list[str]:
    neighbours = Neighbours(previous_hash=b"before", named_hash=blocks.header_hash(block.header))
    raw = encode(block)
    checks = [*block_checks(raw, replace(neighbours, **changed), roots)]
    for one in transaction_checks(raw, roots):
        checks += one
    return [check.name for check in checks if not check.holds]


def spoil_data(block: common_pb2.Block) -> None:
    block.data.data[0] = block.data.data[0][:-1] + bytes([block.data.data[0][-1] ^ 1])


def spoil_codes(block: common_pb2.Block) -> None:
    blocks.set_codes(block, [0, 0])


def noise(block: common_pb2.Block) -> None:
    block.data.data[0] = b"\xff"


def spoil_id(block: common_pb2.Block) -> None:
    envelope = common_pb2.Envelope.FromString(block.data.data[0])
    payload = common_pb2.Payload.FromString(envelope.payload)
    channel = common_pb2.ChannelHeader.FromString(payload.header.channel_header)
    channel.tx_id = "00" * 32
    payload.header.channel_header = encode(channel)
    envelope.payload = encode(payload)
    block.data.data[0] = encode(envelope)


async def test_another_block_under_its_number_is_found(day: Run, tmp_path: Path) -> None:
    """Another block under the number is found, and one that cannot be shown is reported."""
    peer, roots = Peer(day, tmp_path), membership.load_roots(day.world.crypto)
    block = blocks.parse_block(peer.raw[3])
    block.header.number = 2
    blocks.set_codes(block, [])
    peer.raw[3] = encode(block)
    shown = await prove_block(peer, 3, roots)
    assert [fault.partition(":")[0] for fault in shown["faults"]] == [
        "block_hash does not hold",
        "validation_codes does not hold",
        "block 2 has a wrong number of validation codes",
    ]
    assert shown["faults"][0].endswith("it is block 2")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (spoil_data, ["data_hash", "creator_signature"]),
        (spoil_codes, ["validation_codes"]),
        (spoil_id, ["data_hash", "tx_id", "proposal", "creator_signature"]),
        (noise, ["data_hash", "proposal"]),
    ],
)
def test_a_changed_block_is_found(
    network: Network, spoil: Callable[[common_pb2.Block], None], says: list[str]
) -> None:
    """Data that the header does not cover, signatures that do not cover the data, codes for nothing."""
    from edgegw.peer.world_state import World

    block = sealed(network, network.envelope(World(), "Add", key="k", n=1))
    assert faults_of(block, network.rules.roots) == []
    spoil(block)
    assert faults_of(block, network.rules.roots) == says


def test_neighbours_must_name_it(network: Network) -> None:
    """A block of another chain holds together by itself and does not fit in."""
    block = sealed(network)
    roots = network.rules.roots
    assert faults_of(block, roots, previous_hash=b"other") == ["prev_hash"]
    assert faults_of(block, roots, named_hash=b"other") == ["block_hash"]


def configuration() -> bytes:
    channel = common_pb2.ChannelHeader(type=common_pb2.CONFIG, channel_id="energych")
    header = common_pb2.Header(channel_header=encode(channel))
    return encode(common_pb2.Envelope(payload=encode(common_pb2.Payload(header=header))))


def by_orderer(block: common_pb2.Block, signer: KeySigner) -> None:
    header = encode(common_pb2.SignatureHeader(creator=signer.identity.serialized))

    class Signed:
        message = b"value" + header + blocks.header_bytes(block.header)

    signature = common_pb2.MetadataSignature(signature_header=header, signature=signer.sign(Signed()))
    block.metadata.metadata[common_pb2.SIGNATURES] = encode(
        common_pb2.Metadata(value=b"value", signatures=[signature])
    )


def test_an_orderers_signature_counts_where_its_root_is_trusted(network: Network) -> None:
    """A configuration calls no chaincode; the orderer's word is checked where we can, and says nothing where we cannot."""
    roots = network.rules.roots
    block = sealed(network, configuration())
    by_orderer(block, network.peers["ProducerMSP"][0])
    assert faults_of(block, roots) == []
    other = sealed(network, configuration())
    other.header.number = 2
    by_orderer(other, network.peers["ProducerMSP"][0])
    block.metadata.metadata[common_pb2.SIGNATURES] = other.metadata.metadata[common_pb2.SIGNATURES]
    assert faults_of(block, roots) == ["orderer_signature"]
    root = (network.crypto / "EVUserMSP" / "ca" / "cert.pem").read_bytes()
    assert faults_of(block, Roots({"EVUserMSP": root})) == []


def test_a_receipt_names_the_place(network: Network) -> None:
    """Block, place in it, validation and both hashes, of the first copy; another block has none."""
    from edgegw.peer.world_state import World

    endorsed = network.endorsed(World(), "Add", key="k", n=1)
    first = network.envelope(World(), "Add", key="k", n=1)
    block = sealed(network, first, network.signed(endorsed), network.signed(endorsed))
    blocks.set_codes(block, [0, 11, 9])
    receipt = receipt_of(encode(block), endorsed.tx_id)
    assert (receipt.block, receipt.tx_number, receipt.validation) == (1, 1, "MVCC_READ_CONFLICT")
    assert receipt.prev_hash == b"before".hex()
    assert receipt.block_hash == blocks.header_hash(block.header).hex()
    with pytest.raises(MalformedMessageError, match="does not have it"):
        receipt_of(encode(block), "other")
    blocks.set_codes(block, [200] * 3)
    assert receipt_of(encode(block), endorsed.tx_id).validation == "200"
