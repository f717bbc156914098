"""Configuration, members, accounts, registry: who takes part and what they have."""

import json
from typing import Any

import pytest

from tests.support.contract_world import (
    ADMIN,
    AUDITOR,
    DAY0,
    DESK,
    ECO,
    EVU,
    GATE,
    GATE2,
    IND,
    ORACLE,
    World,
    digest,
    line,
    market,
    meter,
    session,
    summer_tariff,
)

ALL_THREE = ("EVUserMSP", "IndustryMSP", "ProducerMSP")


def member(member_id: str = "EVC", **changes: Any) -> dict[str, Any]:
    made = {
        "memberId": member_id,
        "kind": "EV",
        "commitment": digest(member_id),
        "dupTag": digest("t" + member_id),
    }
    return {**made, **changes}


def test_configuration_is_written_once_under_guard() -> None:
    """Constants and guards get an all-three policy; the same call again changes nothing, another is refused."""
    world = World()
    assert world.call(ADMIN, "Configure", channel="c")["cutoffS"] == 300
    guarded = {f"guard~{name}" for name in ("config", "tariff", "mint", "meter", "gateway")} | {"cfg"}
    assert world.last.policies == dict.fromkeys(guarded, ALL_THREE)
    assert {name for name, _ in world.last.writes} == guarded
    world.call(ADMIN, "Configure", channel="c")
    assert world.last.writes == []
    assert world.code(ADMIN, "Configure", channel="d") == "ID_CONFLICT"


@pytest.mark.parametrize(
    "change",
    [
        {"holdExpiryS": 1_209_600},
        {"wMinPpm": "800001"},
        {"gainMtok": "499"},
        {"lossBp": 10_000},
        {"formula": "fair/1"},
        {"cutoffS": "300"},
    ],
)
def test_configuration_that_does_not_fit_is_refused(change: dict[str, Any]) -> None:
    """The constants are consistent: holds outlive the late window, the clamp is ordered, the gain covers the rounding."""
    assert World().code(ADMIN, "Configure", channel="c", **change) == "BAD_ARGUMENT"


def test_sandbox_time_stands_still_and_then_runs() -> None:
    """Ledger time is the origin until the real instant, then `speed` times as fast."""
    world = World()
    mapping = {"realOriginMs": DAY0 * 1000, "ledgerOriginMs": 1_000_000_000, "speed": 60}
    world.call(ADMIN, "Configure", channel="c", time=mapping)
    assert world.record("cfg")["time"] == mapping
    for now_s, ledger_ms in ((DAY0 - 5, 1_000_000_000), (DAY0 + 2, 1_000_120_000)):
        world.now_s = now_s
        world.sign_up(f"EV{now_s}", "EV")
        entries = world.call(AUDITOR, "historyAPI", memberId=f"EV{now_s}")["entries"]
        assert [entry["ledgerTimeMs"] for entry in entries] == [ledger_ms]


def test_sign_up_refuses_duplicates() -> None:
    """The same identity, a known id with other content, a foreign organisation and a second supplier are refused."""
    world = market()
    first = world.call(EVU, "SignUp", **member())
    assert first["status"] == "ACTIVE"
    assert world.call(EVU, "SignUp", **member()) == first
    assert world.last.writes == []
    assert world.code(EVU, "SignUp", **member(commitment=digest("other"))) == "ID_CONFLICT"
    assert world.code(EVU, "SignUp", **member("EVD", dupTag=digest("tEVC"))) == "DUPLICATE_MEMBER"
    assert world.code(ECO, "SignUp", **member("EVD")) == "WRONG_ORG"
    assert world.code(EVU, "SignUp", **member("SUP2", kind="SUPPLIER")) == "DUPLICATE_MEMBER"


def test_update_is_optimistic_and_leaving_is_final() -> None:
    """A version guards against lost updates; leaving removes commitment and tag, and the person may join again."""
    world = market()
    world.call(EVU, "SignUp", **member())
    changed = world.call(EVU, "Update", memberId="EVC", expectedVersion=1, commitment=digest("new"))
    assert (changed["version"], changed["commitment"], changed["status"]) == (2, digest("new"), "ACTIVE")
    again = world.call(EVU, "Update", memberId="EVC", expectedVersion=1, commitment=digest("new"))
    assert (again, world.last.writes) == (changed, [])
    assert world.code(EVU, "Update", memberId="EVC", expectedVersion=1) == "VERSION_MISMATCH"
    assert world.code(ECO, "Update", memberId="EVC", expectedVersion=2) == "WRONG_ORG"
    assert world.code(EVU, "Update", memberId="nobody", expectedVersion=1) == "UNKNOWN_MEMBER"
    world.call(EVU, "Update", memberId="EVC", expectedVersion=2, status="LEFT")
    assert world.call(EVU, "GetMember", memberId="EVC").keys().isdisjoint({"commitment", "dupTag"})
    assert world.code(EVU, "Update", memberId="EVC", expectedVersion=3, status="ACTIVE") == "MEMBER_INACTIVE"
    world.call(EVU, "SignUp", **member("EVD", dupTag=digest("tEVC")))
    world.call(EVU, "Update", memberId="SUP", expectedVersion=1, status="LEFT")
    world.call(EVU, "SignUp", **member("SUP2", kind="SUPPLIER"))
    assert world.record("supplier") == {"memberId": "SUP2"}


def test_tokens_come_and_go_by_reference() -> None:
    """A deposit mints once, a payout burns once; supply is what is left."""
    world = market()
    deposit = {"memberId": "EVA", "amount": "5000", "depositRef": "d1"}
    minted = world.call(DESK, "Mint", **deposit)
    assert "guard~mint" in dict(world.last.writes)
    assert world.call(DESK, "Mint", **deposit) == minted
    assert world.last.writes == []
    assert world.code(DESK, "Mint", **{**deposit, "amount": "5001"}) == "REF_USED"
    payout = {"memberId": "EVA", "amount": "2000", "payoutRef": "d1"}
    world.call(DESK, "Burn", **payout)
    world.call(DESK, "Burn", **payout)
    assert world.last.writes == []
    assert world.code(DESK, "Burn", **{**payout, "memberId": "EVB"}) == "REF_USED"
    assert world.code(DESK, "Burn", memberId="EVA", amount="3001", payoutRef="p2") == "INSUFFICIENT_TOKENS"
    assert world.code(DESK, "Burn", memberId="EVB", amount="1", payoutRef="p3") == "ZERO_TOKENS"
    assert world.code(DESK, "Burn", memberId="nobody", amount="1", payoutRef="p4") == "UNKNOWN_MEMBER"
    assert world.code(DESK, "Mint", memberId="nobody", amount="1", depositRef="d4") == "UNKNOWN_MEMBER"
    world.call(EVU, "Update", memberId="EVA", expectedVersion=1, status="SUSPENDED")
    assert world.code(DESK, "Mint", memberId="EVA", amount="1", depositRef="d5") == "MEMBER_INACTIVE"
    world.call(DESK, "Burn", memberId="EVA", amount="3000", payoutRef="p6")
    assert world.call(IND, "totalSupply") == {"supply": "0", "minted": "5000", "burned": "5000"}


def test_who_may_see_a_balance() -> None:
    """The own organisation, an auditor, the desk; gateways see EV members only."""
    world = market()
    for who in (ECO, AUDITOR, DESK):
        world.call(who, "balanceOf", memberId="PRO1")
    assert world.code(IND, "balanceOf", memberId="PRO1") == "WRONG_ORG"
    assert world.code(GATE, "balanceOf", memberId="PRO1") == "WRONG_ORG"
    assert world.call(GATE, "balanceOf", memberId="EVA")["credits"] == []
    assert world.code(AUDITOR, "balanceOf", memberId="nobody") == "UNKNOWN_MEMBER"
    assert world.code(ECO, "historyAPI", memberId="EVA") == "WRONG_ORG"
    assert world.code(ECO, "GetMember", memberId="EVA") == "WRONG_ORG"


def test_sweep_moves_named_credits_once() -> None:
    """A credit is swept by its id; an unknown or repeated id is ignored; only the own organisation sweeps."""
    world = session()
    interval = int(world.now_s) - 900
    world.call(GATE, "RecordTrades", lines=[line(interval, 1000, 2000)])
    before = world.balance("PRO1")
    (credit_id,) = before["credits"]
    assert before["tokens"] == {"available": 0, "held": 0, "pending": 93_321}
    assert world.code(EVU, "Sweep", memberId="PRO1", creditIds=[credit_id]) == "WRONG_ORG"
    assert world.code(ECO, "Sweep", memberId="PRO1", creditIds=[credit_id] * 201) == "BAD_ARGUMENT"
    swept = world.call(ECO, "Sweep", memberId="PRO1", creditIds=[credit_id, credit_id, "gone~0"])
    assert swept == {"memberId": "PRO1", "credits": 1, "tokens": "93321", "energy": "0"}
    assert world.balance("PRO1")["tokens"] == {"available": 93_321, "held": 0, "pending": 0}
    assert world.call(ECO, "Sweep", memberId="PRO1", creditIds=[credit_id])["credits"] == 0
    assert world.last.writes == []


def test_history_comes_newest_first_in_pages() -> None:
    """Every entry once, in falling time, whatever the page size."""
    world = market()
    for n in range(5):
        world.now_s += 60
        world.mint("EVA", 1000 + n)
    seen: list[dict[str, Any]] = []
    bookmark = ""
    while True:
        page = world.call(EVU, "historyAPI", memberId="EVA", pageSize=2, bookmark=bookmark)
        seen += page["entries"]
        bookmark = page["bookmark"]
        if not bookmark:
            break
    assert [entry["tokens"] for entry in seen] == ["1004", "1003", "1002", "1001", "1000", "0"]
    assert seen[-1]["type"] == "member.signed"
    assert world.code(EVU, "historyAPI", memberId="EVA", pageSize=201) == "BAD_ARGUMENT"


def test_stations_are_found_by_prefix() -> None:
    """Pages in order of their keys, finer geohashes first, filtered by product; the same station again changes nothing."""
    world = market()
    for name, geohash, products in (
        ("A", "wydm9", ["CHARGE"]),
        ("B", "wydm8", ["CHARGE", "DISCHARGE"]),
        ("C", "wydm9", ["DISCHARGE"]),
        ("D", "wyd", ["CHARGE"]),
        ("E", "u09", ["CHARGE"]),
    ):
        station = {"stationId": name, "zone": "Z", "geohash": geohash, "evses": 4, "products": products}
        world.call(EVU, "RegisterStation", **station)
        world.call(EVU, "RegisterStation", **station)
        assert world.last.writes == []
        assert world.code(EVU, "RegisterStation", **{**station, "evses": 5}) == "ID_CONFLICT"
    page = world.call(AUDITOR, "FindStations", geohash="wyd", pageSize=2)
    assert [station["stationId"] for station in page["stations"]] == ["B", "A"]
    page = world.call(AUDITOR, "FindStations", geohash="wyd", pageSize=2, bookmark=page["bookmark"])
    assert [station["stationId"] for station in page["stations"]] == ["C", "D"]
    assert page["bookmark"] == ""
    page = world.call(AUDITOR, "FindStations", geohash="wyd", product="DISCHARGE")
    assert [station["stationId"] for station in page["stations"]] == ["B", "C"]


def test_gateways_and_meters_are_registered_under_guard() -> None:
    """New ones write their guard; a gateway registers its own meters; an EVSE meter has a known gateway."""
    world = market()
    gateway = {"gatewayId": "GW9", "certificateSha256": digest("9"), "stations": []}
    assert world.code(ECO, "RegisterGateway", **gateway) == "WRONG_ORG"
    world.call(EVU, "RegisterGateway", **gateway)
    assert "guard~gateway" in dict(world.last.writes)
    world.call(EVU, "RegisterGateway", **gateway)
    assert world.last.writes == []
    assert world.code(EVU, "RegisterGateway", **{**gateway, "stations": ["S"]}) == "ID_CONFLICT"
    new = meter("M9", gatewayId="GW1")
    assert world.code(GATE2, "RegisterMeter", **new) == "NOT_AUTHORISED"
    assert world.code(ECO, "RegisterMeter", **new) == "WRONG_ORG"
    assert world.code(EVU, "RegisterMeter", **meter("M9", gatewayId="GW0")) == "GATEWAY_UNKNOWN"
    assert world.code(EVU, "RegisterMeter", **meter("M9")) == "BAD_ARGUMENT"
    world.call(EVU, "RegisterMeter", **new)
    assert "guard~meter" in dict(world.last.writes)
    assert world.record("reg~M9~0~import") == {"wh": "1000", "interval": 0, "intervalWh": "0"}
    world.call(EVU, "RegisterMeter", **new)
    assert world.last.writes == []
    assert world.code(EVU, "RegisterMeter", **{**new, "ratedW": "1"}) == "ID_CONFLICT"
    world.call(GATE, "RegisterMeter", **{**new, "epoch": 1})
    assert world.record("gen~PV~0")["wh"] == "500"


def test_nothing_but_json_objects_is_stored() -> None:
    """Every record is a canonical JSON object, readable by an auditor without this package."""
    world = session()
    assert world.code(ORACLE, "PostTariff", **summer_tariff(tariffId="T2")) == "ID_CONFLICT"
    for raw in world.state.values():
        record = json.loads(raw)
        assert isinstance(record, dict)
        assert json.dumps(record, sort_keys=True, separators=(",", ":")).encode() == raw
