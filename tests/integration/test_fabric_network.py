"""The network of configs/fabric with Fabric's own programs: it comes up, every node joins, and nothing of it stays behind."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edgegw.devnet.definition import default_definition, read_definition
from edgegw.devnet.lifecycle import Contract, committed_sequence, deploy
from edgegw.devnet.network import Network, make
from edgegw.devnet.programs import Programs, find_programs
from tests.support.fabric_network import needs_fabric
from tests.unit.test_devnet_run import lives, package

pytestmark = needs_fabric


@pytest.fixture(scope="module")
def programs() -> Programs:
    return find_programs()


@pytest.fixture(scope="module")
def network(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    definition = read_definition(default_definition()).model_copy(update={"ports_base": 0})
    made = make(definition, tmp_path_factory.mktemp("net"), programs, tied=True)
    try:
        made.start(programs)
        yield made
    finally:
        made.end()


def blocks_of(network: Network, programs: Programs, number: int) -> int:
    """A peer's height, as `peer channel getinfo` says; independent of the metrics that `status` reads."""
    peer = network.layout.peers[number]
    channel = network.layout.definition.channel
    said = programs.call("peer", ("channel", "getinfo", "-c", channel), network.as_admin(peer))
    return int(said.partition('"height":')[2].split(",")[0].rstrip("}\n"))


def test_every_peer_has_joined_and_an_orderer_leads(network: Network, programs: Programs) -> None:
    """Nine processes run, one orderer leads, and each peer reports the channel's first block."""
    status = network.status()
    assert all(node["running"] for node in status["nodes"].values())
    assert [node["leads"] for node in status["nodes"].values() if "leads" in node].count(True) == 1
    for number, peer in enumerate(network.layout.peers):
        assert blocks_of(network, programs, number) == network.height(peer) == 1


def test_a_chaincode_package_is_taken_by_all(network: Network, programs: Programs, tmp_path: Path) -> None:
    """Install, approve and commit need no running chaincode: six peers have it, the definition is committed, all see the blocks."""
    one = package(tmp_path, "lifecycle")
    contract = Contract(
        name=network.layout.definition.chaincode,
        version="1",
        sequence=1,
        policy=network.layout.definition.endorsement_policy,
        packages={member.msp_id: one for member in network.layout.organisations},
    )
    deploy(network, programs, contract)
    assert committed_sequence(network, programs, contract.name) == 1
    heights = range(len(network.layout.peers))
    network.wait(
        lambda: {blocks_of(network, programs, number) for number in heights} == {5},
        "not all peers have the three approvals and the commit",
    )


def test_an_end_leaves_nothing_and_a_start_goes_on(network: Network, programs: Programs) -> None:
    """After the end no process is left; started again, each peer has its blocks."""
    before = [network.height(peer) for peer in network.layout.peers]
    pids = [network.processes.pid(name) for name in network.processes.names]
    network.end()
    assert not [pid for pid in pids if pid is not None and lives(pid)]
    network.start(programs)
    assert [network.height(peer) for peer in network.layout.peers] == before
