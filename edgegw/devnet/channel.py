"""Generate the input of cryptogen and configtxgen: the organisations, and the channel's first configuration.

Decides the channel's policies and capabilities: a peer organisation's clients write, its peers endorse, and a new
chaincode definition needs a majority of organisations. Source: Fabric documentation, Using configtxgen and Policies.
"""

from edgegw.devnet.layout import Layout, Member, Node
from edgegw.devnet.yaml_text import Value, yaml_text

PROFILE = "Channel"


def crypto_config_yaml(layout: Layout) -> str:
    """Return `crypto-config.yaml`, with node certificates for the listen host and node roles in the certificates."""

    def organisation(member: Member, nodes: tuple[Node, ...]) -> dict[str, Value]:
        names = list(dict.fromkeys(("localhost", layout.definition.host)))
        return {
            "Name": member.msp_id,
            "Domain": member.domain,
            "EnableNodeOUs": True,
            "Specs": [{"Hostname": node.name, "SANS": names} for node in nodes],
            "Users": {"Count": 0},
        }

    return yaml_text(
        {
            "OrdererOrgs": [organisation(layout.ordering, layout.orderers)],
            "PeerOrgs": [organisation(one, layout.peers_of(one.msp_id)) for one in layout.organisations],
        }
    )


def configtx_yaml(layout: Layout, fabric: tuple[int, int]) -> str:
    """Return `configtx.yaml` with one profile; `fabric`, the programs' version, limits the channel's capabilities."""
    channel: dict[str, Value] = {
        "Policies": _meta(Readers="ANY Readers", Writers="ANY Writers", Admins="MAJORITY Admins"),
        "Capabilities": {"V3_0" if fabric >= (3, 0) else "V2_0": True},
        "Orderer": _orderer(layout),
        "Application": _application(layout),
    }
    return yaml_text({"Profiles": {PROFILE: channel}})


def _orderer(layout: Layout) -> dict[str, Value]:
    ordering = layout.definition.orderers
    consenters: list[Value] = [
        {
            "Host": node.host,
            "Port": node.port,
            "ClientTLSCert": str(node.tls / "server.crt"),
            "ServerTLSCert": str(node.tls / "server.crt"),
        }
        for node in layout.orderers
    ]
    return {
        "OrdererType": "etcdraft",
        "EtcdRaft": {
            "Consenters": consenters,
            "Options": {
                "TickInterval": "500ms",
                "ElectionTick": 10,
                "HeartbeatTick": 1,
                "MaxInflightBlocks": 5,
                "SnapshotIntervalSize": "16 MB",
            },
        },
        "BatchTimeout": f"{ordering.batch_timeout_ms}ms",
        "BatchSize": {
            "MaxMessageCount": ordering.batch_messages_max,
            "AbsoluteMaxBytes": "64 MB",
            "PreferredMaxBytes": ordering.batch_bytes_preferred,
        },
        "Policies": _meta(
            Readers="ANY Readers",
            Writers="ANY Writers",
            Admins="MAJORITY Admins",
            BlockValidation="ANY Writers",
        ),
        "Capabilities": {"V2_0": True},
        "Organizations": [
            _organisation(layout.ordering, readers="member", writers="member")
            | {"OrdererEndpoints": [node.address for node in layout.orderers]}
        ],
    }


def _application(layout: Layout) -> dict[str, Value]:
    organisations: list[Value] = []
    for member in layout.organisations:
        anchor = layout.peers_of(member.msp_id)[0]
        own = _organisation(member, readers="admin peer client", writers="admin client", endorsement="peer")
        organisations.append(own | {"AnchorPeers": [{"Host": anchor.host, "Port": anchor.port}]})
    return {
        "Policies": _meta(
            Readers="ANY Readers",
            Writers="ANY Writers",
            Admins="MAJORITY Admins",
            Endorsement="MAJORITY Endorsement",
            LifecycleEndorsement="MAJORITY Endorsement",
        ),
        "Capabilities": {"V2_5": True},
        "Organizations": organisations,
    }


def _organisation(member: Member, *, readers: str, writers: str, endorsement: str = "") -> dict[str, Value]:
    rules = {"Readers": readers, "Writers": writers, "Admins": "admin", "Endorsement": endorsement}
    return {
        "Name": member.msp_id,
        "ID": member.msp_id,
        "MSPDir": str(member.msp),
        "Policies": {name: _signed_by(member, roles) for name, roles in rules.items() if roles},
    }


def _signed_by(member: Member, roles: str) -> dict[str, Value]:
    choices = ",".join(f"'{member.msp_id}.{role}'" for role in roles.split())
    return {"Type": "Signature", "Rule": f"OR({choices})"}


def _meta(**rules: str) -> dict[str, Value]:
    return {name: {"Type": "ImplicitMeta", "Rule": rule} for name, rule in rules.items()}
