"""The commands against a real peer that hosts the real contract: sign-up to block, verified and exported."""

import asyncio
import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from edgegw.cli import main
from tests.support.peer_process import PeerProcess, running_peer

CONTRACT = "edgegw.contract:invoke"


def write_config(folder: Path, peer: PeerProcess) -> Path:
    key = folder / "members.key"
    key.write_text("ab" * 32)
    key.chmod(0o600)
    path = folder / "edgegw.toml"
    crypto = peer.data / "crypto"
    path.write_text(
        f"""
        [station]
        id = "S-1"
        zone = "KR-SEOUL"
        data_dir = "var"
        key_file = "station.key"
        [ledger]
        gateway_id = "gateway1"
        endpoint = "{peer.endpoint}"
        identity = "{crypto}/EVUserMSP/gateway1"
        trust_file = "{crypto}/trust.json"
        [peer]
        data_dir = "{peer.data}"
        [representative]
        store = "members.db"
        key_file = "members.key"
        identity = "{crypto}/EVUserMSP/representative"
        """
    )
    return path


async def run(config: Path, *arguments: str, status: int = 0) -> Any:
    """The JSON a command prints, run beside the loop (it makes its own); text of standard error where it failed."""
    result = await asyncio.to_thread(
        CliRunner().invoke, main, [*arguments, "--config", str(config), "--json"]
    )
    assert result.exit_code == status, result.output
    return json.loads(result.stdout) if result.stdout else result.stderr


async def test_commands_on_a_real_ledger(tmp_path: Path) -> None:
    """A member is signed up once, linked and seen on the ledger; blocks are shown, verified and exported."""
    async with running_peer(tmp_path / "peer", "--contract", CONTRACT) as peer:
        config = write_config(tmp_path, peer)
        async with peer.client("EVUserMSP/admin") as admin:
            await admin.execute("Configure", {"channel": "energych"})
        member_id = (await run(config, "member", "add", "--identity", "Somebody"))["member_id"]
        assert "DUPLICATE_MEMBER" in await run(config, "member", "add", "--identity", "somebody", status=1)
        await run(config, "member", "link", member_id, "--id-token", "04A2")
        assert await run(config, "member", "list") == [
            {"member_id": member_id, "status": "ACTIVE", "cards": 1}
        ]
        balance = await run(config, "ledger", "balance", member_id)
        assert balance["tokens"] == {"available": "0", "held": "0", "pending": "0"}
        assert (await run(config, "ledger", "supply"))["supply"] == "0"
        assert "UNKNOWN_MEMBER" in await run(config, "ledger", "balance", "nobody", status=1)
        assert "NO_TARIFF" in await run(config, "ledger", "price", "CHARGE", "2026-11-22T17:00Z", status=1)
        block = await run(config, "ledger", "block", "1")
        assert (block["number"], [one["function"] for one in block["transactions"]]) == (1, ["SignUp"])
        verified = await run(config, "ledger", "verify")
        assert verified["verified"], verified
        assert verified["blocks"] == 2
        alone = (
            tmp_path / "other.toml"
        )  # a peer of others: its chain is not ours to replay, its blocks can be proven
        alone.write_text(
            config.read_text().replace("[peer]", "[sandbox]").replace('data_dir = "/', 'participants = "/')
        )
        assert "--block N" in await run(alone, "ledger", "verify", status=78)
        for number in (0, 1):
            proven = await run(alone, "ledger", "verify", "--block", str(number))
            assert (proven["verified"], proven["faults"], proven["number"]) == (True, [], number)
        out = tmp_path / "blocks.bin"
        assert (await run(config, "ledger", "export", str(out)))["blocks"] == 2
        assert out.stat().st_size > 1000
        await _ends_of_a_membership(config, member_id)
    assert "127.0.0.1" in await run(config, "ledger", "supply", status=69)


async def _ends_of_a_membership(config: Path, member_id: str) -> None:
    """A card is taken back once; leaving is final on the ledger and here, may be repeated, and frees the identity."""
    await run(config, "member", "unlink", "--id-token", "04a2")
    assert "is not linked to a member" in await run(
        config, "member", "unlink", "--id-token", "04A2", status=1
    )
    await run(config, "member", "link", member_id, "--id-token", "04A2")
    assert "member nobody is unknown" in await run(config, "member", "leave", "nobody", status=1)
    for _ in range(2):
        left = await run(config, "member", "leave", member_id)
        assert left == {"member_id": member_id, "status": "LEFT"}
        assert await run(config, "member", "list") == [{"member_id": member_id, "status": "LEFT", "cards": 0}]
    functions = [one["function"] for one in (await run(config, "ledger", "block", "2"))["transactions"]]
    assert functions == ["Update"]
    again = await run(config, "member", "add", "--identity", "Somebody")
    assert again["member_id"] != member_id
