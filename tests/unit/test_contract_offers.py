"""Lots, attestations, offers, slices and holds cover what they promise before a trade is metered."""

from typing import Any

import pytest

from tests.support.contract_world import (
    DAY0,
    ECO,
    EVU,
    GATE,
    GATE2,
    IND,
    LIGHT,
    QUARTER_S,
    World,
    attestation,
    digest,
    generate,
    hold,
    industry_offer,
    line,
    market,
    session,
    sun_offer,
)

SLICE: dict[str, Any] = {
    "sliceId": "X1",
    "offerId": "O1",
    "interval": LIGHT + QUARTER_S * 4,
    "amount": "2000",
}


def offered(**changes: Any) -> World:
    """A market with a lot and an offer of it, an hour before LIGHT."""
    world = market()
    world.now_s = LIGHT - 3600
    generate(world)
    world.call(ECO, "Offer", **sun_offer(**changes))
    return world


def refuse_generation(world: World, **changes: Any) -> str:
    made = {
        "lotId": "L2",
        "memberId": "PRO1",
        "meterRef": "PV",
        "epoch": 0,
        "interval": LIGHT - 4500,
        "startWh": "20500",
        "endWh": "21500",
        "evidenceHash": digest("L2"),
        "expiresAt": DAY0 + 86_400,
    }
    return world.code(ECO, "RegisterGeneration", **{**made, **changes})


def test_generation_raises_energy_once() -> None:
    """A lot follows the plant's register; the same again changes nothing; what cannot be is refused."""
    world = market()
    world.now_s = LIGHT - 3600
    generate(world)
    assert world.balance("PRO1")["energy"]["available"] == 20_000
    generate(world)
    assert world.last.writes == []
    assert refuse_generation(world, lotId="L1") == "ID_CONFLICT"
    assert refuse_generation(world, startWh="20499") == "METER_OVERLAP"
    assert refuse_generation(world, interval=LIGHT - 5400) == "METER_OVERLAP"
    assert refuse_generation(world, endWh="20500") == "BAD_ARGUMENT"
    assert refuse_generation(world, endWh="75501") == "METER_IMPLAUSIBLE"
    assert refuse_generation(world, interval=LIGHT - 4501) == "INTERVAL_MISALIGNED"
    assert refuse_generation(world, interval=LIGHT) == "INTERVAL_IN_FUTURE"
    assert refuse_generation(world, meterRef="M-GW1") == "WRONG_KIND"
    assert refuse_generation(world, epoch=1) == "METER_UNKNOWN"
    assert refuse_generation(world, memberId="EVA") == "WRONG_KIND"
    assert refuse_generation(world, expiresAt=world.now_s) == "ENERGY_EXPIRED"
    world.now_s = LIGHT - 3600 + 15 * 86_400
    assert refuse_generation(world, expiresAt=DAY0 + 90 * 86_400) == "INTERVAL_TOO_OLD"


def test_other_organisations_register_no_generation() -> None:
    """A representative acts for its own members."""
    world = market()
    world.now_s = LIGHT
    made = {"lotId": "L", "memberId": "PRO1", "meterRef": "PV", "epoch": 0, "interval": LIGHT - 900}
    rest = {"startWh": "500", "endWh": "600", "evidenceHash": digest("x"), "expiresAt": LIGHT + 900}
    assert world.code(EVU, "RegisterGeneration", **made, **rest) == "WRONG_ORG"


def test_an_expired_lot_loses_what_stands_in_no_offer() -> None:
    """Unsold energy was exported: it leaves the account once, after its expiry."""
    world = offered()
    assert world.code(ECO, "ExpireLot", lotId="L1") == "INTERVAL_OPEN"
    world.now_s = DAY0 + 86_400
    assert world.code(EVU, "ExpireLot", lotId="L1") == "WRONG_ORG"
    assert world.code(ECO, "ExpireLot", lotId="L0") == "LOT_UNKNOWN"
    assert world.call(ECO, "ExpireLot", lotId="L1")["free"] == "0"
    assert world.call(GATE, "GetLot", lotId="L1")["free"] == "0"
    assert world.code(GATE, "GetLot", lotId="L0") == "LOT_UNKNOWN"
    assert world.balance("PRO1")["energy"] == {"available": 0, "held": 10_000, "pending": 0}
    world.call(ECO, "ExpireLot", lotId="L1")
    assert world.last.writes == []
    assert world.totals()["energy"]["expired"] == 10_000


def test_attestation_trues_the_account_both_ways() -> None:
    """Above the ledger comes from outside, below goes into driving and conversion."""
    world = market()
    assert world.call(GATE, "AttestAvailability", **attestation())["beforeWh"] == "0"
    world.call(GATE, "AttestAvailability", **attestation())
    assert world.last.writes == []
    assert world.code(GATE, "AttestAvailability", **attestation(socBp=9000)) == "ID_CONFLICT"
    world.call(GATE, "AttestAvailability", **attestation("A2", dischargeableWh="1500"))
    energy = world.totals()["energy"]
    assert (energy["outside"], energy["conversion"], energy["available"]) == (6000, 4500, 1500)
    too_much = attestation("A3", dischargeableWh="7741")
    assert world.code(GATE, "AttestAvailability", **too_much) == "BAD_ARGUMENT"
    empty = attestation("A4", socBp=3000, dischargeableWh="1")
    assert world.code(GATE, "AttestAvailability", **empty) == "BAD_ARGUMENT"
    assert world.code(GATE, "AttestAvailability", **attestation("A5", memberId="PRO1")) == "WRONG_KIND"


def test_no_attestation_while_energy_is_held_or_pending() -> None:
    """An attestation is refused while part of the account's energy is held or pending."""
    world = session()
    world.call(GATE, "AttestAvailability", **attestation("A0", dischargeableWh="0"))
    world.call(GATE, "RecordTrades", lines=[line(LIGHT, 1000, 2000)])
    assert world.code(GATE, "AttestAvailability", **attestation()) == "ENERGY_BUSY"
    credits_ = world.balance("EVA")["credits"]
    world.call(GATE, "Sweep", memberId="EVA", creditIds=credits_)
    sale = hold("H2", product="DISCHARGE", maxWh="1000", limitPrice="0")
    world.call(GATE, "Hold", **sale)
    assert world.code(GATE, "AttestAvailability", **attestation()) == "ENERGY_BUSY"
    world.call(GATE, "Release", holdId="H2")
    assert world.call(GATE, "AttestAvailability", **attestation())["beforeWh"] == "1000"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"wh": None}, "BAD_ARGUMENT"),
        ({"lotId": None}, "BAD_ARGUMENT"),
        ({"mtok": "5"}, "BAD_ARGUMENT"),
        ({"validTo": DAY0 + 899}, "BAD_ARGUMENT"),
        ({"lotId": "L0"}, "LOT_UNKNOWN"),
        ({"wh": "10001"}, "INSUFFICIENT_ENERGY"),
        ({"memberId": "EVA"}, "WRONG_KIND"),
        ({"memberId": "PRO2"}, "LOT_UNKNOWN"),
        ({"offerId": "O1"}, "ID_CONFLICT"),
    ],
)
def test_charge_offers_are_backed_by_a_lot(change: dict[str, Any], code: str) -> None:
    """An offer names a lot of its own member with as much free energy."""
    world = offered()
    world.sign_up("PRO2", "PRODUCER")
    assert world.code(ECO, "Offer", **sun_offer(**{"offerId": "O2", "wh": "500", **change})) == code


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"wh": "5"}, "BAD_ARGUMENT"),
        ({"mtok": "0"}, "BAD_ARGUMENT"),
        ({"limitPrice": "0"}, "BAD_ARGUMENT"),
        ({"memberId": "PRO1"}, "WRONG_KIND"),
        ({"mtok": "9000001"}, "INSUFFICIENT_TOKENS"),
    ],
)
def test_discharge_offers_are_backed_by_tokens(change: dict[str, Any], code: str) -> None:
    """An offer to buy names tokens its member has, and a limit."""
    world = session()
    assert world.code(IND, "Offer", **industry_offer(**change)) == code


def test_offers_go_back_where_they_came_from() -> None:
    """Closing returns tokens to the account and energy to account and lot; twice is once."""
    world = offered()
    world.call(ECO, "Offer", **sun_offer())
    assert world.last.writes == []
    assert world.code(EVU, "CloseOffer", offerId="O1") == "WRONG_ORG"
    assert world.code(ECO, "CloseOffer", offerId="O0") == "OFFER_UNKNOWN"
    world.call(ECO, "CloseOffer", offerId="O1")
    assert world.balance("PRO1")["energy"] == {"available": 20_000, "held": 0, "pending": 0}
    assert world.record("lot~L1")["free"] == "20000"
    assert world.call(ECO, "CloseOffer", offerId="O1") == world.call(GATE, "GetOffer", offerId="O1")
    assert world.last.writes == []
    assert world.code(GATE, "Reserve", **SLICE) == "OFFER_CLOSED"
    world.now_s = DAY0 + 86_400
    assert world.code(ECO, "Offer", **sun_offer("O3")) == "ENERGY_EXPIRED"


def test_an_expired_offer_goes_to_the_grid() -> None:
    """The energy left in an expired lot's offer counts as exported; an empty offer expires nothing."""
    world = offered()
    world.call(GATE, "Reserve", **{**SLICE, "amount": "10000"})
    world.call(ECO, "Offer", **sun_offer("O2", wh="4000"))
    world.now_s = DAY0 + 86_400
    world.call(ECO, "CloseOffer", offerId="O1")
    assert world.totals()["energy"]["expired"] == 0
    world.call(ECO, "CloseOffer", offerId="O2")
    assert world.totals()["energy"]["expired"] == 4000
    world.call(GATE, "Return", sliceId="X1")
    assert world.totals()["energy"]["expired"] == 14_000


def test_offers_are_listed_oldest_lot_first() -> None:
    """Open offers with something left, by age of the lot, then lot and offer id."""
    world = market()
    world.now_s = LIGHT - 3600
    world.mint("IND1", 9_000_000)
    generate(world, lot_id="LB")
    world.now_s += QUARTER_S
    generate(world, lot_id="LA", start_wh=20_500)
    for offer_id, lot_id in (("a", "LA"), ("c", "LB"), ("b", "LB"), ("empty", "LB"), ("closed", "LA")):
        world.call(ECO, "Offer", **sun_offer(offer_id, lotId=lot_id, wh="1000"))
    world.call(ECO, "Offer", **sun_offer("past", lotId="LA", wh="1000", validTo=DAY0 + 900))
    world.call(IND, "Offer", **industry_offer())
    world.call(GATE, "Reserve", **{**SLICE, "offerId": "empty", "amount": "1000"})
    world.call(ECO, "CloseOffer", offerId="closed")
    listed = world.call(GATE, "ListOffers", zone="KR-CB-1", product="CHARGE")["offers"]
    assert [offer["offerId"] for offer in listed] == ["b", "c", "a"]
    listed = world.call(GATE, "ListOffers", zone="KR-CB-1", product="DISCHARGE")["offers"]
    assert [offer["offerId"] for offer in listed] == ["OI"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"interval": LIGHT - 3600}, "INTERVAL_STARTED"),
        ({"interval": LIGHT + 1}, "INTERVAL_MISALIGNED"),
        ({"offerId": "O0"}, "OFFER_UNKNOWN"),
        ({"interval": LIGHT - 900}, "OFFER_NOT_VALID"),
        ({"interval": DAY0 + 86_400}, "OFFER_NOT_VALID"),
        ({"interval": LIGHT + 4500}, "ENERGY_EXPIRED"),
        ({"amount": "10001"}, "INSUFFICIENT_ENERGY"),
        ({"amount": "5001"}, "DAILY_CAP"),
    ],
)
def test_slices_stay_within_their_offer(change: dict[str, Any], code: str) -> None:
    """A slice is reserved ahead, while the offer and its lot last, and within the gateway's daily cap."""
    world = market()
    world.now_s = LIGHT - 3600
    generate(world, expiresAt=LIGHT + 4500)
    world.call(ECO, "Offer", **sun_offer(validFrom=LIGHT, maxWhPerGatewayDay="5000"))
    assert world.code(GATE, "Reserve", **{**SLICE, **change}) == code


def test_a_slice_is_one_gateways_own_until_returned() -> None:
    """Reserved once, returned after its interval by its gateway, the rest to the offer and to the daily cap."""
    world = offered(maxWhPerGatewayDay="3000")
    world.call(GATE, "Reserve", **SLICE)
    assert world.record("offer~O1")["left"] == "8000"
    world.call(GATE, "Reserve", **SLICE)
    assert world.last.writes == []
    assert world.code(GATE2, "Reserve", **SLICE) == "ID_CONFLICT"
    assert world.code(GATE, "Reserve", **{**SLICE, "sliceId": "X2"}) == "DAILY_CAP"
    assert world.code(GATE, "Return", sliceId="X1") == "INTERVAL_OPEN"
    assert world.code(GATE, "Return", sliceId="X0") == "SLICE_UNKNOWN"
    world.now_s = SLICE["interval"] + QUARTER_S
    assert world.code(GATE2, "Return", sliceId="X1") == "NOT_AUTHORISED"
    assert world.code(ECO, "Return", sliceId="X1") == "INTERVAL_OPEN"
    assert world.code(EVU, "Return", sliceId="X1") == "WRONG_ORG"
    returned = world.call(GATE, "Return", sliceId="X1")
    assert (returned["returned"], returned["status"]) == ("2000", "RETURNED")
    assert world.record("offer~O1")["left"] == "10000"
    assert world.call(GATE, "Return", sliceId="X1") == returned == world.call(IND, "GetSlice", sliceId="X1")
    assert world.last.writes == []
    world.call(GATE, "Reserve", **{**SLICE, "sliceId": "X3", "interval": LIGHT + QUARTER_S * 8})


def test_a_dead_gateways_slice_comes_back_through_the_offerer() -> None:
    """After its holds have expired, a slice of a dead gateway can be returned by the offerer's representative."""
    world = session()
    world.call(IND, "Offer", **industry_offer())
    tokens = {"sliceId": "X9", "offerId": "OI", "interval": LIGHT + QUARTER_S * 8, "amount": "300000"}
    assert world.code(GATE, "Reserve", **{**tokens, "amount": "1000001"}) == "INSUFFICIENT_TOKENS"
    world.call(GATE, "Reserve", **tokens)
    world.call(IND, "CloseOffer", offerId="OI")
    assert world.balance("IND1")["tokens"] == {"available": 8_700_000, "held": 300_000, "pending": 0}
    world.now_s = LIGHT + QUARTER_S * 9 + 21 * 86_400
    world.call(IND, "Return", sliceId="X9")
    assert world.balance("IND1")["tokens"] == {"available": 9_000_000, "held": 0, "pending": 0}


def test_a_charging_hold_is_cut_to_the_balance() -> None:
    """Zero and short tokens leave nothing; otherwise as much as is there, up to the maximum at the limit."""
    world = market()
    assert world.code(GATE, "Hold", **hold()) == "ZERO_TOKENS"
    world.mint("EVA", 98_299)
    assert world.code(GATE, "Hold", **hold()) == "INSUFFICIENT_TOKENS"
    assert world.call(GATE, "Hold", **hold("H0", maxWh="500"))["reserved"] == "49150"
    world.mint("EVA", 400_000)
    assert world.code(GATE, "Hold", **hold(minWh="5000")) == "INSUFFICIENT_TOKENS"
    assert world.call(GATE, "Hold", **hold(minWh="4000"))["reserved"] == "449149"
    assert world.balance("EVA")["tokens"] == {"available": 0, "held": 498_299, "pending": 0}
    assert world.code(GATE, "Hold", **hold("H9", limitPrice="0")) == "BAD_ARGUMENT"
    assert world.code(GATE, "Hold", **hold("H9", memberId="PRO1")) == "WRONG_KIND"
    assert world.code(GATE, "Hold", **hold("H9", memberId="nobody")) == "UNKNOWN_MEMBER"


def test_a_selling_hold_is_all_or_nothing() -> None:
    """Energy short of the maximum with its loss leaves nothing."""
    world = market(dischargeLossBp=300)
    world.call(GATE, "AttestAvailability", **attestation())
    sale = hold("H2", product="DISCHARGE", maxWh="5821", limitPrice="150000", acceptRetail=False)
    assert world.code(GATE, "Hold", **sale) == "INSUFFICIENT_ENERGY"
    assert world.call(GATE, "Hold", **{**sale, "maxWh": "5820"})["reserved"] == "6000"
    assert world.balance("EVA")["energy"] == {"available": 0, "held": 6000, "pending": 0}


def test_a_hold_ends_by_its_gateway_or_after_expiry() -> None:
    """Its gateway releases a hold, after expiry also the member's representative; a second release changes nothing."""
    world = session()
    opened = world.call(GATE, "Hold", **hold())
    assert world.last.writes == []
    assert world.code(GATE, "Hold", **hold(maxWh="9000")) == "HOLD_EXISTS"
    assert world.code(GATE2, "Hold", **hold()) == "HOLD_EXISTS"
    assert world.code(GATE2, "Release", holdId="H1") == "NOT_AUTHORISED"
    assert world.code(EVU, "Release", holdId="H1") == "NOT_AUTHORISED"
    assert world.code(ECO, "Release", holdId="H1") == "WRONG_ORG"
    assert world.code(GATE, "Release", holdId="H0") == "HOLD_UNKNOWN"
    assert world.call(IND, "GetHold", holdId="H1") == opened
    world.now_s = LIGHT + 21 * 86_400
    ended = world.call(EVU, "Release", holdId="H1")
    assert (ended["status"], ended["released"]) == ("CLOSED", "983000")
    assert world.balance("EVA")["tokens"] == {"available": 5_000_000, "held": 0, "pending": 0}
    assert world.call(GATE, "Release", holdId="H1") == ended
    assert world.last.writes == []
