"""The runner of a development network, on stand-ins for Fabric's programs: order, processes, identities, the command line."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from edgegw.cli import main
from edgegw.cli.console import Exit
from edgegw.devnet import lifecycle
from edgegw.devnet import network as networks
from edgegw.devnet.definition import Definition, default_definition, read_definition
from edgegw.devnet.lifecycle import Contract, committed_sequence, deploy, package_id
from edgegw.devnet.network import Network, NoNetworkError, make, remove
from edgegw.devnet.processes import Processes
from edgegw.devnet.programs import DevnetError, Programs
from edgegw.fabric.identity import ROLE_ATTRIBUTE
from edgegw.ledger import LedgerClient
from edgegw.ledger.identity import load_signer, load_trust
from edgegw.participants.runner import connections
from edgegw.participants.settings import read_settings
from tests.support.fabric_stand_ins import calls, write_stand_ins
from tests.support.patience import PATIENCE_S

NODES = [
    "orderer0",
    "orderer1",
    "orderer2",
    "producer0",
    "producer1",
    "evuser0",
    "evuser1",
    "industry0",
    "industry1",
]


def definition() -> Definition:
    return read_definition(default_definition()).model_copy(update={"ports_base": 0})


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stand_ins(tmp_path_factory.mktemp("fabric") / "bin")


@pytest.fixture(scope="module")
def running(stand_ins: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """One network for the tests that only look at it."""
    network = make(definition(), tmp_path_factory.mktemp("net"), Programs(stand_ins), tied=True)
    network.start(Programs(stand_ins))
    yield network
    network.end()


def lives(pid: int) -> bool:
    return (
        Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2]
    )


def package(folder: Path, label: str) -> Path:
    (folder / "metadata.json").write_text(json.dumps({"type": "ccaas", "label": label}))
    path = folder / f"{label}.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder / "metadata.json", "metadata.json")
    return path


def test_a_start_makes_joins_and_waits(running: Network, stand_ins: Path) -> None:
    """Keys, then the first block, then every node; each orderer and each peer joins once; then all serve and one leads."""
    said = calls(stand_ins)
    made = [line.split()[0] for line in said if line.startswith(("cryptogen", "configtxgen"))]
    assert made == ["cryptogen", "configtxgen"]
    joins = [line for line in said if " join " in line]
    assert [line.split()[0] for line in joins] == ["osnadmin"] * 3 + ["peer"] * 6
    assert all(str(running.layout.genesis) in line for line in joins)
    status = running.status()
    assert list(status["nodes"]) == NODES
    assert all(node["running"] for node in status["nodes"].values())
    assert [name for name, node in status["nodes"].items() if node.get("leads")] == ["orderer0"]
    assert [node["blocks"] for node in status["nodes"].values() if "blocks" in node] == [1] * 6
    assert [running.height(peer) for peer in running.layout.peers] == [1] * 6


def test_a_second_start_does_nothing_twice(running: Network, stand_ins: Path) -> None:
    """A second start leaves running processes alone and joins no node again; another network in the folder is refused."""
    before = {name: running.processes.pid(name) for name in NODES}
    said = [line for line in calls(stand_ins) if line != "peer version"]
    Network.at(running.layout.folder, tied=True).start(Programs(stand_ins))
    assert {name: running.processes.pid(name) for name in NODES} == before
    assert [line for line in calls(stand_ins) if line != "peer version"] == said
    with pytest.raises(DevnetError, match="contains a network already"):
        make(definition(), running.layout.folder, Programs(stand_ins))
    with pytest.raises(DevnetError, match="orderer0 is already running"):
        running.start_node(Programs(stand_ins), running.layout.orderers[0])


def test_clients_have_the_names_and_roles_of_the_embedded_peer(running: Network) -> None:
    """Each role's certificate comes from its organisation's authority, in the folder where every client looks for it."""
    place = running.layout.identities
    roots = load_trust(place / "trust.json")
    assert roots.msp_ids == {"ProducerMSP", "EVUserMSP", "IndustryMSP"}
    roles = {}
    for folder in sorted(place.glob("*MSP/*")):
        if folder.name != "ca":
            identity = load_signer(folder).identity
            assert roots.issued(identity)
            roles[f"{identity.msp_id}/{folder.name}"] = identity.attributes[ROLE_ATTRIBUTE]
            assert identity.node_roles == {"admin" if folder.name == "admin" else "client"}
    assert roles == {
        "EVUserMSP/admin": "admin",
        "EVUserMSP/auditor": "auditor",
        "EVUserMSP/exchange": "exchange",
        "EVUserMSP/gateway1": "gateway",
        "EVUserMSP/representative": "representative",
        "IndustryMSP/admin": "admin",
        "IndustryMSP/representative": "representative",
        "ProducerMSP/admin": "admin",
        "ProducerMSP/oracle": "oracle",
        "ProducerMSP/representative": "representative",
    }
    assert all(path.stat().st_mode & 0o077 == 0 for path in place.rglob("key.pem"))


def test_a_client_finds_what_it_needs_in_the_description(running: Network) -> None:
    """Addresses, authorities and folders of the description are those of the files, and all files are there."""
    said = running.describe()
    assert Path(said["tls_ca_file"]).read_text().count("BEGIN CERTIFICATE") == 3
    assert Path(said["trust_file"]).exists()
    assert set(said["organisations"]["EVUserMSP"]["peers"]) == {"evuser0", "evuser1"}
    services = [one["chaincode_service"] for one in said["organisations"].values()]
    assert len(set(services)) == 3
    assert json.loads(json.dumps(said)) == said


def test_participants_take_the_networks_authority(
    running: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A participants' settings file may name the peers' authority: their clients then speak TLS by it, by configuration only."""
    said = running.describe()
    settings = {
        "endpoint": next(iter(said["organisations"]["EVUserMSP"]["peers"].values())),
        "tls_ca_file": said["tls_ca_file"],
        "channel": said["channel"],
        "chaincode": said["chaincode"],
        "crypto": said["identities"],
        "zone": "KR-SEOUL",
        "members": [],
        "producer": {"member_id": "p", "meter_ref": "m", "evidence_key_hex": "00"},
        "industry": {"member_id": "i"},
    }
    file = tmp_path / "participants.json"
    file.write_text(json.dumps(settings))
    given: list[object] = []

    class Client(LedgerClient):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            given.append(options["tls"])
            super().__init__(*arguments, **options)

    monkeypatch.setattr("edgegw.participants.runner.LedgerClient", Client)

    async def connected() -> None:
        async with connections(read_settings(file)) as connect:
            connect("ProducerMSP", "oracle")

    asyncio.run(connected())
    assert given == [Path(said["tls_ca_file"]).read_bytes()]


def test_an_end_leaves_no_process_and_a_start_goes_on(stand_ins: Path, tmp_path: Path) -> None:
    """After the end no process and no process file is left; a later start runs the same network without joining again."""
    network = make(definition(), tmp_path / "net", Programs(stand_ins), tied=True)
    network.start(Programs(stand_ins))
    pids = [network.processes.pid(name) for name in network.processes.names]
    network.end()
    assert len(pids) == 9
    assert not [pid for pid in pids if pid is not None and lives(pid)]
    assert network.processes.names == []
    assert not network.status()["nodes"]["orderer0"]["running"]
    joins = [line for line in calls(stand_ins) if " join " in line]
    again = Network.at(tmp_path / "net", tied=True)
    try:
        again.start(Programs(stand_ins))
        assert [line for line in calls(stand_ins) if " join " in line] == joins
    finally:
        again.end()
    remove(tmp_path / "net")
    assert not (tmp_path / "net").exists()
    with pytest.raises(NoNetworkError):
        Network.at(tmp_path / "net")


def test_a_node_that_ends_early_is_told_with_its_last_words(tmp_path: Path) -> None:
    """A start whose node panics is a fault with the end of that node's log, not a wait."""
    programs = write_stand_ins(tmp_path / "bin")
    (programs / "refusing").touch()
    network = make(definition(), tmp_path / "net", Programs(programs), tied=True)
    try:
        with pytest.raises(DevnetError, match=r"orderer0 ended early:\n.*panic: no"):
            network.start(Programs(programs))
    finally:
        network.end()


def test_an_orderer_that_refuses_the_channel_is_told(tmp_path: Path) -> None:
    """An osnadmin ends with 0 whatever the orderer answered: its words are read."""
    programs = write_stand_ins(tmp_path / "bin")
    (programs / "refused").touch()
    network = make(definition(), tmp_path / "net", Programs(programs), tied=True)
    try:
        with pytest.raises(DevnetError, match="orderer0 did not join: Status: 403"):
            network.start(Programs(programs))
    finally:
        network.end()


def test_a_wait_has_an_end(running: Network) -> None:
    """A condition that does not come true in time is a fault that names the logs."""
    with pytest.raises(DevnetError, match=r"it is not so after 0 s: see .*logs"):
        running.wait(lambda: False, "it is not so", timeout_s=0.1)


def test_older_programs_are_refused(running: Network, tmp_path: Path) -> None:
    """A network that newer programs made is not started by older ones, which could not read its ledger."""
    older = Programs(write_stand_ins(tmp_path / "bin", version="2.5.16"))
    with pytest.raises(DevnetError, match=r"created by Fabric 3\.1, .* has 2\.5"):
        running.start(older)


def test_a_broken_note_is_no_network(tmp_path: Path) -> None:
    """A network.json that cannot be used is named, never half read."""
    (tmp_path / "network.json").write_text('{"definition": {}}')
    with pytest.raises(NoNetworkError, match="cannot be used"):
        Network.at(tmp_path)


def test_a_process_that_does_not_heed_sigterm_is_killed(tmp_path: Path) -> None:
    """A process that ignores SIGTERM is killed after its time, and its file is removed."""
    found = Processes(tmp_path, tied=True)
    script = "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); signal.pause()"
    found.start("deaf", (sys.executable, "-c", script), os.environ, cwd=tmp_path)
    until = time.monotonic() + PATIENCE_S
    while "up" not in found.log("deaf").read_text() and time.monotonic() < until:
        time.sleep(0.01)
    pid = found.pid("deaf")
    assert pid is not None
    found.end(["deaf"], timeout_s=0.2)
    assert not lives(pid)
    assert found.names == []
    found.signal("deaf", signal.SIGTERM)  # nobody there: nothing happens


def test_another_process_with_the_number_is_left_alone(tmp_path: Path) -> None:
    """If another process has the recorded process id by now, the recorded one counts as ended and nothing is signalled."""
    with subprocess.Popen(
        (sys.executable, "-c", "import sys; sys.stdin.read()"), stdin=subprocess.PIPE
    ) as bystander:
        (tmp_path / "pids").mkdir()
        for name, said in (("a", {"pid": bystander.pid, "started": 1}), ("b", {"pid": bystander.pid})):
            (tmp_path / "pids" / f"{name}.json").write_text(json.dumps(said))
        found = Processes(tmp_path)
        assert found.pid("a") is None
        found.end(found.names)
        assert found.names == []
        assert bystander.poll() is None
        assert "ended early" in str(found.failure("a"))


def test_nodes_die_with_who_started_them_when_tied(stand_ins: Path, tmp_path: Path) -> None:
    """A tied network does not outlive its parent, even one that is killed."""
    script = f"""
import signal
from pathlib import Path
from edgegw.devnet.processes import Processes
Processes(Path({str(tmp_path)!r}), tied=True).start("child", ("sleep", "600"), {{"PATH": "/usr/bin:/bin"}}, cwd=Path({str(tmp_path)!r}))
print("started", flush=True)
signal.pause()
"""
    with subprocess.Popen((sys.executable, "-c", script), stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"started\n"
        pid = json.loads((tmp_path / "pids" / "child.json").read_text())["pid"]
        assert lives(pid)
        parent.kill()
    until = time.monotonic() + PATIENCE_S
    while lives(pid) and time.monotonic() < until:
        time.sleep(0.01)
    assert not lives(pid)


def test_a_package_becomes_a_contract(running: Network, stand_ins: Path, tmp_path: Path) -> None:
    """Installed at each peer, approved by each organisation with its own package id, committed with all; an upgrade counts on."""
    programs = Programs(stand_ins)
    packages = {}
    for msp_id in ("ProducerMSP", "EVUserMSP", "IndustryMSP"):
        (tmp_path / msp_id).mkdir()
        packages[msp_id] = package(tmp_path / msp_id, f"token-{msp_id}")
    before = len(calls(stand_ins))
    assert committed_sequence(running, programs, "token") == 0
    policy = running.layout.definition.endorsement_policy
    contract = Contract(name="token", version="1", sequence=1, policy=policy, packages=packages)
    ids = deploy(running, programs, contract)
    said = calls(stand_ins)[before:]
    asked = [line.split()[3] for line in said]
    assert asked == ["querycommitted", *["install"] * 6, *["approveformyorg"] * 3, "commit"]
    for msp_id, one in ids.items():
        assert one == package_id(packages[msp_id])
        assert any(line.endswith(f"--package-id {one}") for line in said)
    assert said[-1].count("--peerAddresses") == said[-1].count("--tlsRootCertFiles") == 3
    assert f"--signature-policy {policy}" in said[-1]
    assert committed_sequence(running, programs, "token") == 1
    deploy(running, programs, contract)  # installed already: no fault
    lacking = replace(contract, packages={"ProducerMSP": packages["ProducerMSP"]})
    with pytest.raises(DevnetError, match="no package for EVUserMSP, IndustryMSP"):
        deploy(running, programs, lacking)


def test_a_file_that_is_no_package_is_refused(tmp_path: Path) -> None:
    """A package without metadata, or no archive at all, is named."""
    (tmp_path / "x").write_text("no")
    with pytest.raises(DevnetError, match="is not a chaincode package"):
        package_id(tmp_path / "x")
    with tarfile.open(tmp_path / "y", "w:gz"):
        pass
    with pytest.raises(DevnetError, match="is not a chaincode package"):
        package_id(tmp_path / "y")


def test_another_failure_of_an_install_is_a_fault(running: Network, tmp_path: Path) -> None:
    """A failed install is a fault, unless the package is already installed."""
    (tmp_path / "peer").write_text("#!/bin/sh\necho 'no such host' >&2; exit 1\n")
    (tmp_path / "peer").chmod(0o755)
    with pytest.raises(DevnetError, match="no such host"):
        lifecycle.install(running, Programs(tmp_path), running.layout.peers[0], package=tmp_path / "p")


def test_metrics_that_cannot_be_read_are_none(running: Network, tmp_path: Path, stand_ins: Path) -> None:
    """A peer that does not run has no height; a port without a listener is not open."""
    network = make(definition(), tmp_path / "net", Programs(stand_ins))
    assert network.height(network.layout.peers[0]) is None
    assert network.leader() is None
    assert not networks.is_open("127.0.0.1", network.layout.peers[0].port)


def edgegw(*arguments: str, bin_folder: Path) -> Result:
    return CliRunner(env={"FABRIC_BIN": str(bin_folder)}).invoke(main, ("devnet", *arguments))


def test_the_command_line_goes_through_a_networks_life(tmp_path: Path) -> None:
    """up, status, deploy, an upgrade, down --keep, up again, down: each says what is so, and in the end nothing is left."""
    programs = write_stand_ins(tmp_path / "bin")
    place = ("--folder", str(tmp_path / "net"))
    missing = edgegw("status", *place, bin_folder=programs)
    assert missing.exit_code == Exit.PROBLEMS
    assert "edgegw devnet up" in missing.output
    up = edgegw("up", *place, "--free-ports", "--json", bin_folder=programs)
    assert up.exit_code == Exit.DONE, up.output
    assert json.loads(up.output)["channel"] == "energych"
    try:
        status = edgegw("status", *place, "--json", bin_folder=programs)
        assert status.exit_code == Exit.DONE
        pids = [node["pid"] for node in json.loads(status.output)["nodes"].values()]
        one = str(package(tmp_path, "token"))
        first = edgegw("deploy", one, *place, "--json", bin_folder=programs)
        assert json.loads(first.output)["sequence"] == 1
        second = edgegw("deploy", one, f"IndustryMSP={one}", *place, "--json", bin_folder=programs)
        assert json.loads(second.output)["sequence"] == 2
        assert edgegw("deploy", f"NoMSP={one}", *place, bin_folder=programs).exit_code == Exit.USAGE
    finally:
        kept = edgegw("down", "--keep", *place, bin_folder=programs)
    assert kept.exit_code == Exit.DONE
    assert not [pid for pid in pids if lives(pid)]
    assert edgegw("status", *place, bin_folder=programs).exit_code == Exit.PROBLEMS
    assert edgegw("up", *place, bin_folder=programs).exit_code == Exit.DONE
    assert edgegw("down", *place, bin_folder=programs).exit_code == Exit.DONE
    assert not (tmp_path / "net").exists()
    nothing = edgegw("up", *place, bin_folder=tmp_path)
    assert nothing.exit_code == Exit.PROBLEMS
    assert "make fabric-bin" in nothing.output
