"""Producers and industrial members in a browser, at their own representatives' processes, on a running embedded peer."""

import asyncio
import http.client
import re
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from html import unescape
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from edgegw.commissioning.representatives import RepresentativeFiles, founded
from edgegw.demo.consortium_setup import PLAYERS, played
from edgegw.ledger import LedgerClient
from edgegw.peer import membership
from edgegw.representative import ledger_accounts
from edgegw.representative.ledger_accounts import Enrolment
from tests.support.conformance_network import MARKET, Embedded, _peer, client_of
from tests.support.patience import PATIENCE_S
from tests.support.representative_world import PASSWORD
from tests.support.station import ROOT, Daemon

QUARTER_S = 900
ZONE = "KR-SEOUL"


@dataclass
class Person:
    """A browser without JavaScript, over the network: keeps cookies, follows redirects, sends each page's own form token."""

    origin: str
    cookies: dict[str, str] = field(default_factory=dict)
    text: str = ""
    status: int = 0

    @property
    def words(self) -> str:
        return unescape(" ".join(re.sub(r"<[^>]+>", " ", self.text).split()))

    def value(self, name: str) -> str:
        """What the page's form has in a field, or chose in a list."""
        found = re.search(rf'name="{name}"[^>]* value="([^"]*)"', self.text) or re.search(
            rf'name="{name}"[^>]*>\s*<option value="([^"]*)"', self.text
        )
        assert found is not None, (name, self.text)
        return unescape(found[1])

    async def get(self, path: str) -> str:
        return await asyncio.to_thread(self._ask, "GET", path, "")

    async def send(self, path: str, **fields: str) -> str:
        body = urlencode({"form_token": self.value("form_token"), **fields})
        return await asyncio.to_thread(self._ask, "POST", path, body)

    def _ask(self, method: str, path: str, body: str) -> str:
        place = self.origin.removeprefix("http://")
        connection = http.client.HTTPConnection(place, timeout=PATIENCE_S)
        headers = {"Accept-Language": "en", "Origin": self.origin}
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if method == "POST":
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection.request(method, path, body or None, headers)
        answer = connection.getresponse()
        self.status, self.text = answer.status, answer.read().decode()
        for name, value in answer.getheaders():
            if name.lower() == "set-cookie":
                self.cookies |= {key: one.value for key, one in SimpleCookie(value).items()}
        connection.close()
        if self.status == 303:
            return self._ask("GET", str(answer.getheader("location")), "")
        return self.words

    async def log_in(self, login: str) -> str:
        await self.get("/login")
        return await self.send("/login", login=login, password=PASSWORD, next=self.value("next"))

    async def sign_up(self, login: str) -> str:
        await self.get("/signup")
        about = {"name": login, "contact": f"{login}@example.org", "login": login, "password": PASSWORD}
        return await self.send("/signup", **about, consent="1", next=self.value("next"))


@asynccontextmanager
async def service(config: Path) -> AsyncIterator[Daemon]:
    """`edgegw representative` until the block ends; ended by SIGTERM, with status 0."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "edgegw.cli", "representative", "--config", str(config)),
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    running = Daemon(process)
    listening = asyncio.create_task(running.listen())
    try:
        yield running
    finally:
        if process.returncode is None:
            process.terminate()
        assert await asyncio.wait_for(process.wait(), PATIENCE_S) == 0, running.log
        await listening
    assert running.log[-1]["event"] == "office.stopped"


async def origin(running: Daemon) -> str:
    """Where its pages are."""
    await running.says("office.listening")
    (said,) = await running.says("web.listening")
    assert said["pages"] == "members"
    return str(said["origin"])


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    """A peer with the market's contract, on real time."""
    data = tmp_path_factory.mktemp("market")
    membership.found(data / "toy" / "crypto")
    (data / "market").mkdir()
    (data / "market" / "crypto").symlink_to(data / "toy" / "crypto")
    with _peer(data / "market", MARKET) as endpoint:
        network = Embedded(data=data, endpoints={"market": endpoint})
        asyncio.run(configured(network))
        yield network


async def configured(network: Embedded) -> None:
    async with who(network, "EVUserMSP/admin") as admin:
        await admin.execute("Configure", {"channel": "energych"})


def who(network: Embedded, member: str) -> LedgerClient:
    return client_of(network, network.market, signer=network.signer(member))


def place_of(folder: Path, network: Embedded, msp_id: str) -> RepresentativeFiles:
    (endpoint,) = network.market.endpoints
    return RepresentativeFiles(folder=folder, msp_id=msp_id, crypto=network.crypto, endpoint=endpoint)


async def everything(person: Person) -> set[str]:
    """Every page that leads from the first one; each is there."""
    seen: set[str] = set()
    waiting = ["/"]
    while waiting:
        path = waiting.pop()
        if path not in seen:
            seen.add(path)
            await person.get(path)
            assert person.status == 200, path
            waiting += [one for one in re.findall(r'href="(/[^"?#]*)', person.text) if "." not in one]
    return seen


async def generate(network: Embedded, producer: Enrolment) -> None:
    """The producer's sign-up, and 4 kWh of its plant in the quarter hour that has just ended."""
    interval = int(time.time()) // QUARTER_S * QUARTER_S - QUARTER_S
    meter = {"meterRef": "PV", "epoch": 0, "zone": ZONE, "kind": "PLANT", "ratedW": "50000"}
    lot: dict[str, Any] = {"lotId": "L1", "memberId": producer.member_id, "meterRef": "PV", "epoch": 0}
    lot |= {"interval": interval, "startWh": "0", "endWh": "4000", "evidenceHash": "ab" * 32}
    async with who(network, "ProducerMSP/representative") as representative:
        await ledger_accounts.sign_up(representative, producer)
        await representative.execute("RegisterMeter", {**meter, "importWh": "0", "exportWh": "0"})
        await representative.execute(
            "RegisterGeneration", {**lot, "expiresAt": interval + QUARTER_S + 86_400}
        )


async def exchange(person: Person, way: str, tokens: str) -> str:
    await person.get("/exchange")
    assert "simulated" in person.words
    await person.send("/exchange/quote", way=way, tokens=tokens)
    return await person.send("/exchange/confirm", quote_id=person.value("quote_id"))


async def test_a_producer_sells_at_its_own_representative(tmp_path: Path, market: Embedded) -> None:
    """The demo's producer sees its lot, offers it, closes the offer and exchanges; a new member sees nothing of it."""
    place = place_of(tmp_path, market, "ProducerMSP")
    producer = played(place, PASSWORD)
    assert played(place, PASSWORD) == producer
    await generate(market, producer)
    async with service(place.config) as running:
        person = Person(await origin(running))
        other = Person(person.origin)
        assert "Your open offers" in await person.log_in("producer")
        assert "4.000 kWh" in await person.get("/generation")
        await person.get("/offers")
        begin, end, lot = (person.value(name) for name in ("valid_from", "valid_to", "lot"))
        assert lot == "L1"
        offered = await person.send(
            "/offers", lot=lot, energy="2.5", price="140.5", valid_from=begin, valid_to=end
        )
        assert "2.500 kWh" in offered, person.text
        offer_id = person.value("offer_id")

        await other.sign_up("neighbour")
        for path in ("/", "/offers", "/generation", "/sold", "/history", "/exchange"):
            words = await other.get(path)
            assert other.status == 200, (path, words)
            assert ("2.500" in words, "4.000" in words, offer_id in other.text) == (False, False, False)
        await other.get("/")
        assert "This offer does not exist or is not yours." in await other.send(
            "/offers/close", offer_id=offer_id
        )

        assert "2.500 kWh" in await person.get("/offers")
        assert "no open offer" in await person.send("/offers/close", offer_id=offer_id)
        assert "You received 5,000 tokens" in await exchange(person, "buy", "5000")
        assert "are pending." in await exchange(person, "sell", "2000")
        assert "3,000 tokens" in await person.get("/")
        seen = await everything(person)
        assert {"/offers", "/generation", "/sold", "/history", "/exchange", "/profile", "/leave"} <= seen
        assert not seen & {"/stations", "/receipts", "/cards", "/account"}
        assert (await other.get("/account"), other.status)[1] == 404


async def test_an_industrial_member_buys_at_its_own_representative(tmp_path: Path, market: Embedded) -> None:
    """An industrial member signs up, buys tokens, offers some, closes the offer, and sees each change in its history."""
    place = place_of(tmp_path, market, "IndustryMSP")
    member = played(place, PASSWORD)
    async with who(market, "IndustryMSP/representative") as representative:
        await ledger_accounts.sign_up(representative, member)
        stored = await representative.evaluate("GetMember", {"memberId": member.member_id})
    assert (stored["kind"], stored["commitment"]) == ("INDUSTRY", member.commitment)
    async with service(place.config) as running:
        person = Person(await origin(running))
        await person.log_in(PLAYERS["IndustryMSP"].login)
        assert "You received 9,000 tokens" in await exchange(person, "buy", "9000")
        await person.get("/offers")
        begin, end = (person.value(name) for name in ("valid_from", "valid_to"))
        offered = await person.send("/offers", tokens="5000", price="180", valid_from=begin, valid_to=end)
        assert "Highest price 180 tokens/kWh" in offered
        assert "4,000 tokens" in await person.get("/")
        await person.get("/offers")
        assert "no open offer" in await person.send("/offers/close", offer_id=person.value("offer_id"))
        assert "+9,000 tokens" in await person.get("/history")
        newcomer = Person(person.origin)
        assert "Offer to buy" in await newcomer.sign_up("works2")


async def test_drivers_have_their_account_and_nothing_of_a_station(tmp_path: Path, market: Embedded) -> None:
    """At the drivers' representative every page is there, and none leads to one that needs a station."""
    place = place_of(tmp_path, market, "EVUserMSP")
    founded(place)
    async with service(place.config) as running:
        driver = Person(await origin(running))
        assert "Hello, mina" in await driver.sign_up("mina")
        seen = await everything(driver)
        assert {"/account", "/history", "/exchange", "/profile", "/notices", "/leave"} <= seen
        assert not seen & {"/stations", "/receipts", "/cards", "/offers"}
        pending = Person(driver.origin)
        assert "Log in" in await pending.get("/")
        assert "card works without" not in pending.words
        assert "Home page" in await pending.get("/evse/BAY-1")
        assert pending.status == 404


async def test_pages_that_cannot_be_served_end_nothing(tmp_path: Path, market: Embedded) -> None:
    """A taken port: it is logged, and stations are served."""
    place = place_of(tmp_path, market, "ProducerMSP")
    played(replace(place, web_port=int(place.endpoint.rpartition(":")[2])), PASSWORD)
    async with service(place.config) as running:
        (failed,) = await running.says("web.failed")
        assert str(failed["reason"]).startswith("web.host, web.port"), failed
        await running.says("office.listening")
