"""Generate the configuration of Fabric's nodes: `orderer.yaml` of an orderer, `core.yaml` of a peer.

Sets every key that a peer reads without a default: a missing key of `peer.gossip.pvtData` makes approving a chaincode
fail. An orderer has defaults and refuses unknown keys, so `orderer.yaml` sets only what it must.
Source: Fabric's sampleconfig (core.yaml, orderer.yaml) of 2.5 and 3.1; the output suits both.
"""

from edgegw.devnet.layout import Layout, Node
from edgegw.devnet.yaml_text import Value, nest, yaml_text

_BCCSP: dict[str, Value] = {
    "Default": "SW",
    "SW": {"Hash": "SHA2", "Security": 256, "FileKeyStore": {"KeyStore": ""}},
}


def orderer_yaml(layout: Layout, node: Node) -> str:
    """Return `orderer.yaml`: no channel at first; the admin port, with mutual TLS, joins one."""
    tls: dict[str, Value] = {
        "Enabled": True,
        "PrivateKey": str(node.tls / "server.key"),
        "Certificate": str(node.tls / "server.crt"),
        "RootCAs": [str(node.tls / "ca.crt")],
    }
    flat: dict[str, Value] = {
        "General.ListenAddress": node.host,
        "General.ListenPort": node.port,
        "General.TLS": tls,
        "General.Cluster": {
            "ClientCertificate": str(node.tls / "server.crt"),
            "ClientPrivateKey": str(node.tls / "server.key"),
        },
        "General.BootstrapMethod": "none",
        "General.LocalMSPDir": str(node.identity / "msp"),
        "General.LocalMSPID": node.member.msp_id,
        "General.BCCSP": _BCCSP,
        "FileLedger.Location": str(node.folder / "ledger"),
        "Operations": {"ListenAddress": node.operations_address},
        "Metrics": {"Provider": "prometheus"},
        "Admin": {
            "ListenAddress": node.extra_address,
            "TLS": tls | {"ClientAuthRequired": True, "ClientRootCAs": [str(layout.ordering.tls_ca)]},
        },
        "ChannelParticipation": {"Enabled": True, "MaxRequestBodySize": "1 MB"},
        "Consensus": {
            "WALDir": str(node.folder / "raft" / "wal"),
            "SnapDir": str(node.folder / "raft" / "snapshots"),
        },
    }
    return yaml_text(nest(flat))


def core_yaml(layout: Layout, node: Node) -> str:
    """Return `core.yaml`: goleveldb, chaincode as a service only, and blocks from the orderers for each peer."""
    flat = _peer(layout, node) | _gossip(layout, node) | _chaincode(layout) | _ledger(node)
    flat["operations"] = {"listenAddress": node.operations_address, "tls": {"enabled": False}}
    flat["metrics"] = {"provider": "prometheus"}
    return yaml_text(nest(flat))


def _peer(layout: Layout, node: Node) -> dict[str, Value]:
    return {
        "peer.id": node.name,
        "peer.networkId": layout.definition.channel,
        "peer.listenAddress": node.address,
        "peer.address": node.address,
        "peer.addressAutoDetect": False,
        "peer.chaincodeListenAddress": node.extra_address,
        "peer.chaincodeAddress": node.extra_address,
        "peer.gateway": {
            "enabled": True,
            "endorsementTimeout": "30s",
            "broadcastTimeout": "30s",
            "dialTimeout": "30s",
        },
        "peer.keepalive": {
            "interval": "7200s",
            "timeout": "20s",
            "minInterval": "60s",
            "client": {"interval": "60s", "timeout": "20s"},
            "deliveryClient": {"interval": "60s", "timeout": "20s"},
        },
        "peer.tls": {
            "enabled": True,
            "clientAuthRequired": False,
            "cert": {"file": str(node.tls / "server.crt")},
            "key": {"file": str(node.tls / "server.key")},
            "rootcert": {"file": str(node.tls / "ca.crt")},
            "clientRootCAs": {"files": [str(node.tls / "ca.crt")]},
            "clientKey": {"file": ""},
            "clientCert": {"file": ""},
        },
        "peer.authentication.timewindow": "15m",
        "peer.fileSystemPath": str(node.folder / "data"),
        "peer.mspConfigPath": str(node.identity / "msp"),
        "peer.localMspId": node.member.msp_id,
        "peer.localMspType": "bccsp",
        "peer.BCCSP": _BCCSP,
        "peer.client.connTimeout": "3s",
        "peer.deliveryclient": {
            "blockGossipEnabled": True,
            "reconnectTotalTimeThreshold": "3600s",
            "connTimeout": "3s",
            "reConnectBackoffThreshold": "5s",
            "addressOverrides": [],
        },
        "peer.handlers": {
            "authFilters": [{"name": "DefaultAuth"}, {"name": "ExpirationCheck"}],
            "decorators": [{"name": "DefaultDecorator"}],
            "endorsers": {"escc": {"name": "DefaultEndorsement", "library": ""}},
            "validators": {"vscc": {"name": "DefaultValidation", "library": ""}},
        },
        "peer.validatorPoolSize": 0,
        "peer.discovery": {
            "enabled": True,
            "authCacheEnabled": True,
            "authCacheMaxSize": 1000,
            "authCachePurgeRetentionRatio": "0.75",
            "orgMembersAllowedAccess": False,
        },
        "peer.limits.concurrency": {
            "endorserService": 2500,
            "deliverService": 2500,
            "gatewayService": 500,
        },
        "peer.maxRecvMsgSize": 104_857_600,
        "peer.maxSendMsgSize": 104_857_600,
        "peer.profile": {"enabled": False, "listenAddress": ""},
    }


def _gossip(layout: Layout, node: Node) -> dict[str, Value]:
    others = [other.address for other in layout.peers_of(node.member.msp_id) if other != node]
    own: dict[str, Value] = {
        "bootstrap": others or [node.address],
        "endpoint": node.address,
        "externalEndpoint": node.address,
        "useLeaderElection": False,
        "orgLeader": True,
        "state": {
            "enabled": False,
            "checkInterval": "10s",
            "responseTimeout": "3s",
            "batchSize": 10,
            "blockBufferSize": 20,
            "maxRetries": 3,
        },
        "pvtData": {
            "pullRetryThreshold": "60s",
            "transientstoreMaxBlockRetention": 1000,
            "pushAckTimeout": "3s",
            "btlPullMargin": 10,
            "reconcileBatchSize": 10,
            "reconcileSleepInterval": "1m",
            "reconciliationEnabled": True,
            "skipPullingInvalidTransactionsDuringCommit": False,
            "implicitCollectionDisseminationPolicy": {"requiredPeerCount": 0, "maxPeerCount": 1},
        },
        "election": {
            "startupGracePeriod": "15s",
            "membershipSampleInterval": "1s",
            "leaderAliveThreshold": "10s",
            "leaderElectionDuration": "5s",
        },
    }
    return {f"peer.gossip.{key}": value for key, value in (own | _GOSSIP_PACE).items()}


_GOSSIP_PACE: dict[str, Value] = {
    "membershipTrackerInterval": "5s",
    "maxBlockCountToStore": 10,
    "maxPropagationBurstLatency": "10ms",
    "maxPropagationBurstSize": 10,
    "propagateIterations": 1,
    "propagatePeerNum": 3,
    "pullInterval": "4s",
    "pullPeerNum": 3,
    "requestStateInfoInterval": "4s",
    "publishStateInfoInterval": "4s",
    "stateInfoRetentionInterval": "",
    "publishCertPeriod": "10s",
    "skipBlockVerification": False,
    "dialTimeout": "3s",
    "connTimeout": "2s",
    "recvBuffSize": 20,
    "sendBuffSize": 200,
    "digestWaitTime": "1s",
    "requestWaitTime": "1500ms",
    "responseWaitTime": "2s",
    "aliveTimeInterval": "5s",
    "aliveExpirationTimeout": "25s",
    "reconnectInterval": "5s",
    "maxConnectionAttempts": 120,
    "msgExpirationFactor": 20,
}


def _chaincode(layout: Layout) -> dict[str, Value]:
    return {
        "vm.endpoint": "",
        "chaincode.id": {"path": "", "name": ""},
        "chaincode.externalBuilders": [
            {"name": "service", "path": str(layout.builder), "propagateEnvironment": []}
        ],
        "chaincode.mode": "net",
        "chaincode.installTimeout": "60s",
        "chaincode.startuptimeout": "60s",
        "chaincode.executetimeout": "30s",
        "chaincode.keepalive": 0,
        "chaincode.system": dict.fromkeys(("_lifecycle", "cscc", "lscc", "qscc"), "enable"),
        "chaincode.logging": {"level": "info", "shim": "warning"},
        "chaincode.runtimeParams": {
            "useWriteBatch": True,
            "maxSizeWriteBatch": 1000,
            "useGetMultipleKeys": True,
            "maxSizeGetMultipleKeys": 1000,
        },
    }


def _ledger(node: Node) -> dict[str, Value]:
    return {
        "ledger.state": {"stateDatabase": "goleveldb", "totalQueryLimit": 100_000},
        "ledger.history.enableHistoryDatabase": True,
        "ledger.pvtdataStore": {
            "collElgProcMaxDbBatchSize": 5000,
            "collElgProcDbBatchesInterval": 1000,
            "deprioritizedDataReconcilerInterval": "60m",
            "purgeInterval": 100,
            "purgedKeyAuditLogging": True,
        },
        "ledger.snapshots.rootDir": str(node.folder / "snapshots"),
    }
