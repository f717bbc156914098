"""A station whose representative is elsewhere: it learns who is behind which card, and tells what it expects to need.

Decides how cards are hashed here (under the key that the representative gives), what is remembered for a start without
the representative, and which report is still worth sending. Knows pseudonyms only, never a name or a card's number.
"""

import asyncio
import contextlib
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

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
    """Takes one event of the log."""

    def __call__(self, name: str, fields: Mapping[str, object], *, level: str = "info") -> None:
        """Write it."""


class StationClient:
    """`ports.gateway.LoadReportPort` over a network; `run` until cancelled.

    `cache`: where the last links stay between two runs, readable by its owner only. `learned` gets all links at each change.
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
        self._key = secrets.token_bytes(32)  # until the representative's is known, no card leads anywhere
        self._version = ""
        self._reports: dict[tuple[Product, int], int] = {}
        self._reported = asyncio.Event()
        self._away = False

    def hash_token(self, id_token: str) -> str:
        """The hash under which the representative's links know a card."""
        return hash_token(self._key, id_token)

    def report(self, product: Product, interval: int, energy_wh: int) -> None:
        """Tell it as soon as it can be told; the last one of an interval counts. Never waits, never raises."""
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
                    continue  # it has begun: nobody posts it any more
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
        """What was known at the last run; a file that is not there, or not ours, says nothing."""
        with contextlib.suppress(OSError, MalformedJsonError):
            self._take(decoded(CardLinks, parse(self._cache.read_bytes()), "cache"))

    def _remember(self, links: CardLinks) -> None:
        """Whole or not at all; a disk that refuses costs only the next start without the representative."""
        part = self._cache.with_name(f".{self._cache.name}.part")
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
            handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(written(encoded(links)))
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._cache)
