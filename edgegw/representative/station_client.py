"""Keeps a station in step with a remote representative: follows its card links and sends load reports.

Decides how cards are hashed (with the key that the representative provides), what is cached for a start without the
representative, and which reports are still sent. Knows pseudonyms only, never a name or an idToken.
"""

import asyncio
import contextlib
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from edgegw.common.errors import JournalError
from edgegw.common.member_terms import MemberTerms
from edgegw.common.pseudonyms import hash_token
from edgegw.common.trade_terms import Product
from edgegw.ports.representative import RepresentativeError
from edgegw.representative.json_codec import (
    CardLinks,
    MalformedJsonError,
    StationPort,
    decoded,
    encoded,
    parse,
    written,
)

_AGAIN_REAL_S = 2.0
_KEY_DIGITS = 64


class Log(Protocol):
    """Logs one event."""

    def __call__(self, name: str, fields: Mapping[str, object], *, level: str = "info") -> None:
        """Log it."""


def require_links(content: bytes) -> None:
    """Raise JournalError where a cache is not what `StationClient` writes."""
    try:
        decoded(CardLinks, parse(content), "cache")
    except MalformedJsonError as fault:
        raise JournalError(f"links of cards: {fault}") from fault


class StationClient:
    """`ports.gateway.LoadReportPort` over a network; `run` it until cancelled.

    `cache`: the file with the last links, readable by its owner only. `learned` receives all links at each change.
    """

    def __init__(
        self,
        desk: StationPort,
        *,
        cache: Path,
        now_ns: Callable[[], int],
        learned: Callable[[Mapping[str, MemberTerms]], None],
        log: Log,
    ) -> None:
        self._desk = desk
        self._cache = cache
        self._now_ns = now_ns
        self._learned = learned
        self.log = log
        self._key = secrets.token_bytes(32)  # random until the representative's is known: no card matches
        self._version = ""
        self._reports: dict[tuple[Product, int], int] = {}
        self._reported = asyncio.Event()
        self._away = False

    def hash_token(self, id_token: str) -> str:
        """Return the hash of a card as in the representative's links."""
        return hash_token(self._key, id_token)

    def report(self, product: Product, interval: int, energy_wh: int) -> None:
        """Queue a report; the latest one of an interval replaces the others. Never waits, never raises."""
        self._reports[product, interval] = energy_wh
        self._reported.set()

    async def run(self) -> None:
        """Follow the links and send the reports."""
        self._recall()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow())
            group.create_task(self._send())

    async def _follow(self) -> None:
        while True:
            try:
                links = await self._desk.links(self._version)
            except RepresentativeError as fault:
                self._is_away(str(fault))
                await asyncio.sleep(_AGAIN_REAL_S)
                continue
            self._is_back()
            if links is not None:
                self._take(links)
                self._remember(links)

    async def _send(self) -> None:
        while True:
            await self._reported.wait()
            self._reported.clear()
            while self._reports:
                product, interval = next(iter(self._reports))
                energy_wh = self._reports.pop((product, interval))
                if interval * 1_000_000_000 <= self._now_ns():
                    continue  # it has begun: the representative cannot post it any more
                try:
                    await self._desk.report(product, interval, energy_wh)
                except RepresentativeError as fault:
                    self._reports.setdefault((product, interval), energy_wh)  # behind the others
                    self._is_away(str(fault))
                    await asyncio.sleep(_AGAIN_REAL_S)

    def _take(self, links: CardLinks) -> None:
        if len(links.key) == _KEY_DIGITS:
            with contextlib.suppress(ValueError):
                self._key, self._version = bytes.fromhex(links.key), links.version
                self._learned(links.links)

    def _is_away(self, reason: str) -> None:
        if not self._away:
            self.log("representative.lost", {"reason": reason}, level="warning")
        self._away = True

    def _is_back(self) -> None:
        if self._away:
            self.log("representative.reached", {})
        self._away = False

    def _recall(self) -> None:
        """Read the cached links; ignore an absent or malformed file."""
        with contextlib.suppress(OSError, MalformedJsonError):
            self._take(decoded(CardLinks, parse(self._cache.read_bytes()), "cache"))

    def _remember(self, links: CardLinks) -> None:
        """Replace the cache atomically; ignore a failure, which matters only at a start without the representative."""
        part = self._cache.with_name(f".{self._cache.name}.part")
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
            handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(written(encoded(links)))
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._cache)
