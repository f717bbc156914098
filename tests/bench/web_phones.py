"""Run phones that watch a station's pages in a separate process: one driver logs in, and many phones get live updates.

Commands are JSON lines on standard input: `{"enter": {"port", "evse_id", "card"}}` signs a driver up, buys tokens and links
a card; `{"watch": COUNT}` opens that many streams of the EVSE's page; `{"count": true}` prints the number of updates since
the last time; `{"leave": true}` closes all streams. It is a plain HTTP/1.1 client and runs no scripts.
"""

import asyncio
import http.client
import json
import re
import secrets
import sys
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from urllib.parse import urlencode

import uvloop

from tests.bench.processes import say

ADDRESSES = 8  # of loopback, because the number of streams per address is limited
_STREAM = re.compile(r'sse-connect="([^"]+)"')
_QUOTE = re.compile(r'name="quote_id" value="([^"]+)"')
_TOKEN = re.compile(r'name="form_token" value="(\w+)"')


@dataclass(slots=True)
class Phones:
    """All phones of one driver at one station."""

    host: str = ""
    cookies: dict[str, str] = field(default_factory=dict)
    stream: str = ""
    updates: int = 0
    watching: list[asyncio.Task[None]] = field(default_factory=list)

    def enter(self, port: int, evse_id: str, card: str) -> None:
        """Sign up, buy tokens, link the card, and find the stream on the EVSE's page."""
        self.host = f"127.0.0.1:{port}"
        login = f"driver{secrets.token_hex(4)}"
        self._send(
            "/signup",
            name="Bench",
            contact=f"{login}@example.org",
            login=login,
            password=secrets.token_hex(12),
            consent="1",
        )
        quote = _QUOTE.search(self._send("/exchange/quote", way="buy", tokens="1000000"))
        assert quote, "no quote"
        self._send("/exchange/confirm", quote_id=quote[1])
        self._send("/cards", number=card, label="Bench")
        found = _STREAM.search(self._ask("GET", f"/evse/{evse_id}"))
        assert found, "no live updates on the page"
        self.stream = found[1]

    def _send(self, path: str, **fields: str) -> str:
        token = _TOKEN.search(self._ask("GET", path))
        assert token, path
        return self._ask("POST", path, urlencode({"form_token": token[1], **fields}))

    def _ask(self, method: str, path: str, body: str | None = None) -> str:
        connection = http.client.HTTPConnection(self.host, timeout=30)
        headers = {"Accept-Language": "en", "Cookie": self._cookie()}
        if body is not None:
            headers |= {
                "Origin": f"http://{self.host}",
                "Content-Type": "application/x-www-form-urlencoded",
            }
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        for line in answer.headers.get_all("set-cookie") or ():
            self.cookies |= {name: morsel.value for name, morsel in SimpleCookie(line).items()}
        connection.close()
        assert answer.status in {200, 303}, f"{method} {path}: {answer.status} {text[-600:]}"
        place = answer.headers["Location"] or ""
        return self._ask("GET", place) if "answer=" in place else text  # a form's answer is a page of its own

    def _cookie(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    async def watch(self, count: int) -> None:
        """Open `count` streams, and wait for the first update of each."""
        there = [asyncio.Event() for _ in range(count)]
        self.watching = [
            asyncio.create_task(self._one(event, address=f"127.0.0.{2 + number % ADDRESSES}"))
            for number, event in enumerate(there)
        ]
        async with asyncio.timeout(60):
            await asyncio.gather(*(event.wait() for event in there))

    async def _one(self, there: asyncio.Event, *, address: str) -> None:
        host, _, port = self.host.partition(":")
        reader, writer = await asyncio.open_connection(host, int(port), local_addr=(address, 0))
        try:
            writer.write(
                f"GET {self.stream} HTTP/1.1\r\nHost: {self.host}\r\nAccept: text/event-stream\r\n"
                f"Accept-Language: en\r\nCookie: {self._cookie()}\r\n\r\n".encode()
            )
            assert b" 200 " in await reader.readline()
            while line := await reader.readline():
                if line.startswith(b"event:"):
                    self.updates += 1
                    there.set()
            raise ConnectionError("the station ended a stream")
        finally:
            writer.close()

    async def leave(self) -> None:
        """Close all streams."""
        for one in self.watching:
            one.cancel()
        ended = await asyncio.gather(*self.watching, return_exceptions=True)
        lost = [one for one in ended if not isinstance(one, asyncio.CancelledError)]
        assert not lost, lost
        self.watching = []


async def serve() -> None:
    """Execute the commands on standard input, one at a time."""
    phones = Phones()
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        match json.loads(line):
            case {"enter": order}:
                await asyncio.to_thread(phones.enter, **order)
            case {"watch": count}:
                await phones.watch(count)
            case {"leave": _}:
                await phones.leave()
            case order:
                raise ValueError(f"unknown order: {order}")
        say(updates=phones.updates)
        phones.updates = 0


if __name__ == "__main__":
    uvloop.run(serve())
