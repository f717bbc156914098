"""Lay out a network: each node's name, folder, ports and identity files.

Decides names and paths without accessing files. The paths below `crypto` are those that cryptogen writes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgegw.devnet.definition import Definition, Ordering, Organisation


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """An organisation's files, as cryptogen writes them."""

    msp_id: str
    domain: str
    folder: Path

    @property
    def msp(self) -> Path:
        """The folder of the organisation's public MSP configuration."""
        return self.folder / "msp"

    @property
    def tls_ca(self) -> Path:
        """The CA certificate of its servers' TLS certificates."""
        return self.folder / "tlsca" / f"tlsca.{self.domain}-cert.pem"

    @property
    def ca(self) -> tuple[Path, Path]:
        """Certificate and key of the CA of its members."""
        return self.folder / "ca" / f"ca.{self.domain}-cert.pem", self.folder / "ca" / "priv_sk"

    @property
    def admin(self) -> Path:
        """The folder of its administrator, with `msp` and `tls`."""
        return self.folder / "users" / f"Admin@{self.domain}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """An orderer or a peer; `extra_port` is an orderer's admin listener or a peer's chaincode listener."""

    name: str
    member: Member
    folder: Path
    identity: Path
    host: str
    port: int
    extra_port: int
    operations_port: int

    @property
    def address(self) -> str:
        """The address of its service."""
        return f"{self.host}:{self.port}"

    @property
    def extra_address(self) -> str:
        """The address of the listener at `extra_port`."""
        return f"{self.host}:{self.extra_port}"

    @property
    def operations_address(self) -> str:
        """The address of its operations service, with metrics."""
        return f"{self.host}:{self.operations_port}"

    @property
    def tls(self) -> Path:
        """The folder of `server.crt`, `server.key` and `ca.crt`."""
        return self.identity / "tls"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A network below `folder`; `services` maps each MSP id to the address for its chaincode service."""

    definition: Definition
    folder: Path
    ordering: Member
    organisations: tuple[Member, ...]
    orderers: tuple[Node, ...]
    peers: tuple[Node, ...]
    services: Mapping[str, str]

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All nodes in start order."""
        return self.orderers + self.peers

    @property
    def genesis(self) -> Path:
        """The file of the channel's genesis block."""
        return self.folder / f"{self.definition.channel}.block"

    @property
    def identities(self) -> Path:
        """The folder of the ledger's clients (`<MSP>/<name>/{cert.pem,key.pem}`) and the trust file."""
        return self.folder / "identities"

    @property
    def builder(self) -> Path:
        """The folder of the external builder for chaincode services."""
        return self.folder / "builder"

    def peers_of(self, msp_id: str) -> tuple[Node, ...]:
        """Return an organisation's peers."""
        return tuple(peer for peer in self.peers if peer.member.msp_id == msp_id)


def lay_out(definition: Definition, folder: Path, ports: Sequence[int]) -> Layout:
    """Return the layout below an absolute folder; `ports` has as many entries as the definition needs."""
    assert folder.is_absolute()
    assert len(ports) == definition.ports
    left = iter(ports)
    ordering = definition.orderers
    orderer_member = _member(folder / "crypto" / "ordererOrganizations", ordering, definition.domain)
    pairs = [
        (one, _member(folder / "crypto" / "peerOrganizations", one, definition.domain))
        for one in definition.organisations
    ]

    def node(name: str, member: Member, place: Path) -> Node:
        return Node(
            name=name,
            member=member,
            folder=folder / "nodes" / name,
            identity=place / f"{name}.{member.domain}",
            host=definition.host,
            port=next(left),
            extra_port=next(left),
            operations_port=next(left),
        )

    return Layout(
        definition=definition,
        folder=folder,
        ordering=orderer_member,
        organisations=tuple(member for _, member in pairs),
        orderers=tuple(
            node(f"{ordering.name}{number}", orderer_member, orderer_member.folder / "orderers")
            for number in range(ordering.count)
        ),
        peers=tuple(
            node(f"{one.name}{number}", member, member.folder / "peers")
            for one, member in pairs
            for number in range(one.peers)
        ),
        services={member.msp_id: f"{definition.host}:{next(left)}" for _, member in pairs},
    )


def _member(place: Path, party: Organisation | Ordering, domain: str) -> Member:
    own = f"{party.name}.{domain}"
    return Member(msp_id=party.msp_id, domain=own, folder=place / own)
