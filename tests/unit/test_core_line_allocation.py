"""From segments to lines: every Wh becomes a trade or is booked as untraded, with its code."""

from dataclasses import replace

import pytest

from edgegw.core.events import MeterAdopted, RegisterRead
from edgegw.core.market import (
    CHARGE,
    DISCHARGE,
    Price,
    SliceState,
    open_slices,
    retail_reason,
    slice_wh,
    usable_price,
)
from edgegw.core.state import SaleStage, TradeLine
from tests.support.core_bench import SELLER, T0_S, Bench, S


def lines(bench: Bench) -> list[TradeLine]:
    return sorted(bench.station.lines.values(), key=lambda line: line.number)


def told(bench: Bench) -> list[tuple[str, int, str | None]]:
    return [(line.kind, line.energy_wh, line.reason) for line in lines(bench)]


def charging(token: str = "ret", *, price: int | None = 100_000, hold: int = 40_000_000) -> Bench:
    """A1 charges since T0; the interval's price was seen in time."""
    bench = Bench()
    bench.price(CHARGE, T0_S, price)
    bench.active(token)
    row = bench.hold()
    bench.put(holds={row.hold_id: replace(row, total=hold)})
    return bench


def boundary(bench: Bench, import_wh: int, export_wh: int = 0) -> None:
    """The quarter hour ends with the meter at these registers."""
    bench.go(900)
    bench.read("MA1", import_wh, export_wh)


# --- charging -----------------------------------------------------------------------------------------------------


def test_slices_first_then_retail() -> None:
    """Slices are drawn in the order they were reserved; the rest is retail with its reason; lines are contiguous."""
    bench = charging()
    first, second = bench.slice(CHARGE, T0_S, 300), bench.slice(CHARGE, T0_S, 200)
    boundary(bench, 1_600)
    assert told(bench) == [("MARKET", 300, None), ("MARKET", 200, None), ("RETAIL", 100, "NO_SLICE")]
    assert [line.slice_id for line in lines(bench)] == [first.slice_id, second.slice_id, None]
    assert [(line.start_wh, line.end_wh) for line in lines(bench)] == [
        (1000, 1300),
        (1300, 1500),
        (1500, 1600),
    ]
    assert [line.cost for line in lines(bench)] == [30_000, 20_000, 18_600]
    assert bench.hold().used == 68_600
    assert [item.left for item in bench.station.slices.values()] == [0, 0]
    assert lines(bench)[0].trade_id == "RA1:1:import:1000"


def test_grid_loss_is_drawn_from_the_slice() -> None:
    """With 5 % loss, 300 Wh of the slice deliver 285 Wh."""
    bench = Bench(loss_bp=500)
    bench.price(CHARGE, T0_S, 100_000)
    bench.active()
    bench.slice(CHARGE, T0_S, 300)
    boundary(bench, 1_290)
    assert told(bench) == [("MARKET", 285, None), ("RETAIL", 5, "NO_SLICE")]
    assert [item.left for item in bench.station.slices.values()] == [0]


@pytest.mark.parametrize("slices", [(600,), (300, 300), (100, 500)])
def test_energy_is_kept_for_drivers_without_retail(slices: tuple[int, ...]) -> None:
    """A driver with retail draws what is left over; the reason of the rest is KEPT, however the slices are cut."""
    bench = charging()
    settings = bench.station.settings
    evses = {name: replace(evse, rated_w=1_600) for name, evse in settings.evses.items()}  # keeps 400 Wh
    bench.station = replace(bench.station, settings=replace(settings, evses=evses))
    bench.active("mkt", evse_id="A2", transaction_id="t2", business_key="second")
    for amount in slices:
        bench.slice(CHARGE, T0_S, amount)
    boundary(bench, 1_500)
    market_wh = sum(line.energy_wh for line in lines(bench) if line.kind == "MARKET")
    assert market_wh == 200
    assert told(bench)[-1] == ("RETAIL", 300, "KEPT")
    bench.read("MA2", 1_400)
    assert sum(line.energy_wh for line in lines(bench) if line.kind == "MARKET") == 600
    assert bench.untraded() == {}


def test_nothing_is_kept_for_who_is_satisfied_or_cut() -> None:
    """A car that took what it wanted, or whose interval is closed, leaves all slices to the others."""
    bench = charging()
    bench.active("mkt", evse_id="A2", transaction_id="t2", business_key="second")
    bench.slice(CHARGE, T0_S, 300)
    bench.go(900)
    bench.read("MA2", 1_000)
    boundary(bench, 1_300)
    assert told(bench) == [("MARKET", 300, None)]
    evse = bench.evse("A2")
    assert evse.session is not None
    bench.put(evses={"A2": replace(evse, session=replace(evse.session, satisfied=True))})
    bench.slice(CHARGE, T0_S + 900, 300)
    bench.price(CHARGE, T0_S + 900, 100_000)
    bench.go(1_800)
    bench.read("MA1", 1_500)
    assert told(bench)[1:] == [("MARKET", 200, None)]


@pytest.mark.parametrize(
    ("token", "price", "ceiling", "code"),
    [
        ("mkt", 100_000, 186_000, "NO_RETAIL"),
        ("che", 100_000, 186_000, "PRICE_LIMIT"),
        ("che", 120_000, 186_000, "PRICE_LIMIT"),
        ("mkt", None, 186_000, "NO_RETAIL"),
    ],
)
def test_what_retail_cannot_serve(token: str, price: int | None, ceiling: int, code: str) -> None:
    """A driver who accepts no retail, or not at that price: untraded, with the reason."""
    bench = charging(token)
    bench.price(CHARGE, T0_S, price, ceiling=ceiling)
    boundary(bench, 1_100)
    assert lines(bench) == []
    assert bench.untraded() == {f"import:{code}": 100}


def test_a_dear_market_price_leaves_the_slices() -> None:
    """A price above the driver's limit draws no slice."""
    bench = charging("che", price=120_000)
    bench.price(CHARGE, T0_S, 120_000, ceiling=90_000)
    bench.slice(CHARGE, T0_S, 300)
    boundary(bench, 1_100)
    assert told(bench) == [("RETAIL", 100, "PRICE_LIMIT")]


def test_what_exceeds_the_hold() -> None:
    """The hold pays as far as it reaches, at market and then at the ceiling; only the rest is untraded."""
    bench = charging(hold=20_000)
    bench.slice(CHARGE, T0_S, 100)
    boundary(bench, 1_400)
    assert told(bench) == [("MARKET", 100, None), ("RETAIL", 53, "NO_SLICE")]
    assert bench.untraded() == {"import:EXCEEDS_HOLD": 247}
    assert bench.hold().left == 20_000 - 10_000 - 9_858
    bench.go(1_800)
    bench.read("MA1", 1_410)
    assert bench.untraded() == {"import:EXCEEDS_HOLD": 257}


def test_without_a_record_the_ceiling_is_the_limit() -> None:
    """An unknown ceiling is counted at the hold's limit, and corrected by what the ledger says was paid."""
    bench = Bench()
    bench.active()
    boundary(bench, 1_100)
    assert told(bench) == [("RETAIL", 100, "PRICE_NOT_FIXED")]
    assert bench.hold().used == 40_000
    results = [{"tradeId": "RA1:1:import:1000", "status": "RECORDED", "amount": "18600"}]
    bench.commit("RecordTrades", results=results)
    assert bench.hold().used == 18_600


def test_an_undecided_slice_is_peer_down() -> None:
    """If a slice may be on the ledger undecided, the reason is PEER_DOWN, not NO_SLICE."""
    bench = charging()
    bench.slice(CHARGE, T0_S, 300, state=SliceState.REQUESTED)
    boundary(bench, 1_100)
    assert told(bench) == [("RETAIL", 100, "PEER_DOWN")]


def test_without_a_hold_nothing_is_charged_for() -> None:
    """Energy of a session whose start was refused is NO_HOLD in both directions."""
    bench = Bench()
    bench.start()
    bench.refuse("Hold", "ZERO_TOKENS")
    bench.go(61)
    bench.read("MA1", 1_000)
    boundary(bench, 1_050, 30)
    assert bench.untraded() == {"import:NO_HOLD": 50, "export:NO_HOLD": 30}


# --- selling ------------------------------------------------------------------------------------------------------


def selling(*, price: int | None = 150_000, hold_wh: int = 2_000) -> Bench:
    """A1's car sells: its sale is ready, its meter was cut at T0."""
    bench = Bench()
    bench.active("sel")
    bench.go(61)
    if price is not None:
        bench.price(DISCHARGE, T0_S, price, ceiling=169_000)
    hold = replace(
        bench.hold(),
        hold_id="sale",
        product=DISCHARGE,
        limit_mtok_per_kwh=SELLER.price_mtok_per_kwh_min,
        total=hold_wh,
        used=0,
    )
    session = replace(bench.session(), sale=SaleStage.READY, sale_hold_id="sale", satisfied=True)
    bench.put(holds={"sale": hold}, evses={"A1": replace(bench.evse(), session=session)})
    return bench


def test_a_sale_draws_buyers_slices_and_its_hold() -> None:
    """Lines in export direction, at the fixed price out of milli-token slices, gross Wh out of the hold."""
    bench = selling()
    bench.slice(DISCHARGE, T0_S, 45_000)
    bench.slice(DISCHARGE, T0_S, 45_000)
    boundary(bench, 1_000, 500)
    assert [(line.direction, line.kind, line.energy_wh, line.cost) for line in lines(bench)] == [
        ("export", "MARKET", 300, 300),
        ("export", "MARKET", 200, 200),
    ]
    assert [item.left for item in bench.station.slices.values()] == [0, 15_000]
    assert bench.station.holds["sale"].left == 1_500


@pytest.mark.parametrize(
    ("price", "slice_mtok", "hold_wh", "untraded"),
    [
        (None, 90_000, 2_000, {"export:NO_PRICE": 400}),
        (139_999, 90_000, 2_000, {"export:NO_PRICE": 400}),
        (150_000, 30_000, 2_000, {"export:NO_SLICE": 200}),
        (150_000, 90_000, 100, {"export:EXCEEDS_HOLD": 300}),
    ],
)
def test_a_sale_never_falls_back(
    price: int | None, slice_mtok: int, hold_wh: int, untraded: dict[str, int]
) -> None:
    """Energy of a sale that price, slices and hold do not cover stays untraded, with the reason."""
    bench = selling(price=price, hold_wh=hold_wh)
    bench.slice(DISCHARGE, T0_S, slice_mtok)
    bench.slice(DISCHARGE, T0_S, 1)  # carries no whole Wh
    boundary(bench, 1_000, 400)
    assert bench.untraded() == untraded
    assert sum(line.energy_wh for line in lines(bench)) == 400 - sum(untraded.values())


def test_both_directions_are_never_netted() -> None:
    """A segment that imports and exports makes a line in each direction."""
    bench = selling()
    bench.price(CHARGE, T0_S, 100_000)
    bench.slice(DISCHARGE, T0_S, 90_000)
    boundary(bench, 1_100, 200)
    assert [(line.direction, line.energy_wh) for line in lines(bench)] == [("import", 100), ("export", 200)]


# --- nobody's energy ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("import_wh", "export_wh", "codes"),
    [
        (1_003, 0, {"import:STANDBY": 3}),
        (1_004, 0, {"import:NO_SESSION": 4}),
        (1_000, 1, {"export:NO_SESSION": 1}),
    ],
)
def test_energy_outside_sessions(import_wh: int, export_wh: int, codes: dict[str, int]) -> None:
    """Standby is rated standby over the idle time and two Wh of slack: 14 minutes at 5.5 W; more is NO_SESSION."""
    bench = Bench()
    boundary(bench, import_wh, export_wh)
    assert bench.untraded() == codes


def test_a_meter_without_evse_belongs_to_nobody() -> None:
    """A configured meter that serves no EVSE is counted, and nothing else."""
    bench = Bench(meter_evse={})
    boundary(bench, 1_001)
    assert bench.untraded() == {"import:NO_SESSION": 1}


def test_disputed_energy_is_never_traded() -> None:
    """Energy of a lasting jump of the register is never traded, also during a session; what came before it is."""
    bench = charging()
    for at_s, wh in ((70, 1_010), (80, 90_000), (85, 90_000), (91, 90_001)):
        bench.go(at_s)
        bench.read("MA1", wh)
    assert bench.untraded() == {"import:DISPUTED": 88_991}
    assert told(bench) == [("RETAIL", 10, "NO_SLICE")]


def test_an_epoch_and_its_lines() -> None:
    """An adopted meter: the old epoch's line keeps its epoch; new lines wait for the new epoch's registration."""
    bench = charging()
    bench.go(100)
    bench.read("MA1", 1_010)
    swapped = RegisterRead(
        meter_id="MA1", t0_ns=bench.now_ns + S, t1_ns=bench.now_ns + S, import_mwh=0, export_mwh=0, power_w=None, serial="8"
    )  # fmt: skip
    bench.send(MeterAdopted(meter_id="MA1", serial="8"))
    bench.send(swapped)
    assert [(line.epoch, line.energy_wh, line.submission_id) for line in lines(bench)] == [(1, 10, None)]
    bench.commit("RegisterMeter")
    assert lines(bench)[0].submission_id is not None


def test_evidence_is_noted_and_only_its_hash_leaves() -> None:
    """The journal has the readings around both ends, station, serial and nonce; the line has only their SHA-256."""
    bench = charging()
    boundary(bench, 1_100)
    (evidence,) = [fact.body["evidence"] for fact in bench.last.facts if fact.kind == "evidence"]
    assert isinstance(evidence, dict)
    assert (evidence["station"], evidence["serial"]) == ("ST", "7")
    assert set(evidence) == {"tradeId", "station", "serial", "nonce", "start", "end"}
    assert len(lines(bench)[0].evidence_hash) == 64


# --- the market's words -------------------------------------------------------------------------------------------

SEEN = Price(
    product=CHARGE,
    interval=T0_S,
    price_mtok_per_kwh=100,
    ceiling_mtok_per_kwh=200,
    refusal=None,
    seen_ns=T0_S * S - 1,
)


@pytest.mark.parametrize(
    ("row", "limit", "usable", "reason"),
    [
        (None, 150, None, "PRICE_NOT_FIXED"),
        (
            replace(SEEN, price_mtok_per_kwh=None, refusal="PRICE_WINDOW_EMPTY"),
            150,
            None,
            "PRICE_WINDOW_EMPTY",
        ),
        (replace(SEEN, seen_ns=T0_S * S), 150, None, "LATE_PRICE"),
        (SEEN, 99, 100, "PRICE_LIMIT"),
        (SEEN, 100, 100, "NO_SLICE"),
    ],
)
def test_prices_and_reasons(row: Price | None, limit: int, usable: int | None, reason: str) -> None:
    """A price is usable when it was seen before its interval; each lack has its reason of the closed list."""
    prices = {} if row is None else {f"CHARGE:{T0_S}": row}
    assert usable_price(prices, CHARGE, T0_S) == usable
    assert retail_reason(prices, CHARGE, T0_S, limit=limit) == reason


def test_only_open_slices_with_something_left_are_drawn() -> None:
    """Open slices are drawn by product and interval in the order of their numbers; a buyer's slice counts Wh at the price."""
    bench = Bench()
    late = bench.slice(CHARGE, T0_S, 5)
    early = replace(late, slice_id="early", number=1)
    others = [
        bench.slice(DISCHARGE, T0_S, 5),
        bench.slice(CHARGE, T0_S + 900, 5),
        bench.slice(CHARGE, T0_S, 0),
        bench.slice(CHARGE, T0_S, 5, state=SliceState.RETURNING),
    ]
    assert open_slices([late, *others, early], CHARGE, T0_S) == [early, late]
    assert slice_wh(late, 150_000) == 5
    assert slice_wh(replace(late, product=DISCHARGE, left=45_000), 150_000) == 300
