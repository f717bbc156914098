"""Recording metered lines and transferring directly: every check, and what a trade leaves on the ledger."""

import json
from typing import Any

import pytest

from edgegw.contract import Creator
from tests.support.contract_world import (
    AUDITOR,
    DAY0,
    DESK,
    ECO,
    EVU,
    GATE,
    GATE2,
    IND,
    LIGHT,
    ORACLE,
    QUARTER_S,
    World,
    attestation,
    digest,
    fix_price,
    generate,
    hold,
    industry_offer,
    line,
    market,
    meter,
    session,
)

SIX_PM = DAY0 + 18 * 3600
RETAIL: dict[str, Any] = {"kind": "RETAIL", "sliceId": None, "reason": "KEPT"}


def record(world: World, *lines: dict[str, Any], who: Creator = GATE) -> list[tuple[str, str]]:
    """Status and code or amount of each line."""
    results = world.call(who, "RecordTrades", lines=list(lines))["results"]
    return [(result["status"], result.get("code") or result["amount"]) for result in results]


def refused(world: World, *lines: dict[str, Any], who: Creator = GATE) -> str:
    """The code of the last line, which must leave nothing more than the ones before."""
    status, code = record(world, *lines, who=who)[-1]
    assert status == "REFUSED"
    trade_id = lines[-1]["tradeId"]
    assert not any(name == f"trade~{trade_id}" for name, _ in world.last.writes)
    return code


def selling() -> World:
    """A market in which EVA sells at 18:00: energy, an offer of industry's, a slice, a price, a hold."""
    world = market(netFeeMtok="2000", dischargeLossBp=300)
    world.now_s = SIX_PM - 3600
    world.mint("IND1", 9_000_000)
    world.call(IND, "Offer", **industry_offer())
    world.call(GATE, "Reserve", sliceId=f"S{SIX_PM}", offerId="OI", interval=SIX_PM, amount="400000")
    assert fix_price(world, "DISCHARGE", SIX_PM, supply=12_368, demand=50_000) == 161_000
    world.now_s = SIX_PM
    world.call(GATE, "AttestAvailability", **attestation())
    world.call(GATE, "Hold", **hold("H2", product="DISCHARGE", maxWh="4000", limitPrice="150000"))
    world.now_s = SIX_PM + QUARTER_S
    return world


def sale(start_wh: int = 500, end_wh: int = 2500, /, **changes: Any) -> dict[str, Any]:
    """A line of EVA's sale."""
    return line(SIX_PM, start_wh, end_wh, **{"direction": "export", "holdId": "H2", **changes})


def test_a_market_line_moves_tokens_and_energy() -> None:
    """Buyer and seller, price and amounts as fixed; credits are blind; the register moves on."""
    world = session(lossBp=300)
    assert record(world, line(LIGHT, 1000, 2750)) == [("RECORDED", "163312")]
    trade = world.call(AUDITOR, "GetTrade", tradeId="M-GW1:0:import:1000")
    assert trade | {"evidenceHash": "", "txId": ""} == {
        "tradeId": "M-GW1:0:import:1000",
        "kind": "MARKET",
        "product": "CHARGE",
        "zone": "KR-CB-1",
        "interval": LIGHT,
        "buyer": "EVA",
        "seller": "PRO1",
        "holdId": "H1",
        "sliceId": f"S{LIGHT}",
        "meterRef": "M-GW1",
        "epoch": 0,
        "direction": "import",
        "startWh": "1000",
        "endWh": "2750",
        "wh": "1750",
        "gross": "1805",
        "price": "93321",
        "priceId": f"KR-CB-1:CHARGE:{LIGHT}",
        "amount": "163312",
        "fee": "0",
        "ledgerTimeMs": world.now_s * 1000,
        "evidenceHash": "",
        "txId": "",
    }
    assert world.record("reg~M-GW1~0~import")["wh"] == "2750"
    assert world.balance("PRO1")["tokens"]["pending"] == 163_312
    assert world.balance("EVA")["energy"]["pending"] == 1750
    assert world.totals()["energy"]["loss"] == 55


def test_recording_touches_no_account_and_no_offer() -> None:
    """Recording neither reads nor writes accounts and offers, so that gateways do not conflict."""
    world = session()
    record(world, line(LIGHT, 1000, 2000), line(LIGHT, 2000, 2100, **RETAIL))
    touched = world.last.reads | {name for name, _ in world.last.writes}
    assert {name.split("~")[0] for name in touched} == {
        *("cfg", "trade", "hold", "met", "reg", "slice", "price", "supplier"),
        *("cr", "sink", "hist"),
    }
    assert not any(name.startswith(("cr~", "sink~", "hist~")) for name in world.last.reads)


def test_a_repeated_line_is_known_and_writes_nothing() -> None:
    """A repeated line with the same energy, price and parties is KNOWN, even with new evidence and reason."""
    world = session()
    lines = [line(LIGHT, 1000, 2000), line(LIGHT, 2000, 2100, **RETAIL)]
    recorded = record(world, *lines)
    world.now_s += 90 * 86_400
    lines[0]["evidenceHash"] = digest("made anew")
    lines[1]["reason"] = "PEER_DOWN"
    assert record(world, *lines) == [("KNOWN", amount) for _, amount in recorded]
    assert world.last.writes == []
    assert [status for status, _ in record(world, *lines, who=GATE2)] == ["KNOWN", "KNOWN"]


@pytest.mark.parametrize(
    "change",
    [
        {"endWh": "2001"},
        {"interval": LIGHT + QUARTER_S},
        RETAIL,
        {"holdId": "H0"},
        {"holdId": "HB"},
        {"sliceId": "S0"},
        {"sliceId": "SB"},
        {"sliceId": None},
    ],
)
def test_other_content_under_a_trades_id_is_a_conflict(change: dict[str, Any]) -> None:
    """Any other energy, price or party."""
    world = session()
    record(world, line(LIGHT, 1000, 2000))
    world.mint("EVB", 1_000_000)
    world.call(GATE, "Hold", **hold("HB", memberId="EVB"))
    world.call(IND, "Offer", **industry_offer())
    world.call(GATE, "Reserve", sliceId="SB", offerId="OI", interval=LIGHT + 7200, amount="1")
    assert refused(world, line(LIGHT, 1000, 2000, **change)) == "TRADE_ID_CONFLICT"


def test_a_known_line_may_come_under_another_hold_of_the_driver() -> None:
    """A trade's id does not depend on hold ids, so that a rebuilt gateway derives the same one."""
    world = session()
    record(world, line(LIGHT, 1000, 2000))
    world.call(GATE, "Hold", **hold("H3"))
    assert record(world, line(LIGHT, 1000, 2000, holdId="H3")) == [("KNOWN", "93321")]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"tradeId": "M-GW1:0:import:1001"}, "BAD_ARGUMENT"),
        ({"holdId": "H0"}, "HOLD_UNKNOWN"),
        ({"direction": "export"}, "BAD_ARGUMENT"),
        ({"meterRef": "M0"}, "METER_UNKNOWN"),
        ({"meterRef": "PV"}, "WRONG_KIND"),
        ({"meterRef": "M-GW2"}, "NOT_AUTHORISED"),
        ({"interval": LIGHT + 1}, "INTERVAL_MISALIGNED"),
        ({"interval": LIGHT + 1800}, "INTERVAL_IN_FUTURE"),
        ({"interval": LIGHT - 14 * 86_400 - 900}, "INTERVAL_TOO_OLD"),
        ({"endWh": "1000"}, "BAD_ARGUMENT"),
        ({"endWh": "7051"}, "METER_IMPLAUSIBLE"),
        ({"sliceId": None}, "BAD_ARGUMENT"),
        ({"reason": "KEPT"}, "BAD_ARGUMENT"),
        ({"sliceId": "S0"}, "SLICE_UNKNOWN"),
        ({"sliceId": "S2"}, "NOT_AUTHORISED"),
        ({"interval": LIGHT + QUARTER_S, "sliceId": f"S{LIGHT}"}, "SLICE_UNKNOWN"),
        ({"interval": LIGHT + QUARTER_S}, "PRICE_NOT_FIXED"),
        ({"holdId": "HLOW"}, "PRICE_LIMIT"),
        ({"holdId": "HSMALL"}, "EXCEEDS_HOLD"),
        ({"holdId": "HOTHER"}, "NOT_AUTHORISED"),
        ({"endWh": "3001"}, "EXCEEDS_SLICE"),
        ({**RETAIL, "reason": None}, "BAD_ARGUMENT"),
        ({**RETAIL, "reason": "WHY_NOT"}, "BAD_ARGUMENT"),
        ({**RETAIL, "sliceId": f"S{LIGHT}"}, "BAD_ARGUMENT"),
        ({**RETAIL, "reason": "NO_SLICE"}, "MARKET_AVAILABLE"),
        ({**RETAIL, "reason": "PRICE_NOT_FIXED"}, "MARKET_AVAILABLE"),
        ({**RETAIL, "reason": "PRICE_WINDOW_EMPTY"}, "MARKET_AVAILABLE"),
        ({**RETAIL, "holdId": "HLOW"}, "PRICE_LIMIT"),
        ({**RETAIL, "holdId": "HSMALL"}, "EXCEEDS_HOLD"),
        ({**RETAIL, "holdId": "HMARKET"}, "RETAIL_NOT_ACCEPTED"),
    ],
)
def test_a_line_is_refused_by_itself(change: dict[str, Any], code: str) -> None:
    """One bad line has its code and leaves nothing; the good one beside it is recorded."""
    world = session()
    world.now_s = LIGHT
    world.call(
        GATE, "Reserve", sliceId=f"S{LIGHT + QUARTER_S}", offerId="O1", interval=LIGHT + 900, amount="900"
    )
    world.state["slice~S2"] = json.dumps(
        {**world.record(f"slice~S{LIGHT}"), "sliceId": "S2", "gatewayId": "GW2"}
    ).encode()
    world.now_s = LIGHT + QUARTER_S
    for hold_id, who, arguments in (
        ("HLOW", GATE, {"limitPrice": "93320"}),
        ("HSMALL", GATE, {"maxWh": "900"}),
        ("HMARKET", GATE, {"acceptRetail": False}),
        ("HOTHER", GATE2, {}),
    ):
        world.call(who, "Hold", **hold(hold_id, **arguments))
    bad = line(LIGHT, 1000, 2000, **change)
    assert refused(world, bad) == code
    assert world.last.writes == []
    world.call(GATE, "RegisterMeter", **meter("M2", gatewayId="GW1"))
    good = line(LIGHT, 1000, 1001, meterRef="M2")
    assert [status for status, _ in record(world, bad, good)] == ["REFUSED", "RECORDED"]


def test_lines_of_one_call_see_each_other() -> None:
    """Register, slice and hold are used up along the batch."""
    world = session()
    results = record(
        world,
        line(LIGHT, 1000, 2500),
        line(LIGHT, 2400, 2500),
        line(LIGHT, 2500, 3200),
        line(LIGHT, 2500, 3000),
        line(LIGHT, 3000, 3100, **{**RETAIL, "reason": "NO_SLICE"}),
        line(LIGHT, 3100, 6600, **RETAIL),
    )
    assert [code for status, code in results if status == "REFUSED"] == ["METER_OVERLAP", "EXCEEDS_SLICE"]
    assert world.record(f"slice~S{LIGHT}")["drawn"] == "2000"
    assert refused(world, line(LIGHT, 6600, 7051, **RETAIL)) == "METER_IMPLAUSIBLE"
    assert refused(world, line(LIGHT - QUARTER_S, 6600, 6700, **RETAIL)) == "METER_OVERLAP"
    assert world.code(GATE, "RecordTrades", lines=[]) == "BAD_ARGUMENT"
    assert world.code(GATE, "RecordTrades", lines=[line(LIGHT, 1, 2)] * 101) == "BAD_ARGUMENT"


def test_holds_and_slices_end() -> None:
    """After Return a slice, and after Release or expiry a hold, cannot be drawn from."""
    world = session()
    world.call(GATE, "Return", sliceId=f"S{LIGHT}")
    assert refused(world, line(LIGHT, 1000, 2000)) == "SLICE_CLOSED"
    assert refused(world, line(LIGHT, 1000, 2000, **{**RETAIL, "reason": "NO_SLICE"})) == "MARKET_AVAILABLE"
    world.now_s = LIGHT + 21 * 86_400
    assert refused(world, line(LIGHT, 1000, 2000)) == "HOLD_EXPIRED"
    world.call(EVU, "Release", holdId="H1")
    assert refused(world, line(LIGHT, 1000, 2000)) == "HOLD_CLOSED"


def test_the_sellers_limit_counts_too() -> None:
    """An offer's least price refuses a lower one."""
    world = session()
    arguments = {"offerId": "O9", "lotId": "L1", "wh": "5000", "limitPrice": "93322"}
    base = world.record("offer~O1")
    made = {name: base[name] for name in ("memberId", "product", "zone", "validFrom", "validTo")}
    world.call(ECO, "Offer", **made, maxWhPerGatewayDay="9000", **arguments)
    world.now_s = LIGHT - 60
    world.call(GATE, "Reserve", sliceId="S9", offerId="O9", interval=LIGHT, amount="900")
    world.now_s = LIGHT
    assert refused(world, line(LIGHT, 1000, 1100, sliceId="S9")) == "PRICE_LIMIT"


def test_retail_is_the_suppliers_at_the_ceiling() -> None:
    """Without a market the supplier sells at the ceiling, from the grid, without fee or loss."""
    world = session(lossBp=300, netFeeMtok="100")
    later = LIGHT + 4 * QUARTER_S
    world.now_s = later + QUARTER_S
    assert record(world, line(later, 1000, 2000, **{**RETAIL, "reason": "PRICE_NOT_FIXED"})) == [
        ("RECORDED", "98300")
    ]
    trade = world.call(AUDITOR, "GetTrade", tradeId="M-GW1:0:import:1000")
    assert (trade["seller"], trade["gross"], trade["fee"]) == ("SUP", "1000", "0")
    assert (trade["tariffId"], trade["period"], trade["reason"]) == (
        "KR-2026-06-01",
        "light",
        "PRICE_NOT_FIXED",
    )
    assert "priceId" not in trade
    assert world.totals()["energy"]["grid"] == 1000
    assert world.balance("SUP")["tokens"]["pending"] == 98_300
    world.call(EVU, "Update", memberId="SUP", expectedVersion=1, status="LEFT")
    assert refused(world, line(later, 2000, 2100, **RETAIL)) == "NO_SUPPLIER"


def test_an_empty_window_has_no_market() -> None:
    """A record without a price sells at retail and refuses market lines."""
    world = session()
    late = LIGHT + 4 * QUARTER_S
    world.now_s = LIGHT
    world.call(ORACLE, "PostFloor", zone="KR-CB-1", product="CHARGE", hour=late, floor="117000")
    world.call(GATE, "Reserve", sliceId=f"S{late}", offerId="O1", interval=late, amount="900")
    world.now_s = late - 60
    world.call(GATE, "FixPrice", zone="KR-CB-1", product="CHARGE", interval=late)
    world.now_s = late
    assert refused(world, line(late, 1000, 1100)) == "PRICE_WINDOW_EMPTY"
    empty = {**RETAIL, "reason": "PRICE_WINDOW_EMPTY"}
    assert record(world, line(late, 1000, 1100, **empty)) == [("RECORDED", "9830")]


def test_a_sale_pays_the_driver_and_the_network() -> None:
    """The industrial slice pays amount and fee, the car gives gross energy, industry gets what was metered."""
    world = selling()
    assert record(world, sale()) == [("RECORDED", "322000")]
    assert world.record(f"cr~FEE:network~{world.last.tx_id}~0") == {"tokens": "4000", "energy": "0"}
    assert world.record(f"slice~S{SIX_PM}")["drawn"] == "326000"
    assert world.balance("EVA")["tokens"]["pending"] == 322_000
    totals = world.totals()
    assert (totals["energy"]["industry"], totals["energy"]["loss"]) == (2000, 62)
    assert totals["tokens"]["pending"] == 326_000
    assert refused(world, sale(2500, 3000)) == "EXCEEDS_SLICE"
    assert record(world, sale()) == [("KNOWN", "322000")]


def test_a_sale_never_falls_back() -> None:
    """No retail for energy a car gives; its limits and its hold bind."""
    world = selling()
    assert refused(world, sale(**RETAIL)) == "BAD_ARGUMENT"
    world.call(GATE, "Hold", **hold("H4", product="DISCHARGE", maxWh="1000", limitPrice="161001"))
    assert refused(world, sale(holdId="H4")) == "PRICE_LIMIT"
    world.call(GATE, "Hold", **hold("H5", product="DISCHARGE", maxWh="500", limitPrice="0"))
    assert refused(world, sale(holdId="H5")) == "EXCEEDS_HOLD"


def test_the_buyers_limit_includes_the_fee() -> None:
    """Price and network fee together stay within what an offer allows."""
    world = selling()
    world.call(IND, "Offer", **industry_offer("OL", limitPrice="162999"))
    world.now_s = SIX_PM - 60
    world.call(GATE, "Reserve", sliceId="SL", offerId="OL", interval=SIX_PM, amount="90000")
    world.now_s = SIX_PM
    assert refused(world, sale(sliceId="SL")) == "PRICE_LIMIT"


def direct(**changes: Any) -> dict[str, Any]:
    """Arguments of a transfer from PRO1 to EVA at the gateway's meter."""
    made = line(LIGHT, 1000, 2000)
    base = {name: made[name] for name in made if name not in {"kind", "holdId", "sliceId"}}
    return {**base, "buyer": "EVA", "seller": "PRO1", "product": "CHARGE", "zone": "KR-CB-1", **changes}


def test_a_transfer_is_one_trade_between_two_accounts() -> None:
    """Debits at once, credits pending, register and price as for any trade; the same again is the same trade."""
    world = session(lossBp=300, netFeeMtok="100")
    before = world.balance("EVA")["tokens"]["available"]
    trade = world.call(GATE, "transfer", **direct())
    amount, fee = int(trade["amount"]), int(trade["fee"])
    assert (trade["kind"], trade["gross"], fee) == ("DIRECT", "1031", 100)
    assert world.balance("EVA")["tokens"]["available"] == before - amount - fee
    assert world.balance("PRO1")["tokens"]["pending"] == amount
    assert world.balance("PRO1")["energy"]["available"] == 10_000 - 1031
    assert world.call(ECO, "transfer", **direct(evidenceHash=digest("new"))) == trade
    assert world.last.writes == []
    assert world.code(GATE, "transfer", **direct(endWh="2001")) == "TRADE_ID_CONFLICT"
    assert refused(world, line(LIGHT, 1000, 2000)) == "TRADE_ID_CONFLICT"
    assert world.code(AUDITOR, "GetTrade", tradeId="M-GW1:0:import:1") == "TRADE_UNKNOWN"


@pytest.mark.parametrize(
    ("who", "change", "code"),
    [
        (GATE, {"tradeId": "M-GW1:0:import:1001"}, "BAD_ARGUMENT"),
        (GATE, {"seller": "EVA"}, "SAME_PARTY"),
        (GATE, {"seller": "IND1"}, "WRONG_KIND"),
        (GATE, {"buyer": "SUP"}, "WRONG_KIND"),
        (GATE, {"buyer": "nobody"}, "UNKNOWN_MEMBER"),
        (IND, {}, "WRONG_ORG"),
        (GATE2, {}, "NOT_AUTHORISED"),
        (EVU, {"meterRef": "PV", "tradeId": "PV:0:import:1000"}, "WRONG_KIND"),
        (EVU, {"zone": "KR-CB-2"}, "BAD_ARGUMENT"),
        (EVU, {"direction": "export", "tradeId": "M-GW1:0:export:1000"}, "BAD_ARGUMENT"),
        (EVU, {"interval": LIGHT + QUARTER_S}, "PRICE_NOT_FIXED"),
        (EVU, {"startWh": "999", "tradeId": "M-GW1:0:import:999"}, "METER_OVERLAP"),
        (EVU, {"buyer": "EVB"}, "ZERO_TOKENS"),
        (EVU, {"buyer": "EVC"}, "INSUFFICIENT_TOKENS"),
        (EVU, {"seller": "PRO2"}, "INSUFFICIENT_ENERGY"),
    ],
)
def test_a_transfer_that_must_not_proceed_leaves_nothing(
    who: Creator, change: dict[str, Any], code: str
) -> None:
    """Zero or short tokens or energy, wrong parties, meters, intervals: refused, nothing written."""
    world = session()
    world.sign_up("EVC", "EV")
    world.mint("EVC", 93_320)
    world.sign_up("PRO2", "PRODUCER")
    assert world.code(who, "transfer", **direct(**change)) == code
    assert world.last.writes == []


def test_a_plant_sells_straight_to_industry() -> None:
    """A producer's plant meter is the evidence; what was registered as generated is what can be sold."""
    world = market()
    noon = DAY0 + 12 * 3600
    world.now_s = noon - 600
    world.mint("IND1", 9_000_000)
    assert fix_price(world, "DISCHARGE", noon, supply=1, demand=1) == 102_750
    world.now_s = noon + QUARTER_S
    generate(world, wh=5000)
    arguments = direct(
        tradeId="PV:0:export:500",
        meterRef="PV",
        direction="export",
        interval=noon,
        startWh="500",
        endWh="4500",
        buyer="IND1",
        product="DISCHARGE",
    )
    assert world.call(ECO, "transfer", **arguments)["amount"] == "411000"
    assert world.balance("PRO1")["energy"]["available"] == 1000
    assert world.totals()["energy"]["industry"] == 4000
    world.now_s = DAY0 + 86_400
    world.call(ECO, "ExpireLot", lotId="L1")
    assert world.totals()["energy"]["expired"] == 1000
    rest = {**arguments, "tradeId": "PV:0:export:4500", "startWh": "4500", "endWh": "5500"}
    assert world.code(ECO, "transfer", **rest) == "INSUFFICIENT_ENERGY"
    assert world.call(DESK, "totalSupply")["supply"] == "9000000"
