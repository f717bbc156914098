"""Run a real embedded peer in a separate process on a free port, for integration tests."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from edgegw.ledger import LedgerClient
from edgegw.ledger.client import Patience
from edgegw.ledger.identity import load_signer, load_trust
from tests.support.background import in_background
from tests.support.patience import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]
TOY = "tests.support.toy_contract:invoke"


@dataclass
class PeerProcess:
    """A running peer: its endpoint and its files."""

    process: asyncio.subprocess.Process
    endpoint: str
    data: Path

    def client(self, member: str = "EVUserMSP/gateway1", **more: object) -> LedgerClient:
        """Return a client with one of the network's identities."""
        return LedgerClient(
            self.endpoint,
            load_signer(self.data / "crypto" / member),
            load_trust(self.data / "crypto" / "trust.json"),
            channel="energych",
            chaincode="token",
            patience=Patience(pause_s=0.01, status_s=2, endorse_s=10, submit_s=10, undecided_s=10),
            **more,  # type: ignore[arg-type]  # options of the client that a test sets
        )

    async def kill(self) -> None:
        """Kill the process with SIGKILL."""
        self.process.kill()
        await self.process.wait()


@asynccontextmanager
async def running_peer(data: Path, *options: str, listen: str = "127.0.0.1:0") -> AsyncIterator[PeerProcess]:
    """Run a peer over `data`; at the end, stop it and check its exit status, unless the test killed it."""
    process = await asyncio.create_subprocess_exec(
        *in_background(sys.executable, "-m", "edgegw.peer", "--data", str(data), "--listen", listen),
        *("--contract", TOY, "--batch-timeout-ms", "5", *options),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), PATIENCE_S)
        yield PeerProcess(process, json.loads(line)["listening"], data)
    finally:
        killed = process.returncode is not None
        if not killed:
            process.send_signal(signal.SIGINT)
        status = await asyncio.wait_for(process.wait(), PATIENCE_S)
        assert killed or status == 0
