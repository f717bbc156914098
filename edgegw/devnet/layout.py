"""Where everything of a network stands: each node with its folder, its ports and the files of its identity. Pure.

Decides names and paths. The paths below `crypto` are those that cryptogen writes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgegw.devnet.definition import Definition, Ordering, Organisation


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """An organisation's own files, as cryptogen writes them."""

    msp_id: str
    domain: str
    folder: Path

    @property
    def msp(self) -> Path:
        """What others know of it."""
        return self.folder / "msp"

    @property
    def tls_ca(self) -> Path:
        """The authority of its servers' certificates."""
        return self.folder / "tlsca" / f"tlsca.{self.domain}-cert.pem"

    @property
    def ca(self) -> tuple[Path, Path]:
        """Certificate and key of the authority of its members."""
        return self.folder / "ca" / f"ca.{self.domain}-cert.pem", self.folder / "ca" / "priv_sk"

    @property
    def admin(self) -> Path:
        """Its administrator: `msp` and `tls`."""
        return self.folder / "users" / f"Admin@{self.domain}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A process of the network: an orderer or a peer. `extra_port`: an orderer's admin, a peer's chaincode listener."""

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
        """Where it serves."""
        return f"{self.host}:{self.port}"

    @property
    def extra_address(self) -> str:
        """Where it serves what `extra_port` is for."""
        return f"{self.host}:{self.extra_port}"

    @property
    def operations_address(self) -> str:
        """Where it tells its metrics."""
        return f"{self.host}:{self.operations_port}"

    @property
    def tls(self) -> Path:
        """Folder of `server.crt`, `server.key`, `ca.crt`."""
        return self.identity / "tls"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """All of a network below `folder`. `services`: where each organisation's chaincode service is to listen."""

    definition: Definition
    folder: Path
    ordering: Member
    organisations: tuple[Member, ...]
    orderers: tuple[Node, ...]
    peers: tuple[Node, ...]
    services: Mapping[str, str]

    @property
    def nodes(self) -> tuple[Node, ...]:
        """In the order of starting."""
        return self.orderers + self.peers

    @property
    def genesis(self) -> Path:
        """The channel's first block."""
        return self.folder / f"{self.definition.channel}.block"

    @property
    def identities(self) -> Path:
        """Clients of the ledger: `<MSP>/<name>/{cert.pem,key.pem}`, and the trust file."""
        return self.folder / "identities"

    @property
    def builder(self) -> Path:
        """The external builder for chaincode that is a service."""
        return self.folder / "builder"

    def peers_of(self, msp_id: str) -> tuple[Node, ...]:
        """An organisation's peers."""
        return tuple(peer for peer in self.peers if peer.member.msp_id == msp_id)


def lay_out(definition: Definition, folder: Path, ports: Sequence[int]) -> Layout:
    """The layout below an absolute folder; `ports`: as many as the definition asks for, in their order."""
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
