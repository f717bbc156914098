"""The representative's interface: who is authenticated, what is accepted, and what a station learns through it."""

import asyncio
import hashlib
import json
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from edgegw.common.errors import AddressTakenError, ConfigError
from edgegw.common.member_terms import MemberTerms
from edgegw.common.pseudonyms import hash_token
from edgegw.common.units import SECOND_NS
from edgegw.ledger import request_signing
from edgegw.ledger.identity import load_trust
from edgegw.ledger.request_signing import Callers, NotHeard, signed_headers
from edgegw.ports.representative import RefusalCode, RefusedRequest, RepresentativeError
from edgegw.representative import station_client
from edgegw.representative.client import RepresentativeClient, ServerConnection, _response
from edgegw.representative.json_codec import (
    METHODS,
    MalformedJsonError,
    arguments_of,
    decoded,
    encoded,
    parse,
    written,
)
from edgegw.representative.server import (
    BODY_BYTES_MAX,
    Listening,
    RepresentativeServer,
    served,
)
from edgegw.representative.station_client import StationClient
from tests.support.certificates import Authority
from tests.support.participants_host import MONDAY_S
from tests.support.patience import until
from tests.support.representative_world import Served, code, form, joined, served_desk

PATH = "/v1/notices"
TERMS = MemberTerms(member_id="", sells=True)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Served]:
    async with served_desk(tmp_path) as found:
        yield found


async def post(place: Served, path: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, str]:
    """Send one request with arbitrary content; return status and error."""
    port = int(place.url.rpartition(":")[2])
    context = ssl.create_default_context(cafile=place.ca_file)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(
        f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n{lines}\r\n".encode() + body
    )
    status, text = await _response(reader)
    writer.close()
    return status, json.loads(text).get("error", "")


def signed(
    place: Served, member: str = "EVUserMSP/gateway1", *, path: str = PATH, **more: int
) -> dict[str, str]:
    """Headers as this member would sign them now, or so many seconds off."""
    shift_s = more.get("shift_s", 0)
    return signed_headers(
        place.signer(member), path, b"{}", now_ns=lambda: time.time_ns() + shift_s * SECOND_NS
    )


async def test_only_this_organisations_listed_gateways_are_heard(place: Served) -> None:
    """Another organisation's gateway, a peer, a representative and an unlisted gateway get 401, which is logged."""
    expected = {
        "EVUserMSP/gateway1": (200, ""),
        "EVUserMSP/gateway2": (200, ""),
        "EVUserMSP/gateway3": (401, NotHeard.NOT_LISTED),
        "EVUserMSP/representative": (401, NotHeard.WRONG_ROLE),
        "EVUserMSP/peer0": (401, NotHeard.WRONG_ROLE),
        "EVUserMSP/admin": (401, NotHeard.WRONG_ROLE),
        "IndustryMSP/gateway1": (401, NotHeard.UNKNOWN_CERTIFICATE),
        "EVUserMSP/ca": (401, NotHeard.UNKNOWN_CERTIFICATE),
    }
    found = {member: await post(place, PATH, b"{}", signed(place, member)) for member in expected}
    assert found == expected
    assert len(place.logged) == 6
    assert place.logged[0] == {"address": "127.0.0.1", "reason": "NOT_LISTED"}


async def test_a_request_holds_for_a_minute_and_once(place: Served) -> None:
    """A time that is off, a nonce that was used, another body, another path, another certificate: not heard."""
    for shift_s in (-61, 61):
        assert await post(place, PATH, b"{}", signed(place, shift_s=shift_s)) == (401, NotHeard.CLOCK)
    for shift_s in (-55, 55):
        assert await post(place, PATH, b"{}", signed(place, shift_s=shift_s)) == (200, "")
    headers = signed(place)
    assert await post(place, PATH, b"{ }", headers) == (401, NotHeard.BAD_SIGNATURE)
    assert await post(place, "/v1/withdraw", b"{}", headers) == (401, NotHeard.BAD_SIGNATURE)
    exchanged = headers | {
        request_signing.CERTIFICATE: signed(place, "EVUserMSP/gateway2")[request_signing.CERTIFICATE]
    }
    assert await post(place, PATH, b"{}", exchanged) == (401, NotHeard.BAD_SIGNATURE)
    assert await post(place, PATH, b"{}", headers) == (200, "")
    assert await post(place, PATH, b"{}", headers) == (401, NotHeard.REPLAYED)


async def test_headers_of_another_form_are_refused(place: Served) -> None:
    """Absent, empty, or not of their form: 401, never an error of ours."""
    good = signed(place)
    for name in good:
        for value in (None, "", "!", "A" * 5000, "-1", "\u0661"):
            bad = {key: text for key, text in good.items() if key != name}
            if value is not None:
                bad[name] = value.encode().decode("latin-1")
            assert await post(place, PATH, b"{}", bad) == (401, NotHeard.MALFORMED)


async def test_a_question_that_cannot_be_understood_changes_nothing(place: Served) -> None:
    """400 for what is not the port's, 404 for a method there is none of, 413 beyond 64 KiB; whatever it was, the next works."""

    async def ask(body: bytes, name: str = "withdraw") -> int:
        path = f"/v1/{name}"
        headers = signed_headers(place.signer(), path, body)
        return (await post(place, path, body, headers))[0]

    for body in (
        b"", b"[]", b"{", b'{"notice_id":1}', b'{"notice_id":"a","more":1}', b'{"notice_id":null}', b"\xff",
        b'{"notice_id":"a","notice_id":"a"}', b'{"notice_id":1.5}', b'{"notice_id":NaN}', b"[" * 60_000,
        b'{"notice_id":"\\ud800"}', b'{"notice_id":"' + b"x" * 9000 + b'"}',
    ):  # fmt: skip
        assert await ask(body) == 400, body[:40]
    assert await ask(b"{}", "nothing") == 404
    assert await ask(b"{}", "close") == 404
    assert await ask(b" " * (BODY_BYTES_MAX + 1)) == 413
    assert await ask(b'{"notice_id":"a"}') == 200


async def test_an_own_fault_is_told_as_one(place: Served) -> None:
    """A ledger that is away behind the representative is the same RepresentativeError here, with where and what."""
    profile = await joined(place.desk.representative)
    place.desk.ledger.away_before = True
    with pytest.raises(RepresentativeError, match=r"representative at https://127.* peer: no peer"):
        await place.desk.representative.balance(profile.member_id)


async def test_a_station_believes_its_own_authority_only(place: Served, tmp_path: Path) -> None:
    """A server that another authority vouches for is not asked; nor is one that is not there, or no representative."""
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other", "other")
    for way in (
        ServerConnection(place.url, place.signer(), ca_file=other.ca_file),
        ServerConnection("https://127.0.0.1:1", place.signer(), ca_file=place.ca_file),
        ServerConnection(place.url.replace("https", "http"), place.signer()),
        place.way("EVUserMSP/gateway3"),
    ):
        with pytest.raises(RepresentativeError, match="representative at"):
            await RepresentativeClient(way).notices()


@pytest.mark.parametrize(
    "url",
    [
        "http://192.0.2.1:80",
        "ftp://127.0.0.1",
        "https://",
        "https://h/path",
        "https://u:p@h",
        "https://h?x",
        "h:1",
    ],
)
def test_a_url_without_tls_or_with_more_than_a_place_is_refused(place: Served, url: str) -> None:
    """TLS beyond this machine, and nothing in the URL but host and port."""
    with pytest.raises(ConfigError, match=r"representative\.url"):
        ServerConnection(url, place.signer())


async def test_beyond_loopback_there_is_tls(place: Served) -> None:
    """The interface is not served in clear to anybody else, nor at an address that is taken."""
    app = RepresentativeServer.__new__(RepresentativeServer)
    with pytest.raises(ConfigError, match="configure TLS"):
        async with served(app, Listening(host="0.0.0.0", port=0)):  # type: ignore[arg-type]  # never asked
            raise AssertionError
    port = int(place.url.rpartition(":")[2])
    with pytest.raises(AddressTakenError):
        async with served(app, Listening(host="127.0.0.1", port=port)):  # type: ignore[arg-type]  # never asked
            raise AssertionError
    broken = Listening(host="127.0.0.1", port=0, certificate=place.ca_file, key_file=place.ca_file)
    with pytest.raises(ConfigError, match=r"listen\.certificate"):
        async with served(app, broken):  # type: ignore[arg-type]  # never asked
            raise AssertionError


async def test_no_more_nonces_are_remembered_than_fit(place: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit of stored nonces, requests are refused rather than nonces forgotten, until old ones expire."""
    monkeypatch.setattr(request_signing, "NONCES_MAX", 2)
    now = [time.time_ns()]
    callers = Callers(
        load_trust(place.crypto / "trust.json"), "EVUserMSP", ("gateway1",), now_ns=lambda: now[0]
    )

    def heard() -> object:
        headers = signed_headers(place.signer(), PATH, b"", now_ns=lambda: now[0])
        return callers.check(headers, PATH, b"")

    assert [isinstance(heard(), NotHeard) for _ in range(2)] == [False, False]
    assert heard() == NotHeard.BUSY
    now[0] += 121 * SECOND_NS
    assert not isinstance(heard(), NotHeard)


async def test_a_certificate_is_listed_by_its_hash_or_its_gateway(place: Served) -> None:
    """A station is listed by its certificate's hash or its gateway id; a renewal changes only the hash."""
    roots = load_trust(place.crypto / "trust.json")
    sha256 = place.signer().identity.certificate_sha256
    for listed, heard in (((sha256,), True), (("gateway1",), True), ((sha256[:-1],), False), ((), False)):
        checked = Callers(roots, "EVUserMSP", listed).check(signed(place), PATH, b"{}")
        assert isinstance(checked, request_signing.Caller) == heard


class Follower:
    """A station without chargers: what it learned, and what it reported."""

    def __init__(self, place: Served, cache: Path, member: str = "EVUserMSP/gateway2") -> None:
        self.learned: list[Mapping[str, MemberTerms]] = []
        self.told: list[str] = []
        self.station = StationClient(
            RepresentativeClient(place.way(member)),
            cache=cache,
            now_ns=place.desk.clock.now_ns,
            learned=self._learn,
            log=lambda name, *_, **__: self.told.append(name),
        )

    def _learn(self, links: Mapping[str, MemberTerms]) -> None:
        self.learned.append(links)


async def test_a_driver_known_at_one_station_is_known_at_all(place: Served, tmp_path: Path) -> None:
    """A card linked at one station leads to the member and the terms at another, and no longer once it is unlinked."""
    follower = Follower(place, tmp_path / "cards.json")
    running = asyncio.create_task(follower.station.run())
    profile = await joined(place.desk.representative)
    card = await place.desk.representative.link_card(profile.member_id, "04A2B3C4", label="", terms=TERMS)
    terms = replace(TERMS, member_id=profile.member_id)
    station = follower.station
    await until(lambda: bool(follower.learned and follower.learned[-1]))
    assert follower.learned[-1] == {station.hash_token("04a2b3c4"): terms}
    assert station.hash_token("04a2b3c4") != hash_token(place.desk.local._key, "04a2b3c4")
    assert not isinstance(card, RefusedRequest)
    await place.desk.representative.unlink_card(profile.member_id, card.card_id)
    await until(lambda: not follower.learned[-1])
    running.cancel()
    assert (await asyncio.gather(running, return_exceptions=True))[0].__class__ is asyncio.CancelledError


async def test_a_station_that_starts_alone_knows_whom_it_knew(place: Served, tmp_path: Path) -> None:
    """The last links survive a restart without the representative, in a file for its owner alone; damage is no knowledge."""
    cache = tmp_path / "cards.json"
    profile = await joined(place.desk.representative)
    await place.desk.representative.link_card(profile.member_id, "04A2B3C4", label="", terms=TERMS)
    first = Follower(place, cache)
    running = asyncio.create_task(first.station.run())
    await until(lambda: bool(first.learned))
    await until(cache.exists)
    running.cancel()
    assert cache.stat().st_mode & 0o777 == 0o600
    for text, knows in ((cache.read_bytes(), True), (b"{", False), (cache.read_bytes()[:-3], False)):
        cache.write_bytes(text)
        alone = Follower(place, cache, "EVUserMSP/gateway3")  # whom the representative does not hear
        running = asyncio.create_task(alone.station.run())
        await until(alone.told.copy)
        assert alone.told == ["representative.lost"]
        assert [alone.station.hash_token("04A2B3C4") in links for links in alone.learned] == [True] * knows
        running.cancel()


async def test_a_report_arrives_under_its_own_gateway(place: Served, tmp_path: Path) -> None:
    """An interval's last report counts; one that has begun is not sent, and a late one is refused by the representative."""
    follower = Follower(place, tmp_path / "cards.json")
    station = follower.station
    for interval, energy_wh in ((MONDAY_S + 900, 1), (MONDAY_S + 900, 7_000), (MONDAY_S, 5)):
        station.report("CHARGE", interval, energy_wh)
    running = asyncio.create_task(station.run())
    await until(lambda: place.reports)
    assert place.reports == [("CHARGE", MONDAY_S + 900, 7_000, "gateway2")]
    representative = RepresentativeClient(place.way())
    for interval, energy_wh in (
        (MONDAY_S + 901, 1),
        (MONDAY_S - 1800, 1),
        (MONDAY_S + 30 * 86_400, 1),
        (MONDAY_S, -1),
    ):
        with pytest.raises(RepresentativeError, match="status 400"):
            await representative.report("CHARGE", interval, energy_wh)
    running.cancel()
    assert len(place.reports) == 1


class Deaf:
    """A representative that refuses one interval for good and is away for one question in two."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    async def links(self, since: str) -> None:  # noqa: ARG002 - the port
        await asyncio.Event().wait()

    async def report(self, product: str, interval: int, energy_wh: int) -> None:  # noqa: ARG002 - the port
        self.asked.append(interval)
        if energy_wh == 0 or len(self.asked) == 2:
            raise RepresentativeError("not this one")


async def test_a_report_that_is_refused_holds_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report that fails is retried behind the others; that the representative is away is logged once."""
    monkeypatch.setattr(station_client, "_AGAIN_REAL_S", 0.0)
    desk, told = Deaf(), list[str]()
    station = StationClient(
        desk,
        cache=tmp_path / "cards.json",
        now_ns=lambda: MONDAY_S * SECOND_NS,
        learned=lambda _: None,
        log=lambda name, *_, **__: told.append(name),
    )
    for n, energy_wh in ((1, 0), (2, 5), (3, 5)):
        station.report("CHARGE", MONDAY_S + n * 900, energy_wh)
    running = asyncio.create_task(station.run())
    await until(lambda: len(desk.asked) > 5)
    running.cancel()
    order = [(interval - MONDAY_S) // 900 for interval in desk.asked[:6]]
    assert order == [1, 2, 3, 1, 2, 1]
    assert told == ["representative.lost"]


def test_every_value_of_the_port_has_words() -> None:
    """Arguments come back as they were sent, and as nothing else: other fields, names and types are refused."""
    newcomer = form()
    method = METHODS["sign_up"]
    sent = encoded({"newcomer": newcomer})
    assert arguments_of(method, parse(written(sent))) == {"newcomer": newcomer}
    told = parse(written(sent))
    assert isinstance(told, dict)
    for change in ({"$": "Notice"}, {"more": 1}, {"kind": "SUPPLIER"}, {"login": 1}, {"login": None}):
        with pytest.raises(MalformedJsonError, match="newcomer"):
            arguments_of(method, {"newcomer": told["newcomer"] | change})
    refusal = RefusedRequest(code=RefusalCode.STILL_BUSY, detail="held")
    back = decoded(METHODS["leave"].answer, parse(written(encoded(refusal))))
    assert back == RefusedRequest(code="STILL_BUSY", detail="held")
    assert decoded(METHODS["leave"].answer, None) is None
    assert code(back) == RefusalCode.STILL_BUSY
    with pytest.raises(MalformedJsonError, match=r"answer\.more"):
        decoded(METHODS["leave"].answer, {"$": "RefusedRequest", "code": "X", "detail": "", "more": 1})
    with pytest.raises(MalformedJsonError):
        decoded(METHODS["report"].arguments["energy_wh"], True)
    with pytest.raises(MalformedJsonError):
        decoded(METHODS["report"].arguments["energy_wh"], 2**63)
    assert hashlib.sha256(written(sent)).hexdigest() == hashlib.sha256(written(told)).hexdigest()
