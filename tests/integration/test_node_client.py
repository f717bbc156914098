"""The unmodified official Node client against a real peer process."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

from tests.support.node_packages import SOURCE, installed
from tests.support.patience import PATIENCE_S
from tests.support.peer_process import running_peer


async def _run_client(tmp_path: Path) -> dict[str, Any]:
    home = await asyncio.to_thread(installed)
    async with running_peer(tmp_path) as peer:
        node = await asyncio.create_subprocess_exec(
            *("node", str(SOURCE / "client.mjs"), peer.endpoint, str(tmp_path / "crypto")),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "NODE_HOME": str(home)},
        )
        out, err = await asyncio.wait_for(node.communicate(), PATIENCE_S)
        assert node.returncode == 0, err.decode()
    seen: dict[str, Any] = json.loads(out)
    return seen


async def test_official_node_client_sees_a_fabric_peer(tmp_path: Path) -> None:
    """Submit, evaluate, events from block 0, error details, a duplicate and an MVCC conflict, as on Fabric."""
    seen = await _run_client(tmp_path)

    assert seen["submitted"] == {"value": 7}
    assert seen["evaluated"] == {"value": "7"}

    refused = "chaincode response 500, INSUFFICIENT: the counter would be negative"
    assert (seen["endorseError"]["name"], seen["endorseError"]["code"]) == ("EndorseError", 10)
    assert [detail["message"] for detail in seen["endorseError"]["details"]] == [refused]
    assert seen["endorseError"]["details"][0]["mspId"] == "EVUserMSP"
    assert (seen["evaluateError"]["name"], seen["evaluateError"]["code"]) == ("GatewayError", 2)
    assert refused in seen["evaluateError"]["message"]

    assert (seen["first"]["code"], seen["second"]["code"]) == (0, 11)
    assert seen["again"] == seen["first"]
    assert seen["value"] == {"value": "8"}

    assert seen["offline"]["successful"] is True
    assert "duplicate transaction found" in seen["duplicate"]["details"][0]["message"]

    assert [event["name"] for event in seen["events"]] == ["toy.added"] * 3
    assert seen["events"][0] == {"name": "toy.added", "block": 0, "payload": {"key": "node", "value": 7}}
    assert [event["payload"]["value"] for event in seen["events"]] == [7, 8, 3]
