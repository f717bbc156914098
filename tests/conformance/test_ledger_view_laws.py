"""What pages rely on of `ports.representative.LedgerView`, checked on the fake and on a client's view of real blocks."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from edgegw.common.trade_terms import Product
from edgegw.ports.representative import (
    CHECKS,
    Checked,
    LedgerView,
    RefusedRequest,
    StationFound,
)
from tests.support.audit_world import SIX_PM, Run, tiny_day
from tests.support.contract_world import EVU, LIGHT
from tests.support.receipts_fake import receipt_of
from tests.support.representative_fake import NOW_S
from tests.support.web_site import FakeLedger
from tests.unit.test_block_view import MARKET
from tests.unit.test_ledger_view import ZONE, Peer, view_of

STATIONS = (("ST2", "wydm9"), ("ST1", "wydm9"), ("ST3", "wydm9c"), ("ST4", "xn76u"))


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A view with `STATIONS`, a trade, and two intervals: one whose price is fixed, one whose price is not."""

    view: LedgerView
    trade_id: str
    fixed: int
    open: int


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = tiny_day(tmp_path_factory.mktemp("day"))
    for station_id, geohash in STATIONS:
        products = ["CHARGE"] if station_id == "ST1" else ["CHARGE", "DISCHARGE"]
        place = {"stationId": station_id, "zone": ZONE, "geohash": geohash, "evses": 2, "products": products}
        run.world.call(EVU, "RegisterStation", **place)
    return run


@pytest.fixture(params=["fake", "client"])
def stage(request: pytest.FixtureRequest, tmp_path: Path, day: Run) -> Stage:
    if request.param == "client":
        return Stage(view=view_of(Peer(day, tmp_path)), trade_id=MARKET, fixed=LIGHT, open=SIX_PM + 86_400)
    fake = FakeLedger()
    fake.found = [
        StationFound(
            station_id=station_id,
            geohash=geohash,
            evses=2,
            products=("CHARGE",) if station_id == "ST1" else ("CHARGE", "DISCHARGE"),
        )
        for station_id, geohash in STATIONS
    ]
    first = receipt_of("EVA", fake).lines[0]
    return Stage(view=fake, trade_id=first.trade_id, fixed=NOW_S, open=NOW_S + 86_400)


@pytest.mark.parametrize("product", ["CHARGE", "DISCHARGE"])
async def test_a_price_says_whether_it_is_fixed(stage: Stage, product: Product) -> None:
    """A price is of the requested interval, lies between its bounds, and once fixed does not change."""
    charge = await stage.view.price("CHARGE", stage.fixed)
    later = await stage.view.price(product, stage.open)
    assert charge is not None
    assert later is not None
    assert (charge.is_fixed, charge.interval, charge.product) == (True, stage.fixed, "CHARGE")
    assert (later.is_fixed, later.interval, later.product) == (False, stage.open, product)
    assert await stage.view.price("CHARGE", stage.fixed) == charge
    for price in (charge, later):
        assert price.period in {"light", "mid", "peak"}
        assert price.price_mtok_per_kwh is not None
        assert price.floor_mtok_per_kwh <= price.price_mtok_per_kwh <= price.ceiling_mtok_per_kwh


async def test_what_is_no_interval_has_no_price(stage: Stage) -> None:
    """A time that begins no interval has no price, nor has one before every tariff."""
    for interval in (0, stage.fixed + 1, -900):
        assert await stage.view.price("CHARGE", interval) is None


async def test_stations_are_found_below_a_prefix(stage: Stage) -> None:
    """Stations are found below a geohash, finer ones first, then by id, and by product; an invalid geohash finds none."""

    async def found(geohash: str) -> list[str]:
        return [one.station_id for one in await stage.view.stations(geohash)]

    assert await found("wydm") == ["ST3", "ST1", "ST2"]
    assert await found("wydm9c") == ["ST3"]
    assert [one.station_id for one in await stage.view.stations("wydm", "DISCHARGE")] == ["ST3", "ST2"]
    for geohash in ("s", "wydma", "wydm!", "WYDM"):
        assert await found(geohash) == []


async def test_a_trade_has_a_block_and_its_check_tells_the_same(stage: Stage) -> None:
    """A trade's check has each check once, with a name that pages know, in their order, and the five fields."""
    trade = await stage.view.trade(stage.trade_id)
    found = await stage.view.check(stage.trade_id)
    assert trade is not None
    assert isinstance(found, Checked)
    assert (found.trade_id, found.block) == (trade.trade_id, trade.block)
    assert all(check.holds for check in found.checks)
    names = [check.name for check in found.checks]
    assert names == [name for name in CHECKS if name in names]
    assert list(found.fields) == ["KEY", "Value", "Timestamp", "Prev_Hash", "Proof"]
    assert found.fields["KEY"] == f"trade~{stage.trade_id}"


async def test_an_unknown_trade_is_told_as_such(stage: Stage) -> None:
    """An unknown trade is reported as unknown, also a text that cannot be an id."""
    for unknown in ("M-GW1:0:import:7", "<script>", ""):
        assert await stage.view.trade(unknown) is None
        assert await stage.view.check(unknown) == RefusedRequest(code="TRADE_UNKNOWN", detail=unknown)
