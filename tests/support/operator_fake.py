"""Fake the operator's desk in memory, and provide an operator's browser on the operator pages."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

from edgegw.common.passwords import hash_password
from edgegw.core.state import Station
from edgegw.daemon.pages import operator_application
from edgegw.ports.station_health import Level, Part
from edgegw.web.operator.login import OperatorLogins
from edgegw.web.operator.operator_port import (
    ApprovalRequest,
    Approved,
    ChargerAddress,
    Chargers,
    ChargerShown,
    EvseShown,
    NotApproved,
    Refused,
    Waiting,
)
from edgegw.web.site import Site
from tests.support.representative_fake import NOW_S
from tests.support.web_site import Browser, World

PASSWORD = "rather long and odd"
NOW_NS = NOW_S * 1_000_000_000
ALARMS = (
    Part(
        part="meter M-BAY-1",
        level=Level.DOWN,
        reason="EGW-2005 timed out after 3 tries",
        hint="check cable, address and port: edgegw meter read M-BAY-1",
        since_ns=NOW_NS - 600_000_000_000,
    ),
    Part(
        part="chargers",
        level=Level.DEGRADED,
        reason="1 of 2 not connected: C-BAY-2",
        hint="EGW-1103 the password is wrong: set a new password on both sides: edgegw charger approve ID --new-password",
        since_ns=NOW_NS - 7_200_000_000_000,
    ),
    Part(part="daemon", level=Level.OK, reason="operational", since_ns=NOW_NS),
)
STRANGER = Waiting(
    charger_id="CP-9",
    address="192.0.2.9",
    version="1.6",
    security_profile=1,
    first_seen_ns=NOW_NS,
    last_seen_ns=NOW_NS,
    vendor="Volt Works",
    model="Duo 22",
    serial="VW-0009",
    evses=(1, 2),
)
CHARGERS = Chargers(
    configured=(
        ChargerShown(
            charger_id="C-BAY-1",
            online=True,
            version="1.6",
            security_profile=2,
            evses=(EvseShown(number=1, evse_id="BAY-1", meter_id="M-BAY-1", phase="active"),),
        ),
        ChargerShown(
            charger_id="C-BAY-2",
            online=False,
            evses=(EvseShown(number=1, evse_id="BAY-2", meter_id="M-BAY-2", phase="vacant"),),
        ),
    ),
    waiting=(STRANGER,),
    refused=(
        Refused(
            at_ns=NOW_NS, code="EGW-1103", charger_id="C-BAY-2", address="192.0.2.7", detail="", count=41
        ),
    ),
    rejected=("CP-BAD",),
)

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


@cache
def stored() -> str:
    """Return the password's hash, computed once."""
    return hash_password(PASSWORD)


@dataclass
class FakeDesk:
    """A desk that accepts every request, or gives the answers that a test sets."""

    present: Station
    conditions: Sequence[Part] = ALARMS
    known: Chargers = CHARGERS
    free: Sequence[str] = ("M-FREE",)
    wishes: list[ApprovalRequest] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)
    answer: Approved | NotApproved | None = None

    def station(self) -> Station:
        return self.present

    def parts(self) -> Sequence[Part]:
        return self.conditions

    async def chargers(self) -> Chargers:
        return self.known

    def places(self, charger_id: str = "") -> Sequence[ChargerAddress]:
        remark = "without TLS (security profile 1), only for chargers in 127.0.0.0/8"
        return [ChargerAddress(url=f"ws://192.0.2.1:8887/ocpp/{charger_id}", remark=remark)]

    def drivers_origin(self) -> str:
        return "http://station.test:8080"

    def free_meters(self) -> Sequence[str]:
        return self.free

    def register_maps(self) -> Sequence[str]:
        return ["abb-b23", "eastron-sdm630"]

    async def approve(self, approval: ApprovalRequest) -> Approved | NotApproved:
        self.wishes.append(approval)
        return self.answer or Approved(
            charger_id=approval.charger_id, password="made-up" if approval.new_password else ""
        )

    async def reject(self, charger_id: str) -> bool:
        self.rejected.append(charger_id)
        return any(one.charger_id == charger_id for one in self.known.waiting)


@dataclass
class Operator:
    """A world with a desk, a login, and browsers on the operator pages."""

    world: World = field(default_factory=World)
    now_s: float = 0.0
    password_hash: str = field(default_factory=stored)

    def __post_init__(self) -> None:
        self.operator_port = FakeDesk(self.world.present)
        self.door = OperatorLogins(lambda: self.password_hash, now_s=lambda: self.now_s)

    def browser(self, language: str = "en") -> Browser:
        def site(**more: object) -> Site:
            settled = self.world.site()
            parts = {name: getattr(settled, name) for name in Site.__dataclass_fields__}
            return Site(**{**parts, **more})

        return Browser(operator_application(site, self.operator_port, self.door), language=language)

    async def inside(self, language: str = "en") -> Browser:
        """Return a browser that is logged in."""
        browser = self.browser(language)
        await browser.get("/login")
        answer = await browser.send("/login", password=PASSWORD)
        assert answer.status == 200, answer.words
        return browser
