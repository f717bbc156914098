"""A development network's files set every key that the programs need, without conflicts, for both versions of Fabric."""

import re
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from edgegw.common.errors import ConfigError
from edgegw.devnet.builder import SCRIPTS
from edgegw.devnet.definition import Definition, default_definition, read_definition
from edgegw.devnet.layout import Layout, lay_out
from edgegw.devnet.network import choose_ports, files_of, gauge
from edgegw.devnet.programs import DevnetError, NoProgramsError, Programs, clean_environment, find_programs
from edgegw.devnet.yaml_text import nest, yaml_text
from tests.support.fabric_stand_ins import write_stand_ins

FOLDER = Path("/network")


def words(text: str) -> list[str]:
    return re.findall(r"\S+", text)


# What fabric.md found to be needed, `.`-joined; the programs read nothing else that matters.
ORDERER_KEYS = words("""
General.ListenAddress General.ListenPort General.TLS.Enabled General.TLS.PrivateKey General.TLS.Certificate
General.TLS.RootCAs General.Cluster.ClientCertificate General.Cluster.ClientPrivateKey General.BootstrapMethod
General.LocalMSPDir General.LocalMSPID General.BCCSP.Default FileLedger.Location Operations.ListenAddress
Admin.ListenAddress Admin.TLS.Enabled Admin.TLS.Certificate Admin.TLS.PrivateKey Admin.TLS.RootCAs
Admin.TLS.ClientAuthRequired Admin.TLS.ClientRootCAs ChannelParticipation.Enabled
ChannelParticipation.MaxRequestBodySize Consensus.WALDir Consensus.SnapDir
""")
PEER_KEYS = words("""
peer.id peer.networkId peer.listenAddress peer.address peer.chaincodeListenAddress peer.gateway.enabled
peer.gateway.endorsementTimeout peer.gossip.bootstrap peer.gossip.externalEndpoint peer.gossip.endpoint
peer.gossip.useLeaderElection peer.gossip.orgLeader peer.gossip.state.enabled peer.gossip.pvtData.pushAckTimeout
peer.gossip.pvtData.pullRetryThreshold peer.gossip.pvtData.transientstoreMaxBlockRetention
peer.gossip.pvtData.btlPullMargin peer.gossip.pvtData.reconcileBatchSize
peer.gossip.pvtData.reconcileSleepInterval peer.gossip.pvtData.reconciliationEnabled
peer.gossip.pvtData.implicitCollectionDisseminationPolicy.maxPeerCount peer.tls.enabled peer.tls.cert.file
peer.tls.key.file peer.tls.rootcert.file peer.fileSystemPath peer.mspConfigPath peer.localMspId peer.BCCSP.Default
peer.handlers.endorsers.escc.name peer.handlers.validators.vscc.name peer.discovery.enabled
peer.limits.concurrency.gatewayService peer.limits.concurrency.endorserService
peer.limits.concurrency.deliverService vm.endpoint chaincode.externalBuilders chaincode.mode
chaincode.installTimeout chaincode.startuptimeout chaincode.executetimeout chaincode.keepalive
chaincode.system._lifecycle chaincode.system.cscc chaincode.system.lscc chaincode.system.qscc
chaincode.runtimeParams.useWriteBatch ledger.state.stateDatabase ledger.history.enableHistoryDatabase
ledger.snapshots.rootDir ledger.pvtdataStore.purgeInterval operations.listenAddress
""")


def definition() -> Definition:
    return read_definition(default_definition())


def layout() -> Layout:
    defined = definition()
    return lay_out(defined, FOLDER, range(20_000, 20_000 + defined.ports))


def keys(text: str) -> dict[str, str]:
    """`.`-joined keys of our own YAML (lists stay outside), with the rest of the line."""
    found: dict[str, str] = {}
    above: list[tuple[int, str]] = []
    for line in text.splitlines():
        if line.startswith("#") or line.lstrip().startswith("- "):
            continue
        match = re.fullmatch(r"( *)([A-Za-z0-9_]+):(.*)", line)
        if match is None:
            continue
        depth = len(match[1])
        above = [one for one in above if one[0] < depth] + [(depth, match[2])]
        found[".".join(name for _, name in above)] = match[3].strip()
    return found


def test_every_key_that_an_orderer_needs_is_set_and_no_other() -> None:
    """Every orderer's file sets the keys listed here; an orderer refuses unknown keys, so the file has few others."""
    found = layout()
    files = files_of(found, (3, 1))
    for node in found.orderers:
        said = keys(files[node.folder / "orderer.yaml"])
        assert set(ORDERER_KEYS) <= set(said)
        assert said["General.BootstrapMethod"] == '"none"'
        assert said["Admin.TLS.ClientAuthRequired"] == "true"
        others = {key.partition(".")[0] for key in said} - {key.partition(".")[0] for key in ORDERER_KEYS}
        assert others == {"Metrics"}


def test_every_key_that_a_peer_needs_is_set() -> None:
    """Every peer's file sets the keys listed here, each peer with its organisation and the other peer as bootstrap."""
    found = layout()
    files = files_of(found, (3, 1))
    for node in found.peers:
        text = files[node.folder / "core.yaml"]
        said = keys(text)
        assert set(PEER_KEYS) <= set(said)
        assert said["peer.localMspId"] == f'"{node.member.msp_id}"'
        (other,) = (peer for peer in found.peers_of(node.member.msp_id) if peer != node)
        assert f'bootstrap:\n      - "{other.address}"' in text
        assert f'path: "{found.builder}"' in text


def test_all_listeners_have_ports_of_their_own() -> None:
    """No two of the nodes and chaincode services listen at one port; every file names only its own node's."""
    found = layout()
    ports = [port for node in found.nodes for port in (node.port, node.extra_port, node.operations_port)]
    ports += [int(address.rpartition(":")[2]) for address in found.services.values()]
    assert len(set(ports)) == len(ports) == found.definition.ports == 3 * 9 + 3
    files = files_of(found, (3, 1))
    listened = [
        match
        for node in found.peers
        for match in re.findall(r'istenAddress: ".+:(\d+)"', files[node.folder / "core.yaml"])
    ]
    assert len(set(listened)) == len(listened) == 3 * len(found.peers)


def test_the_network_is_three_organisations_with_two_peers_and_three_orderers() -> None:
    """The definition that edgegw brings along is the consortium's: two of three organisations endorse."""
    found = layout()
    assert [member.msp_id for member in found.organisations] == ["ProducerMSP", "EVUserMSP", "IndustryMSP"]
    assert {len(found.peers_of(member.msp_id)) for member in found.organisations} == {2}
    assert len(found.orderers) == 3
    policy = "OutOf(2,'ProducerMSP.peer','EVUserMSP.peer','IndustryMSP.peer')"
    assert found.definition.endorsement_policy == policy


@pytest.mark.parametrize(("version", "capability"), [((2, 5), "V2_0"), ((3, 1), "V3_0")])
def test_the_channel_asks_for_what_the_version_can(version: tuple[int, int], capability: str) -> None:
    """The channel's capability is the newest that the programs have; 2.5 would refuse V3_0."""
    said = keys(files_of(layout(), version)[FOLDER / "configtx.yaml"])
    prefix = "Profiles.Channel.Capabilities."
    assert [key.removeprefix(prefix) for key in said if key.startswith(prefix)] == [capability]
    assert said["Profiles.Channel.Application.Capabilities.V2_5"] == "true"
    assert said["Profiles.Channel.Orderer.BatchTimeout"] == '"200ms"'
    assert said["Profiles.Channel.Orderer.BatchSize.MaxMessageCount"] == "10"
    assert said["Profiles.Channel.Orderer.BatchSize.PreferredMaxBytes"] == "2097152"


def test_the_channel_names_every_orderer_and_an_anchor_of_each_organisation() -> None:
    """Each orderer is a consenter and an endpoint; each organisation has an anchor peer and says who may do what."""
    found = layout()
    text = files_of(found, (3, 1))[FOLDER / "configtx.yaml"]
    for node in found.orderers:
        assert f"Port: {node.port}\n" in text
        assert f'- "{node.address}"' in text
    for member in found.organisations:
        anchor = found.peers_of(member.msp_id)[0]
        assert f'AnchorPeers:\n            - Host: "127.0.0.1"\n              Port: {anchor.port}' in text
        assert f"OR('{member.msp_id}.admin','{member.msp_id}.client')" in text
        assert f"OR('{member.msp_id}.peer')" in text


def test_node_certificates_hold_for_the_address_that_clients_use() -> None:
    """Each node is to get a certificate for its host; roles come from the certificates."""
    text = files_of(layout(), (3, 1))[FOLDER / "crypto-config.yaml"]
    assert text.count('- Hostname: "') == 9
    assert text.count('- "127.0.0.1"') == 9
    assert text.count("EnableNodeOUs: true") == 4


def test_yaml_is_read_back_as_it_was_meant() -> None:
    """Tables, lists of tables, lists in lists, empty things and quotes come out in YAML's block form."""
    tree = nest({"a.b": 1, "a.c": [{"x": True, "y": ["p", 'q "r"']}, {"z": {}}], "d": "", "e": []})
    assert yaml_text(tree).splitlines()[1:] == [
        "a:",
        "  b: 1",
        "  c:",
        "    - x: true",
        "      y:",
        '        - "p"',
        '        - "q \\"r\\""',
        "    - z: {}",
        'd: ""',
        "e: []",
    ]


def test_the_builder_takes_services_only(tmp_path: Path) -> None:
    """`detect` ends with 0 for a chaincode service and not for anything else; build and release pass connection.json on."""
    source, metadata, out, release = (tmp_path / name for name in ("source", "metadata", "out", "released"))
    for folder in (source / "META-INF" / "statedb", metadata, out, release):
        folder.mkdir(parents=True)
    (source / "connection.json").write_text('{"address": "127.0.0.1:1"}')
    (source / "META-INF" / "statedb" / "index").touch()
    for name, text in SCRIPTS.items():
        (tmp_path / name).write_text(text)

    def run(name: str, *places: Path) -> int:
        return subprocess.run(["sh", str(tmp_path / name), *map(str, places)], check=False).returncode

    (metadata / "metadata.json").write_text('{"type":"golang","label":"x"}')
    assert run("detect", source, metadata) != 0
    (metadata / "metadata.json").write_text('{"type":"ccaas","label":"x"}')
    assert run("detect", source, metadata) == 0
    assert run("build", source, metadata, out) == 0
    assert run("release", out, release) == 0
    assert (release / "chaincode" / "server" / "connection.json").read_text() == '{"address": "127.0.0.1:1"}'
    assert (release / "statedb" / "index").exists()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda text: text.replace('"EVUserMSP"', '"ProducerMSP"'), "same msp_id"),
        (lambda text: text.replace('"evuser"', '"producer"'), "same name"),
        (lambda text: text.replace("endorsement_least = 2 ", "endorsement_least = 4 "), "more organisations"),
        (lambda text: text.replace("17050", "65530"), "no room"),
        (lambda text: text.replace("peers = 2", "peers = 0"), "greater than or equal to 1"),
        (lambda text: text + "\nodd = 1\n", "odd"),
        (lambda text: text + "\n[[", "key part"),
    ],
)
def test_a_definition_that_cannot_be_is_refused(
    tmp_path: Path, change: Callable[[str], str], word: str
) -> None:
    """A faulty definition is a ConfigError that names the file and the fault."""
    path = tmp_path / "network.toml"
    path.write_text(change(default_definition().read_text()))
    with pytest.raises(ConfigError, match=word) as caught:
        read_definition(path)
    assert str(path) in str(caught.value)


def test_a_definition_that_is_not_there_is_a_configuration_fault(tmp_path: Path) -> None:
    """A missing definition is a ConfigError."""
    with pytest.raises(ConfigError, match="No such file"):
        read_definition(tmp_path / "none.toml")


def test_free_ports_are_distinct_and_taken_ones_are_named() -> None:
    """Without a base port, free and distinct ports are chosen; a base with a port in use is refused with its number."""
    anywhere = definition().model_copy(update={"ports_base": 0})
    ports = choose_ports(anywhere)
    assert len(set(ports)) == anywhere.ports
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = holder.getsockname()[1]
        base = min(taken, 65_535 - anywhere.ports)
        with pytest.raises(DevnetError, match=str(taken)):
            choose_ports(anywhere.model_copy(update={"ports_base": base}))


def test_a_gauge_is_the_channels_own() -> None:
    """Only the channel's own gauge counts; large values are written as 1e+06."""
    text = 'x{channel="other"} 7\nx{a="b",channel="energych"} 1e+06\ny{channel="energych"} 3\n'
    assert gauge(text, "x", "energych") == 1_000_000
    assert gauge(text, "z", "energych") is None


def test_programs_are_found_by_variable_or_not_at_all(tmp_path: Path) -> None:
    """FABRIC_BIN names the folder, and what it lacks is said; without it nothing but our own build counts."""
    folder = write_stand_ins(tmp_path / "bin", version="2.5.16")
    found = find_programs({"FABRIC_BIN": str(folder)})
    assert found.folder == folder
    assert found.version == (2, 5)
    (folder / "osnadmin").unlink()
    with pytest.raises(NoProgramsError, match="has no osnadmin") as caught:
        find_programs({"FABRIC_BIN": str(folder)})
    assert "make fabric-bin" in caught.value.hint


def test_a_shell_does_not_leak_into_the_network() -> None:
    """CORE_* and ORDERER_* of the caller's environment would change a node's configuration: they stay outside."""
    seen = {
        "PATH": "/bin",
        "CORE_PEER_ADDRESS": "x",
        "ORDERER_GENERAL_LISTENPORT": "1",
        "FABRIC_CFG_PATH": "y",
    }
    assert clean_environment(seen) == {"PATH": "/bin"}


def test_a_program_that_fails_or_hangs_is_a_fault_with_its_words(tmp_path: Path) -> None:
    """A failed call says exit status and last words, a hanging one its deadline, an absent one that it is absent."""
    folder = tmp_path
    for name, script in (("peer", "echo why >&2; exit 3"), ("orderer", "exec sleep 60")):
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    programs = Programs(folder)
    with pytest.raises(DevnetError, match=r"peer channel join: exit status 3\nwhy"):
        programs.call("peer", ("channel", "join", "-b", "x"))
    with pytest.raises(DevnetError, match="no result within 0 s"):
        programs.call("orderer", (), timeout_s=0.1)
    with pytest.raises(NoProgramsError):
        programs.call("osnadmin", ())
    (folder / "peer").write_text("#!/bin/sh\necho nothing\n")
    with pytest.raises(DevnetError, match="does not report its version"):
        _ = programs.version
