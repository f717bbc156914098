"""The ledger role `representative` of the EV users: registers members, stations and gateways, and posts their loads.

Decides nothing about prices. It adds the reports of all gateways for an interval and posts the sum at once: demand for
CHARGE, supply for DISCHARGE. Several reports become one post; one after the cut-off is counted and never an error.
Source: docs/ledger.md, Price (each organisation posts its own side only); docs/contract.md (PostLoad, Register...).
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from edgegw.common.trade_terms import PRODUCTS, Product
from edgegw.contract.codes import Code
from edgegw.ledger import BusinessRefusal, LedgerError
from edgegw.representative import ledger_accounts
from edgegw.representative.ledger_accounts import Enrolment
from edgegw.representative.ledger_port import LedgerPort
from edgegw.representative.posting_schedule import Schedule

_AGAIN_REAL_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class StationListing:
    """A station as drivers find it on the ledger; the operator decides the precision of `geohash`."""

    station_id: str
    geohash: str
    evses: int
    products: tuple[Product, ...]


_AT_ONCE = 8  # sign-ups


@dataclass(slots=True)
class _Board:
    """The latest reports of one product by interval and gateway, and the intervals that are not posted yet."""

    reports: dict[int, dict[str, int]] = field(default_factory=dict)
    unposted: set[int] = field(default_factory=set)
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class RepresentativeRole:
    """A client of the ledger with the role `representative` of the EV users.

    `counts`: outcomes of the reports: `posted`, `late`, `unreachable`, and the code of every other refusal.
    """

    def __init__(self, ledger: LedgerPort, *, zone: str, schedule: Schedule) -> None:
        self.counts: Counter[str] = Counter()
        self._ledger = ledger
        self._zone = zone
        self._schedule = schedule
        self._boards = {product: _Board() for product in PRODUCTS}

    async def sign_up(self, members: Sequence[Enrolment]) -> None:
        """Register drivers and the supplier; raises BusinessRefusal (DUPLICATE_MEMBER)."""
        await ledger_accounts.at_most(
            _AT_ONCE, (ledger_accounts.sign_up(self._ledger, member) for member in members)
        )

    async def change(self, member_id: str, *, expected_version: int, commitment: str) -> None:
        """Store the commitment to a changed profile; raises BusinessRefusal (VERSION_MISMATCH)."""
        await self._ledger.execute(
            "Update", {"memberId": member_id, "expectedVersion": expected_version, "commitment": commitment}
        )

    async def sweep(self, member_id: str) -> int:
        """Move a driver's pending credits to the account; return how many."""
        return await ledger_accounts.sweep(self._ledger, member_id)

    async def register_station(self, station: StationListing) -> None:
        """Register a station, so that drivers find it."""
        await self._ledger.execute(
            "RegisterStation",
            {
                "stationId": station.station_id,
                "zone": self._zone,
                "geohash": station.geohash,
                "evses": station.evses,
                "products": list(station.products),
            },
        )

    async def register_gateway(
        self, gateway_id: str, *, certificate_sha256: str, stations: Sequence[str]
    ) -> None:
        """Register a gateway for its stations; `certificate_sha256` is in hex."""
        await self._ledger.execute(
            "RegisterGateway",
            {
                "gatewayId": gateway_id,
                "certificateSha256": certificate_sha256,
                "stations": list(stations),
            },
        )

    async def register_meter(self, meter_ref: str, *, epoch: int, gateway_id: str, rated_w: int) -> None:
        """Register an EVSE's meter that no daemon serves, with both registers at zero."""
        await self._ledger.execute(
            "RegisterMeter",
            {
                "meterRef": meter_ref,
                "epoch": epoch,
                "zone": self._zone,
                "gatewayId": gateway_id,
                "kind": "EVSE",
                "importWh": "0",
                "exportWh": "0",
                "ratedW": str(rated_w),
            },
        )

    def report(
        self, product: Product, interval: int, energy_wh: int, *, gateway_id: str = "gateway1"
    ) -> None:
        """Accept a gateway's forecast for an interval in Wh; the latest one replaces the others. Never waits, never raises."""
        if self._schedule.closed(interval):
            self.counts["late"] += 1
            return
        board = self._boards[product]
        by_gateway = board.reports.setdefault(interval, {})
        if by_gateway.get(gateway_id) == energy_wh:
            return
        by_gateway[gateway_id] = energy_wh
        board.unposted.add(interval)
        board.changed.set()

    async def run(self) -> None:
        """Post reports as they arrive, one in flight per product, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for product, board in self._boards.items():
                group.create_task(self._post_changes(product, board))

    async def _post_changes(self, product: Product, board: _Board) -> None:
        while True:
            await board.changed.wait()
            board.changed.clear()
            while board.unposted:
                interval = min(board.unposted)
                board.unposted.remove(interval)
                if not await self._post(product, interval, sum(board.reports[interval].values())):
                    board.unposted.add(interval)
                    await asyncio.sleep(_AGAIN_REAL_S)
            for interval in [i for i in board.reports if self._schedule.closed(i)]:
                del board.reports[interval]

    async def _post(self, product: Product, interval: int, energy_wh: int) -> bool:
        """Post a load; return False where the ledger is unreachable, True where it was posted, refused or late."""
        if self._schedule.closed(interval):
            self.counts["late"] += 1
            return True
        try:
            await self._ledger.execute(
                "PostLoad",
                {"zone": self._zone, "product": product, "interval": interval, "wh": str(energy_wh)},
            )
        except BusinessRefusal as refusal:
            self.counts["late" if refusal.code == Code.CUT_OFF_PASSED else refusal.code] += 1
        except LedgerError:
            self.counts["unreachable"] += 1
            return False
        else:
            self.counts["posted"] += 1
        return True
