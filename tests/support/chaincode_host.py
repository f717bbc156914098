"""Run a chaincode service in the test's process, with its log and a small contract."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from edgegw.contract import Response, Stub, invoke
from edgegw.ops.logs import EVENTS
from edgegw.peer.chaincode.server import Options, serving
from edgegw.peer.invocation import Contract
from tests.support.chaincode_peer import FakePeer, connected
from tests.support.patience import PATIENCE_S

PACKAGE_ID = "edgegw_1:" + "0" * 64


@dataclass
class Lines:
    """Records the log."""

    written: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def __call__(self, name: str, fields: Mapping[str, object], *, level: str = "info") -> None:
        assert name in EVENTS
        self.written.append((name, {**fields, "level": level}))

    def of(self, name: str) -> list[dict[str, Any]]:
        return [fields for written, fields in self.written if written == name]


@asynccontextmanager
async def service(contract: Contract = invoke, **more: Any) -> AsyncIterator[tuple[str, Lines]]:
    """Run a service on a free port; yield its address and its log."""
    log = Lines()
    options = Options(address="127.0.0.1:0", package_id=PACKAGE_ID, contract=contract, log=log, **more)
    async with asyncio.timeout(PATIENCE_S), serving(options) as address:
        yield address, log


@asynccontextmanager
async def connected_service(
    contract: Contract, peer: FakePeer
) -> AsyncIterator[tuple[asyncio.Event, asyncio.Task[None], Lines]]:
    """Run a service with a connected peer; yield the event that ends it, its task and its log."""
    stop, where = asyncio.Event(), asyncio.get_running_loop().create_future()
    log = Lines()

    async def serve() -> None:
        async with service(contract) as (address, lines):
            log.written = lines.written
            where.set_result(address)
            await stop.wait()

    serving_task = asyncio.ensure_future(serve())
    async with connected(await where, peer):
        yield stop, serving_task, log


def adding(stub: Stub, function: str, args: tuple[str, ...]) -> Response:
    """A contract that reads the keys `args`, adds up their values and writes the sum."""
    total = sum(int(stub.get(key) or b"0") for key in args)
    stub.put(function, str(total).encode())
    return Response(status=200, payload=str(total).encode())
