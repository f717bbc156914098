"""On a running embedded peer: a price, a station, a trade whose block is recomputed; tokens exchanged and offered.

The channel maps real time onto a simulated day, as a sandbox does.
"""

import asyncio
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgegw.common.canonical_json import canonical_json, sha256_hex
from edgegw.common.clock import StationClock
from edgegw.common.units import INTERVAL_NS, INTERVAL_S, SECOND_NS
from edgegw.core.events import Event, PricesEstimated
from edgegw.daemon.price_estimates import PriceEstimates
from edgegw.ledger import LedgerClient
from edgegw.ledger.identity import Evidence
from edgegw.ledger.view import ClientView
from edgegw.ports.representative import (
    CHECKS,
    Checked,
    Exchanged,
    ExchangeQuote,
    NewOffer,
    RefusedRequest,
    RepresentativeError,
    StandingOffer,
)
from edgegw.representative.currency_exchange import CurrencyExchange
from edgegw.representative.payment_provider import SimulatedBank
from edgegw.representative.standing_offers import OfferBook
from edgegw.representative.token_issuance import ExchangeDesk
from tests.support.conformance_network import MARKET, Embedded, _peer, client_of
from tests.support.contract_world import DAY0, summer_tariff
from tests.support.exchange_world import won_in, won_out
from tests.support.representative_fake import StoodClock

ZONE = "KR-CB-1"
PLACE = "M-GW1:0:import:1000"


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    """A peer with the market's contract, not configured yet."""
    from edgegw.peer import membership

    data = tmp_path_factory.mktemp("market")
    membership.found(data / "toy" / "crypto")
    (data / "market").mkdir()
    (data / "market" / "crypto").symlink_to(data / "toy" / "crypto")
    with _peer(data / "market", MARKET) as endpoint:
        network = Embedded(data=data, endpoints={"market": endpoint})
        asyncio.run(open_market(network))
        yield network


def who(network: Embedded, member: str) -> LedgerClient:
    return client_of(network, network.market, signer=network.signer(member))


async def open_market(network: Embedded) -> None:
    """Constants with an early cut-off, a tariff, a station, a gateway with a meter, a driver with tokens, a supplier."""
    clock = {"realOriginMs": time.time_ns() // 1_000_000, "ledgerOriginMs": DAY0 * 1000, "speed": 2}
    async with (
        who(network, "EVUserMSP/admin") as admin,
        who(network, "EVUserMSP/representative") as representative,
        who(network, "ProducerMSP/oracle") as oracle,
        who(network, "EVUserMSP/exchange") as desk,
        who(network, "EVUserMSP/gateway1") as gateway,
    ):
        await admin.execute("Configure", {"channel": "energych", "cutoffS": 3600, "time": clock})
        await oracle.execute("PostTariff", summer_tariff())
        for member_id, kind in (("EVA", "EV"), ("SUP", "SUPPLIER")):
            hashes = {"commitment": secrets.token_hex(32), "dupTag": secrets.token_hex(32)}
            await representative.execute("SignUp", {"memberId": member_id, "kind": kind, **hashes})
        certificate = network.signer("EVUserMSP/gateway1").identity.certificate_sha256
        named = {"gatewayId": "gateway1", "certificateSha256": certificate, "stations": ["ST1"]}
        await representative.execute("RegisterGateway", named)
        station: dict[str, Any] = {"stationId": "ST1", "zone": ZONE, "geohash": "wydm9", "evses": 2}
        await representative.execute("RegisterStation", {**station, "products": ["CHARGE"]})
        meter = {"meterRef": "M-GW1", "epoch": 0, "zone": ZONE, "kind": "EVSE", "gatewayId": "gateway1"}
        await gateway.execute(
            "RegisterMeter", {**meter, "importWh": "1000", "exportWh": "0", "ratedW": "22000"}
        )
        await desk.execute("Mint", {"memberId": "EVA", "amount": "5000000", "depositRef": "d1"})


async def retail_trade(network: Embedded) -> dict[str, Any]:
    """500 Wh at retail in the first quarter hour, and the station's evidence as its journal would keep it."""
    signer = network.signer("EVUserMSP/gateway1")
    evidence = {
        "tradeId": PLACE,
        "start": [[0, 1, 999_900, 0], [2, 3, 1_000_400, 0]],
        "end": [[4, 5, 1_499_900, 0], [6, 7, 1_500_100, 0]],
    }
    text = canonical_json(evidence)
    line = {
        "tradeId": PLACE,
        "meterRef": "M-GW1",
        "epoch": 0,
        "direction": "import",
        "interval": DAY0,
        "startWh": "1000",
        "endWh": "1500",
        "kind": "RETAIL",
        "holdId": "H1",
        "reason": "PRICE_NOT_FIXED",
        "evidenceHash": sha256_hex(text),
    }
    hold = {"holdId": "H1", "memberId": "EVA", "product": "CHARGE", "maxWh": "10000", "limitPrice": "98300"}
    async with who(network, "EVUserMSP/gateway1") as gateway:
        await gateway.execute("Hold", {**hold, "acceptRetail": True})
        (result,) = (await gateway.execute("RecordTrades", {"lines": [line]}))["results"]
        assert result["status"] == "RECORDED"
    return {"evidence": evidence, "signature": signer.sign(Evidence(text.encode())).hex()}


async def test_pages_see_prices_stations_and_trades(network: Embedded) -> None:
    """On real blocks of a real peer, with mapped time, every check of an embedded peer's block holds."""
    fact = await retail_trade(network)

    async def evidence_of(_: str) -> dict[str, Any]:
        return fact

    async with who(network, "EVUserMSP/gateway1") as client:
        view = ClientView(client, network.roots, zone=ZONE, evidence_of=evidence_of, kept_s=0)
        (station,) = await view.stations("wyd", "CHARGE")
        assert (station.station_id, station.geohash, station.evses) == ("ST1", "wydm9", 2)
        assert await view.stations("wyd", "DISCHARGE") == []

        interval = DAY0 + 900
        before = await view.price("CHARGE", interval)
        assert before is not None
        assert (before.is_fixed, before.period, before.supply_wh, before.demand_wh) == (False, "light", 0, 0)
        await client.execute("FixPrice", {"zone": ZONE, "product": "CHARGE", "interval": interval})
        after = await view.price("CHARGE", interval)
        assert after is not None
        assert (after.is_fixed, after.price_mtok_per_kwh) == (True, before.price_mtok_per_kwh)

        shown = await view.trade(PLACE)
        assert shown is not None
        assert (shown.buyer, shown.seller, shown.amount_mtok, shown.reason) == (
            *("EVA", "SUP", 49_150, "PRICE_NOT_FIXED"),
        )
        found = await view.check(PLACE)
        assert isinstance(found, Checked)
        assert [one for one in found.checks if not one.holds] == []
        assert {one.name for one in found.checks} == set(CHECKS) - {"orderer_signature"}
        assert found.block == shown.block
        assert "2026-07-1" in found.fields["Timestamp"]


async def test_prices_of_two_days_are_expected(network: Embedded) -> None:
    """From a tariff alone each quarter hour of two days has an expected price to charge and to sell at."""
    told: list[Event] = []
    clock = StoodClock(at_ns=(DAY0 + 1_000) * SECOND_NS)

    async def at_once(_: float) -> None:
        """Real seconds do not matter here."""

    async with who(network, "EVUserMSP/gateway1") as client:
        view = ClientView(client, network.roots, zone=ZONE)
        duty = PriceEstimates(view, clock, told.append, pause=at_once)
        for _ in range(3):
            assert await duty.round()
            clock.at_ns += INTERVAL_NS
        shown = await view.price("CHARGE", DAY0 + 30 * 3_600)
    assert shown is not None
    last = told[-1]
    assert isinstance(last, PricesEstimated)
    for product in ("CHARGE", "DISCHARGE"):
        ahead = range(DAY0 + 3_600, DAY0 + 48 * 3_600, INTERVAL_S)
        assert all(last.estimates[f"{product}:{one}"] > 0 for one in ahead)
    assert last.estimates[f"CHARGE:{shown.interval}"] == shown.price_mtok_per_kwh


async def test_members_exchange_and_offer(network: Embedded, tmp_path: Path) -> None:
    """Won become tokens and tokens won in blocks of a real peer; an industrial member offers some and takes them back."""
    member = {"memberId": "IND1", "kind": "INDUSTRY"}
    hashes = {"commitment": secrets.token_hex(32), "dupTag": secrets.token_hex(32)}
    async with (
        who(network, "EVUserMSP/exchange") as desk,
        who(network, "IndustryMSP/representative") as industry,
    ):
        await industry.execute("SignUp", {**member, **hashes})

        async def block_of(tx_id: str) -> int:
            return (await desk.receipt(tx_id)).block

        bank = SimulatedBank(fee_bp=100)
        counter = CurrencyExchange(
            tmp_path / "exchange.db",
            bank=bank,
            desk=ExchangeDesk(ledger=desk),
            block_of=block_of,
            clock=StationClock(),
        )
        for buys, tokens_mtok in ((True, 900_000), (False, 100_000)):
            quote = await counter.quote("IND1", buys=buys, tokens_mtok=tokens_mtok)
            assert isinstance(quote, ExchangeQuote)
            done = await counter.exchange("IND1", quote.quote_id)
            assert isinstance(done, Exchanged)
            assert (await desk.receipt(done.tx_id)).block == done.block
            assert await counter.exchange("IND1", quote.quote_id) == done
        refused = await counter.quote("IND1", buys=False, tokens_mtok=800_001)
        assert isinstance(refused, ExchangeQuote)
        assert await counter.exchange("IND1", refused.quote_id) == RefusedRequest(code="INSUFFICIENT_TOKENS")
        counter.close()
        assert (won_in(bank), won_out(bank)) == (909, 99)

        book = OfferBook(ledger=industry, zone=ZONE)
        new = NewOffer(
            limit_mtok_per_kwh=160_000, valid_from_s=DAY0, valid_to_s=DAY0 + 86_400, tokens_mtok=800_000
        )
        offer = await book.offer("IND1", new)
        assert isinstance(offer, StandingOffer)
        assert await book.offers("IND1") == [offer]
        assert await book.close("IND1", offer.offer_id) is None
        assert await book.offers("IND1") == []
        assert (await book.sold("IND1")).trades == []


async def test_a_peer_that_is_gone_is_a_fault(network: Embedded) -> None:
    """Without the peer every method raises a fault and gives no wrong answer."""
    async with LedgerClient(
        "127.0.0.1:9",
        network.signer("EVUserMSP/gateway1"),
        network.roots,
        channel="energych",
        chaincode="token",
    ) as client:
        with pytest.raises(RepresentativeError):
            await ClientView(client, network.roots, zone=ZONE).price("CHARGE", DAY0)
