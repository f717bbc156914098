"""The operator's forms approve and reject chargers and publish notices; each fault is shown beside its field."""

from dataclasses import replace

import pytest

from edgegw.web.operator.login import OperatorLogins
from edgegw.web.operator.operator_port import Approved, NotApproved
from tests.support.operator_fake import (
    APPROVAL,
    CHARGERS,
    NOTICE,
    STRANGER,
    FakeDesk,
    Operator,
)
from tests.support.representative_fake import NOW_S
from tests.support.web_site import Browser, World


@pytest.fixture
def operator() -> Operator:
    return Operator()


async def test_a_charger_is_let_in_as_the_form_says(operator: Operator) -> None:
    """Known meters by name, new ones with their place; what is not wished keeps its default."""
    browser = await operator.inside()
    shown = await browser.get("/chargers/CP-9/approve")
    assert "Volt Works Duo 22" in shown.words
    assert '<option value="M-FREE" selected>' in shown.text
    assert '<option value="new" selected>' in shown.text
    answer = await browser.send("/chargers/CP-9/approve", **APPROVAL)
    assert "CP-9 is approved" in answer.words
    (approval,) = operator.operator_port.wishes
    assert [(one.number, one.evse_id, one.meter_id) for one in approval.evses] == [
        (1, "BAY-8", "M-FREE"),
        (2, "BAY-9", "M-BAY-9"),
    ]
    assert approval.evses[0].meter is None
    assert approval.evses[1].meter is not None
    assert (approval.evses[1].meter.host, approval.evses[1].meter.unit) == ("192.0.2.50", 7)
    assert (approval.rated_w, approval.dialect, approval.version, approval.new_password) == (
        22_000,
        None,
        None,
        False,
    )
    assert ("operator.acted", {"deed": "approve charger", "subject": "CP-9"}) in operator.world.logged
    made = await browser.send("/chargers/CP-9/approve", **APPROVAL, new_password="1")
    assert "made-up" in made.words
    assert "made-up" not in str(operator.world.logged)


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        ("name_1", ""),
        ("name_1", "BAY 8"),
        ("name_2", "BAY-8"),
        ("meter_host", "a b"),
        ("meter_port", "70000"),
        ("unit_2", "-1"),
        ("unit_2", "٣"),
        ("rated_w", "0"),
        ("rated_w", "1e9"),
        ("discharge_w", ""),
        ("meter_map", ""),
        ("dialect", "x"),
        ("version", "3"),
    ],
)
async def test_a_bad_field_is_named_and_nothing_is_done(operator: Operator, name: str, typed: str) -> None:
    """A fault is shown beside its field, entries are kept, and nothing is done."""
    browser = await operator.inside()
    await browser.get("/chargers/CP-9/approve")
    answer = await browser.send("/chargers/CP-9/approve", **{**APPROVAL, name: typed})
    assert answer.status == 400
    assert f'id="{name}-fault"' in answer.text
    assert 'value="BAY-9"' in answer.text or name == "name_2"
    assert operator.operator_port.wishes == []


async def test_where_the_daemon_may_not_write_the_command_is_told(operator: Operator) -> None:
    """If the daemon cannot write, the page shows the faults and the filled-in command, with the form."""
    browser = await operator.inside()
    await browser.get("/chargers/CP-9/approve")
    operator.operator_port.answer = NotApproved(command="sudo edgegw charger approve CP-9 --rated-w 22000")
    answer = await browser.send("/chargers/CP-9/approve", **APPROVAL)
    assert (answer.status, "sudo edgegw charger approve CP-9 --rated-w 22000" in answer.words) == (409, True)
    operator.operator_port.answer = NotApproved(faults=("edgegw.toml:3: chargers: twice",))
    assert "chargers: twice" in (await browser.send("/chargers/CP-9/approve", **APPROVAL)).words
    operator.operator_port.answer = Approved(charger_id="CP-9", needs_restart=("charger CP-9",))
    assert "Restart the service" in (await browser.send("/chargers/CP-9/approve", **APPROVAL)).words


async def test_a_charger_that_told_no_evses_is_asked_about(operator: Operator) -> None:
    """The operator says how many it has; no number makes more than eight."""
    operator.operator_port.known = replace(CHARGERS, waiting=(replace(STRANGER, evses=()),))
    browser = await operator.inside()
    for typed, count in (("", 1), ("3", 3), ("99", 8), ("-1", 1), ("x", 1), ("10000000000", 1)):
        text = (await browser.get(f"/chargers/CP-9/approve?evses={typed}")).text
        assert text.count("<legend>EVSE ") == count
    assert (await browser.get("/chargers/CP-7/approve")).status == 404


async def test_a_charger_is_sent_away(operator: Operator) -> None:
    """A charger is rejected once; one that has gone meanwhile is no fault."""
    browser = await operator.inside()
    await browser.get("/chargers")
    assert (await browser.send("/chargers/CP-9/reject")).status == 200
    assert (await browser.send("/chargers/CP-8/reject")).status == 200
    assert operator.operator_port.rejected == ["CP-9", "CP-8"]
    assert [name for name, fields in operator.world.logged if fields.get("deed") == "reject charger"] == [
        "operator.acted"
    ]


async def test_notices_are_told_and_withdrawn(operator: Operator) -> None:
    """A notice is published in both languages until a local time, and withdrawn."""
    browser = await operator.inside()
    await browser.get("/notices")
    answer = await browser.send("/notices", **{**NOTICE, "until": "2026-06-10T18:30"})
    assert "Maintenance" in answer.words
    (notice,) = operator.world.representative.told.values()
    assert notice.until_ns == (NOW_S + 6 * 3600 + 1800) * 1_000_000_000
    answer = await browser.send("/notices/withdraw", notice_id=notice.notice_id)
    assert operator.world.representative.told == {}
    assert "no notices for drivers" in answer.words


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        ("title_ko", ""),
        ("title_en", "x" * 81),
        ("text_ko", "x" * 2_001),
        ("text_en", " "),
        ("until", "2026-06-10T11:59"),
        ("until", "tomorrow"),
    ],
)
async def test_a_bad_notice_is_not_told(operator: Operator, name: str, typed: str) -> None:
    """An empty or too long notice, and one that ends in the past, are refused."""
    browser = await operator.inside()
    await browser.get("/notices")
    answer = await browser.send("/notices", **{**NOTICE, name: typed})
    assert (answer.status, f'id="{name}-fault"' in answer.text) == (400, True)
    assert operator.world.representative.told == {}


async def test_labels_lead_to_the_drivers_server(operator: Operator) -> None:
    """Each charging point's label is there, on the other server."""
    browser = await operator.inside()
    text = (await browser.get("/chargers")).text
    assert 'href="http://station.test:8080/evse/BAY-1/label"' in text


async def test_the_address_to_type_has_its_code(operator: Operator) -> None:
    """URL, remark and QR code, with a charger's identity where one is given."""
    browser = await operator.inside()
    answer = await browser.get("/addresses?charger=CP-9")
    assert "ws://192.0.2.1:8887/ocpp/CP-9" in answer.words
    assert "<svg" in answer.text
    assert "style=" not in answer.text


async def test_refusals_speak_to_the_operator(operator: Operator) -> None:
    """A form whose login has ended gets the operator's text, not the drivers'."""
    browser = await operator.inside()
    await browser.get("/notices")
    operator.now_s += 13 * 3_600
    answer = await browser.send("/notices", **NOTICE)
    assert answer.status == 403
    assert "your login has ended" in answer.words
    assert (await browser.get("/nothing")).status == 404


async def test_the_desk_double_and_worlds_are_apart() -> None:
    """Two operators share nothing: a login of one station is worth nothing at another."""
    one, other = Operator(), Operator(world=World())
    inside = await one.inside()
    browser: Browser = other.browser()
    browser.cookies = dict(inside.cookies)
    assert (await browser.get("/")).status == 303
    assert isinstance(other.operator_port, FakeDesk)
    assert isinstance(other.door, OperatorLogins)
