"""Calls a representative over a network: each method is one signed request over HTTPS.

Decides deadlines, and that every failure is a RepresentativeError with the URL and the reason. Never retries: the caller
decides that. A connection serves one request; its URL contains nothing secret.
Source: docs/representative.md.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from edgegw.common.errors import ConfigError
from edgegw.common.member_terms import MemberTerms
from edgegw.common.trade_terms import Product
from edgegw.ledger.identity import Signer
from edgegw.ledger.request_signing import signed_headers
from edgegw.ports.representative import (
    Balance,
    Card,
    Defaults,
    Exchanged,
    ExchangeQuote,
    History,
    Login,
    Newcomer,
    NewOffer,
    Notice,
    Profile,
    RefusedRequest,
    RepresentativeError,
    StandingOffer,
)
from edgegw.representative.json_codec import (
    METHODS,
    CardLinks,
    MalformedJsonError,
    decoded,
    encoded,
    parse,
    written,
)
from edgegw.representative.server import LINKS_WAIT_S, is_loopback

ANSWER_S = 90.0  # longer than the ledger client's own retries
CONNECT_S = 10.0
_ANSWER_BYTES_MAX = 32 << 20  # the links of a hundred thousand cards
_HEAD_BYTES_MAX = 16 << 10
Answer = TypeVar("Answer")
_REFUSED = {401: "it does not accept this station", 404: "it has another version", 413: "too long"}


class ServerConnection:
    """The connection to one representative server.

    `signer` signs each request. `ca_file`: the certificate authorities to trust; None: the system's. Plain HTTP is accepted
    on loopback only.
    """

    def __init__(self, url: str, signer: Signer, *, ca_file: Path | None = None) -> None:
        """Raises ConfigError."""
        parts = urlsplit(url)
        bare = not (parts.path.strip("/") or parts.query or parts.fragment or parts.username)
        if parts.scheme not in {"http", "https"} or not parts.hostname or not bare:
            raise ConfigError((f"representative.url: {url!r}: expected https://HOST:PORT",))
        if parts.scheme == "http" and not is_loopback(parts.hostname):
            raise ConfigError(
                (f"representative.url: {url}: use https:// for an address other than loopback",)
            )
        self.url = url
        self._host, self._port = parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
        self._signer = signer
        self._tls = context_for(ca_file) if parts.scheme == "https" else None

    async def ask(self, name: str, *, timeout_s: float = ANSWER_S, **arguments: object) -> Answer:
        """Call the method `name` and return its answer; raises RepresentativeError."""
        body = written({key: encoded(value) for key, value in arguments.items()})
        try:
            async with asyncio.timeout(timeout_s):
                status, text = await self._exchange(f"/v1/{name}", body)
            answer = parse(text)
            if status == 200 and isinstance(answer, dict) and set(answer) == {"answer"}:
                found: Answer = decoded(METHODS[name].answer, answer["answer"])
                return found
        except TimeoutError as fault:
            raise RepresentativeError(f"representative at {self.url}: no answer in time") from fault
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as fault:
            raise RepresentativeError(f"representative at {self.url}: {fault!s}") from fault
        except MalformedJsonError as fault:
            raise RepresentativeError(
                f"representative at {self.url}: invalid answer to {name}: {fault}"
            ) from fault
        said = str(answer.get("error", "")) if isinstance(answer, dict) else ""
        reason = _REFUSED.get(status, f"status {status}")
        raise RepresentativeError(
            f"representative at {self.url}: {said if status == 503 else f'{reason}: {said}'}"
        )

    async def _exchange(self, path: str, body: bytes) -> tuple[int, bytes]:
        async with asyncio.timeout(CONNECT_S):
            reader, writer = await asyncio.open_connection(
                self._host, self._port, ssl=self._tls, limit=_HEAD_BYTES_MAX
            )
        try:
            host = f"[{self._host}]" if ":" in self._host else self._host
            headers = {
                "host": f"{host}:{self._port}",
                "content-type": "application/json",
                "content-length": str(len(body)),
                "connection": "close",
                **signed_headers(self._signer, path, body),
            }
            lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            writer.write(f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode() + body)
            await writer.drain()
            return await _response(reader)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def _response(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Return status and body; raises ValueError where it is not the response of a representative."""
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    fields = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    length, status = fields.get("content-length", ""), rest[:3]
    if not version.startswith("HTTP/1.") or not status.isdecimal() or not length.isdecimal():
        raise ValueError("not the response of a representative")
    if int(length) > _ANSWER_BYTES_MAX:
        raise ValueError("the response is too long")
    return int(status), await reader.readexactly(int(length))


def context_for(ca_file: Path | None) -> ssl.SSLContext:
    """Return a TLS context that trusts only `ca_file`, or the system's authorities where it is None; raises ConfigError."""
    try:
        context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except OSError as fault:
        raise ConfigError((f"representative.ca_file: {ca_file}: {fault.strerror or fault}",)) from fault
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class RepresentativeClient:
    """`ports.representative.Representative` and `StationPort` over a network. Each method raises RepresentativeError."""

    def __init__(self, way: ServerConnection) -> None:
        self._way = way

    async def sign_up(self, newcomer: Newcomer) -> Profile | RefusedRequest:
        """See Representative."""
        return await self._way.ask("sign_up", newcomer=newcomer)

    async def log_in(self, login: str, password: str, *, source: str) -> Login | RefusedRequest:
        """See Representative."""
        return await self._way.ask("log_in", login=login, password=password, source=source)

    async def who(self, token: str) -> Profile | None:
        """See Representative."""
        return await self._way.ask("who", token=token)

    async def log_out(self, token: str) -> None:
        """See Representative."""
        await self._way.ask("log_out", token=token)

    async def change(self, profile: Profile, *, password: str | None = None) -> Profile | RefusedRequest:
        """See Representative."""
        return await self._way.ask("change", profile=profile, password=password)

    async def remember(self, member_id: str, defaults: Defaults) -> None:
        """See Representative."""
        await self._way.ask("remember", member_id=member_id, defaults=defaults)

    async def export(self, member_id: str) -> dict[str, object]:
        """See Representative."""
        return await self._way.ask("export", member_id=member_id)

    async def leave(self, member_id: str) -> RefusedRequest | None:
        """See Representative."""
        return await self._way.ask("leave", member_id=member_id)

    async def cards(self, member_id: str) -> Sequence[Card]:
        """See Representative."""
        return await self._way.ask("cards", member_id=member_id)

    async def link_card(
        self, member_id: str, id_token: str, *, label: str, terms: MemberTerms
    ) -> Card | RefusedRequest:
        """See Representative."""
        return await self._way.ask(
            "link_card", member_id=member_id, id_token=id_token, label=label, terms=terms
        )

    async def unlink_card(self, member_id: str, card_id: str) -> RefusedRequest | None:
        """See Representative."""
        return await self._way.ask("unlink_card", member_id=member_id, card_id=card_id)

    async def balance(self, member_id: str) -> Balance:
        """See Representative."""
        return await self._way.ask("balance", member_id=member_id)

    async def history(self, member_id: str, *, bookmark: str = "", size: int = 20) -> History:
        """See Representative."""
        return await self._way.ask("history", member_id=member_id, bookmark=bookmark, size=size)

    async def exchange_quote(
        self, member_id: str, *, buys: bool, tokens_mtok: int
    ) -> ExchangeQuote | RefusedRequest:
        """See Representative."""
        return await self._way.ask("exchange_quote", member_id=member_id, buys=buys, tokens_mtok=tokens_mtok)

    async def exchange(self, member_id: str, quote_id: str) -> Exchanged | RefusedRequest:
        """See Representative."""
        return await self._way.ask("exchange", member_id=member_id, quote_id=quote_id)

    async def notices(self) -> Sequence[Notice]:
        """See Representative."""
        return await self._way.ask("notices")

    async def publish(self, notice: Notice) -> None:
        """See Representative."""
        await self._way.ask("publish", notice=notice)

    async def withdraw(self, notice_id: str) -> None:
        """See Representative."""
        await self._way.ask("withdraw", notice_id=notice_id)

    async def offers(self, member_id: str) -> Sequence[StandingOffer]:
        """See Representative."""
        return await self._way.ask("offers", member_id=member_id)

    async def offer(self, member_id: str, new: NewOffer) -> StandingOffer | RefusedRequest:
        """See Representative."""
        return await self._way.ask("offer", member_id=member_id, new=new)

    async def close_offer(self, member_id: str, offer_id: str) -> RefusedRequest | None:
        """See Representative."""
        return await self._way.ask("close_offer", member_id=member_id, offer_id=offer_id)

    async def links(self, since: str) -> CardLinks | None:
        """See StationPort."""
        return await self._way.ask("links", timeout_s=LINKS_WAIT_S + CONNECT_S, since=since)

    async def report(self, product: Product, interval: int, energy_wh: int) -> None:
        """See StationPort."""
        await self._way.ask("report", product=product, interval=interval, energy_wh=energy_wh)
