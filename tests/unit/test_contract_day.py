"""A worked day through the contract, to the milli-token: charge, sell, be refused, exchange."""

import pytest

from edgegw.contract import Creator
from tests.support.contract_world import (
    DAY0,
    DESK,
    ECO,
    GATE,
    IND,
    QUARTER_S,
    RefusedError,
    World,
    attestation,
    fix_price,
    generate,
    hold,
    industry_offer,
    line,
    market,
    sun_offer,
)

SIX = DAY0 + 6 * 3600
SIX_PM = DAY0 + 18 * 3600


def generate_lots(world: World) -> None:
    """Eight lots of 3,000 Wh, each wholly on offer."""
    for n in range(8):
        interval = DAY0 - 8 * 3600 + n * QUARTER_S
        world.now_s = interval + QUARTER_S
        generate(world, lot_id=f"L{n}", start_wh=500 + 3000 * n, wh=3000)


def offer_and_reserve(world: World) -> list[str]:
    """16,495 Wh reserved for eight intervals from six lots; the slice of each interval has at least 1,805."""
    for n in range(8):
        world.call(ECO, "Offer", **sun_offer(f"O{n}", lotId=f"L{n}", wh="3000"))
    for n in range(8):
        interval = SIX + n * QUARTER_S
        amount = 16_495 - 7 * 2062 if n == 7 else 2062
        world.call(
            GATE, "Reserve", sliceId=f"S{interval}", offerId=f"O{n}", interval=interval, amount=str(amount)
        )
    return [f"S{SIX + n * QUARTER_S}" for n in range(8)]


def charge(world: World) -> None:
    """Hold 16 kWh at 97.300, settle 14 kWh in eight lines, give back the rest."""
    slices = offer_and_reserve(world)
    assert world.balance("PRO1")["energy"] == {"available": 0, "held": 24_000, "pending": 0}
    assert sum(int(world.record(f"slice~{name}")["amount"]) for name in slices) == 16_495
    for n in range(8):
        assert fix_price(world, "CHARGE", SIX + n * QUARTER_S, supply=24_000, demand=14_000) == 93_321
    world.now_s = SIX
    with pytest.raises(RefusedError, match="ZERO_TOKENS"):
        open_hold(world, "HB", "EVB", product="CHARGE", max_wh=16_000)
    assert "hold~HB" not in world.state
    open_hold(world, "H1", "EVA", product="CHARGE", max_wh=16_000)
    assert world.balance("EVA")["tokens"] == {"available": 48_443_200, "held": 1_556_800, "pending": 0}
    world.now_s = SIX + 7200
    lines = [line(SIX + n * QUARTER_S, 1000 + 1750 * n, 2750 + 1750 * n) for n in range(8)]
    results = world.call(GATE, "RecordTrades", lines=lines)["results"]
    assert [result["amount"] for result in results] == ["163312"] * 8
    world.call(GATE, "Release", holdId="H1")
    for name in slices:
        world.call(GATE, "Return", sliceId=name)
    sweep(world, ECO, "PRO1")
    sweep(world, GATE, "EVA")


def open_hold(world: World, hold_id: str, member_id: str, *, product: str, max_wh: int) -> None:
    """A hold at the day's limits."""
    limit = {"CHARGE": "97300", "DISCHARGE": "150000"}[product]
    arguments = hold(hold_id, memberId=member_id, product=product, maxWh=str(max_wh), limitPrice=limit)
    world.call(GATE, "Hold", **arguments)


def sweep(world: World, who: Creator, member_id: str) -> None:
    """All pending credits of a member."""
    ids = world.balance(member_id)["credits"]
    world.call(who, "Sweep", memberId=member_id, creditIds=ids)


def sell(world: World) -> None:
    """Attest at 18:00, industry's 20 kWh refused, 12 kWh held, sold in eight lines, the rest given back."""
    world.now_s = SIX_PM - 3600
    world.call(IND, "Offer", **industry_offer(mtok="4000000"))
    for n in range(8):
        interval = SIX_PM + n * QUARTER_S
        assert fix_price(world, "DISCHARGE", interval, supply=12_368, demand=50_000) == 162_600
        world.call(GATE, "Reserve", sliceId=f"S{interval}", offerId="OI", interval=interval, amount="243900")
    world.now_s = SIX_PM
    world.call(GATE, "AttestAvailability", **attestation(dischargeableWh="12368", socBp=5700))
    assert world.balance("EVA")["energy"]["available"] == 12_368
    with pytest.raises(RefusedError, match="INSUFFICIENT_ENERGY"):
        open_hold(world, "H20", "EVA", product="DISCHARGE", max_wh=20_000)
    open_hold(world, "H2", "EVA", product="DISCHARGE", max_wh=12_000)
    world.now_s = SIX_PM + 7200
    lines = [
        line(SIX_PM + n * QUARTER_S, 500 + 1500 * n, 2000 + 1500 * n, direction="export", holdId="H2")
        for n in range(8)
    ]
    results = world.call(GATE, "RecordTrades", lines=lines)["results"]
    assert [result["status"] for result in results] == ["RECORDED"] * 8
    world.call(GATE, "Release", holdId="H2")
    for n in range(8):
        world.call(GATE, "Return", sliceId=f"S{SIX_PM + n * QUARTER_S}")
    world.call(IND, "CloseOffer", offerId="OI")
    sweep(world, GATE, "EVA")


def test_worked_day() -> None:
    """Charging from the sun, selling at peak: every balance and total is the one worked out by hand."""
    world = market(lossBp=300)
    generate_lots(world)
    world.now_s = SIX - 3600
    world.mint("EVA", 50_000_000)
    world.mint("IND1", 200_000_000)
    assert world.totals()["tokens"]["supply"] == 250_000_000
    assert world.balance("PRO1")["energy"]["available"] == 24_000

    charge(world)
    assert world.balance("EVA")["tokens"] == {"available": 48_693_504, "held": 0, "pending": 0}
    assert world.balance("PRO1")["tokens"]["available"] == 1_306_496
    assert world.balance("PRO1")["energy"] == {"available": 0, "held": 9_560, "pending": 0}
    assert world.balance("EVA")["energy"]["available"] == 14_000
    assert world.totals()["energy"]["loss"] == 440

    sell(world)
    assert world.balance("EVA")["tokens"]["available"] == 50_644_704
    assert world.balance("IND1")["tokens"] == {"available": 198_048_800, "held": 0, "pending": 0}
    assert world.balance("EVA")["energy"]["available"] == 368

    world.call(DESK, "Burn", memberId="PRO1", amount="1306496", payoutRef="pay-1")
    world.now_s = DAY0 + 86_400
    for n in range(8):
        world.call(ECO, "CloseOffer", offerId=f"O{n}")
    assert world.balance("PRO1")["tokens"] == {"available": 0, "held": 0, "pending": 0}
    assert world.balance("PRO1")["energy"] == {"available": 0, "held": 0, "pending": 0}
    assert world.totals() == {
        "tokens": {
            "minted": 250_000_000,
            "burned": 1_306_496,
            "supply": 248_693_504,
            "available": 248_693_504,
            "held": 0,
            "pending": 0,
        },
        "energy": {
            "generation": 24_000,
            "outside": 0,
            "grid": 0,
            "available": 368,
            "held": 0,
            "pending": 0,
            "industry": 12_000,
            "conversion": 1_632,
            "loss": 440,
            "expired": 9_560,
        },
    }
