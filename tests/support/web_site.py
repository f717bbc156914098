"""Provide a web server's surroundings for tests: a fake ledger, a small station, and a client that acts as a browser."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import unescape
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode

from starlette.types import ASGIApp, Message

from edgegw.common import pseudonyms
from edgegw.common.trade_terms import Product
from edgegw.common.units import INTERVAL_S
from edgegw.core.events import Event
from edgegw.core.metering import MeterAccount
from edgegw.core.state import EvseSettings, Settings, Station
from edgegw.core.station import new_station
from edgegw.ports.representative import (
    Check,
    Checked,
    Login,
    Newcomer,
    PriceShown,
    Profile,
    RefusedRequest,
    StationFound,
    TradeShown,
)
from edgegw.web.application import Area, application
from edgegw.web.site import Site, WebSettings
from tests.support.representative_fake import NOW_S, FakeOffice, StoodClock

HOST = "station.test:8080"
PASSWORD = "correct horse battery"


@dataclass
class FakeLedger:
    """The ledger view in memory, checked by tests/conformance/test_ledger_view_laws.py: prices by period, and a test's entries."""

    trades: dict[str, TradeShown] = field(default_factory=dict)
    found: list[StationFound] = field(default_factory=list)

    async def price(self, product: Product, interval: int) -> PriceShown | None:
        if interval <= 0 or interval % INTERVAL_S:
            return None
        hour = interval // 3600 % 24
        period = "peak" if 6 <= hour < 12 else "light" if hour >= 13 else "mid"
        base = {"light": 90_000, "mid": 120_000, "peak": 160_000}[period]
        return PriceShown(
            product=product,
            interval=interval,
            period=period,
            is_fixed=interval <= NOW_S // INTERVAL_S * INTERVAL_S + INTERVAL_S,
            price_mtok_per_kwh=base + 5_000,
            floor_mtok_per_kwh=base,
            ceiling_mtok_per_kwh=base + 10_000,
            supply_wh=20_000,
            demand_wh=20_000,
            weight_ppm=500_000,
        )

    async def stations(self, geohash: str, product: Product | None = None) -> Sequence[StationFound]:
        below = [
            one
            for one in self.found
            if one.geohash.startswith(geohash) and (product is None or product in one.products)
        ]
        return sorted(below, key=lambda one: (f"{one.geohash}~", one.station_id)) if geohash else []

    async def trade(self, trade_id: str) -> TradeShown | None:
        return self.trades.get(trade_id)

    async def check(self, trade_id: str) -> Checked | RefusedRequest:
        trade = self.trades.get(trade_id)
        if trade is None:
            return RefusedRequest(code="TRADE_UNKNOWN", detail=trade_id)
        names = ("block_hash", "prev_hash", "data_hash", "endorsements", "amount", "price")
        return Checked(
            trade_id=trade_id,
            block=trade.block or 0,
            fields={
                "KEY": f"trade~{trade_id}",
                "Value": "{}",
                "Timestamp": "",
                "Prev_Hash": "00",
                "Proof": "",
            },
            checks=tuple(Check(name=name, holds=True) for name in names),
        )


def station(evses: Sequence[str] = ("BAY-1", "BAY-2")) -> Station:
    """Return a station whose chargers are online and whose meters have not been read."""
    settings = Settings(
        station_id="harbour-1",
        zone="KR-SEOUL",
        gateway_id="gateway1",
        evses={
            one: EvseSettings(
                evse_id=one, charger_id=f"C-{one}", meter_id=f"M-{one}", rated_w=11_000, discharge_w=10_000
            )
            for one in evses
        },
        meter_evse={f"M-{one}": one for one in evses},
        nonce_key=b"n" * 32,
    )
    meters = {
        f"M-{one}": MeterAccount(meter_id=f"M-{one}", meter_ref="0" * 32, power_w_max=21_000, step_mwh=1000)
        for one in evses
    }
    fresh = new_station(settings, meters)
    return replace(fresh, evses={key: replace(evse, online=True) for key, evse in fresh.evses.items()})


@dataclass
class World:
    """A site and its surroundings; `placed` are the events that pages placed."""

    clock: StoodClock = field(default_factory=StoodClock)
    representative: FakeOffice = field(default_factory=FakeOffice)
    ledger: FakeLedger = field(default_factory=FakeLedger)
    present: Station = field(default_factory=station)
    placed: list[Event] = field(default_factory=list)
    logged: list[tuple[str, Mapping[str, object]]] = field(default_factory=list)
    settings: WebSettings = field(
        default_factory=lambda: WebSettings(
            host="127.0.0.1",
            port=0,
            names=("station.test",),
            title="Harbour",
            geohash="wydm9",
            secret=b"s" * 32,
        )
    )

    def __post_init__(self) -> None:
        self.representative.clock = self.clock

    def log(self, name: str, fields: Mapping[str, object], *, level: str = "info") -> None:  # noqa: ARG002 - the port's
        self.logged.append((name, fields))

    def site(self) -> Site:
        return Site(
            settings=self.settings,
            clock=self.clock,
            representative=self.representative,
            ledger=self.ledger,
            log=self.log,
            hash_token=lambda token: pseudonyms.hash_token(b"h" * 32, token),
            station=lambda: self.present,
            place=self.placed.append,
        )

    def browser(self, **areas: Area) -> "Browser":
        return Browser(application(self.site(), areas))


@dataclass
class Answer:
    """An HTTP answer; `text` is the body with its entities."""

    status: int
    headers: Mapping[str, str]
    cookies: list[str]
    text: str

    @property
    def words(self) -> str:
        """The text without markup."""
        return unescape(" ".join(re.sub(r"<[^>]+>", " ", self.text).split()))


@dataclass
class Browser:
    """Keeps cookies, follows the redirect after a form, and sends each form with the token of its page."""

    app: ASGIApp
    host: str = HOST
    language: str = "en"
    cookies: dict[str, str] = field(default_factory=dict)
    token: str = ""

    async def get(self, path: str, **headers: str) -> Answer:
        """Get a page."""
        return await self.ask("GET", path, headers=headers)

    async def send(self, path: str, **fields: str) -> Answer:
        """Send a form and follow the redirect."""
        answer = await self.ask(
            "POST",
            path,
            headers={"origin": f"http://{self.host}", "content-type": "application/x-www-form-urlencoded"},
            body=urlencode({"form_token": self.token, **fields}).encode(),
        )
        return await self.get(answer.headers["location"]) if answer.status == 303 else answer

    async def sign_up(self, representative: FakeOffice, login: str = "mina", **about: Any) -> Profile:
        """Sign up a member and log this browser in."""
        profile = await representative.sign_up(
            Newcomer(login=login, password=PASSWORD, name="Mina Kim", contact=f"{login}@example.org", **about)
        )
        assert isinstance(profile, Profile)
        opened = await representative.log_in(login, PASSWORD, source="test")
        assert isinstance(opened, Login)
        self.cookies["edgegw_login"] = opened.token
        return profile

    async def ask(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """Send one request without following redirects."""
        sent = {"host": self.host, "accept-language": self.language, **(headers or {})}
        if self.cookies:
            sent["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        raw, _, query = path.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": raw,
            "raw_path": raw.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in sent.items()],
            "client": ("192.0.2.1", 50_000),
            "server": ("127.0.0.1", 8080),
        }
        answer = await _through(self.app, scope, body)
        for line in answer.cookies:
            for name, morsel in SimpleCookie(line).items():
                if morsel["max-age"] == "0":
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value
        if found := re.search(r'name="form_token" value="(\w+)"', answer.text):
            self.token = found[1]
        return answer


async def _through(app: ASGIApp, scope: dict[str, Any], body: bytes) -> Answer:
    inbox = [{"type": "http.request", "body": body, "more_body": False}]
    outbox: list[Message] = []

    async def receive() -> Message:
        return inbox.pop() if inbox else await asyncio.Future[Message]()

    async def send(message: Message) -> None:
        outbox.append(message)

    await app(scope, receive, send)
    begin = outbox[0]
    pairs = [(name.decode().lower(), value.decode("latin-1")) for name, value in begin["headers"]]
    content = b"".join(message.get("body", b"") for message in outbox[1:])
    return Answer(
        status=begin["status"],
        headers=dict(pairs),
        cookies=[value for name, value in pairs if name == "set-cookie"],
        text=content.decode(errors="replace"),
    )
