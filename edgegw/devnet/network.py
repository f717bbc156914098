"""Create, start, inspect and end a network in a folder.

Decides what is done once (files, keys, genesis block, joining the channel) and what on each start. A folder keeps its
network: a restart continues with the same ledger. Readiness is queried from the nodes, never assumed after a delay.
"""

import http.client
import json
import re
import shutil
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgegw.devnet.builder import SCRIPTS
from edgegw.devnet.channel import PROFILE, configtx_yaml, crypto_config_yaml
from edgegw.devnet.definition import PORT_MAX, Definition
from edgegw.devnet.identities import TLS_ROOTS_FILE, make_identities
from edgegw.devnet.layout import Layout, Member, Node, lay_out
from edgegw.devnet.nodes import core_yaml, orderer_yaml
from edgegw.devnet.processes import Processes
from edgegw.devnet.programs import DevnetError, Programs
from edgegw.peer.membership import TRUST_FILE

READY_S = 60.0
_AGAIN_S = 0.05
_NETWORK_FILE = "network.json"
_LEADER, _HEIGHT = "consensus_etcdraft_is_leader", "ledger_blockchain_height"


class NoNetworkError(DevnetError):
    """The folder contains no network."""

    hint = "edgegw devnet up makes one"


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network in a folder, running or not."""

    layout: Layout
    processes: Processes
    fabric: tuple[int, int]
    """Version of the programs that created it; older programs cannot read what newer ones write."""

    @classmethod
    def at(cls, folder: Path, *, tied: bool = False) -> "Network":
        """Return the network created in a folder; raise NoNetworkError. `tied` is as in `Processes`."""
        place = folder.absolute()
        try:
            said = json.loads((place / _NETWORK_FILE).read_text(encoding="utf-8"))
            definition = Definition.model_validate(said["definition"])
            layout = lay_out(definition, place, said["ports"])
            major, minor = said["fabric"]
        except OSError as fault:
            raise NoNetworkError(f"{place}: no network exists") from fault
        except (ValueError, KeyError, TypeError, AssertionError) as fault:
            raise NoNetworkError(f"{place / _NETWORK_FILE}: cannot be used: {fault}") from fault
        return cls(layout=layout, processes=Processes(place, tied), fabric=(major, minor))

    def start(self, programs: Programs) -> None:
        """Start every node that is not running; wait until all serve and an orderer leads. Raises DevnetError."""
        if programs.version < self.fabric:
            raise DevnetError(
                f"{self.layout.folder} was created by Fabric {_dotted(self.fabric)}, "
                f"{programs.folder} has {_dotted(programs.version)}"
            )
        for node in self.layout.nodes:
            if self.processes.pid(node.name) is None:
                self.start_node(programs, node)
        self.wait_serving(self.layout.nodes)
        self._join(programs)
        self.wait(self._is_led, "no orderer leads")

    def start_node(self, programs: Programs, node: Node) -> None:
        """Start one node without waiting for it."""
        orders = node in self.layout.orderers
        program = programs.path("orderer" if orders else "peer")
        command = (str(program),) if orders else (str(program), "node", "start")
        environment = {**programs.environment, "FABRIC_CFG_PATH": str(node.folder)}
        self.processes.start(node.name, command, environment, cwd=node.folder)

    def wait_serving(self, nodes: Sequence[Node]) -> None:
        """Wait until these nodes listen; raise DevnetError if one has ended or the time is over."""
        for node in nodes:
            self.wait(lambda node=node: self._serves(node), f"{node.name} does not listen at {node.address}")  # type: ignore[misc]  # the default binds the loop's node

    def _serves(self, node: Node) -> bool:
        if self.processes.pid(node.name) is None:
            raise self.processes.failure(node.name)
        return is_open(node.host, node.port) and is_open(node.host, node.operations_port)

    def _is_led(self) -> bool:
        return self.leader() is not None

    def wait(self, done: Callable[[], bool], otherwise: str, timeout_s: float = READY_S) -> None:
        """Poll `done` until it returns True; raise DevnetError with `otherwise` after `timeout_s`."""
        until = time.monotonic() + timeout_s
        while not done():
            if time.monotonic() > until:
                raise DevnetError(
                    f"{otherwise} after {timeout_s:.0f} s: see {self.processes.folder / 'logs'}"
                )
            time.sleep(_AGAIN_S)

    def _join(self, programs: Programs) -> None:
        """Join every node to the channel that has not joined it; a file `joined` marks a node that has."""
        for node in self.layout.nodes:
            note = node.folder / "joined"
            if note.exists():
                continue
            if node in self.layout.orderers:
                self._join_orderer(programs, node)
            else:
                arguments = ("channel", "join", "-b", str(self.layout.genesis))
                programs.call("peer", arguments, self.as_admin(node))
            note.touch()

    def _join_orderer(self, programs: Programs, node: Node) -> None:
        admin = self.layout.ordering.admin / "tls"
        said = programs.call(
            "osnadmin",
            (
                *("channel", "join", "--channelID", self.layout.definition.channel),
                *("--config-block", str(self.layout.genesis), "-o", node.extra_address),
                *("--ca-file", str(node.tls / "ca.crt")),
                *("--client-cert", str(admin / "client.crt"), "--client-key", str(admin / "client.key")),
            ),
        )
        if "Status: 201" not in said:  # osnadmin's exit status is 0 for any response of the orderer
            raise DevnetError(f"{node.name} did not join: {said.strip()}")

    def as_admin(self, peer: Node) -> dict[str, str]:
        """Return the environment in which the program `peer` calls this peer as its organisation's administrator."""
        return {
            "FABRIC_CFG_PATH": str(peer.folder),
            "CORE_PEER_ADDRESS": peer.address,
            "CORE_PEER_MSPCONFIGPATH": str(peer.member.admin / "msp"),
        }

    def leader(self) -> Node | None:
        """Return the orderer that reports itself as leader, or None."""
        for node in self.layout.orderers:
            if self._gauge(node, _LEADER) == 1:
                return node
        return None

    def height(self, peer: Node) -> int | None:
        """Return the number of blocks a peer has; None if it does not report it."""
        return self._gauge(peer, _HEIGHT)

    def _gauge(self, node: Node, name: str) -> int | None:
        try:
            text = read_metrics(node.host, node.operations_port)
        except (OSError, http.client.HTTPException):
            return None
        return gauge(text, name, self.layout.definition.channel)

    def end(self) -> None:
        """End all running processes of this network, including chaincode services; orderers last."""
        names = self.processes.names
        orderers = [node.name for node in self.layout.orderers]
        self.processes.end([name for name in names if name not in orderers])
        self.processes.end([name for name in names if name in orderers])

    def status(self) -> dict[str, Any]:
        """Return the current state of every node."""
        leader = self.leader()
        nodes: dict[str, Any] = {}
        for node in self.layout.nodes:
            pid = self.processes.pid(node.name)
            nodes[node.name] = {"address": node.address, "running": pid is not None, "pid": pid}
            if node in self.layout.orderers:
                nodes[node.name]["leads"] = node == leader
            else:
                nodes[node.name]["blocks"] = self.height(node)
        return {"folder": str(self.layout.folder), "nodes": nodes}

    def describe(self) -> dict[str, Any]:
        """Return what a client needs: addresses, CA files, identities, and values for a gateway's `[ledger]` table."""
        layout = self.layout
        return {
            "folder": str(layout.folder),
            "channel": layout.definition.channel,
            "chaincode": layout.definition.chaincode,
            "identities": str(layout.identities),
            "trust_file": str(layout.identities / TRUST_FILE),
            "tls_ca_file": str(layout.identities / TLS_ROOTS_FILE),
            "orderers": {
                node.name: {"address": node.address, "tls_ca": str(layout.ordering.tls_ca)}
                for node in layout.orderers
            },
            "organisations": {member.msp_id: self._describe(member) for member in layout.organisations},
        }

    def _describe(self, member: Member) -> dict[str, Any]:
        return {
            "msp": str(member.msp),
            "admin_msp": str(member.admin / "msp"),
            "tls_ca": str(member.tls_ca),
            "peers": {peer.name: peer.address for peer in self.layout.peers_of(member.msp_id)},
            "chaincode_service": self.layout.services[member.msp_id],
        }


def make(definition: Definition, folder: Path, programs: Programs, *, tied: bool = False) -> Network:
    """Create a network's files below a folder that contains none; `network.json` is written last."""
    place = folder.absolute()
    if any((place / name).exists() for name in (_NETWORK_FILE, "pids")):
        raise DevnetError(f"{place} contains a network already")
    for leftover in ("crypto", "nodes", "identities"):
        shutil.rmtree(place / leftover, ignore_errors=True)
    ports = choose_ports(definition)
    layout = lay_out(definition, place, ports)
    for file, text in files_of(layout, programs.version).items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    for name in SCRIPTS:
        (layout.builder / "bin" / name).chmod(0o755)
    crypto = (f"--config={place / 'crypto-config.yaml'}", f"--output={place / 'crypto'}")
    programs.call("cryptogen", ("generate", *crypto))
    channel = ("-profile", PROFILE, "-channelID", definition.channel)
    programs.call("configtxgen", (*channel, "-outputBlock", str(layout.genesis), "-configPath", str(place)))
    make_identities(layout)
    said = {
        "definition": definition.model_dump(mode="json"),
        "ports": list(ports),
        "fabric": programs.version,
    }
    (place / _NETWORK_FILE).write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
    return Network(layout=layout, processes=Processes(place, tied), fabric=programs.version)


def files_of(layout: Layout, fabric: tuple[int, int]) -> dict[Path, str]:
    """Return the path and text of every generated text file."""
    files = {
        layout.folder / "crypto-config.yaml": crypto_config_yaml(layout),
        layout.folder / "configtx.yaml": configtx_yaml(layout, fabric),
    }
    files |= {node.folder / "orderer.yaml": orderer_yaml(layout, node) for node in layout.orderers}
    files |= {node.folder / "core.yaml": core_yaml(layout, node) for node in layout.peers}
    files |= {layout.builder / "bin" / name: script for name, script in SCRIPTS.items()}
    return files


def remove(folder: Path) -> None:
    """Delete the files of a network that is not running: ledgers, keys, logs."""
    network = Network.at(folder)
    assert not network.processes.names, "a network that runs"
    shutil.rmtree(network.layout.folder)


def choose_ports(definition: Definition) -> tuple[int, ...]:
    """Return the ports from `ports_base` on, or currently free ones; raise DevnetError if one is in use."""
    if definition.ports_base:
        ports = tuple(range(definition.ports_base, definition.ports_base + definition.ports))
        taken = [port for port in ports if not _is_free(definition.host, port)]
        if taken:
            raise DevnetError(f"ports {', '.join(map(str, taken))} at {definition.host} are in use")
        return ports
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.socket()) for _ in range(definition.ports)]
        for listener in listeners:
            listener.bind((definition.host, 0))
        return tuple(listener.getsockname()[1] for listener in listeners)


def _is_free(host: str, port: int) -> bool:
    assert 0 < port <= PORT_MAX
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


def is_open(host: str, port: int) -> bool:
    """Return whether a TCP connection succeeds."""
    try:
        with socket.create_connection((host, port), timeout=1.0):
            return True
    except OSError:
        return False


def read_metrics(host: str, port: int) -> str:
    """Return a node's metrics as text; raise OSError."""
    connection = http.client.HTTPConnection(host, port, timeout=5.0)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode("utf-8", "replace")
    finally:
        connection.close()


def gauge(text: str, name: str, channel: str) -> int | None:
    """Return a channel's gauge from metrics in Prometheus text format, or None."""
    found = re.search(
        rf'^{name}{{[^}}]*channel="{re.escape(channel)}"[^}}]*}} ([0-9.e+]+)$', text, re.MULTILINE
    )
    return None if found is None else int(float(found[1]))
