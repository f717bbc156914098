"""Every call of the contract is checked: shapes, versions, roles, purity, and one write per key."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from edgegw.contract import FUNCTIONS, Code, Creator, codes, keys
from edgegw.contract.call_state import CallState
from edgegw.contract.codec import MalformedError, decode, dumps, loads, pack, unpack
from edgegw.contract.records import Account, Credit
from tests.support.contract_world import (
    ADMIN,
    AUDITOR,
    DESK,
    ECO,
    EVU,
    GATE,
    ORACLE,
    MemoryStub,
    World,
    digest,
    hold,
    market,
)

CONTRACT = Path(codes.__file__).parent
EVERYBODY = (ADMIN, ORACLE, DESK, AUDITOR, ECO, GATE)


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["{}"], "UNKNOWN_VERSION"),
        (['{"v":2}'], "UNKNOWN_VERSION"),
        (['{"v":true}'], "UNKNOWN_VERSION"),
        (['{"v":1}', "{}"], "BAD_ARGUMENT"),
        (["[1]"], "BAD_ARGUMENT"),
        (["{"], "BAD_ARGUMENT"),
        (["[" * 100_000], "BAD_ARGUMENT"),
        (['{"v":1,"v":1}'], "BAD_ARGUMENT"),
        (['{"v":1.0}'], "BAD_ARGUMENT"),
        (['{"v":NaN}'], "BAD_ARGUMENT"),
        (['{"v":1,"more":1}'], "BAD_ARGUMENT"),
        (['{"v":1,"\\ud800":1}'], "BAD_ARGUMENT"),
    ],
)
def test_malformed_calls_are_refused(args: list[str], code: str) -> None:
    """Whatever a caller sends is answered with a code, never with an exception."""
    response = market().respond(AUDITOR, "totalSupply", args)
    assert response.status == 500
    assert response.message.startswith(f"{code}: ")
    response.message.encode()


def test_no_argument_means_version_one() -> None:
    """A function without arguments may be called with none at all."""
    world = market()
    assert world.respond(AUDITOR, "totalSupply", []).status == 200
    assert world.respond(AUDITOR, "NoSuch", []).message.startswith("BAD_ARGUMENT")


@pytest.mark.parametrize(
    "change",
    [
        {"maxWh": 10_000},
        {"maxWh": "010"},
        {"maxWh": "+1"},
        {"maxWh": "1e3"},
        {"maxWh": "-1"},
        {"maxWh": "0"},
        {"maxWh": "100000000001"},
        {"product": "SALE"},
        {"product": 1},
        {"acceptRetail": 1},
        {"acceptRetail": None},
        {"memberId": "EV~A"},
        {"memberId": ""},
        {"memberId": "EVA\n"},
        {"memberId": 7},
        {"holdId": "x" * 161},
        {"limitPrice": "10000001"},
    ],
)
def test_wrong_shapes_are_refused(change: dict[str, Any]) -> None:
    """Quantities are strict decimal strings, ids are ASCII words, flags are flags."""
    assert market().code(GATE, "Hold", **hold(**change)) == "BAD_ARGUMENT"


def test_missing_and_nested_shapes_are_refused() -> None:
    """Lists, nested objects and required fields are checked too."""
    world = market()
    assert world.code(GATE, "GetHold") == "BAD_ARGUMENT"
    assert world.code(GATE, "RecordTrades", lines="none") == "BAD_ARGUMENT"
    assert world.code(GATE, "RecordTrades", lines=["none"]) == "BAD_ARGUMENT"
    assert World().code(ADMIN, "Configure", channel="c", time=7) == "BAD_ARGUMENT"
    assert world.code(ORACLE, "PostTariff", tariffId="T", periods=[]) == "BAD_ARGUMENT"
    with pytest.raises(MalformedError):
        decode(Account, [])


def test_records_survive_the_round_trip() -> None:
    """Packing is canonical and unpacking is its inverse."""
    account = Account(member_id="EVA", tokens=2**60 % 10**18, energy=0, version=3)
    raw = pack(account)
    assert (
        raw
        == dumps(loads(raw))
        == b'{"energy":"0","memberId":"EVA","tokens":"152921504606846976","version":3}'
    )
    assert unpack(Account, raw) == account
    with pytest.raises(MalformedError):
        unpack(Credit, b'{"tokens":"1","energy":"-0"}')


def test_every_function_is_refused_to_other_roles() -> None:
    """A role outside a function's list gets NOT_AUTHORISED, before its arguments are looked at."""
    world = market()
    pending_chargers = Creator(msp_id="EVUserMSP", role="nobody")
    nameless = Creator(msp_id="EVUserMSP", role="gateway")
    for name, function in FUNCTIONS.items():
        for who in (*EVERYBODY, pending_chargers, nameless):
            code = world.respond(who, name, ["{}"]).message.split(":")[0]
            allowed = who.role in function.roles and who is not nameless
            assert code == ("UNKNOWN_VERSION" if allowed else "NOT_AUTHORISED"), (name, who.role)


def test_writers_have_a_verb() -> None:
    """Every function either only reads, or has its event."""
    readers = {name for name, function in FUNCTIONS.items() if not function.verb}
    assert readers == {
        *(
            "totalSupply",
            "balanceOf",
            "historyAPI",
            "DetermineCost",
            "DetermineCose",
            "GetMember",
            "GetPrice",
        ),
        *(
            "GetLot",
            "GetOffer",
            "GetSlice",
            "GetHold",
            "GetTrade",
            "ListOffers",
            "FindStations",
            "AuditTotals",
        ),
    }


def test_everything_waits_for_the_configuration() -> None:
    """Without constants there is no ledger time, and every write is refused."""
    world = World()
    member = {"memberId": "EVA", "kind": "EV", "commitment": digest("c"), "dupTag": digest("d")}
    assert world.code(EVU, "SignUp", **member) == "NOT_CONFIGURED"


def test_a_call_sees_its_own_writes_but_the_host_gets_each_key_once() -> None:
    """A call reads its own writes from a cache, although the host shows committed state only; each key is written once."""
    stub = MemoryStub({"acc~A": b'{"energy":"1","memberId":"A","tokens":"0","version":1}'}, "t", 0, GATE)
    ledger = CallState(stub, "r")
    for energy in (2, 3):
        ledger.write("acc~A", Account(member_id="A", tokens=0, energy=energy, version=energy))
    assert ledger.read(Account, "acc~A") == Account(member_id="A", tokens=0, energy=3, version=3)
    ledger.remove("acc~B")
    assert ledger.read(Account, "acc~B") is None
    ledger.credit("A", tokens=1)
    ledger.credit("A", energy=2)
    ledger.credit("B")
    assert ledger.flush()
    assert [name for name, _ in stub.writes] == ["acc~A", "acc~B", "cr~A~t~0"]
    assert stub.reads == set(), "a blind write reads nothing"


def test_keys_sort_as_their_numbers() -> None:
    """Fixed widths make text order number order; history runs backwards."""
    assert keys.wide(900) < keys.wide(10_000)
    assert keys.newest_first(10_000) < keys.newest_first(900)
    with pytest.raises(AssertionError):
        keys.guard("nothing")


def test_codes_are_documented() -> None:
    """docs/contract.md names every function and every refusal code."""
    page = (CONTRACT.parent.parent / "docs" / "contract.md").read_text()
    assert not [name for name in [*FUNCTIONS, *Code, *codes.RetailReason] if f"`{name}`" not in page]


def test_the_documented_tariff_is_one() -> None:
    """The JSON example of the tariff in docs/contract.md is accepted unchanged."""
    page = (CONTRACT.parent.parent / "docs" / "contract.md").read_text()
    example = page.split("```json\n")[1].split("```")[0]
    world = World()
    world.call(ADMIN, "Configure", channel="c")
    assert world.respond(ORACLE, "PostTariff", [example]).status == 200
    assert json.loads(example)["tariffId"] == "KR-2026-06-01-summer"


def test_the_contract_is_pure() -> None:
    """Standard library and edgegw.common.units only: no clock, no chance, no I/O, no float."""
    allowed = {"collections", "dataclasses", "datetime", "enum", "functools", "hashlib", "itertools"} | {
        "json",
        "re",
        "typing",
        "edgegw",
    }
    for path in sorted(CONTRACT.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
                assert not names[0].startswith("edgegw.") or names[0].startswith(
                    ("edgegw.contract", "edgegw.common.units")
                )
            else:
                names = []
            assert {name.split(".")[0] for name in names} <= allowed, path.name
            assert not isinstance(node, ast.Constant) or not isinstance(node.value, float), path.name
            assert not isinstance(node, ast.Div), path.name
