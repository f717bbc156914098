"""Provide the networks that the conformance suite runs against: each test runs once on each."""

import asyncio
from collections.abc import Iterator

import pytest

from edgegw.ledger import BusinessRefusal
from tests.support.conformance_network import LedgerNetwork, client_of, embedded

NETWORKS = {"embedded": embedded}


@pytest.fixture(scope="session", params=NETWORKS)
def ledger_network(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LedgerNetwork]:
    """Yield a running network with both contracts."""
    with NETWORKS[request.param](tmp_path_factory.mktemp(request.param)) as network:
        asyncio.run(_configure(network))
        yield network


async def _configure(network: LedgerNetwork) -> None:
    """Write the market's constants, unless an earlier run did."""
    async with client_of(network, network.market, signer=network.signer("EVUserMSP/admin")) as admin:
        try:
            await admin.execute("Configure", {"channel": network.market.channel})
        except BusinessRefusal as refusal:
            if refusal.code != "ID_CONFLICT":
                raise
