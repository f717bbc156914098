"""The chaincode service driven through the official message definitions: a peer's half written on them, in Node."""

import asyncio
import json
import os
import secrets
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from edgegw.contract import Response, Stub
from edgegw.fabric.transaction import Proposal, build_proposal
from edgegw.peer.chaincode.server import Options, serving
from edgegw.peer.chaincode.stub import PeerStub
from tests.support.node_packages import SOURCE, installed
from tests.support.patience import PATIENCE_S
from tests.support.peer_network import Network

PACKAGE_ID = "edgegw_1:" + "0" * 64
STATE = {f"k{number}": str(number) for number in range(5)} | {"a": "old"}


def probe(stub: Stub, function: str, args: tuple[str, ...]) -> Response:
    """Ask for everything that a stub can give, and write in every way."""
    if function == "Refuse":
        return Response(status=500, message=f"NOPE: {args[0]}")
    assert isinstance(stub, PeerStub)
    first = stub.page("k", "l", size=3)
    found = {
        "get": (stub.get("a") or b"").decode(),
        "missing": stub.get("zz") is None,
        "three": [key for key, _ in stub.scan("k", "l", 3)],
        "all": {key: value.decode() for key, value in stub.scan("k", "l", 100)},
        "open": [key for key, _ in stub.scan("", "b", 100)],
        "pages": [[key for key, _ in first.pairs], [k for k, _ in stub.page("k", "l", size=3, bookmark=first.bookmark).pairs]],
        "history": [{**asdict(one), "value": one.value and one.value.decode()} for one in stub.history("a")],
        "creator": [stub.creator.msp_id, stub.creator.role, stub.creator.gateway_id],
        "time": stub.timestamp_ms,
        "args": args,
    }  # fmt: skip
    stub.put("new", b"1")
    stub.delete("a")
    stub.set_policy("new", ("ProducerMSP", "EVUserMSP"))
    stub.set_event("edgegw.probed", b"{}")
    return Response(status=200, payload=json.dumps(found).encode())


def call(network: Network, *args: bytes) -> Proposal:
    return build_proposal(
        creator=network.signer().identity.serialized,
        nonce=secrets.token_bytes(24),
        timestamp_ns=1_234_567_890,
        channel="energych",
        chaincode="token",
        args=args,
    )


async def drive(network: Network, calls: list[Proposal], batch_max: int) -> dict[str, Any]:
    """What a peer on the official definitions saw."""
    home = await asyncio.to_thread(installed)
    given = {
        "batchMax": batch_max,
        "pageSize": 2,
        "state": STATE,
        "calls": [
            {"txId": one.tx_id, "proposal": one.message.hex(), "args": [arg.hex() for arg in one.args]}
            for one in calls
        ],
    }
    options = Options(address="127.0.0.1:0", package_id=PACKAGE_ID, contract=probe, log=lambda *_, **__: None)
    async with serving(options) as address:
        node = await asyncio.create_subprocess_exec(
            *("node", str(SOURCE / "peer.mjs"), address),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "NODE_HOME": str(home)},
        )
        out, err = await asyncio.wait_for(node.communicate(json.dumps(given).encode()), PATIENCE_S)
    assert node.returncode == 0, err.decode()
    seen: dict[str, Any] = json.loads(out)
    return seen


@pytest.mark.parametrize("batch_max", [0, 10])
async def test_a_peer_on_the_official_definitions_understands_us(batch_max: int, tmp_path: Path) -> None:
    """Registration, keepalive, reads, pages, history, writes, a key's policy, event and refusal mean the same there."""
    network = Network(tmp_path)
    probing, refused = call(network, b"Probe", b"x", b"y"), call(network, b"Refuse", b"because")
    seen = await drive(network, [probing, refused], batch_max)
    assert (seen["packageId"], seen["echoed"], seen["iteratorsLeft"]) == (PACKAGE_ID, 1, 0)
    one = seen["calls"][probing.tx_id]
    assert (one["ended"], one["status"], one["event"]) == ("COMPLETED", 200, ["edgegw.probed", "{}"])
    found = json.loads(one["payload"])
    assert found == {
        "get": "old",
        "missing": True,
        "three": ["k0", "k1", "k2"],
        "all": {f"k{number}": str(number) for number in range(5)},
        "open": ["a"],
        "pages": [["k0", "k1", "k2"], ["k3", "k4"]],
        "history": [
            {"tx_id": "a-3", "value": None, "timestamp_ms": 7_008},
            {"tx_id": "a-2", "value": "new", "timestamp_ms": 7_008},
            {"tx_id": "a-1", "value": "old", "timestamp_ms": 7_008},
        ],
        "creator": ["EVUserMSP", "gateway", "gateway1"],
        "time": 1_234,
        "args": ["x", "y"],
    }
    assert one["writes"] == {"new": "1", "a": None}
    peer_role = 3
    both = {"of": 2, "names": [["EVUserMSP", peer_role], ["ProducerMSP", peer_role]]}
    assert one["policies"] == {"new": ["VALIDATION_PARAMETER", both]}
    batched = one["requests"].count("WRITE_BATCH_STATE")
    assert batched == (1 if batch_max else 0)
    assert {"QUERY_STATE_NEXT", "QUERY_STATE_CLOSE", "GET_HISTORY_FOR_KEY"} <= set(one["requests"])
    other = seen["calls"][refused.tx_id]
    assert (other["status"], other["message"], other["event"]) == (500, "NOPE: because", None)
    assert (other["requests"], other["writes"]) == ([], {})
