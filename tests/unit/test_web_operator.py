"""The operator's pages require the password, list the worst first, and show everything from a charger as text."""

import re
from dataclasses import replace

import pytest

from edgegw.common.member_terms import MemberTerms
from edgegw.common.passwords import hash_password
from edgegw.common.trade_terms import Product
from edgegw.common.units import INTERVAL_S
from edgegw.core.market import Price
from edgegw.core.meter_condition import MeterCondition
from edgegw.core.metering import Registers
from edgegw.core.orders import Aim, Order, OrderState
from edgegw.core.state import HoldBook, Phase, Session, Tally, TradeLine
from edgegw.core.submission import New, Purpose
from edgegw.ports.representative import Notice
from edgegw.web.driver import home
from edgegw.web.operator.login import FREE_TRIES, OperatorLogins
from edgegw.web.operator.operator_port import NotApproved, Refused
from tests.support.operator_fake import (
    APPROVAL,
    CHARGERS,
    NOTICE,
    NOW_NS,
    PASSWORD,
    STRANGER,
    Operator,
    stored,
)
from tests.support.representative_fake import NOW_S

PAGES = (
    *("/", "/chargers", "/chargers/CP-9/approve", "/meters", "/sessions", "/outbox", "/prices"),
    *("/notices", "/refusals", "/addresses"),
)
FORMS = ("/chargers/CP-9/reject", "/chargers/CP-9/approve", "/notices", "/notices/withdraw", "/logout")
MEMBER = "0123456789abcdef0123456789"
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
    trouble = MeterCondition(code="EGW-2005", detail="timed out", since_ns=NOW_NS, in_a_row=3)
    line = TradeLine(
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

    def price(number: int, product: Product, amount: int | None, seen_s: int) -> dict[str, Price]:
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

    operator.operator_port.present = replace(
        station,
        evses={
            **station.evses,
            "BAY-1": replace(station.evses["BAY-1"], phase=Phase.ACTIVE, session=session),
        },
        meters={
            "M-BAY-1": replace(station.meters["M-BAY-1"], last=last, power_w=7_350),
            "M-BAY-2": replace(station.meters["M-BAY-2"], trouble=trouble),
        },
        orders={
            "o": Order(
                order_id="o",
                evse_id="BAY-1",
                id_token_hash="",
                terms=MemberTerms(member_id=MEMBER),
                aim=Aim.WORK,
                state=OrderState.RUNNING,
            )
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
            "u1": New(
                submission_id="u1",
                number=1,
                lane="a",
                purpose=Purpose.TRADES,
                subject="s",
                function="SubmitTrades",
                arguments_json="{}",
                code="UNAVAILABLE <b>peer</b>",
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
    """Every page requires a login; a page that refreshes itself is loaded again."""
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
    assert (
        operator.operator_port.wishes,
        operator.operator_port.rejected,
        operator.world.representative.told,
    ) == ([], [], {})


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("path", PAGES)
async def test_every_page_in_both_languages(operator: Operator, path: str, language: str) -> None:
    """A page has one main heading, its language, and its words in that language."""
    busy(operator)
    await operator.world.representative.publish(
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
    """The parts are those of `edgegw status`, the worst first, with their time and remedy."""
    words = (await (await operator.inside()).get("/")).words
    order = [words.index(text) for text in ("meter M-BAY-1", "chargers", "daemon operational")]
    assert order == sorted(order)
    assert "EGW-2005 the meter does not answer timed out after 3 tries" in words
    assert "check cable, address and port: edgegw meter read M-BAY-1 since 11:50 (10 min ago)" in words
    korean = (await (await operator.inside("ko")).get("/")).words
    assert "계량기가 응답하지 않습니다" in korean
    assert "전체 2대 중 1대가 연결되지 않음: C-BAY-2" in korean
    assert "양쪽에 새 비밀번호를 설정하세요" in korean


async def test_what_runs_is_told_in_figures(operator: Operator) -> None:
    """Sessions, meters, outbox and prices say what the state holds, with pseudonyms cut."""
    busy(operator)
    browser = await operator.inside()
    sessions = (await browser.get("/sessions")).words
    for text in (
        "BAY-1",
        "in a session",
        "Order charge and sell automatically (running)",
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
        "SubmitTrades waits 3",
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
    """A charger's vendor, model, serial, firmware, addresses and faults are shown as text on every page."""
    pending = replace(
        STRANGER,
        charger_id=text.replace("/", "|"),
        vendor=text,
        model=text,
        serial=text,
        firmware=text,
        address=text,
    )
    refused = Refused(at_ns=1, code="EGW-1101", charger_id=text, address=text, detail=text, count=1)
    operator.operator_port.known = replace(CHARGERS, waiting=(pending,), refused=(refused,), rejected=(text,))
    operator.operator_port.conditions = [
        replace(one, reason=f"{one.reason} {text}", hint=text) for one in operator.operator_port.conditions
    ]
    station = operator.world.present
    operator.operator_port.present = replace(
        station,
        meters={
            name: replace(
                account, serial=text, trouble=MeterCondition(code="EGW-2007", detail=text, since_ns=1)
            )
            for name, account in station.meters.items()
        },
    )
    operator.operator_port.answer = NotApproved(faults=(text,), command=text)
    browser = await operator.inside()
    for path in ("/", "/chargers", "/meters", "/refusals", f"/chargers/{pending.charger_id}/approve"):
        assert harmless((await browser.get(path)).text), path
    answer = await browser.send(f"/chargers/{pending.charger_id}/approve", **{**APPROVAL, "meter_host": text})
    assert answer.status == 400
    assert harmless(answer.text)
    answer = await browser.send(f"/chargers/{pending.charger_id}/approve", **APPROVAL)
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
    await browser.sign_up(operator.world.representative)
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
    """A login ends after twelve hours, by its button and with its password; refreshing pages do not extend it."""
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


async def test_a_neighbour_cannot_lock_the_operator_out() -> None:
    """On a dual-stack socket IPv4 addresses are counted separately, so that one cannot lock another out."""
    hashed = hash_password("right-right-right")
    door = OperatorLogins(lambda: hashed, now_s=lambda: 0.0)
    for _ in range(FREE_TRIES):
        assert not (await door.enter("wrong", source="::ffff:192.0.2.66")).wait_s
    assert (await door.enter("wrong", source="192.0.2.66")).wait_s
    assert (await door.enter("right-right-right", source="::ffff:192.0.2.1")).token
