"""The operator's pages: nothing without the password, the worst first, and nothing from a charger does anything but stand there."""

import re
from dataclasses import replace

import pytest

from edgegw.core.events import MemberTerms
from edgegw.core.market import Price
from edgegw.core.metering import Registers
from edgegw.core.settlement import Submission
from edgegw.core.state import HoldBook, Line, Phase, Session, Tally
from edgegw.core.trouble import Trouble
from edgegw.office import Notice
from edgegw.units import INTERVAL_S
from edgegw.web.driver import home
from edgegw.web.operator.desk import Approved, NotApproved, Refused
from edgegw.web.operator.login import Door
from tests.office_double import NOW_S
from tests.operator_double import CHARGERS, NOW_NS, PASSWORD, STRANGER, FakeDesk, Operator, stored
from tests.web_site import Browser, World

PAGES = (
    *("/", "/chargers", "/chargers/CP-9/approve", "/meters", "/sessions", "/outbox", "/prices"),
    *("/notices", "/refusals", "/addresses"),
)
FORMS = ("/chargers/CP-9/reject", "/chargers/CP-9/approve", "/notices", "/notices/withdraw", "/logout")
MEMBER = "0123456789abcdef0123456789"
NOTICE = {
    "title_ko": "점검",
    "title_en": "Maintenance",
    "text_ko": "내일 쉽니다.",
    "text_en": "Closed tomorrow.",
    "until": "",
}
APPROVAL = {
    "evses": "2",
    "name_1": "BAY-8",
    "meter_1": "M-FREE",
    "unit_1": "1",
    "name_2": "BAY-9",
    "meter_2": "new",
    "unit_2": "7",
    "meter_map": "abb-b23",
    "meter_host": "192.0.2.50",
    "meter_port": "502",
    "rated_w": "22000",
    "discharge_w": "0",
    "version": "",
    "dialect": "",
}
INJECTIONS = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror='a'>",
    "{{ 7*7 }}",
    "</td><h1>x",
    "' OR 1=1 --",
)


@pytest.fixture
def operator() -> Operator:
    return Operator()


def busy(operator: Operator) -> None:
    """A station with a session, a read and a silent meter, trades that wait, and prices of every kind."""
    station = operator.world.present
    now = NOW_S // INTERVAL_S * INTERVAL_S
    session = Session(
        session_id="s1",
        transaction_id="t1",
        start_key="k",
        started_ns=NOW_NS - 60_000_000_000,
        terms=MemberTerms(member_id=MEMBER),
        soc_bp=5_550,
    )
    last = Registers(t0_ns=NOW_NS, t1_ns=NOW_NS, import_mwh=1_234_567_000, export_mwh=5_000)
    trouble = Trouble(code="EGW-2005", detail="timed out", since_ns=NOW_NS, in_a_row=3)
    line = Line(
        trade_id="tr1",
        number=1,
        meter_id="M-BAY-1",
        meter_ref="0",
        epoch=0,
        direction="import",
        start_wh=0,
        end_wh=1_500,
        interval=now,
        kind="RETAIL",
        hold_id="h",
        slice_id=None,
        reason="LATE_PRICE",
        cost=1,
        evidence_hash="",
        evse_id="BAY-1",
        session_id="s1",
        accept_retail=True,
    )

    def price(number: int, product: str, amount: int | None, seen_s: int) -> dict[str, Price]:
        interval = now + number * INTERVAL_S
        refusal = None if amount else "PRICE_WINDOW_EMPTY"
        return {
            f"{product}:{interval}": Price(
                product=product,
                interval=interval,
                price_mtok_per_kwh=amount,
                ceiling_mtok_per_kwh=amount,
                refusal=refusal,
                seen_ns=(interval + seen_s) * 1_000_000_000,
            )
        }

    operator.desk.present = replace(
        station,
        evses={
            **station.evses,
            "BAY-1": replace(station.evses["BAY-1"], phase=Phase.ACTIVE, session=session),
        },
        meters={
            "M-BAY-1": replace(station.meters["M-BAY-1"], last=last, power_w=7_350),
            "M-BAY-2": replace(station.meters["M-BAY-2"], trouble=trouble),
        },
        holds={
            "h": HoldBook(
                hold_id="h",
                evse_id="BAY-1",
                session_id="s1",
                member_id=MEMBER,
                product="CHARGE",
                limit_mtok_per_kwh=400_000,
                total=4_000_000,
                used=58_600,
            )
        },
        lines={"tr1": line},
        submissions={
            "u1": Submission(
                submission_id="u1",
                number=1,
                lane="a",
                purpose="p",
                subject="s",
                function="SubmitTrades",
                arguments_json="{}",
                code="UNAVAILABLE",
                detail="<b>peer</b>",
                attempt=3,
            )
        },
        prices={
            **price(0, "CHARGE", 162_600, -600),
            **price(0, "DISCHARGE", 150_000, 60),
            **price(1, "CHARGE", None, -600),
        },
        tally={
            "all": Tally(
                trades=12,
                untraded={"import:NO_SESSION": 345},
                retail_reasons={"LATE_PRICE": 1_500},
                refused={"HOLD_EMPTY": 2},
            )
        },
    )


@pytest.mark.parametrize("path", PAGES)
async def test_nothing_is_shown_without_a_login(operator: Operator, path: str) -> None:
    """Every page leads a stranger to the login; a page that renews itself is loaded anew."""
    browser = operator.browser()
    answer = await browser.get(path)
    assert (answer.status, answer.headers["location"]) == (303, f"/login?next={path}")
    renewed = await browser.get(path, **{"hx-request": "true"})
    assert (renewed.status, renewed.headers["hx-refresh"], renewed.text) == (204, "true", "")


@pytest.mark.parametrize("path", FORMS)
async def test_nothing_is_done_without_a_login(operator: Operator, path: str) -> None:
    """A stranger's form, with the token of the login page, does nothing."""
    browser = operator.browser()
    await browser.get("/login")
    answer = await browser.send(path, **APPROVAL, **NOTICE, notice_id="n")
    assert 'type="password"' in answer.text
    assert (operator.desk.wishes, operator.desk.rejected, operator.world.office.told) == ([], [], {})


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("path", PAGES)
async def test_every_page_in_both_languages(operator: Operator, path: str, language: str) -> None:
    """A page has one main heading, its language, and its words in that language."""
    busy(operator)
    await operator.world.office.publish(
        Notice(notice_id="n", at_ns=1, until_ns=NOW_NS + 1, **{k: v for k, v in NOTICE.items() if v})
    )
    browser = await operator.inside(language)
    answer = await browser.get(path)
    assert answer.status == 200
    assert f'<html lang="{language}">' in answer.text
    assert answer.text.count("<h1") == 1
    title = re.search(r"<title>(.*?)</title>", answer.text)
    assert title is not None
    assert bool(re.search("[가-힣]", title[1])) == (language == "ko")
    ids = re.findall(r' id="([^"]+)"', answer.text)
    assert len(ids) == len(set(ids))
    assert MEMBER not in answer.text


async def test_the_worst_comes_first_with_its_remedy(operator: Operator) -> None:
    """As `edgegw status` tells it: what is down, since when and what to do, before what is in order."""
    words = (await (await operator.inside()).get("/")).words
    order = [words.index(text) for text in ("meter M-BAY-1", "chargers", "daemon serves")]
    assert order == sorted(order)
    assert "EGW-2005 the meter does not answer timed out after 3 tries" in words
    assert "check cable, address and port: edgegw meter read M-BAY-1 since 11:50 (10 min ago)" in words
    korean = (await (await operator.inside("ko")).get("/")).words
    assert "계량기가 응답하지 않습니다" in korean
    assert "전체 2대 중 1대가 연결되지 않음: C-BAY-2" in korean
    assert "양쪽에 다시 설정하세요" in korean


async def test_what_runs_is_told_in_figures(operator: Operator) -> None:
    """Sessions, meters, outbox and prices say what the state holds, with pseudonyms cut."""
    busy(operator)
    browser = await operator.inside()
    sessions = (await browser.get("/sessions")).words
    for text in (
        "BAY-1",
        "in a session",
        "7.4 kW charging",
        "55.5%",
        "012345…",
        "58.6 tokens / 4,000 tokens",
    ):
        assert text in sessions
    meters = (await browser.get("/meters")).words
    for text in (
        "1,234.567 kWh",
        "0.005 kWh",
        "EGW-2005 the meter does not answer",
        "edgegw meter read M-BAY-2",
    ):
        assert text in meters
    outbox = (await browser.get("/outbox")).words
    for text in (
        "1 trades wait",
        "1.500 kWh",
        "LATE_PRICE",
        "SubmitTrades waits for its turn 3",
        "import:NO_SESSION 0.345 kWh",
    ):
        assert text in outbox
    prices = (await browser.get("/prices")).words
    for text in (
        "162.6 tokens/kWh fixed",
        "150 tokens/kWh seen too late: not used",
        "empty window",
        "not fixed",
    ):
        assert text in prices
    assert "HOLD_EMPTY 2" in (await browser.get("/refusals")).words
    assert "41" in (await browser.get("/refusals")).words


@pytest.mark.parametrize("text", INJECTIONS)
async def test_what_a_charger_says_is_only_text(operator: Operator, text: str) -> None:
    """Vendor, model, serial, firmware, addresses and faults stand there as they came, on every page."""
    stranger = replace(
        STRANGER,
        charger_id=text.replace("/", "|"),
        vendor=text,
        model=text,
        serial=text,
        firmware=text,
        address=text,
    )
    refused = Refused(at_ns=1, code="EGW-1101", charger_id=text, address=text, detail=text, count=1)
    operator.desk.known = replace(CHARGERS, waiting=(stranger,), refused=(refused,), rejected=(text,))
    operator.desk.conditions = [
        replace(one, reason=f"{one.reason} {text}", hint=text) for one in operator.desk.conditions
    ]
    station = operator.world.present
    operator.desk.present = replace(
        station,
        meters={
            name: replace(account, serial=text, trouble=Trouble(code="EGW-2007", detail=text, since_ns=1))
            for name, account in station.meters.items()
        },
    )
    operator.desk.answer = NotApproved(faults=(text,), command=text)
    browser = await operator.inside()
    for path in ("/", "/chargers", "/meters", "/refusals", f"/chargers/{stranger.charger_id}/approve"):
        assert harmless((await browser.get(path)).text), path
    answer = await browser.send(
        f"/chargers/{stranger.charger_id}/approve", **{**APPROVAL, "meter_host": text}
    )
    assert answer.status == 400
    assert harmless(answer.text)
    answer = await browser.send(f"/chargers/{stranger.charger_id}/approve", **APPROVAL)
    assert answer.status == 409
    assert harmless(answer.text)
    await browser.send("/notices", **{**NOTICE, "title_ko": text, "text_en": text})
    assert harmless((await browser.get("/notices")).text)


def harmless(page: str) -> bool:
    """Whether a page has no markup but its own."""
    own = re.sub(r'<script src="/static[^>]*></script>', "", page)
    return not re.search(r"<script|<img|onerror='|<h1>x|>49<", own)


async def test_a_driver_is_nobody_here_and_the_operator_nobody_there(operator: Operator) -> None:
    """A driver's login opens no operator's page under either name, nor an operator's login a driver's."""
    browser = operator.browser()
    await browser.sign_up(operator.world.office)
    driver = browser.cookies["edgegw_login"]
    assert (await browser.get("/chargers")).status == 303
    browser.cookies["edgegw_operator"] = driver
    assert (await browser.get("/chargers")).status == 303
    inside = await operator.inside()
    token = inside.cookies["edgegw_operator"]
    drivers = operator.world.browser(home=home.routes)
    for name in ("edgegw_login", "edgegw_operator"):
        drivers.cookies[name] = token
    assert 'href="/login"' in (await drivers.get("/")).text


async def test_wrong_passwords_make_pauses_that_grow(operator: Operator) -> None:
    """Three tries are free; then each wrong one doubles the wait, in which even the right one is not looked at."""
    browser = operator.browser()
    await browser.get("/login")
    for _ in range(3):
        assert (await browser.send("/login", password="wrong")).status == 403
    pauses = []
    for _ in range(4):
        answer = await browser.send("/login", password=PASSWORD)
        assert answer.status == 429
        found = re.search(r"Wait (\d+) seconds", answer.words)
        assert found is not None
        pauses.append(int(found[1]))
        operator.now_s += int(found[1])
        assert (await browser.send("/login", password="wrong")).status == 403
    assert pauses == [3, 5, 9, 17]
    operator.now_s += 33
    assert (await browser.send("/login", password=PASSWORD)).status == 200
    assert [name for name, _ in operator.world.logged].count("operator.refused") == 7
    assert PASSWORD not in str(operator.world.logged)


async def test_a_login_ends(operator: Operator) -> None:
    """After twelve hours, by its button, and with the password that opened it; never moved on by pages that renew themselves."""
    browser = await operator.inside()
    for _ in range(11):
        operator.now_s += 3_600
        assert (await browser.get("/")).status == 200
    operator.now_s += 3_600
    assert (await browser.get("/")).status == 303
    browser = await operator.inside()
    cookies = dict(browser.cookies)
    assert 'type="password"' in (await browser.send("/logout")).text
    browser.cookies = cookies
    assert (await browser.get("/")).status == 303
    browser = await operator.inside()
    operator.door.look()
    assert (await browser.get("/")).status == 200
    operator.password_hash = stored() + "x"
    operator.door.look()
    assert (await browser.get("/")).status == 303


async def test_the_login_leads_back_and_nowhere_else(operator: Operator) -> None:
    """`next` names a page of this server."""
    browser = operator.browser()
    assert 'value="/meters"' in (await browser.get("/login?next=/meters")).text
    assert "evil" not in (await browser.get("/login?next=//evil.example")).text
    assert "Meters" in (await browser.send("/login", password=PASSWORD, next="/meters")).words
    assert (await browser.get("/login")).headers["location"] == "/"


async def test_a_charger_is_let_in_as_the_form_says(operator: Operator) -> None:
    """Known meters by name, new ones with their place; what is not wished keeps its default."""
    browser = await operator.inside()
    shown = await browser.get("/chargers/CP-9/approve")
    assert "Volt Works Duo 22" in shown.words
    answer = await browser.send("/chargers/CP-9/approve", **APPROVAL)
    assert "CP-9 is let in" in answer.words
    (wish,) = operator.desk.wishes
    assert [(one.number, one.evse_id, one.meter_id) for one in wish.evses] == [
        (1, "BAY-8", "M-FREE"),
        (2, "BAY-9", "M-BAY-9"),
    ]
    assert wish.evses[0].meter is None
    assert wish.evses[1].meter is not None
    assert (wish.evses[1].meter.host, wish.evses[1].meter.unit) == ("192.0.2.50", 7)
    assert (wish.rated_w, wish.dialect, wish.version, wish.new_password) == (22_000, None, None, False)
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
    """The fault stands beside its field, and what was typed stays."""
    browser = await operator.inside()
    await browser.get("/chargers/CP-9/approve")
    answer = await browser.send("/chargers/CP-9/approve", **{**APPROVAL, name: typed})
    assert answer.status == 400
    assert f'id="{name}-fault"' in answer.text
    assert 'value="BAY-9"' in answer.text or name == "name_2"
    assert operator.desk.wishes == []


async def test_where_the_daemon_may_not_write_the_command_is_told(operator: Operator) -> None:
    """Faults and the filled-in command stand on the page, with the form as it was."""
    browser = await operator.inside()
    await browser.get("/chargers/CP-9/approve")
    operator.desk.answer = NotApproved(command="sudo edgegw charger approve CP-9 --rated-w 22000")
    answer = await browser.send("/chargers/CP-9/approve", **APPROVAL)
    assert (answer.status, "sudo edgegw charger approve CP-9 --rated-w 22000" in answer.words) == (409, True)
    operator.desk.answer = NotApproved(faults=("edgegw.toml:3: chargers: twice",))
    assert "chargers: twice" in (await browser.send("/chargers/CP-9/approve", **APPROVAL)).words
    operator.desk.answer = Approved(charger_id="CP-9", needs_restart=("charger CP-9",))
    assert "Restart the service" in (await browser.send("/chargers/CP-9/approve", **APPROVAL)).words


async def test_a_charger_that_told_no_evses_is_asked_about(operator: Operator) -> None:
    """The operator says how many it has; no number makes more than eight."""
    operator.desk.known = replace(CHARGERS, waiting=(replace(STRANGER, evses=()),))
    browser = await operator.inside()
    for typed, count in (("", 1), ("3", 3), ("99", 8), ("-1", 1), ("x", 1), ("10000000000", 1)):
        text = (await browser.get(f"/chargers/CP-9/approve?evses={typed}")).text
        assert text.count("<legend>EVSE ") == count
    assert (await browser.get("/chargers/CP-7/approve")).status == 404


async def test_a_charger_is_sent_away(operator: Operator) -> None:
    """Once; one that is gone meanwhile is no fault."""
    browser = await operator.inside()
    await browser.get("/chargers")
    assert (await browser.send("/chargers/CP-9/reject")).status == 200
    assert (await browser.send("/chargers/CP-8/reject")).status == 200
    assert operator.desk.rejected == ["CP-9", "CP-8"]
    assert [name for name, fields in operator.world.logged if fields.get("deed") == "reject charger"] == [
        "operator.acted"
    ]


async def test_notices_are_told_and_withdrawn(operator: Operator) -> None:
    """In both languages, until an instant of the station's time zone."""
    browser = await operator.inside()
    await browser.get("/notices")
    answer = await browser.send("/notices", **{**NOTICE, "until": "2026-06-10T18:30"})
    assert "Maintenance" in answer.words
    (notice,) = operator.world.office.told.values()
    assert notice.until_ns == (NOW_S + 6 * 3600 + 1800) * 1_000_000_000
    answer = await browser.send("/notices/withdraw", notice_id=notice.notice_id)
    assert operator.world.office.told == {}
    assert "told nothing" in answer.words


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
    """Neither empty nor endless texts, nor an end in the past."""
    browser = await operator.inside()
    await browser.get("/notices")
    answer = await browser.send("/notices", **{**NOTICE, name: typed})
    assert (answer.status, f'id="{name}-fault"' in answer.text) == (400, True)
    assert operator.world.office.told == {}


async def test_the_address_to_type_has_its_code(operator: Operator) -> None:
    """URL, remark and QR code, with a charger's identity where one is given."""
    browser = await operator.inside()
    answer = await browser.get("/addresses?charger=CP-9")
    assert "ws://192.0.2.1:8887/ocpp/CP-9" in answer.words
    assert "<svg" in answer.text
    assert "style=" not in answer.text


async def test_refusals_speak_to_the_operator(operator: Operator) -> None:
    """A form whose login has ended says so, and not what a driver would be told."""
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
    assert isinstance(other.desk, FakeDesk)
    assert isinstance(other.door, Door)
